"""Charts against the plain reference, without a database: clocks that were changed in every way there was."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from tds.fleet.models import MetricKind
from tds.readings import charts
from tds.readings.charts import Line
from tds.readings.store import HourOfReadings, Series
from tests import charted
from tests.charted import BOUND, REGISTER, SCENARIOS, TWICE, Batch, Scenario

A = Series(1, 1)


def hours_of(readings: Mapping[datetime, float], zone: ZoneInfo) -> list[HourOfReadings]:
    found = []
    for hour, values in sorted(charted.by_hour(readings, zone).items()):
        bounded = [min(max(value, -BOUND), BOUND) for value in values]
        falls = [before for before, after in pairwise(bounded) if after < before]
        increase = sum(after - before if after >= before else after for before, after in pairwise(bounded))
        ends = (min(values), max(values), sum(bounded), values[0], values[-1])
        found.append(HourOfReadings(*A, hour, len(values), *ends, increase, len(falls), sum(falls)))
    return found


@pytest.mark.parametrize("scenario", [*SCENARIOS, *TWICE], ids=str)
@settings(max_examples=40)
@given(given_batches=charted.batches())
def test_charts_are_what_the_readings_say(scenario: Scenario, given_batches: list[Batch]) -> None:
    readings = charted.first_ones(given_batches, scenario.now)
    hours = hours_of(readings, scenario.zone)
    for kind in MetricKind:
        for register in (None, REGISTER) if kind is MetricKind.COUNTER else (None,):
            line = Line(A, "GW", "D01", "energia", "kWh", kind, register)
            expected = (readings, kind, register, scenario.zone)
            by_hour = charts.window(charted.PERIOD, scenario.zone, now=scenario.now)
            seen = [hour for hour in hours if charts.lookback([line], by_hour) <= hour.hour < by_hour.end]
            labels, [points] = charts.hourly_points(seen, [line], by_hour, now=scenario.now)
            assert labels == sorted(set(labels))
            shown = dict(zip(labels, points, strict=True))
            charted.assert_same(shown, charted.hourly(*expected), readings)
            assert {hour.hour for hour in hours if hour.hour >= by_hour.start} <= shown.keys()

            by_day = charts.window(charted.PERIOD, scenario.zone, now=scenario.now, whole_days=True)
            seen = [hour for hour in hours if charts.lookback([line], by_day) <= hour.hour < by_day.end]
            days, [points] = charts.daily_points(seen, [line], by_day, now=scenario.now)
            charted.assert_same(dict(zip(days, points, strict=True)), charted.daily(*expected), readings)
            assert {time.astimezone(scenario.zone).date() for time in readings if time >= by_day.start} <= set(days)


@pytest.mark.parametrize("scenario", [*SCENARIOS, *TWICE], ids=str)
@settings(max_examples=40)
@given(given_batches=charted.batches())
def test_a_counters_day_is_the_sum_of_its_hours(scenario: Scenario, given_batches: list[Batch]) -> None:
    readings = charted.first_ones(given_batches, scenario.now)
    hours = hours_of(readings, scenario.zone)
    line = Line(A, "GW", "D01", "energia", "kWh", MetricKind.COUNTER, REGISTER)
    shown = charts.window(charted.PERIOD, scenario.zone, now=scenario.now, whole_days=True)
    labels, [by_hour] = charts.hourly_points(hours, [line], shown, now=scenario.now)
    days, [by_day] = charts.daily_points(hours, [line], shown, now=scenario.now)
    sums: dict[object, float] = {}
    for label, point in zip(labels, by_hour, strict=True):
        if point.value is not None:
            day = label.astimezone(scenario.zone).date()
            sums[day] = sums.get(day, 0) + point.value
    assert sums == {day: point.value for day, point in zip(days, by_day, strict=True) if point.value is not None}
    assert timedelta(0) < shown.end - shown.start
