"""Hours of a time zone, as instants in UTC. Pure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def hour_of(time: datetime, zone: ZoneInfo) -> datetime:
    """The beginning, in UTC, of the zone's hour that holds `time`.

    An instant of its own even when a clock is put back: the hour that comes twice is two hours.
    """
    ahead = offset(time, zone)
    local = time.astimezone(UTC).replace(tzinfo=None) + ahead
    return (local.replace(minute=0, second=0, microsecond=0) - ahead).replace(tzinfo=UTC)


def opening_hour(time: datetime, zone: ZoneInfo) -> datetime:
    """The hour that holds `time`, or the nearest before it that begins in itself: a chart may begin there.

    Where a clock goes by half an hour, the first hour of the new clock begins, by its name, within the last of the old:
    on Lord Howe Island 01:00+10:30 is an instant of the hour 01:00+11:00, and holds none itself before 01:30.
    """
    hour = hour_of(time, zone)
    while (before := hour_of(hour, zone)) != hour:
        hour = before
    return hour


def first_instant_from(time: datetime, zone: ZoneInfo) -> datetime:
    """The first instant of the first hour that begins at `time` or later: from there on all hours are whole."""
    hour = hour_of(time, zone)
    while hour < time:
        hour = hour_of(hour + HOUR, zone)
    before = hour_of(hour, zone)
    # As in `opening_hour`: until the clock goes, at the end of an hour, its instants are those of the one before.
    return hour if before == hour else before + HOUR


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


def minutes_past(zone: ZoneInfo, start: datetime, end: datetime) -> timedelta | None:
    """How long after UTC's the zone's hours begin between two instants; None where that changes in between.

    Nought nearly everywhere; not so in India, Nepal and South Australia.
    """
    found = {-offset(start + day * DAY, zone) % HOUR for day in range((end - start) // DAY + 2)}
    return found.pop() if len(found) == 1 else None


def offset(time: datetime, zone: ZoneInfo) -> timedelta:
    return time.astimezone(zone).utcoffset() or timedelta(0)
