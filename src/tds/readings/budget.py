"""From when on readings are kept: by days and by bytes, whichever comes first, never less than a minimum. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)  # a cut-off that nothing is older than
LATELY_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Budget:
    """`max_bytes` 0: days alone decide. Bytes never shorten what is kept below `min_days` days before today."""

    max_bytes: int = 0
    min_days: int = 7


NO_BUDGET: Final = Budget()


class PartSize(NamedTuple):
    """A day's partition or chunk, and the bytes that come free with it: rows, keys and hours."""

    start: datetime
    end: datetime
    size_bytes: int


class CutOff(NamedTuple):
    """`since`: what is older goes. `kept_bytes`: what stays takes so much, `over_bytes` of it beyond the budget."""

    since: datetime
    kept_bytes: int
    over_bytes: int


def day_of(time: datetime) -> datetime:
    """The UTC midnight before."""
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def oldest_kept(retention: timedelta, since: datetime, *, now: datetime) -> datetime:
    """By days, and by a cut-off that was decided before."""
    return max(day_of(now - retention), since)


def cut_off(
    sizes: Sequence[PartSize], budget: Budget, retention: timedelta, since: datetime, *, now: datetime
) -> CutOff:
    """What may be kept; `sizes` ascend, and `since` is the present cut-off, which is never taken back.

    Bytes move it a whole part at a time, the oldest first, and stop before the minimum of days.
    """
    oldest = oldest_kept(retention, since, now=now)
    latest = day_of(now - timedelta(days=budget.min_days))
    kept = [part for part in sizes if part.end > oldest]
    total = sum(part.size_bytes for part in kept)
    if not budget.max_bytes:
        return CutOff(oldest, total, 0)
    for part in kept:
        if total <= budget.max_bytes or part.end > latest:
            break
        oldest, total = part.end, total - part.size_bytes
    return CutOff(oldest, total, max(0, total - budget.max_bytes))


def still_to_grow(
    sizes: Sequence[PartSize], budget: Budget, retention: timedelta, *, settled_after_days: int, now: datetime
) -> float:
    """How many bytes more the readings take once a day goes for each that comes, if days stay as large as of late.

    A day has its lasting size after `settled_after_days` (0, or what the store waits before it compresses). The
    largest of a week counts: in a platform's first days the others are empty, and weekends are small.
    """
    today = day_of(now)
    by_age = {(today - part.start).days: part.size_bytes for part in sizes}
    fresh = max(by_age.get(age, 0) for age in range(LATELY_DAYS + 1))
    lasting = max(by_age.get(settled_after_days + age, 0) for age in range(1, LATELY_DAYS + 1)) or fresh

    def of(days: int) -> int:
        """That many days and today."""
        return (min(days, settled_after_days) + 1) * fresh + max(0, days - settled_after_days) * lasting

    in_the_end = of(retention.days)
    if budget.max_bytes:
        in_the_end = min(in_the_end, max(budget.max_bytes, of(budget.min_days)))
    return max(0, in_the_end - sum(part.size_bytes for part in sizes))
