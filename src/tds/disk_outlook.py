"""In how many days a disk is full, at the pace of the last week. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

WEEK: Final = timedelta(days=7)
DAY_S: Final = 86_400
LEAST_SPAN: Final = timedelta(days=1)  # less says more about the hour of the day than about the pace
LEAST_SAMPLES: Final = 6
STALE: Final = timedelta(hours=2)  # nobody has looked since: what was known then is not known now
IN_SIGHT_DAYS: Final = 3_650  # beyond it a pace is noise


class Sample(NamedTuple):
    """One look at a disk. `readings_bytes` are those on this very disk."""

    at: datetime
    free_bytes: int
    readings_bytes: int


class Outlook(NamedTuple):
    """`days_left` None: no end in sight, or, when not `known`, too little history."""

    known: bool
    days_left: float | None


def outlook(samples: Sequence[Sample], *, reserve_bytes: int, still_to_grow: float, now: datetime) -> Outlook:
    """When free space reaches the reserve. `samples` ascend.

    Readings go on growing as they did until they have `still_to_grow` bytes more: then a day goes for each that comes
    (`budget.still_to_grow`). Whatever else fills the disk is taken to go on for ever.
    """
    recent = [sample for sample in samples if now - WEEK <= sample.at <= now]
    if not recent or now - recent[-1].at > STALE:
        return Outlook(known=False, days_left=None)
    room = recent[-1].free_bytes - reserve_bytes
    if room <= 0:
        return Outlook(known=True, days_left=0.0)
    if len(recent) < LEAST_SAMPLES or recent[-1].at - recent[0].at < LEAST_SPAN:
        return Outlook(known=False, days_left=None)
    decline = -_a_day([(sample.at, sample.free_bytes) for sample in recent])
    growth = min(max(0.0, _a_day([(sample.at, sample.readings_bytes) for sample in recent])), decline)
    days = _days(room, decline, growth, still_to_grow)
    return Outlook(known=True, days_left=days if days is not None and days < IN_SIGHT_DAYS else None)


def _days(room: float, decline: float, growth: float, still_to_grow: float) -> float | None:
    """`growth`: the part of the daily decline that is the readings' and ends when they have grown."""
    if decline <= 0:
        return None
    growing_days = still_to_grow / growth if growth > 0 else 0.0
    if room <= decline * growing_days:
        return room / decline
    rest = decline - growth
    return growing_days + (room - decline * growing_days) / rest if rest > 0 else None


def _a_day(points: Sequence[tuple[datetime, float]]) -> float:
    """The slope of the line of least squares, a day."""
    xs = [(at - points[0][0]).total_seconds() / DAY_S for at, _ in points]
    ys = [y for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0
