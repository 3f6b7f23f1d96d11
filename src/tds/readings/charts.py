"""From hours of readings to the lines and bars of a chart. Pure: `now` and the zone are arguments."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from tds.fleet.models import MetricKind
from tds.readings import counters
from tds.readings.counters import increases
from tds.readings.hours import HOUR, hours_between, midnight_of, opening_hour
from tds.readings.store import HourOfReadings, Series

PERIODS: Final = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
SETTINGS_OVERLAP: Final = timedelta(seconds=60)  # a metric's change is stamped before others see it
MAX_AHEAD: Final = timedelta(minutes=10)  # ingest accepts readings of gateways whose clocks are this fast


@dataclass(frozen=True, slots=True)
class Line:
    """One line or set of bars: a metric of a device."""

    series: Series
    gateway: str
    device: str
    tipo: str
    unidade: str
    kind: MetricKind
    rollover_at: float | None = None  # of a counter: the value at which it begins again at 0
    changed_at: datetime | None = None  # when somebody last said how it is aggregated

    @property
    def label(self) -> str:
        return f"{self.gateway}/{self.device} {self.tipo}"


@dataclass(frozen=True, slots=True)
class Point:
    """What a chart shows of one hour or day; None for a gap."""

    value: float | None
    minimum: float | None
    maximum: float | None


GAP: Final = Point(None, None, None)


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of a chart. `start` is the beginning of the first, and an instant of it; `end` lies in the last."""

    start: datetime
    end: datetime
    zone: ZoneInfo


def window(period: timedelta, zone: ZoneInfo, *, now: datetime, whole_days: bool = False) -> Window:
    """The last `period` up to now, begun at a full hour, or for bars at the midnight before."""
    start = opening_hour(now - period, zone)
    return Window(midnight_of(start, zone) if whole_days else start, now + MAX_AHEAD, zone)


def tail(whole: Window, since: datetime, *, whole_days: bool = False) -> Window:
    """The part of a window from the hour (or day) that holds `since` on."""
    start = opening_hour(since, whole.zone)
    if whole_days:
        start = midnight_of(start, whole.zone)
    return Window(max(whole.start, start), whole.end, whole.zone)


def hourly_points(
    hours: Sequence[HourOfReadings], lines: Sequence[Line], shown: Window, *, now: datetime
) -> tuple[list[datetime], list[list[Point]]]:
    """The labels, and for each line a point a label. `hours` ascend within a series and may begin before the window."""
    by_line = by_series(hours)
    labels = hours_between(shown.start, shown.end, shown.zone)
    newest = max((hour.hour for hour in hours), default=shown.start)
    # The hour that has not begun yet is shown only when a fast clock has sent something for it.
    labels = [label for label in labels if label <= max(newest, now)]
    return labels, [
        [points.get(label, GAP) for label in labels]
        for points in (_points_of_hours(by_line.get(line.series, []), line) for line in lines)
    ]


def daily_points(
    hours: Sequence[HourOfReadings], lines: Sequence[Line], shown: Window, *, now: datetime
) -> tuple[list[date], list[list[Point]]]:
    """As `hourly_points`, by day of the zone."""
    by_line = by_series(hours)
    newest = max((hour.hour for hour in hours), default=shown.start)
    last = max(newest, now).astimezone(shown.zone).date()
    first = shown.start.astimezone(shown.zone).date()
    labels = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return labels, [
        [points.get(label, GAP) for label in labels]
        for points in (_points_of_days(by_line.get(line.series, []), line, shown) for line in lines)
    ]


def gained_between(
    hours: Sequence[HourOfReadings], start: datetime, end: datetime, register: float | None = None
) -> float | None:
    """What a counter gained in the hours from `start` up to before `end`."""
    values = [gain for hour, gain in increases(hours, register) if start <= hour.hour < end and gain is not None]
    return sum(values) if values else None


def by_series(hours: Iterable[HourOfReadings]) -> dict[Series, list[HourOfReadings]]:
    found: dict[Series, list[HourOfReadings]] = defaultdict(list)
    for hour in hours:
        found[Series(hour.device_id, hour.metric_id)].append(hour)
    return found


def _points_of_hours(hours: Sequence[HourOfReadings], line: Line) -> dict[datetime, Point]:
    if line.kind is MetricKind.COUNTER:
        gains = increases(hours, line.rollover_at)
        return {hour.hour: Point(gain, hour.minimum, hour.maximum) for hour, gain in gains}
    return {hour.hour: Point(_value([hour], line.kind), hour.minimum, hour.maximum) for hour in hours}


def _points_of_days(hours: Sequence[HourOfReadings], line: Line, shown: Window) -> dict[date, Point]:
    counter = line.kind is MetricKind.COUNTER
    gains = {hour.hour: gain for hour, gain in increases(hours, line.rollover_at)} if counter else {}
    points = {}
    inside = (hour for hour in hours if hour.hour >= shown.start)
    for day, group in groupby(inside, key=lambda hour: hour.hour.astimezone(shown.zone).date()):
        of_day = list(group)
        known = [gain for hour in of_day if (gain := gains.get(hour.hour)) is not None]
        value = (sum(known) if known else None) if counter else _value(of_day, line.kind)
        points[day] = Point(value, min(h.minimum for h in of_day), max(h.maximum for h in of_day))
    return points


def _value(hours: Sequence[HourOfReadings], kind: MetricKind) -> float:
    if kind is MetricKind.LAST:
        return hours[-1].last
    if len(hours) == 1:  # nearly always: a chart by the hour
        [hour] = hours
        return hour.total if kind is MetricKind.SUM else _within(hour.minimum, hour.total / hour.n, hour.maximum)
    total = sum(hour.total for hour in hours)
    if kind is MetricKind.SUM:
        return total
    mean = total / sum(hour.n for hour in hours)
    return _within(min(hour.minimum for hour in hours), mean, max(hour.maximum for hour in hours))


def _within(low: float, mean: float, high: float) -> float:
    """A sum is rounded, so that the mean of three times 0.1 would be above 0.1."""
    return low if mean < low else min(mean, high)


def lookback(lines: Iterable[Line], shown: Window) -> datetime:
    """From when on hours are needed to draw a window, and a change in them changes it."""
    any_counter = any(line.kind is MetricKind.COUNTER for line in lines)
    return shown.start - counters.LOOKBACK if any_counter else shown.start


def ordered(lines: Iterable[Line]) -> bool:
    """Whether a chart needs what the order of the readings in an hour tells."""
    return any(line.kind in {MetricKind.COUNTER, MetricKind.LAST} for line in lines)


def changed_after(lines: Iterable[Line], moment: datetime) -> bool:
    """Whether what was drawn at a moment may be aggregated otherwise now: then all of it, not only its end."""
    return any(line.changed_at is not None and line.changed_at > moment - SETTINGS_OVERLAP for line in lines)


__all__ = [
    "GAP",
    "HOUR",
    "PERIODS",
    "Line",
    "Point",
    "Window",
    "by_series",
    "changed_after",
    "daily_points",
    "gained_between",
    "hourly_points",
    "increases",
    "lookback",
    "ordered",
    "tail",
    "window",
]
