"""What an earlier `tds up` left when it was killed: its children are stopped, and nobody else."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tds.local.processes import Identity, identity_of, is_running, kill_group, recall, remember, send, wait_gone
from tds.local.refusal import CannotStartError
from tds.owners import denied

# Who talks stops before who listens. Each stage has until its second (from the start of the stop) to end by itself.
# Within the 10 s there is also time to end by force who did not, and for our own end.
STAGES: Final = (
    ("demo", 1.5),
    ("web", 3.0),
    ("ota", 4.0),
    ("consumer", 5.0),
    ("worker", 6.0),
    ("agent", 6.5),
    ("broker", 7.5),
    ("database", 8.5),
)
HASTE_S: Final = 0.2
# PostgreSQL: SIGINT ends sessions and writes a checkpoint; SIGQUIT leaves at once, and the next start recovers.
GENTLE: Final = {"database": signal.SIGINT}
FIRM: Final = {"database": signal.SIGQUIT}


def stage_of(name: str) -> int:
    """`consumer-2` stops with `consumer`; a name that is not in the table stops first."""
    for number, (prefix, _limit) in enumerate(STAGES):
        if name == prefix or name.startswith(f"{prefix}-"):
            return number
    return 0


def stop_in_order(running: dict[str, Identity], hurry: "list[int] | None" = None) -> None:
    """Stop all, stage by stage, within 10 s. `hurry` fills when the person asks again: then nobody gets more time."""
    began = time.monotonic()
    for number, (_prefix, limit_s) in enumerate(STAGES):
        members = {n: who for n, who in running.items() if stage_of(n) == number}
        for name, who in members.items():
            send(who, GENTLE.get(name, signal.SIGTERM))
        deadline = began + limit_s
        while any(map(is_running, members.values())) and time.monotonic() < deadline and not hurry:
            time.sleep(0.02)
        for name, who in members.items():
            if not wait_gone(who, time.monotonic() + (HASTE_S if hurry else 0)):
                _force(name, who)


def _force(name: str, who: Identity) -> None:
    if name in FIRM:
        send(who, FIRM[name])
        if wait_gone(who, time.monotonic() + 0.5):
            return
    kill_group(who)
    wait_gone(who, time.monotonic() + 0.5)


def run_file(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.json"


def keep(home: Path, name: str, pid: int) -> Identity | None:
    """Write down who this child is, for the next start."""
    identity = identity_of(pid)
    if identity:
        # A full disk: the child is worth more than the note, which only serves after a kill of the supervisor.
        with contextlib.suppress(OSError):
            remember(run_file(home, name), identity)
    return identity


def forget(home: Path, name: str) -> None:
    run_file(home, name).unlink(missing_ok=True)


def recover(home: Path) -> list[str]:
    """Stop the children of a supervisor that was killed; the names of those that were still there."""
    (home / "ready.json").unlink(missing_ok=True)
    files = sorted((home / "run").glob("*.json"))
    kept = {file.stem: recall(file) for file in files}
    running = {name: who for name, who in kept.items() if who and is_running(who)}
    stop_in_order(running)
    for file in files:
        file.unlink(missing_ok=True)
    return sorted(running)


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Two supervisors of one home would fight over it. The kernel drops the lock with its holder, however that ends."""
    folder = home / "run"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / "lock").open("a+", encoding="utf-8")
    except PermissionError as error:
        raise CannotStartError(
            f"{folder} can't be used: {denied(folder)}, or set TDS_HOME to a folder of yours."
        ) from error
    except OSError as error:
        raise CannotStartError(f"{folder} can't be used ({error.strerror}); set TDS_HOME to another folder.") from error
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip()
            raise CannotStartError(
                f"TDS already runs in {home} (pid {holder or 'unknown'}); stop it, or set TDS_HOME to another folder."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
