"""What devices are put through, and when: by chance, and the same again with the same seed. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

EVERY_S: Final = 10.0  # a round: in each, each device may be struck once by each fault
NETWORK_LASTS_S: Final = (3.0, 12.0)
DOWN_S: Final = (0.5, 3.0)  # from a kill to the next power-up
CLOCK_LASTS_S: Final = (8.0, 20.0)
# What is more than 10 min ahead the platform refuses, as it should, and that reading is in quarantine.
CLOCK_RANGE_S: Final = (-6 * 3_600, 8 * 60)
TRIES: Final = 20


class Fault(StrEnum):
    NETWORK = "network"
    DROP = "drop"
    DELAY = "delay"
    RESET = "reset"
    CORRUPT = "corrupt"
    HALF_OPEN = "half-open"
    KILL = "kill"
    CLOCK = "clock"


WHAT: Final[Mapping[Fault, str]] = {
    Fault.NETWORK: "one of the next five, by chance",
    Fault.DROP: "nothing goes through, new connections neither; what was on its way comes late",
    Fault.DELAY: "each piece waits 0.2 to 2 s, either way",
    Fault.RESET: "connections are reset; new ones too, somewhere in their first bytes",
    Fault.CORRUPT: "of every third piece one bit is another",
    Fault.HALF_OPEN: "the broker's side ends, and the device is not told; new connections are never answered",
    Fault.KILL: "kill -9, and power again 0.5 to 3 s later",
    Fault.CLOCK: "the clock jumps, at most 6 h back or 8 min ahead, and 8 to 20 s later to what it was",
}
OF_NETWORK: Final = (Fault.DROP, Fault.DELAY, Fault.RESET, Fault.CORRUPT, Fault.HALF_OPEN)


@dataclass(frozen=True, slots=True)
class Strike:
    fault: Fault  # never NETWORK: one of its kinds
    after_s: float  # from the beginning of its round
    lasts_s: float
    clock_s: int = 0  # how far the clock is off


def parse(text: str) -> tuple[Fault, float]:
    """From `kill=5%`. Raises ValueError with a sentence."""
    name, _, share = text.partition("=")
    if name not in set(Fault):
        raise ValueError(f"{name!r} is no fault; choose from {', '.join(Fault)}.")
    try:
        value = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} has no share; write {name}=10%.")
    return Fault(name), value


class Schedule:
    """Of one device. Rounds are asked for in their order."""

    def __init__(self, seed: int, code: str, shares: Mapping[Fault, float]) -> None:
        self._seed = seed
        self._code = code
        self._shares = shares
        self._clocks: list[tuple[float, float]] = []  # spans of wall time that this device lived through already

    def strikes(self, number: int, now_s: float, every_s: float = EVERY_S) -> Iterator[Strike]:
        """Those of a round that begins at `now_s` (of the wall clock)."""
        for fault, share in self._shares.items():
            chance = Random(f"{self._seed}/{self._code}/{fault}/{number}")
            if chance.random() >= share:
                continue
            kind = chance.choice(OF_NETWORK) if fault is Fault.NETWORK else fault
            after_s = chance.uniform(0, every_s)
            match kind:
                case Fault.KILL:
                    yield Strike(kind, after_s, chance.uniform(*DOWN_S))
                case Fault.CLOCK:
                    lasts_s = chance.uniform(*CLOCK_LASTS_S)
                    clock_s = self._clock(chance, now_s + after_s, lasts_s)
                    yield Strike(kind, after_s, lasts_s, clock_s)
                case _:
                    yield Strike(kind, after_s, chance.uniform(*NETWORK_LASTS_S))

    def _clock(self, chance: Random, at_s: float, lasts_s: float) -> int:
        """A reading is known by its second. A device that lives through the same minutes several times will measure
        twice in one second sooner or later, which no device can help and no platform can tell apart."""
        for _ in range(TRIES):
            off_s = chance.randint(*CLOCK_RANGE_S)
            span = (at_s + off_s - lasts_s, at_s + off_s + 2 * lasts_s)
            if abs(off_s) > 2 * lasts_s and all(span[1] < begin or end < span[0] for begin, end in self._clocks):
                self._clocks.append(span)
                return off_s
        return 0
