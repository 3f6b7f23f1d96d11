"""Starting a program in a session of its own, and telling later whether a pid still means that program."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from tds.local.accounts import Account

OPEN_FILES: Final = 65_536  # each connection of a gateway is one of the broker's; many systems begin with 1,024
STRANGERS: Final = ("PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGOPTIONS", "PGSERVICE", "PGDATABASE", "PGPASSWORD")


@dataclass(frozen=True, slots=True)
class Identity:
    """A pid alone is reused; with the moment of its start and the boot it belongs to it names one process for ever."""

    pid: int
    start_ticks: int
    boot_id: str


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identity_of(pid: int) -> Identity | None:
    """Who that pid is now, or None when there is no such process (or only its zombie)."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()  # the name in parentheses may hold anything, blanks included
    if fields[0] in {"Z", "X"}:
        return None
    return Identity(pid, int(fields[19]), boot_id())


def is_running(identity: Identity) -> bool:
    return identity_of(identity.pid) == identity


def start(
    command: Sequence[str | Path],
    *,
    log: IO[bytes] | int,
    account: Account | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Run it in its own session, so that a Ctrl-C at the terminal reaches the supervisor alone."""
    _allow_open_files()
    variables = {k: v for k, v in os.environ.items() if k not in STRANGERS} | dict(environment or {})
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=cwd or "/",  # the account may not be able to enter where we are
        env=variables,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _allow_open_files() -> None:
    """To ourselves, and so to those that we start. Only root could go beyond the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def remember(path: Path, identity: Identity) -> None:
    write_whole(path, json.dumps(asdict(identity)), mode=0o600)


def recall(path: Path) -> Identity | None:
    """The process that file speaks of; None for a file that a crash or a person left unreadable."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Identity(int(kept["pid"]), int(kept["start_ticks"]), str(kept["boot_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Replace the file in one step: a reader sees the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    # O_EXCL follows no link: root writes into folders of accounts that it does not trust.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def send(identity: Identity, number: signal.Signals) -> None:
    if is_running(identity):
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, number)


def kill_group(identity: Identity) -> None:
    """The process and what it started: `start` made it the leader of a group."""
    if is_running(identity):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(identity.pid) == identity.pid:
                os.killpg(identity.pid, signal.SIGKILL)
            else:
                os.kill(identity.pid, signal.SIGKILL)


def wait_gone(identity: Identity, deadline: float) -> bool:
    """True once it has ended; `deadline` is a reading of `time.monotonic()`."""
    while is_running(identity):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True
