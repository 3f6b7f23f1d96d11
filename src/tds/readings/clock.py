"""Whether the server's clock may be believed when days are dropped by it: what is dropped is gone.

A machine may boot with a clock that is months ahead. What it writes down itself (heartbeats, the ledger's hours) is
just as wrong at once; but the times of readings come from the gateways' own clocks. So the clock is believed when the
readings show that time came there day by day. When it was right after all, because the platform was off for months,
that is so again as soon as gateways have sent for some days.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from tds.fleet.probe import PROBE_GATEWAY
from tds.readings.budget import Budget, day_of, oldest_kept
from tds.readings.store import Part

DAY: Final = timedelta(days=1)
# Of the last so many days of UTC, today among them, so many must have readings: a clock that is up to four days ahead
# is believed, and so is one whose gateways were silent as long. Three, so that whoever takes the time from this very
# machine (a program beside it) proves nothing before more than a whole day.
WINDOW_DAYS: Final = 7
DAYS_SEEN: Final = 3
WHAT_TO_DO: Final = (
    "Correct the clock if it is wrong. If it is right, days go by themselves once gateways have sent for some; "
    "to make room at once: ./tds readings drop."
)
END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


def is_supported(days: Iterable[datetime], *, now: datetime) -> bool:
    """Whether readings of some days, named by any moment of them, show that it may be `now`. Pure."""
    today = day_of(now)
    return len({day for day in map(day_of, days) if today - (WINDOW_DAYS - 1) * DAY <= day <= today}) >= DAYS_SEEN


def doubt(connection: psycopg.Connection[Any], before: datetime, *, now: datetime) -> str:
    """Why the readings before a cut-off must not be dropped by the clock, in a sentence; empty when they may.

    Where there are none before it, nothing is lost: a new platform has no days to show yet.
    """
    today = day_of(now)
    days = _days_seen(connection, today - (WINDOW_DAYS - 1) * DAY, today + DAY, DAYS_SEEN)
    if is_supported(days, now=now) or not _any_reading(connection, datetime.min.replace(tzinfo=UTC), before):
        return ""
    return (
        f"The clock says {now.astimezone(UTC):%Y-%m-%d}, and gateways sent readings of {len(days)} of the last "
        f"{WINDOW_DAYS} days: no day is dropped before there are readings of {DAYS_SEEN} of them."
    )


def doubt_of_upkeep(
    connection: psycopg.Connection[Any], budget: Budget, retention: timedelta, since: datetime, *, now: datetime
) -> str:
    """As `doubt`, of all that days or bytes may drop at `now`; `since` is the present cut-off."""
    by_bytes = day_of(now - timedelta(days=budget.min_days)) if budget.max_bytes else since
    return doubt(connection, max(oldest_kept(retention, since, now=now), by_bytes), now=now)


def is_behind(connection: psycopg.Connection[Any], now: datetime) -> bool:
    """Whether readings of several days to come show that it is later than the clock says."""
    return len(_days_seen(connection, day_of(now) + DAY, END_OF_TIME, DAYS_SEEN)) >= DAYS_SEEN


def first_reading(connection: psycopg.Connection[Any], parts: Sequence[Part], since: datetime) -> datetime:
    """Where the readings begin: `since`, or the start of an older part that was not dropped and is not empty."""
    older = (part for part in parts if part.start < since)
    return next((part.start for part in older if _any_reading(connection, part.start, part.end)), since)


def _days_seen(connection: psycopg.Connection[Any], start: datetime, end: datetime, wanted: int) -> list[datetime]:
    """Days of which a gateway sent readings, between two midnights; `wanted` of them if there are so many.

    Any one first, then before and after it: a look at any reading is cheap however many there are, and a look for the
    newest one is not.
    """
    found = _any_reading(connection, start, end, of_gateways=True) if wanted and start < end else None
    if found is None:
        return []
    day = day_of(found)
    days = [day, *_days_seen(connection, start, day, wanted - 1)]
    return days + _days_seen(connection, day + DAY, end, wanted - len(days))


def _any_reading(
    connection: psycopg.Connection[Any], start: datetime, end: datetime, *, of_gateways: bool = False
) -> datetime | None:
    """The time of any one between two moments; `of_gateways`: not of the probe, whose clock is this machine's."""
    cursor = psycopg.Cursor(connection).execute(
        """SELECT time FROM tds_new_leituradispositivo WHERE time >= %(start)s AND time < %(end)s
           AND NOT (%(of_gateways)s AND device_id IN (
               SELECT d.id FROM tds_new_device AS d JOIN tds_new_gateway AS g ON g.id = d.gateway_id
               WHERE g.code = %(probe)s)) LIMIT 1""",
        {"start": start, "end": end, "of_gateways": of_gateways, "probe": PROBE_GATEWAY},
    )
    row = cursor.fetchone()
    return row[0] if row else None
