"""What a chart shows, computed the plain way from the list of all readings: a judge for the fast one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from tds.fleet.models import MetricKind
from tds.readings.charts import GAP, Point

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
BOUND: Final = 1e290
SILENCE: Final = timedelta(hours=48)
PERIOD: Final = timedelta(days=3)
SPAN: Final = timedelta(days=6)  # of readings before now: longer than a period and the silence before it
REGISTER: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A zone, and a now some days after something happens to its clocks."""

    zone_name: str
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    def __str__(self) -> str:
        return f"{self.zone_name}-{self.now:%Y-%m-%d}"


def _scenario(zone_name: str, now: str) -> Scenario:
    return Scenario(zone_name, datetime.fromisoformat(now).replace(tzinfo=UTC))


SCENARIOS: Final = [
    _scenario("UTC", "2026-06-10T12:30"),
    _scenario("America/Sao_Paulo", "2026-06-10T12:30"),
    _scenario("America/Sao_Paulo", "2018-11-05T18:00"),  # no midnight
    _scenario("America/New_York", "2026-03-09T18:10"),
    _scenario("America/New_York", "2026-11-02T18:10"),
    _scenario("Europe/London", "2026-03-30T18:10"),
    _scenario("Europe/London", "2026-10-26T18:10"),
    _scenario("America/Havana", "2026-03-09T18:10"),  # no midnight
    _scenario("America/Havana", "2026-11-02T18:10"),  # two midnights
    _scenario("Asia/Kolkata", "2026-06-10T12:10"),
    _scenario("Asia/Kathmandu", "2026-06-10T12:50"),
    _scenario("Australia/Lord_Howe", "2026-04-05T20:40"),  # half an hour comes twice
    _scenario("Australia/Lord_Howe", "2026-10-04T20:40"),  # half an hour does not come
    _scenario("Pacific/Apia", "2011-12-31T20:00"),  # a day does not come
    _scenario("Pacific/Kwajalein", "1993-08-22T06:00"),  # nor here
]
TWICE: Final = [
    _scenario("Pacific/Kwajalein", "1969-10-02T06:00"),  # 23 hours came twice
    _scenario("Asia/Pyongyang", "2015-08-16T06:00"),  # half an hour before midnight came twice
    _scenario("Asia/Pyongyang", "2018-05-06T06:00"),  # and did not come
]


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings that come together, late or not; then hours are aggregated up to `roll_up_ago` before now."""

    readings: list[tuple[timedelta, float]]  # how long before now
    roll_up_ago: timedelta | None


def _burst(hours_ago: int, offset: timedelta, spacing: int, values: list[float]) -> list[tuple[timedelta, float]]:
    begin = hours_ago * HOUR - offset
    return [(max(begin - n * timedelta(minutes=spacing), timedelta(0)), value) for n, value in enumerate(values)]


quarters = st.integers(0, int(REGISTER) * 4).map(lambda n: n / 4)  # sums of these are exact
kinds_of_values = st.sampled_from(
    [
        quarters,
        st.integers(-4_000, 4_000).map(lambda n: n / 4),
        st.sampled_from([0.0, 1.0, REGISTER / 2 - 0.25, REGISTER / 2, REGISTER - 0.25, REGISTER, REGISTER + 0.25]),
        st.floats(-1e6, 1e6),
        st.sampled_from([1e300, -1e300, 1.7976931348623157e308, 5e-324, 0.0, -0.0, 7.5]),
    ]
)


def batches() -> st.SearchStrategy[list[Batch]]:
    def of(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[Batch]]:
        burst = st.builds(
            _burst,
            st.one_of(st.integers(0, 8), st.integers(0, SPAN // HOUR - 1)),
            st.sampled_from([timedelta(0), timedelta(microseconds=1), timedelta(minutes=30), timedelta(minutes=44)]),
            st.sampled_from([1, 7, 15, 40, 130]),
            st.lists(values, min_size=1, max_size=6),
        )
        several = st.lists(burst, min_size=1, max_size=5).map(lambda bursts: [r for of in bursts for r in of])
        ago = st.none() | st.integers(0, SPAN // HOUR).map(lambda n: n * HOUR)
        return st.lists(st.builds(Batch, several, ago), min_size=1, max_size=3)

    return kinds_of_values.flatmap(of)


def first_ones(given: Iterable[Batch], now: datetime) -> dict[datetime, float]:
    """What is stored: of two values for one time, the first that came."""
    stored: dict[datetime, float] = {}
    for batch in given:
        for ago, value in batch.readings:
            stored.setdefault(now - ago, value)
    return dict(sorted(stored.items()))


def by_hour(readings: Mapping[datetime, float], zone: ZoneInfo) -> dict[datetime, list[float]]:
    """The values of each hour of the zone's clock: by the clock that was in force, so an hour set back is two."""
    hours: dict[datetime, list[float]] = defaultdict(list)
    for time, value in sorted(readings.items()):
        local = time.astimezone(zone)
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        hours[time - past].append(value)
    return hours


def _bounded(value: float) -> float:
    return min(max(value, -BOUND), BOUND)


def _full(before: float, register: float | None) -> bool:
    return register is not None and register / 2 <= before <= register


def _gain_within(values: list[float], register: float | None) -> float:
    steps = list(pairwise(map(_bounded, values)))
    from_where = [before for before, after in steps if after < before]
    around = bool(from_where) and _full(sum(from_where) / len(from_where), register)
    gain = 0.0
    for before, after in steps:
        if after >= before:
            gain += after - before
        elif around:
            gain += after - before + (register or 0)
        else:
            gain += after
    return gain


def _gain_between(before: float, after: float, register: float | None) -> float:
    before, after = _bounded(before), _bounded(after)
    if after >= before:
        return after - before
    if register is not None and _full(before, register) and 0 <= after < register / 2:
        return after + (register - before)
    return after


def gains(hours: Mapping[datetime, list[float]], register: float | None) -> dict[datetime, float]:
    """Of the hours that have one before them."""
    return {
        hour: _gain_between(hours[before][-1], hours[hour][0], register) + _gain_within(hours[hour], register)
        for before, hour in pairwise(sorted(hours))
        if hour - before <= SILENCE
    }


def _one_value(values: list[float], kind: MetricKind) -> float:
    bounded = [_bounded(value) for value in values]
    match kind:
        case MetricKind.LAST:
            return values[-1]
        case MetricKind.SUM:
            return sum(bounded)
        case _:
            return min(max(sum(bounded) / len(bounded), min(values)), max(values))


def hourly(
    readings: Mapping[datetime, float], kind: MetricKind, register: float | None, zone: ZoneInfo
) -> dict[datetime, Point]:
    hours = by_hour(readings, zone)
    gained = gains(hours, register) if kind is MetricKind.COUNTER else {}
    return {
        hour: Point(
            gained.get(hour) if kind is MetricKind.COUNTER else _one_value(values, kind), min(values), max(values)
        )
        for hour, values in hours.items()
    }


def daily(
    readings: Mapping[datetime, float], kind: MetricKind, register: float | None, zone: ZoneInfo
) -> dict[date, Point]:
    days: dict[date, list[float]] = defaultdict(list)
    for time, value in sorted(readings.items()):
        days[time.astimezone(zone).date()].append(value)
    gained: dict[date, list[float]] = defaultdict(list)
    for hour, gain in gains(by_hour(readings, zone), register).items():
        # The day of the hour's first reading: the hour itself may begin before the clocks were changed.
        [*_, first] = [time for time in sorted(readings, reverse=True) if time >= hour]
        gained[first.astimezone(zone).date()].append(gain)
    return {
        day: Point(
            (sum(gained[day]) if gained[day] else None) if kind is MetricKind.COUNTER else _one_value(values, kind),
            min(values),
            max(values),
        )
        for day, values in days.items()
    }


def assert_same(found: Mapping[Any, Point], expected: Mapping[Any, Point], readings: Mapping[datetime, float]) -> None:
    """That each label has what is expected of it, and a gap where nothing is; sums may be rounded otherwise."""
    rounding = 1e-13 * max([REGISTER, *(abs(_bounded(value)) for value in readings.values())])
    assert {label for label, point in found.items() if point != GAP} <= expected.keys()
    for label, point in found.items():
        wanted = expected.get(label, GAP)
        assert (point.minimum, point.maximum) == (wanted.minimum, wanted.maximum), label
        if wanted.value is None or point.value is None:
            assert point.value is wanted.value, label
        else:
            assert point.value == pytest.approx(wanted.value, rel=1e-12, abs=rounding), label
