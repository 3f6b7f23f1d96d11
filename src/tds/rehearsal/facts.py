"""What is known of the devices of a rehearsal: what really runs, what happened to them, what the server believes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from tds.updates.executions.statuses import OPEN, Status


class Fault(StrEnum):
    """As `firmware/tools/device_fleet/update_faults.py` knows them."""

    POWER = "power"
    NETWORK = "network"
    BAD_IMAGE = "bad-image"
    SLOW = "slow"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Fate:
    """A fault of one device. `cost_a_boot`: it was restarted on trial, or its image was spoilt before its boot."""

    fault: Fault
    what: str
    fell_at: datetime | None  # None: its moment never came
    cost_a_boot: bool

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        at = datetime.fromisoformat(told["at"]) if told["at"] else None
        return cls(Fault(told["fault"]), told["what"], at, bool(told["cost_a_boot"]))


@dataclass(frozen=True, slots=True)
class Runs:
    """What a device executes, or what the server believes that it does."""

    slot: int
    sha256: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """Of one device, as its launcher's folder and the kernel say."""

    code: str
    runs: Runs | None  # None: nothing, at this moment
    fates: tuple[Fate, ...]
    well: bool  # no fault of it goes on
    state: str
    kills: int
    ends: int  # by itself, or by a launcher that gave up

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        found = told["runs"]
        return cls(
            told["code"],
            Runs(found["slot"], found["sha256"], found["confirmed"]) if found else None,
            tuple(map(Fate.read, told["fates"])),
            told["well"],
            told["state"],
            told["kills"],
            told["ends"],
        )


@dataclass(frozen=True, slots=True)
class Belief:
    """Of one device, as the server's database says. `status` None: it is not in the rollout."""

    code: str
    gateway_id: int
    runs: Runs | None = None
    trust_version: int = 0
    wave: int = 0
    status: Status | None = None
    phase: str = ""
    reason: str = ""
    detail: str = ""
    attempt: int = 0
    offered_at: datetime | None = None
    accepted: bool = False  # its failure: a person went on in spite of it

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_bad(self) -> bool:
        return self.status in BAD


BAD: Final = (Status.FAILED, Status.TIMED_OUT, Status.REJECTED)
