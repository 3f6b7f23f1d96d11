"""Hours of a time zone, as instants in UTC. Pure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)


def hour_of(time: datetime, zone: ZoneInfo) -> datetime:
    """The beginning, in UTC, of the zone's hour that holds `time`.

    An instant of its own even when a clock is put back: the hour that comes twice is two hours.
    """
    offset = time.astimezone(zone).utcoffset() or timedelta(0)
    local = time.astimezone(UTC).replace(tzinfo=None) + offset
    return (local.replace(minute=0, second=0, microsecond=0) - offset).replace(tzinfo=UTC)


def first_hour_from(time: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the first hour of the zone that begins at `time` or later."""
    hour = hour_of(time, zone)
    return hour if hour >= time else hour_of(hour + HOUR, zone)


def hours_between(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """The beginnings of all hours of the zone from the one that holds `start` up to before `end`, ascending."""
    hours = []
    hour = hour_of(start, zone)
    while hour < end:
        hours.append(hour)
        hour = hour_of(hour + HOUR, zone)
    return hours


def midnight_of(time: datetime, zone: ZoneInfo) -> datetime:
    """The first instant of the zone's day that holds `time`, also where midnight comes twice or not at all."""
    local = time.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return local.astimezone(UTC)


def on_the_hour(zone: ZoneInfo, start: datetime, end: datetime) -> bool:
    """Whether the zone's hours begin with UTC's between two instants (not so in India, Nepal, South Australia)."""
    moment = start
    while moment < end + timedelta(days=1):
        if (moment.astimezone(zone).utcoffset() or timedelta(0)) % HOUR:
            return False
        moment += timedelta(days=1)
    return True
