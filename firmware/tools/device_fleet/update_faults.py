"""What happens to devices while they are updated: who is struck by what, and at which point of the update. Pure: the
same seed deals the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from device_fleet.faults import CLOCK_RANGE_S, DOWN_S, OF_NETWORK, Fault


class UpdateFault(StrEnum):
    POWER = "power"
    NETWORK = "network"
    BAD_IMAGE = "bad-image"
    SLOW = "slow"
    CLOCK = "clock"


class Point(StrEnum):
    """Of an update, as the slots show it."""

    WRITING = "while it was written"
    WRITTEN = "before its first boot"
    ON_TRIAL = "on trial"
    CONFIRMED = "after it was confirmed"


# Of the devices. One image is spoilt in a rehearsal (see `deal`).
SHARES: Final[Mapping[UpdateFault, float]] = {
    UpdateFault.POWER: 0.4,
    UpdateFault.NETWORK: 0.4,
    UpdateFault.BAD_IMAGE: 0.0,
    UpdateFault.SLOW: 0.25,
    UpdateFault.CLOCK: 0.2,
}
# Twice where a choice of two is for what takes longest.
POINTS: Final[Mapping[UpdateFault, tuple[Point, ...]]] = {
    UpdateFault.POWER: (Point.WRITING, Point.WRITING, Point.WRITTEN, Point.CONFIRMED),
    UpdateFault.NETWORK: (Point.WRITING, Point.WRITING, Point.ON_TRIAL, Point.CONFIRMED),
    UpdateFault.BAD_IMAGE: (Point.WRITTEN,),
    UpdateFault.SLOW: (Point.WRITING,),
    UpdateFault.CLOCK: (Point.WRITING, Point.WRITING, Point.WRITTEN, Point.CONFIRMED),
}
DONE: Final = (0.02, 0.98)  # of the image, at Point.WRITING
AFTER_S: Final = 1.0  # from a point that lasts, at most
LASTS_S: Final[Mapping[UpdateFault, tuple[float, float]]] = {
    UpdateFault.POWER: DOWN_S,
    UpdateFault.NETWORK: (1.0, 6.0),
    UpdateFault.BAD_IMAGE: (0.0, 0.0),
    UpdateFault.SLOW: (5.0, 12.0),  # that the image takes then
    UpdateFault.CLOCK: (3.0, 8.0),
}


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault of one device: once, at its point. `done` is a share of the image, of Point.WRITING."""

    fault: UpdateFault
    point: Point
    done: float
    after_s: float
    lasts_s: float
    of_network: Fault | None = None
    clock_s: int = 0

    def __str__(self) -> str:
        match self.fault:
            case UpdateFault.POWER:
                what = f"power cut for {self.lasts_s:.1f} s"
            case UpdateFault.NETWORK:
                what = f"network {self.of_network} for {self.lasts_s:.1f} s"
            case UpdateFault.BAD_IMAGE:
                return f"a bit of the image flipped {self.point}"
            case UpdateFault.SLOW:
                return f"a network so slow that the image takes {self.lasts_s:.0f} s"
            case UpdateFault.CLOCK:
                what = f"restart with a clock {self.clock_s:+,} s off, for {self.lasts_s:.0f} s"
        where = f" ({self.done:.0%})" if self.point is Point.WRITING else ""
        return f"{what} {self.point}{where}"


def parse(text: str) -> tuple[UpdateFault, ...]:
    """From `power,network`. Raises ValueError with a sentence."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(UpdateFault)):
        raise ValueError(f"{', '.join(unknown)}: choose from {', '.join(UpdateFault)}, with commas between.")
    return tuple(fault for fault in UpdateFault if fault in names)


def deal(seed: int, codes: Sequence[str], faults: Collection[UpdateFault]) -> dict[str, tuple[Blow, ...]]:
    """Each fault to its share of the devices, at least to one: a device may have several, or none.

    Of blows that cost the new image a boot there is one: the platform leaves hardware out on which a release rolled
    back twice, as it should, and nobody could see what else there is.
    """
    dealt: dict[str, list[Blow]] = {code: [] for code in codes}
    for fault in faults:
        chance = Random(f"{seed}/{fault}")
        count = max(1, int(SHARES[fault] * len(codes)))
        for number, code in enumerate(chance.sample(sorted(codes), count)):
            costs_a_boot = fault is UpdateFault.POWER and number == 0 and UpdateFault.BAD_IMAGE not in faults
            dealt[code].append(_blow(fault, Random(f"{seed}/{fault}/{code}"), on_trial=costs_a_boot))
    return {code: tuple(blows) for code, blows in dealt.items()}


def _blow(fault: UpdateFault, chance: Random, *, on_trial: bool) -> Blow:
    points = (Point.ON_TRIAL,) if on_trial else POINTS[fault]
    point, done = chance.choice(points), chance.uniform(*DONE)
    after_s = chance.uniform(0, AFTER_S) if point in (Point.ON_TRIAL, Point.CONFIRMED) else 0.0
    lasts_s = chance.uniform(*LASTS_S[fault])
    match fault:
        case UpdateFault.NETWORK:
            return Blow(fault, point, done, after_s, lasts_s, of_network=chance.choice(OF_NETWORK))
        case UpdateFault.SLOW:
            return Blow(fault, point, 0.0, 0.0, lasts_s)
        case UpdateFault.CLOCK:
            return Blow(fault, point, done, after_s, lasts_s, clock_s=chance.randint(*CLOCK_RANGE_S))
        case _:
            return Blow(fault, point, done, after_s, lasts_s)
