from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tds.readings.hours import HOUR, first_hour_from, hour_of, hours_between, midnight_of, on_the_hour

ZONES = [
    "UTC",
    "America/Sao_Paulo",  # until 2019 its clocks changed at midnight
    "America/Havana",  # midnight comes twice
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Africa/Cairo",  # midnight does not come
    "Pacific/Apia",  # left out a day in 2011
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.timedeltas(timedelta(0), timedelta(days=9_000)).map(lambda age: datetime(2008, 1, 1, tzinfo=UTC) + age)


@given(times, zones)
def test_an_hour_holds_its_time_and_begins_on_the_full_hour_of_the_zone(time: datetime, zone: ZoneInfo) -> None:
    hour = hour_of(time, zone)
    assert hour.tzinfo is UTC
    assert hour <= time < hour + HOUR
    # By the clock that was in force at `time`: it may have been another one when the hour began.
    offset = time.astimezone(zone).utcoffset()
    assert offset is not None
    assert (hour + offset).minute == (hour + offset).second == (hour + offset).microsecond == 0


@given(times, zones)
def test_the_first_hour_from_a_time_on_is_the_next_to_begin(time: datetime, zone: ZoneInfo) -> None:
    first = first_hour_from(time, zone)
    assert time <= first < time + HOUR * 1.5
    if hour_of(time, zone) == time:
        assert first == time


@given(times, zones, st.integers(0, 72))
def test_hours_follow_each_other_without_a_hole(start: datetime, zone: ZoneInfo, count: int) -> None:
    hours = hours_between(start, start + count * HOUR, zone)
    assert all(timedelta(0) < after - before <= HOUR for before, after in pairwise(hours))
    if count:
        assert hours[0] <= start
        assert hours[-1] < start + count * HOUR <= hours[-1] + HOUR
    assert all(hour_of(time, zone) in hours for time in (start + n * HOUR for n in range(count)))


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    new_york = ZoneInfo("America/New_York")
    twice = datetime(2026, 11, 1, 5, tzinfo=UTC)
    hours = hours_between(twice, twice + 2 * HOUR, new_york)
    assert hours == [twice, twice + HOUR]
    assert [hour.astimezone(new_york).hour for hour in hours] == [1, 1]


@given(times, zones)
def test_midnight_is_the_first_instant_of_its_day(time: datetime, zone: ZoneInfo) -> None:
    midnight = midnight_of(time, zone)
    day = time.astimezone(zone).date()
    assert midnight <= time
    assert midnight.astimezone(zone).date() == day
    assert (midnight - timedelta(microseconds=1)).astimezone(zone).date() < day


@pytest.mark.parametrize(
    ("zone", "time", "midnight"),
    [
        ("America/Sao_Paulo", "2026-02-18T12:00", "2026-02-18T03:00"),
        ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00"),  # 00:00 was left out; the day began at 01:00
        ("America/Havana", "2026-11-01T05:30", "2026-11-01T04:00"),  # in the second 00:30
    ],
)
def test_midnights_that_are_known(zone: str, time: str, midnight: str) -> None:
    found = midnight_of(datetime.fromisoformat(time).replace(tzinfo=UTC), ZoneInfo(zone))
    assert found == datetime.fromisoformat(midnight).replace(tzinfo=UTC)


@given(times, zones, st.integers(0, 40))
def test_utcs_hours_serve_a_zone_exactly_when_its_own_begin_with_them(
    start: datetime, zone: ZoneInfo, count: int
) -> None:
    end = start + count * HOUR
    fits = on_the_hour(zone, start, end)
    same = all(hour == hour_of(hour, ZoneInfo("UTC")) for hour in hours_between(start, end, zone))
    assume(count > 0)
    if fits:
        assert same
    elif zone.key in {"UTC", "America/New_York", "America/Havana", "America/Sao_Paulo", "Africa/Cairo"}:
        raise AssertionError("these zones are always whole hours away from UTC")
