"""How a rehearsal is to be. All durations are seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tds.rehearsal.facts import Fault
from tds.rehearsal.refusal import RehearsalRefusedError

MAX_DEVICES: Final = 400  # each is two programs of this machine
DEFAULT_DEVICES: Final = 200
DEFAULT_WAVES: Final = "1, 5 %, 25 %, 100 %"
DEFAULT_SOAK_S: Final = 5
DEFAULT_TRIAL_S: Final = 60
INTERVAL_S: Final = 5  # the least that a device takes: the telemetry gate waits for five messages
# So that one failure, which a fault may cause, does not hold a small wave up for good.
SUCCESS_PERCENT: Final = 90
RETRIES: Final = 5  # of what failed by bad luck
LIMIT_S: Final = 600
LIMIT_A_DEVICE_S: Final = 5


@dataclass(frozen=True, slots=True)
class Plan:
    devices: int = DEFAULT_DEVICES
    faults: tuple[Fault, ...] = tuple(Fault)
    seed: int = 1
    waves: str = DEFAULT_WAVES
    soak_s: int = DEFAULT_SOAK_S
    trial_s: int = DEFAULT_TRIAL_S  # that a new image has to prove itself
    gate: bool = True
    base: Path | None = None  # the image that devices have before; None: the one that is built here
    limit_s: float = LIMIT_S + LIMIT_A_DEVICE_S * DEFAULT_DEVICES


def faults(text: str) -> tuple[Fault, ...]:
    """From `power,network`; `none` for none. Raises RehearsalRefusedError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if unknown := sorted(set(names) - set(Fault)):
        raise RehearsalRefusedError(
            f"{', '.join(unknown)}: choose faults from {', '.join(Fault)}, with commas between, or none."
        )
    return tuple(fault for fault in Fault if fault in names)
