"""The ledger by hour and by day of a time zone, as people read it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from tds.ingest.ledger import FIELDS, Totals
from tds.ingest.models import LedgerHour

HOURS_SHOWN: Final = 24
DAYS_SHOWN: Final = 30  # HOURS_KEPT is more: a day of a zone can be made of hours alone
HOUR: Final = timedelta(hours=1)
NOTHING: Final = Totals(0, 0, 0, 0, 0, 0)


class Span(NamedTuple):
    """What came in an hour, or on a day of the zone."""

    start: datetime | date
    sums: Totals


def rows(zone: ZoneInfo, *, now: datetime) -> QuerySet[LedgerHour]:
    """All tenants' hours of the days shown: for `access.Scope.filter`, which leaves one tenant's."""
    return LedgerHour.objects.filter(hour__gte=first_day(zone, now=now))


def nobodys(zone: ZoneInfo, *, now: datetime) -> QuerySet[LedgerHour]:
    """The hours of what belongs to no tenant: for the platform operator alone."""
    return rows(zone, now=now).filter(tenant=None)


def first_day(zone: ZoneInfo, *, now: datetime) -> datetime:
    first = now.astimezone(zone).date() - timedelta(days=DAYS_SHOWN - 1)
    return datetime(first.year, first.month, first.day, tzinfo=zone)


def by_hour(hours: Iterable[LedgerHour], zone: ZoneInfo, *, now: datetime) -> list[Span]:
    """The last HOURS_SHOWN hours, oldest first, the present one last; those without a row are zeros."""
    newest = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    starts = [newest - HOUR * n for n in range(HOURS_SHOWN - 1, -1, -1)]
    sums = {hour.hour: of(hour) for hour in hours}
    return [Span(start.astimezone(zone), sums.get(start, NOTHING)) for start in starts]


def by_day(hours: Iterable[LedgerHour], zone: ZoneInfo, *, now: datetime) -> list[Span]:
    """The last DAYS_SHOWN days of the zone, oldest first, today last. An hour counts for the day that it begins on."""
    today = now.astimezone(zone).date()
    days = {today - timedelta(days=n): NOTHING for n in range(DAYS_SHOWN - 1, -1, -1)}
    for hour in hours:
        day = hour.hour.astimezone(zone).date()
        if day in days:
            days[day] = added([days[day], of(hour)])
    return [Span(day, sums) for day, sums in days.items()]


def of(hour: LedgerHour) -> Totals:
    return Totals(*(getattr(hour, name) for name in FIELDS))


def added(sums: Sequence[Totals]) -> Totals:
    return Totals(*map(sum, zip(NOTHING, *sums, strict=True)))
