import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.fleet.models import MetricKind
from tds.readings import charts, counters
from tds.readings.charts import GAP, Line, Point, Window
from tds.readings.hours import HOUR, hour_of, hours_between
from tds.readings.store import HourOfReadings, Series

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)  # 09:30 in São Paulo
A, B = Series(1, 1), Series(1, 2)


def line(series: Series = A, kind: MetricKind = MetricKind.MEAN) -> Line:
    return Line(series, "GW", "D01", "energia", "kWh", kind)


def hour(at: datetime, *values: float, series: Series = A) -> HourOfReadings:
    gained = sum(b - a if b >= a else b for a, b in pairwise(values))
    fell_from = [before for before, after in pairwise(values) if after < before]
    span = (min(values), max(values), sum(values), values[0], values[-1])
    return HourOfReadings(*series, at, len(values), *span, gained, len(fell_from), sum(fell_from))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_period_begins_with_the_full_hour_that_holds_its_first_instant() -> None:
    window = charts.window(charts.PERIODS["24h"], SAO_PAULO, now=NOW)
    assert window.start == at("2026-06-09T12:00")
    assert window.end == NOW + charts.MAX_AHEAD


def test_a_period_of_days_begins_at_midnight_of_the_zone() -> None:
    window = charts.window(charts.PERIODS["7d"], SAO_PAULO, now=NOW, whole_days=True)
    assert window.start == at("2026-06-03T03:00")


def test_a_period_is_cut_by_the_hours_of_a_zone_half_an_hour_off() -> None:
    window = charts.window(charts.PERIODS["24h"], ZoneInfo("Asia/Kolkata"), now=NOW)
    assert window.start == at("2026-06-09T12:30")


def test_a_tail_begins_with_the_hour_or_day_of_its_moment_and_not_before_the_window() -> None:
    whole = charts.window(charts.PERIODS["7d"], SAO_PAULO, now=NOW)
    assert charts.tail(whole, at("2026-06-10T11:59")).start == at("2026-06-10T11:00")
    assert charts.tail(whole, at("2026-06-10T02:59"), whole_days=True).start == at("2026-06-09T03:00")
    assert charts.tail(whole, at("1970-01-01T00:00")).start == whole.start


@pytest.mark.parametrize("change", ["2026-04-04T15:00", "2026-10-03T15:30"])
def test_a_chart_does_not_begin_with_half_an_hour_where_a_clock_goes_by_half_an_hour(change: str) -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    instants = [at(change) + n * timedelta(minutes=15) for n in range(-20, 24)]
    now = at(change) + charts.PERIODS["24h"]
    whole = charts.window(charts.PERIODS["7d"], zone, now=now)
    for since in instants:
        for shown in (
            charts.tail(whole, since),
            charts.window(charts.PERIODS["24h"], zone, now=since + charts.PERIODS["24h"]),
        ):
            labels = hours_between(shown.start, shown.end, zone)
            assert labels[0] == shown.start <= hour_of(since, zone)
            assert hour_of(since, zone) in labels
            # What is read from the window's start on is all of every hour.
            read = [time for time in instants if time >= shown.start]
            for label in labels:
                assert [t for t in read if hour_of(t, zone) == label] == [
                    t for t in instants if hour_of(t, zone) == label
                ]


def test_an_hour_without_readings_is_a_gap_and_the_next_hour_is_not_shown_before_it_begins() -> None:
    shown = Window(at("2026-06-10T10:00"), NOW + HOUR, SAO_PAULO)
    labels, [points] = charts.hourly_points([hour(at("2026-06-10T11:00"), 1.0, 3.0)], [line()], shown, now=NOW)
    assert labels == [at("2026-06-10T10:00"), at("2026-06-10T11:00"), at("2026-06-10T12:00")]
    assert points == [GAP, Point(2.0, 1.0, 3.0), GAP]


def test_a_fast_clock_brings_the_next_hour_early() -> None:
    shown = Window(at("2026-06-10T12:00"), at("2026-06-10T13:05"), SAO_PAULO)
    labels, _ = charts.hourly_points([hour(at("2026-06-10T13:00"), 1.0)], [line()], shown, now=at("2026-06-10T12:55"))
    assert labels[-1] == at("2026-06-10T13:00")


@pytest.mark.parametrize(("kind", "value"), [(MetricKind.MEAN, 2.0), (MetricKind.SUM, 6.0), (MetricKind.LAST, 3.0)])
def test_an_hours_value_depends_on_the_metrics_kind(kind: MetricKind, value: float) -> None:
    shown = Window(at("2026-06-10T12:00"), NOW, SAO_PAULO)
    _, [[point]] = charts.hourly_points(
        [hour(at("2026-06-10T12:00"), 2.0, 1.0, 3.0)], [line(kind=kind)], shown, now=NOW
    )
    assert point == Point(value, 1.0, 3.0)


def test_a_line_without_readings_is_all_gaps() -> None:
    shown = Window(at("2026-06-10T10:00"), NOW, SAO_PAULO)
    _, points = charts.hourly_points([hour(at("2026-06-10T11:00"), 1.0)], [line(), line(B)], shown, now=NOW)
    assert points[1] == [GAP, GAP, GAP]


def test_a_counters_first_hour_has_no_difference_yet() -> None:
    hours = [hour(at("2026-06-10T10:00"), 100.0, 101.0), hour(at("2026-06-10T11:00"), 103.0, 104.0)]
    assert [gain for _, gain in counters.increases(hours)] == [None, 3.0]


def test_a_counter_that_was_reset_between_two_hours_began_again_at_nought() -> None:
    hours = [hour(at("2026-06-10T10:00"), 100.0), hour(at("2026-06-10T11:00"), 2.0, 5.0)]
    assert [gain for _, gain in counters.increases(hours)] == [None, 5.0]


def test_a_counters_step_over_a_gap_counts_in_the_hour_after_it() -> None:
    hours = [hour(at("2026-06-09T10:00"), 1.0), hour(at("2026-06-10T11:00"), 4.0)]
    assert [gain for _, gain in counters.increases(hours)] == [None, 3.0]


def test_after_a_silence_longer_than_the_lookback_a_counters_hour_is_a_first_one_again() -> None:
    begin = at("2026-06-01T10:00")
    for silence, gain in ((counters.LOOKBACK, 3.0), (counters.LOOKBACK + HOUR, None)):
        assert [g for _, g in counters.increases([hour(begin, 1.0), hour(begin + silence, 4.0)])] == [None, gain]


def test_the_largest_numbers_make_no_infinity() -> None:
    largest = 1.7976931348623157e308
    hours = [hour(at("2026-06-10T10:00"), -largest), hour(at("2026-06-10T11:00"), largest)]
    [_, (_, gain)] = counters.increases(hours)
    assert gain is not None
    assert math.isfinite(gain)


def test_a_mean_is_never_outside_of_what_was_measured() -> None:
    shown = Window(at("2026-06-10T12:00"), NOW, SAO_PAULO)
    [hours] = [[hour(at("2026-06-10T12:00"), 0.1, 0.1, 0.1)]]
    for points in (charts.hourly_points, charts.daily_points):
        _, [[point]] = points(hours, [line()], shown, now=NOW)
        assert point == Point(0.1, 0.1, 0.1)


def test_days_are_the_zones_and_a_mean_weighs_readings_not_hours() -> None:
    shown = charts.window(charts.PERIODS["24h"], SAO_PAULO, now=NOW, whole_days=True)
    hours = [
        hour(at("2026-06-10T01:00"), 10.0),  # 22:00 of the 9th
        hour(at("2026-06-10T03:00"), 1.0, 1.0, 1.0),
        hour(at("2026-06-10T04:00"), 5.0),
    ]
    labels, [points] = charts.daily_points(hours, [line()], shown, now=NOW)
    assert labels == [date(2026, 6, 9), date(2026, 6, 10)]
    assert points == [Point(10.0, 10.0, 10.0), Point(2.0, 1.0, 5.0)]


def test_a_counters_day_is_the_sum_of_its_hours_with_the_step_from_the_day_before() -> None:
    shown = charts.window(charts.PERIODS["24h"], SAO_PAULO, now=NOW, whole_days=True)
    hours = [
        hour(at("2026-06-09T02:00"), 7.0),  # before the window
        hour(at("2026-06-09T03:00"), 8.0),
        hour(at("2026-06-10T03:00"), 10.0, 11.0),
        hour(at("2026-06-10T04:00"), 15.0),
    ]
    _, [points] = charts.daily_points(hours, [line(kind=MetricKind.COUNTER)], shown, now=NOW)
    assert points == [Point(1.0, 8.0, 8.0), Point(7.0, 10.0, 15.0)]


def test_a_counters_first_day_with_one_hour_has_no_value_yet() -> None:
    shown = charts.window(charts.PERIODS["24h"], SAO_PAULO, now=NOW, whole_days=True)
    _, [points] = charts.daily_points(
        [hour(at("2026-06-10T04:00"), 15.0)], [line(kind=MetricKind.COUNTER)], shown, now=NOW
    )
    assert points == [GAP, Point(None, 15.0, 15.0)]


def test_what_a_counter_gained_counts_hours_that_begin_within() -> None:
    hours = [hour(at(f"2026-06-10T{n:02}:00"), float(n * n)) for n in range(5)]
    assert charts.gained_between(hours, at("2026-06-10T02:00"), at("2026-06-10T04:00")) == (4 - 1) + (9 - 4)
    assert charts.gained_between(hours, at("2026-06-11T00:00"), at("2026-06-12T00:00")) is None


counted = st.lists(st.tuples(st.integers(0, 24 * 9), st.floats(0, 1e6)), min_size=1, max_size=40).map(dict)


@given(counted, st.integers(0, 24 * 9), st.sampled_from([MetricKind.COUNTER, MetricKind.MEAN]), st.booleans())
def test_a_tail_says_of_its_labels_what_the_whole_chart_says(
    values: dict[int, float], since: int, kind: MetricKind, by_day: bool
) -> None:
    """Whatever the gaps: a page that polls and one that loads anew show the same."""
    begin = NOW - timedelta(days=9)
    of_all = [hour(hour_of(begin + n * HOUR, SAO_PAULO), value, value + 1) for n, value in sorted(values.items())]
    lines = [line(kind=kind)]
    whole = charts.window(charts.PERIODS["7d"], SAO_PAULO, now=NOW, whole_days=by_day)
    part = charts.tail(whole, begin + since * HOUR, whole_days=by_day)

    def drawn(shown: Window) -> dict[object, Point]:
        read = [h for h in of_all if charts.lookback(lines, shown) <= h.hour < shown.end]
        points = charts.daily_points if by_day else charts.hourly_points
        labels, [of_line] = points(read, lines, shown, now=NOW)
        return dict(zip(labels, of_line, strict=True))

    of_whole, of_part = drawn(whole), drawn(part)
    assert {label: of_whole[label] for label in of_part} == of_part
    assert list(of_whole)[-1] == list(of_part)[-1]


@given(st.integers(0, 800))
def test_there_is_one_point_a_label(ago: int) -> None:
    shown = Window(hour_of(NOW - ago * HOUR, SAO_PAULO), NOW + charts.MAX_AHEAD, SAO_PAULO)
    labels, [points] = charts.hourly_points([], [line()], shown, now=NOW)
    assert labels == hours_between(shown.start, NOW, SAO_PAULO)
    assert points == [GAP] * len(labels)
