"""The loop: start children, wait until they are healthy, bring back who ended, stop all in order."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tds.local import logs, processes
from tds.local.accounts import Account
from tds.local.backoff import Backoff
from tds.local.leftovers import forget, keep, stop_in_order
from tds.local.processes import Identity
from tds.local.refusal import CannotStartError

LOOK_S: Final = 0.1
CHORES_EVERY_S: Final = 5.0


class StopAskedError(Exception):
    """SIGTERM, Ctrl-C or SIGHUP came while we were still starting."""


@dataclass(frozen=True, slots=True)
class Child:
    """A program that runs for as long as the platform does."""

    name: str
    command: list[str]
    healthy: Callable[[], bool] | None = None
    limit_s: float = 30.0
    account: Account | None = None
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    # For one that ends when its work is done: who takes its place, or nobody.
    then: "Callable[[], Child | None] | None" = None


@dataclass(slots=True)
class Running:
    child: Child
    process: "subprocess.Popen[bytes]"
    identity: Identity | None
    started: float
    backoff: Backoff
    again_at: float | None = None


def say(line: str) -> None:
    # A terminal that went away must not end the supervisor before it has stopped its children.
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)  # noqa: T201  # this is the command's output


class Supervisor:
    """Owns the children of one `$TDS_HOME`."""

    def __init__(self, home: Path, changed: Callable[["Supervisor"], None] = lambda _: None) -> None:
        self.home = home
        self.children: dict[str, Running] = {}
        self.stops: list[int] = []
        self.changed = changed
        self._told = True  # of the last change
        self._chores_at = 0.0

    def catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # `nohup` ignores the hang-up on purpose.
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            signal.signal(number, lambda received, _frame: self.stops.append(received))

    def pids(self) -> dict[str, int]:
        return {name: running.process.pid for name, running in self.children.items() if running.again_at is None}

    def start(self, child: Child) -> None:
        self.refuse_when_stopped()
        self.children[child.name] = self._spawn(child, Backoff())

    def _spawn(self, child: Child, backoff: Backoff) -> Running:
        if child.before:
            child.before()
        with logs.open_log(self.home, child.name) as log:
            process = processes.start(
                child.command, log=log, account=child.account, cwd=child.cwd, environment=child.environment
            )
        return Running(child, process, keep(self.home, child.name, process.pid), time.monotonic(), backoff)

    def run(self, child: Child) -> None:
        """Something that must finish before we go on."""
        self.start(child)
        running = self.children[child.name]
        while running.process.poll() is None:
            self.refuse_when_stopped()
            if time.monotonic() > running.started + child.limit_s:
                raise CannotStartError(self._complaint(child, f"did not finish within {child.limit_s:.0f} s"))
            time.sleep(0.02)
        if code := running.process.returncode:
            raise CannotStartError(self._complaint(child, f"failed ({ending(code)})"))
        del self.children[child.name]
        forget(self.home, child.name)

    def wait_healthy(self, name: str) -> None:
        running = self.children[name]
        child = running.child
        deadline = running.started + child.limit_s
        while child.healthy and not child.healthy():
            self.refuse_when_stopped()
            if (code := running.process.poll()) is not None:
                raise CannotStartError(self._complaint(child, f"ended at its start ({ending(code)})"))
            if time.monotonic() > deadline:
                raise CannotStartError(self._complaint(child, f"was not healthy within {child.limit_s:.0f} s"))
            time.sleep(0.05)

    def _complaint(self, child: Child, what: str) -> str:
        path = logs.path_of(self.home, child.name)
        return f"{child.name} {what}; its log is {path}. The last lines:\n{logs.tail(path)}"

    def refuse_when_stopped(self) -> None:
        if self.stops:
            raise StopAskedError

    def watch(self) -> None:
        """Until a signal comes: bring back what ended, keep the logs bounded."""
        while not self.stops:
            for name in list(self.children):
                if name in self.children:  # and not dismissed by the one before it
                    self._look_after(self.children[name])
            if time.monotonic() >= self._chores_at:
                self._chores_at = time.monotonic() + CHORES_EVERY_S
                for name in self.children:
                    logs.keep_bounded(logs.path_of(self.home, name))
                if not self._told:
                    self._tell()
            time.sleep(LOOK_S)

    def dismiss(self, name: str) -> None:
        """Stop a child that is not needed any more."""
        running = self.children.pop(name)
        if running.identity and running.process.poll() is None:
            stop_in_order({name: running.identity}, self.stops)
        running.process.poll()
        forget(self.home, name)

    def _look_after(self, running: Running) -> None:
        child = running.child
        now = time.monotonic()
        if running.again_at is not None:
            if now >= running.again_at:
                self._bring_back(running)
            return
        if (code := running.process.poll()) is None:
            return
        forget(self.home, child.name)
        if child.then and code == 0:
            successor = child.then()
            if successor is None:
                del self.children[child.name]
                self._tell()
                return
            running.child, running.backoff = successor, Backoff()
            self._bring_back(running)
            return
        pause = running.backoff.after(now - running.started)
        running.again_at = now + pause
        say(f"{child.name} ended ({ending(code)}); starting it again in {pause:g} s")

    def _bring_back(self, running: Running) -> None:
        """Whatever the machine lacks at this moment must not stop the children that still run."""
        child = running.child
        try:
            self.children[child.name] = self._spawn(child, running.backoff)
        except OSError as error:
            pause = running.backoff.after(0)
            running.again_at = time.monotonic() + pause
            say(f"{child.name} can't be started ({error.strerror}); trying again in {pause:g} s")
            return
        if running.again_at is not None:  # its end was said
            say(f"{child.name} started again, pid {self.children[child.name].process.pid}")
        self._tell()

    def _tell(self) -> None:
        try:
            self.changed(self)
            self._told = True
        except OSError as error:
            if self._told:
                say(f"What runs now can't be written down ({error.strerror}); trying again until it can.")
            self._told = False

    def stop_all(self) -> None:
        # From here on a further signal means "hurry": the one that brought us here does not count.
        self.stops.clear()
        running = {n: r.identity for n, r in self.children.items() if r.identity and r.process.poll() is None}
        stop_in_order(running, self.stops)
        for name, child in self.children.items():
            child.process.poll()
            forget(self.home, name)
        self.children.clear()


def ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
