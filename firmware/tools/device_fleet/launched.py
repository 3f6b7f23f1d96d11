"""A device as the launcher starts it: with slots, with its own ways to broker and firmware server, and with what
happens to it while it is updated.
"""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from device_fleet import slots
from device_fleet.device import Device, Report, Setting
from device_fleet.faults import Fault
from device_fleet.network import Network
from device_fleet.refusal import FleetRefusedError
from device_fleet.slots import Runs, State
from device_fleet.units import Unit
from device_fleet.update_faults import Blow, Point, UpdateFault

TARGET: Final = 1  # the slot that the update goes to: the factory's image is in the other one
INSTALL_LIMIT_S: Final = 60.0
LAUNCHER_LATER_S: Final = 5  # than the program's own, its patience with a trial ends
STATES: Final = {Point.WRITTEN: State.NEW, Point.ON_TRIAL: State.PENDING, Point.CONFIRMED: State.VALID}
# Blows that restart a device: on trial that is a reset before it was confirmed, and the boot loader goes back.
COSTS_A_BOOT: Final = frozenset({UpdateFault.POWER, UpdateFault.CLOCK})


@dataclass(frozen=True, slots=True)
class Trial:
    launcher: Path
    base: Path  # the image that it has from the factory
    trial_s: int
    spread_s: int
    image_bytes: int  # of the one that is to come


@dataclass(slots=True)
class Fate:
    """A blow, and when it fell."""

    blow: Blow
    due_s: float | None = None  # monotonic; None: its point has not come
    fell_at: datetime | None = None
    cost_a_boot: bool = False  # of the new image

    def document(self) -> dict[str, Any]:
        at = self.fell_at.isoformat(timespec="milliseconds") if self.fell_at else None
        return {"fault": str(self.blow.fault), "what": str(self.blow), "at": at, "cost_a_boot": self.cost_a_boot}


class Launched(Device):
    def __init__(self, unit: Unit, setting: Setting, trial: Trial, ways: tuple[Network, Network], seed: int) -> None:
        """`ways`: to the broker and to the firmware server."""
        to_broker, self._to_server = self._ways = ways
        super().__init__(unit, setting, f"mqtts://127.0.0.1:{to_broker.port}")
        self._trial = trial
        self._chance = Random(f"{seed}/{unit.code}")
        self._hashed: tuple[tuple[int, int, int], str] | None = None
        self._mend_s: float | None = None
        self._off_s = 0  # its clock
        self._right_clock_s: float | None = None
        self.fates: list[Fate] = []
        self.is_close = False  # to a point that lasts for a tenth of a second
        self._calm = False

    @property
    def slots(self) -> Path:
        return self.folder / "slots"

    def install(self) -> None:
        """As a factory does, unless it was done."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if slots.written_bytes(self.slots, 0):
            return
        done = subprocess.run(
            [self._trial.launcher, "--install", self._trial.base, self.slots],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_LIMIT_S,
        )
        if done.returncode:
            raise FleetRefusedError(f"{self._trial.base} is no image for a device here: {done.stderr.strip()}")

    def start(self) -> None:
        super().start()
        if self._off_s:  # not by its command line: the launcher would say that again at each reboot
            self.type(f"!clock {self._off_s}")

    def _command(self) -> list[str]:
        words = super()._command()
        at = words.index(str(self._setting.programs / self.unit.family))
        launcher = [str(self._trial.launcher), "--trial", str(self._trial.trial_s + LAUNCHER_LATER_S), str(self.slots)]
        ours = ["--trial", str(self._trial.trial_s), "--http-via", f"127.0.0.1:{self._to_server.port}"]
        ours += ["--update-spread", str(self._trial.spread_s)]
        return [*words[:at], *launcher, *words[at + 1 :], *ours]

    def _is_of_this_life(self, report: Report) -> bool:
        return self._process is not None and report.get("pid") in slots.children(self._process.pid)

    # What it really runs.

    def runs(self) -> Runs | None:
        slot = slots.executed(self._process.pid) if self._process is not None else None
        return None if slot is None else Runs(slot, self._sha256(slot), slots.states(self.slots)[slot])

    def _sha256(self, slot: int) -> str:
        """Reckoned anew only when the file is another, or was written to."""
        try:
            found = (self.slots / f"slot{slot}.bin").stat()
        except OSError:
            return ""
        key = (slot, found.st_size, found.st_mtime_ns)
        if self._hashed is None or self._hashed[0] != key:
            self._hashed = key, slots.sha256_of(self.slots, slot)
        return self._hashed[1]

    # What happens to it.

    def suffer(self, now_s: float) -> None:
        """Whatever is due. To be asked often: some points last for milliseconds."""
        self.is_close = False
        for fate in self.fates if not self._calm else ():
            if fate.fell_at is None and self._has_come(fate, now_s):
                self._fall(fate, now_s)
        if self._mend_s is not None and now_s >= self._mend_s:
            self._mend_s = None
            for way in self._ways:
                way.mend()
        if self._right_clock_s is not None and now_s >= self._right_clock_s and self._process is not None:
            self._right_clock_s = None
            self._off_s = 0
            self.type("!clock 0")  # a restart on trial would cost the new image its boot

    def _has_come(self, fate: Fate, now_s: float) -> bool:
        if fate.due_s is None and self._is_at(fate.blow):
            fate.due_s = now_s + fate.blow.after_s
        return fate.due_s is not None and now_s >= fate.due_s and self._process is not None

    def _is_at(self, blow: Blow) -> bool:
        written = slots.written_bytes(self.slots, TARGET)
        if blow.point is Point.WRITING or written < self._trial.image_bytes:
            return blow.point is Point.WRITING and written >= blow.done * self._trial.image_bytes
        state = slots.states(self.slots)[TARGET]
        self.is_close |= blow.point is Point.WRITTEN and state is State.UNDEFINED
        return state is STATES[blow.point]

    def _fall(self, fate: Fate, now_s: float) -> None:
        blow = fate.blow
        if blow.point is not Point.ON_TRIAL and blow.fault in COSTS_A_BOOT and self._may_not_restart():
            return  # it got on to its trial meanwhile: later, then
        match blow.fault:
            case UpdateFault.POWER:
                self.kill(now_s, blow.lasts_s)
            case UpdateFault.NETWORK:
                for way in self._ways:
                    way.spoil(blow.of_network or Fault.DROP)
                self._mend_s = now_s + blow.lasts_s
            case UpdateFault.BAD_IMAGE:
                if not slots.flip_a_bit(self.slots, TARGET, self._chance):
                    return
            case UpdateFault.SLOW:
                for way in self._ways:
                    way.bytes_per_s = self._trial.image_bytes / blow.lasts_s
            case UpdateFault.CLOCK:
                self._off_s = blow.clock_s
                self.kill(now_s, 0.0)
                self._right_clock_s = now_s + blow.lasts_s
        fate.fell_at = datetime.now(UTC)
        was_cut = blow.fault in COSTS_A_BOOT and self._may_not_restart()
        fate.cost_a_boot = was_cut or blow.fault is UpdateFault.BAD_IMAGE

    def _may_not_restart(self) -> bool:
        return slots.states(self.slots)[TARGET] is State.PENDING

    def calm(self, now_s: float) -> None:
        """From now on all is well."""
        self._calm = True
        self._mend_s = None
        for way in self._ways:
            way.mend()
            way.bytes_per_s = None
        if self._off_s:
            self._right_clock_s = now_s

    # How it is looked at.

    def document(self) -> dict[str, Any]:
        runs = self.runs()
        return {
            "code": self.unit.code,
            "state": self.state,
            "last_failure": self.last_failure,
            "ends": self.ends,
            "kills": self.kills,
            "runs": None
            if runs is None
            else {"slot": runs.slot, "sha256": runs.sha256, "state": runs.state, "confirmed": runs.confirmed},
            "fates": [fate.document() for fate in self.fates],
            "well": self._mend_s is None and not self._off_s,
        }
