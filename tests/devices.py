"""The device code as programs: built once, started with an identity and a state folder, looked at by their reports."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tds.environment import ROOT
from tests.running import wait_until

FAMILIES: Final = ("dcu-0080", "dcu-8000-sim", "dcu-all", "relay-mfr")
STOP_LIMIT_S: Final = 10.0
BUILDS: Final = ROOT / "firmware" / "build"
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
_OWN: Final = re.compile(r"^Anonymous:\s+(\d+) kB$", re.MULTILINE)
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)

Report = dict[str, Any]


def built(kind: str) -> Path:
    """The folder of the programs; `kind`: "host", or "sanitize" for who hunts faults of memory."""
    ended = subprocess.run([ROOT / "scripts" / "firmware", "build", kind], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return BUILDS / kind


class Device:
    """One unit. `kill` is what a power cut does to it; `start` brings it back with what it kept."""

    def __init__(self, program: Path, folder: Path, *words: str | Path, within: Sequence[str] = ()) -> None:
        """`within`: what a command starts with to run in a network of the test's own."""
        folder.mkdir(parents=True, exist_ok=True)
        self._report = folder / "report.json"
        self._log = folder / "log"
        self._command = [*within, program, "--state", folder / "state", "--report", self._report, *words]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> "Device":
        """`more`: words of this start alone."""
        self._report.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*self._command, *more], stdin=subprocess.PIPE, stdout=log, stderr=log)
        return self

    @property
    def log(self) -> str:
        """What it said on either stream, since it was first started."""
        return self._log.read_text(encoding="utf-8")

    def report(self) -> Report:
        """Empty: it has not written one yet."""
        assert self.process
        assert self.process.poll() is None, f"it ended:\n{self.log}"
        found: Report = json.loads(self._report.read_text(encoding="utf-8")) if self._report.exists() else {}
        return found

    def wait_for(self, true: Callable[[Report], Any], what: str, limit_s: float = 10.0) -> Report:
        def holds() -> bool:
            report = self.report()
            return bool(report) and bool(true(report))

        try:
            wait_until(holds, what, limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.report()}\n{self.log}") from error
        return self.report()

    def wait_for_failure(self, failure: str, limit_s: float = 10.0) -> None:
        self.wait_for(lambda report: report["last_failure"] == failure, f"the failure {failure}", limit_s)

    def type(self, line: str) -> None:
        """At its console."""
        assert self.process
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    @property
    def pss_kib(self) -> int:
        assert self.process
        found = _PSS.search(Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii"))
        assert found
        return int(found[1])

    @property
    def own_kib(self) -> int:
        """What is its alone: of what it shares with others its part changes with them."""
        assert self.process
        found = _OWN.search(Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii"))
        assert found
        return int(found[1])

    @property
    def peak_kib(self) -> int:
        """The most that it ever had in memory, with what it shares with others."""
        assert self.process
        found = _PEAK.search(Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii"))
        assert found
        return int(found[1])

    @property
    def threads(self) -> int:
        assert self.process
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        assert self.process
        self.process.send_signal(how)
        return self.end()

    def end(self) -> int:
        """The exit code of one that ends by itself."""
        assert self.process
        code = self.process.wait(STOP_LIMIT_S)
        if self.process.stdin:
            self.process.stdin.close()
        self.process = None
        return code

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


@contextmanager
def device(program: Path, folder: Path, *words: str | Path, within: Sequence[str] = ()) -> Iterator[Device]:
    """A started one. What it leaves behind at its end must be nothing."""
    started = Device(program, folder, *words, within=within).start()
    try:
        yield started
    except BaseException:
        if started.process:
            started.kill()
        raise
    if started.process:
        code = started.stop()
        assert code == 0, started.log
