from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.readings.hours import (
    HOUR,
    first_instant_from,
    hour_of,
    hours_between,
    midnight_of,
    minutes_past,
    opening_hour,
)

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
MICROSECOND = timedelta(microseconds=1)
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
def test_from_the_first_instant_on_all_hours_begin_at_a_time_or_later(time: datetime, zone: ZoneInfo) -> None:
    first = first_instant_from(time, zone)
    assert time <= first < time + HOUR * 1.5
    assert hour_of(first, zone) >= time > hour_of(first - MICROSECOND, zone)
    if hour_of(time, zone) == time:
        assert first == time


@given(times, zones)
def test_a_chart_opens_with_an_hour_that_begins_in_itself(time: datetime, zone: ZoneInfo) -> None:
    opening = opening_hour(time, zone)
    assert hour_of(opening, zone) == opening
    assert opening <= hour_of(time, zone) < opening + HOUR
    assert first_instant_from(opening, zone) == opening == hours_between(opening, time + HOUR, zone)[0]


# Clocks that went by half an hour: back, forward, back (for good), forward (in the middle of an hour).
HALVES = [
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2015, 8, 14, 15, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC)),
    ("America/Caracas", datetime(2007, 12, 9, 7, tzinfo=UTC)),
    ("America/Caracas", datetime(2016, 5, 1, 7, tzinfo=UTC)),
]
QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize(("name", "change"), HALVES)
def test_no_hour_is_cut_where_a_clock_goes_by_half_an_hour(name: str, change: datetime) -> None:
    zone = ZoneInfo(name)
    around = [change + n * QUARTER for n in range(-12, 13)]
    assert len({(time + n * QUARTER).astimezone(zone).utcoffset() for time in around for n in (0, 1)}) == 2
    by_hour = {time: hour_of(time, zone) for time in around}
    for time in around:
        first, opening = first_instant_from(time, zone), opening_hour(time, zone)
        assert {t for t, hour in by_hour.items() if hour >= time} == {t for t in around if t >= first}
        assert hour_of(opening, zone) == opening == first_instant_from(opening, zone)
        assert by_hour[time] in hours_between(opening, time + MICROSECOND, zone)


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


@given(times, zones, st.integers(1, 40))
def test_hours_begin_as_long_past_utcs_as_it_says_or_the_clock_is_changed(
    start: datetime, zone: ZoneInfo, count: int
) -> None:
    end = start + count * HOUR
    past = minutes_past(zone, start, end)
    if past is not None:
        assert {(hour - hour_of(hour, ZoneInfo("UTC"))) for hour in hours_between(start, end, zone)} == {past}
    else:
        assert zone.key == "Australia/Lord_Howe", "all others are changed by whole hours"
    if zone.key in {"UTC", "America/New_York", "America/Havana", "America/Sao_Paulo", "Africa/Cairo"}:
        assert past == timedelta(0)


@pytest.mark.parametrize(
    ("name", "minutes"), [("UTC", 0), ("America/Sao_Paulo", 0), ("Asia/Kolkata", 30), ("Asia/Kathmandu", 15)]
)
def test_how_long_past_utcs_hours_begin(name: str, minutes: int) -> None:
    start = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
    assert minutes_past(ZoneInfo(name), start, start + 30 * 24 * HOUR) == timedelta(minutes=minutes)


@pytest.mark.parametrize(("name", "change"), HALVES)
def test_where_a_clock_goes_by_half_an_hour_no_minute_fits(name: str, change: datetime) -> None:
    zone = ZoneInfo(name)
    assert minutes_past(zone, change - HOUR, change + HOUR) is None
    assert minutes_past(zone, change, change + HOUR) is not None
