"""One device as a program: its command line, its files, its life."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from device_fleet import slots
from device_fleet.boot import Boot
from device_fleet.units import Unit

MAX_LOG_BYTES: Final = 1024 * 1024  # then it begins anew
FIRST_PAUSE_S: Final = 1.0  # before one that ended by itself is started again; doubles
MAX_PAUSE_S: Final = 30.0
LONG_LIFE_S: Final = 60.0  # after which the pauses begin anew
BOOT_ROLLBACK: Final = 11  # common/port/port_reboot.h
COUNTERS: Final = ("sent", "acknowledged", "dropped", "reconnects", "failures", "refused")

_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What all devices of a fleet have in common."""

    programs: Path
    state: Path
    ota_url: str
    interval_s: int | None
    sensors: str
    journal: bool
    log_level: str
    boot: Boot | None = None  # None: the programs as they are, which take no updates


class Device:
    """Counts are over all its lives; a life that was killed is counted up to its last report."""

    def __init__(self, unit: Unit, setting: Setting, broker: str, http_via: str = "") -> None:
        """`http_via`: a host and port that its requests to the firmware server go to instead."""
        self.unit = unit
        self.folder = setting.state / unit.code
        self.clock_s = 0
        self.kills = 0
        self.ends = 0  # by itself, which none should
        self.rollbacks = 0
        self.pss_kib: int | None = None
        self.published_s: float | None = None  # when it was last seen to have one more acknowledged; monotonic
        self._setting = setting
        self._broker = broker
        self._http_via = http_via
        self._process: subprocess.Popen[bytes] | None = None
        self._log: int | None = None
        self._again_at_s: float | None = None
        self._started_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._ended = ""
        self._report: Report = {}
        self._boot = 0
        self._of_former_lives = dict.fromkeys(COUNTERS, 0)

    # Its life.

    @property
    def slots(self) -> Path:
        return self.folder / "slots"

    def install(self) -> None:
        """What it has from the factory. Raises FleetRefusedError."""
        if self._setting.boot is not None:
            self._setting.boot.install(self.slots, self.unit.family)

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "report.json").unlink(missing_ok=True)
        self._log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._started_s = time.monotonic()
        self._again_at_s = None
        try:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                process_group=0,  # a Ctrl-C is the fleet's, which then ends each in good order
            )
        except OSError as error:  # what the machine lacks at this moment must not end the others
            self._end(f"not started ({error.strerror})", self._started_s)
            return
        if self._process.stdin:
            os.set_blocking(self._process.stdin.fileno(), False)

    def _command(self) -> list[str]:
        setting, unit = self._setting, self.unit
        boot = setting.boot
        words = [str(setting.programs / unit.family)] if boot is None else boot.words(self.slots)
        words += ["--box", str(unit.folder), "--state", str(self.folder / "state")]
        words += ["--report", str(self.folder / "report.json"), "--broker", self._broker, "--console", "stdin"]
        words += ["--sensors", setting.sensors, "--log-level", setting.log_level]
        words += ["--ota-url", setting.ota_url] if setting.ota_url else []
        words += ["--interval", str(setting.interval_s)] if setting.interval_s else []
        words += ["--journal", str(self.folder / "journal.jsonl")] if setting.journal else []
        words += ["--clock-offset", str(self.clock_s)] if self.clock_s else []
        words += boot.program_words if boot is not None else []
        words += ["--http-via", self._http_via] if self._http_via else []
        # A fleet that is killed leaves no device behind.
        setpriv = shutil.which("setpriv")
        return [setpriv, "--pdeathsig", "TERM", *words] if setpriv else words

    def look_after(self, now_s: float) -> None:
        """Notices that it ended, and starts it when it is due."""
        if self._again_at_s is not None:
            if now_s >= self._again_at_s:
                self.start()
            return
        if self._process is None or (code := self._process.poll()) is None:
            return
        self._end(f"ended ({code})", now_s)

    def _end(self, how: str, now_s: float) -> None:
        self.ends += 1
        self._ended = how
        self._close()
        self._again_at_s = now_s + self._pause_s
        long_lived = now_s - self._started_s > LONG_LIFE_S
        self._pause_s = FIRST_PAUSE_S if long_lived else min(2 * self._pause_s, MAX_PAUSE_S)

    def kill(self, now_s: float, again_after_s: float) -> None:
        """As a power cut does."""
        if self._process is None or self._process.poll() is not None:
            return
        self.read_report()
        self._cut()
        self.kills += 1
        self._ended = "killed"
        self._close()
        self._again_at_s = now_s + again_after_s

    def type(self, line: str) -> None:
        """At its console. A device that does not read its console has other troubles than this line."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._process.stdin.fileno(), f"{line}\n".encode())

    def jump(self, clock_s: int) -> None:
        self.clock_s = clock_s
        self.type(f"!clock {clock_s}")

    def ask_to_end(self) -> None:
        self._again_at_s = None
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """After it was asked to."""
        if self._process is not None and self._process.poll() is None:
            return False
        self._close()
        return True

    def end_at_once(self) -> None:
        """One that did not end when it was asked to."""
        if self._process is not None:
            self._cut()
            self.ends += 1
            self._close()

    def _cut(self) -> None:
        """With all that it started, at one moment."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process = None
        if self._log is not None:
            os.close(self._log)
            self._log = None

    # What is seen of it.

    def read_report(self) -> None:
        """The newest one of this life, when there is one."""
        try:
            report: Report = json.loads((self.folder / "report.json").read_bytes())
        except (OSError, ValueError):
            return
        if not self._is_of_this_life(report):
            return
        if report["boot"] != self._boot:
            for name in COUNTERS:
                self._of_former_lives[name] += self._report.get(name, 0)
            self._boot = report["boot"]
            self.rollbacks += report.get("boot_reason") == BOOT_ROLLBACK
            self._report = {}
        if report["acknowledged"] > self._report.get("acknowledged", 0):
            self.published_s = time.monotonic()
        self._report = report

    def read_pss(self) -> None:
        self.pss_kib = None
        if self._process is None:
            return
        own = self._process.pid
        with contextlib.suppress(OSError):
            found = [_pss_kib(pid) for pid in (own, *(slots.children(own) if self._setting.boot else ()))]
            self.pss_kib = sum(found) or None

    def keep_log_bounded(self) -> None:
        if self._log is not None and os.fstat(self._log).st_size > MAX_LOG_BYTES:
            os.ftruncate(self._log, 0)

    def last_words(self) -> str:
        try:
            lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    @property
    def state(self) -> str:
        if self._again_at_s is not None:
            return self._ended
        if self._process is None:
            return "off"
        return str(self._report.get("state", "starting")) if self._is_current else "starting"

    @property
    def _is_current(self) -> bool:
        return self._is_of_this_life(self._report)

    def _is_of_this_life(self, report: Report) -> bool:
        """The program is the launcher's child, and another one after each restart."""
        if self._process is None:
            return False
        own = self._process.pid
        return report.get("pid") in (slots.children(own) if self._setting.boot else (own,))

    @property
    def is_settled(self) -> bool:
        """All that it kept is acknowledged, as far as it has said."""
        return self._is_current and self.state == "online" and self._report["unacknowledged"] == 0

    @property
    def last_failure(self) -> str:
        return str(self._report.get("last_failure", "none"))

    @property
    def outbox_depth(self) -> int:
        return int(self._report.get("outbox_depth", 0))

    @property
    def unacknowledged(self) -> int:
        return int(self._report.get("unacknowledged", 0))

    @property
    def first_publish_ms(self) -> int | None:
        """Of this life: from power-up to the first acknowledgement."""
        return self._report.get("first_acknowledged_ms") or None

    @property
    def update(self) -> Report:
        """What it says of its updates (host_report.c); empty: nothing."""
        found: Report = self._report.get("update") or {}
        return found

    def counted(self, name: str) -> int:
        return int(self._of_former_lives[name]) + int(self._report.get(name, 0))


def _pss_kib(pid: int) -> int:
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))
    return int(found[1]) if found else 0


def families_of(devices: Sequence[Device]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(device.unit.family for device in devices))
