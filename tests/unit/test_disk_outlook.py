"""When a disk is full, judged by a week of looks at it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tds.disk_outlook import STALE, Outlook, Sample, outlook
from tds.readings.budget import Budget, PartSize, still_to_grow

NOW: Final = datetime(2026, 6, 30, 12, 30, tzinfo=UTC)
TODAY: Final = datetime(2026, 6, 30, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
GB: Final = 10**9
UNKNOWN: Final = Outlook(known=False, days_left=None)
NEVER: Final = Outlook(known=True, days_left=None)
Curve = Callable[[float], float]


def hourly(free: Curve, readings: Curve = lambda _day: 0.0, *, hours: int = 8 * 24) -> list[Sample]:
    """Up to now; the curves are in GB, by days from now (so before 0)."""
    return [Sample(NOW - n * HOUR, int(free(-n / 24) * GB), int(readings(-n / 24) * GB)) for n in range(hours, -1, -1)]


@pytest.mark.parametrize(
    ("name", "samples", "to_grow_gb", "days"),
    [
        ("nothing changes", hourly(lambda _: 100), 0, None),
        ("space comes free", hourly(lambda day: 100 + day), 0, None),
        ("something else fills it", hourly(lambda day: 100 - 10 * day), 0, 9),
        ("readings fill it before they have grown", hourly(lambda d: 50 - 5 * d, lambda d: 50 + 5 * d), 60, 8),
        ("readings have grown before it is full", hourly(lambda d: 50 - 5 * d, lambda d: 50 + 5 * d), 39, None),
        ("readings are just full grown", hourly(lambda d: 50 - 5 * d, lambda d: 50 + 5 * d), 0, None),
        # 5 GB a day for 2 days, then the 1 GB a day that is not readings: 2 + (40 - 10) / 1.
        ("the rest goes on", hourly(lambda d: 50 - 5 * d, lambda d: 50 + 4 * d), 8, 32),
        ("more readings than the disk shows", hourly(lambda d: 50 - 5 * d, lambda d: 50 + 7 * d), 1_000, 8),
        ("a pace that is noise", hourly(lambda d: 50 - 0.001 * d), 0, None),
        ("the reserve is reached", hourly(lambda d: 10 + d), 0, 0),
        ("the week before counts no more", hourly(lambda d: 100 if d > -7.01 else 900), 0, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_when_it_is_full(name: str, samples: list[Sample], to_grow_gb: float, days: float | None) -> None:
    found = outlook(samples, reserve_bytes=10 * GB, still_to_grow=to_grow_gb * GB, now=NOW)
    assert found.known, name
    assert found.days_left == (None if days is None else pytest.approx(days, abs=0.01)), name


def test_it_swings_with_the_compression_of_a_day_and_the_pace_stays() -> None:
    """Ten come evenly over the day, eight go when a day is compressed."""
    samples = hourly(lambda day: 100 - (2 * (day // 1) + 10 * (day % 1)))
    found = outlook(samples, reserve_bytes=0, still_to_grow=0, now=NOW)
    assert found.days_left == pytest.approx(50, rel=0.15)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        hourly(lambda d: 100 - 10 * d, hours=0),
        hourly(lambda d: 100 - 10 * d, hours=23),
        hourly(lambda d: 100 - 10 * d)[::40],  # five
        [sample._replace(at=sample.at - STALE - HOUR) for sample in hourly(lambda d: 100 - 10 * d)],
    ],
    ids=["none", "one", "a day is not over", "few", "nobody looked for hours"],
)
def test_too_little_history_says_nothing(samples: list[Sample]) -> None:
    assert outlook(samples, reserve_bytes=0, still_to_grow=0, now=NOW) == UNKNOWN


def test_a_disk_that_is_full_needs_no_history() -> None:
    [sample] = hourly(lambda _: 1, hours=0)
    assert outlook([sample], reserve_bytes=GB, still_to_grow=0, now=NOW) == Outlook(known=True, days_left=0)


# What readings grow to


def days(*sizes: int) -> list[PartSize]:
    """The last of them is today."""
    first = TODAY - DAY * (len(sizes) - 1)
    return [PartSize(first + DAY * n, first + DAY * (n + 1), size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("name", "sizes", "budget", "settled", "expected"),
    [
        ("an empty platform", [], Budget(), 0, 0),
        ("three days of thirty", [0, 0, 0, 10, 10, 10], Budget(), 0, 310 - 30),
        ("the first hours of today", [10, 10, 1], Budget(), 0, 310 - 21),
        ("all days are there", [10] * 31, Budget(), 0, 0),
        ("all are there and larger of late", [10] * 29 + [20, 20], Budget(), 0, 620 - 330),
        ("all are there and smaller of late", [10] * 10 + [5] * 21, Budget(), 0, 0),
        ("a small weekend", [10] * 5 + [1, 1], Budget(), 0, 310 - 52),
        ("bytes end it before", [10, 10, 10], Budget(100, 3), 0, 100 - 30),
        ("the minimum goes beyond the bytes", [10, 10, 10], Budget(20, 7), 0, 80 - 30),
        ("over the bytes already", [10] * 8, Budget(20, 7), 0, 0),
        ("older than a week compressed", [1] * 5 + [10] * 8, Budget(), 7, 8 * 10 + 23 * 1 - 85),
        ("nothing compressed yet", [10] * 5, Budget(), 7, 310 - 50),
        ("a minimum within what is not compressed", [1] * 5 + [10] * 8, Budget(50, 3), 7, 0),
    ],
)
def test_how_much_more_they_take_in_the_end(
    name: str, sizes: list[int], budget: Budget, settled: int, expected: int
) -> None:
    found = still_to_grow(days(*sizes), budget, timedelta(days=30), settled_after_days=settled, now=NOW)
    assert found == expected, name
