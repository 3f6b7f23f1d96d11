"""Closes hours and has them aggregated; how, is the store's own matter.

An hour is closed in two steps, so that no row is ever missed and no writer ever waits for an aggregation:
`closing_before` moves first and alone, when all batches that were begun before are committed; rows of closing hours
that come from then on are logged as late. Then the rows that stood there are aggregated, and `complete_before` follows.
Both move back when the server's clock was ahead and is right again: hours that were closed before their time are open.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Protocol

import psycopg
from psycopg import errors

from tds.readings import clock, timeouts
from tds.readings.timeouts import NO_LIMIT

logger = logging.getLogger("tds.readings")

# Rows of an hour keep arriving shortly after its end; closing later saves aggregating it twice.
CLOSE_AFTER: Final = timedelta(minutes=2)
HOURS_A_STEP: Final = 6
RUN_S: Final = 20.0  # of closing, and as long again of mending; what is left is the next run's, a step is never cut
ADVISORY_LOCK: Final = 0x7D5_0001  # one aggregation at a time, whoever runs it
# Writers share it until their COMMIT; closing takes it alone. A lock with a queue: on one without, such as a row's,
# several writers that never pause would keep the hours open for ever.
WRITERS_LOCK: Final = 0x7D5_0003
PATIENCE_MS: Final = 2_000  # writers wait behind whoever waits to close, so it gives up soon and is tried again
HOUR: Final = timedelta(hours=1)


class Aggregation(Protocol):
    """How a store brings hours up to date. Each commits what it does."""

    def close(self, connection: psycopg.Connection[Any], start: datetime, end: datetime) -> int:
        """Aggregate closed hours and call `completed` once they are; the number of hours of series written."""
        ...

    def mend(self, connection: psycopg.Connection[Any], newest: int) -> int:
        """Aggregate again what the log of late rows names up to an id, and take it out; as `close`."""
        ...

    def rebuild(self, connection: psycopg.Connection[Any], start: datetime, end: datetime) -> int:
        """Aggregate hours anew from the rows, whatever stood there; as `close`."""
        ...


def complete_before(connection: psycopg.Connection[Any]) -> datetime:
    return _state(connection)[1]


def keep_open(connection: psycopg.Connection[Any]) -> None:
    """Before a batch is written: until its transaction ends, no hour that it still counts as open is closed.

    A statement of its own, because the next one must see what was closed while this one waited.
    """
    psycopg.Cursor(connection).execute("SELECT pg_advisory_xact_lock_shared(%s)", (WRITERS_LOCK,))


def completed(connection: psycopg.Connection[Any], end: datetime) -> None:
    """From now on charts read the hours before `end` from the rollup, but for those in the log of late rows."""
    connection.execute("UPDATE tds_new_estadorollup SET complete_before = %s", (end,))


def run(connection: psycopg.Connection[Any], aggregation: Aggregation, *, oldest: datetime, now: datetime) -> int:
    """Close the hours that are over and aggregate late ones again; the number of hours of series written.

    `oldest` is a UTC hour before which there are no readings.
    """
    cursor = psycopg.Cursor(connection)
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (ADVISORY_LOCK,))
    if cursor.fetchone() != (True,):
        return 0
    try:
        return _close(connection, aggregation, oldest, now) + _mend(connection, aggregation)
    finally:
        cursor.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


@contextmanager
def alone(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """No aggregation beside ours, however long the one under way takes."""
    with timeouts.changed(connection, lock_timeout=NO_LIMIT, statement_timeout=NO_LIMIT):
        connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


def rebuild(
    connection: psycopg.Connection[Any], aggregation: Aggregation, since: datetime, until: datetime
) -> Iterator[tuple[datetime, int]]:
    """Aggregate closed hours anew, step by step: yields how far it is, and the hours of series written.

    For rows that came past ingest (a bulk load, a restore), of which no log of late rows tells.
    """
    with alone(connection):
        start, end = (t.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for t in (since, until))
        for step_start, step_end in _steps(start, min(end, complete_before(connection))):
            yield step_end, aggregation.rebuild(connection, step_start, step_end)


def _close(connection: psycopg.Connection[Any], aggregation: Aggregation, oldest: datetime, now: datetime) -> int:
    end = (now - CLOSE_AFTER).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    closing, start = _state(connection)
    # An hour back is a clock that is put right; more, and it was ahead. Unless it is behind now, as at a boot.
    ahead = closing > end + HOUR and not clock.is_behind(connection, now)
    if (end > closing or ahead) and _move_closing(connection, end):
        if ahead:
            logger.warning("The clock was ahead, at least to %s: hours from %s on are open again.", closing, end)
        closing, start = end, min(start, end)
    written, until_s = 0, monotonic() + RUN_S
    for step in _steps(max(start, oldest), closing):
        written += aggregation.close(connection, *step)
        if monotonic() >= until_s:
            break
    return written


def _move_closing(connection: psycopg.Connection[Any], end: datetime) -> bool:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS_LOCK,))
            connection.execute(
                """UPDATE tds_new_estadorollup
                   SET closing_before = %(end)s, complete_before = LEAST(complete_before, %(end)s)""",
                {"end": end},
            )
    except errors.LockNotAvailable:
        logger.warning("Hours are not closed now: a batch is being written for more than %d ms.", PATIENCE_MS)
        return False
    return True


def _steps(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        step_end = min(start + HOUR * HOURS_A_STEP, end)
        yield start, step_end
        start = step_end


def _mend(connection: psycopg.Connection[Any], aggregation: Aggregation) -> int:
    # Not beyond what is there now: while gateways send their past, more comes as fast as it is mended.
    row = psycopg.Cursor(connection).execute("SELECT max(id) FROM tds_new_horasuja").fetchone()
    newest = row[0] if row else None
    return aggregation.mend(connection, newest) if newest is not None else 0


def _state(connection: psycopg.Connection[Any]) -> tuple[datetime, datetime]:
    row = (
        psycopg.Cursor(connection)
        .execute("SELECT closing_before, complete_before FROM tds_new_estadorollup")
        .fetchone()
    )
    if row is None:
        raise LookupError("tds_new_estadorollup has no row; run `python manage.py migrate`.")
    return row[0], row[1]
