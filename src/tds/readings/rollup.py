"""Closes hours and aggregates them, for the native store.

An hour is closed in two steps, so that no row is ever missed and no writer ever waits for an aggregation:
`closing_before` moves first and alone, when all batches that were begun before are committed; rows of closing hours
that come from then on are logged as late. Then the rows that stood there are aggregated, and `complete_before` follows.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors

logger = logging.getLogger("tds.readings")

# Rows of an hour keep arriving shortly after its end; closing later saves aggregating it twice.
CLOSE_AFTER: Final = timedelta(minutes=2)
HOURS_A_STEP: Final = 6
DIRTY_A_STEP: Final = 500
ADVISORY_LOCK: Final = 0x7D5_0001  # one aggregation at a time, whoever runs it
# Writers share it until their COMMIT; closing takes it alone. A lock with a queue: on one without, such as a row's,
# several writers that never pause would keep the hours open for ever.
WRITERS_LOCK: Final = 0x7D5_0003
PATIENCE_MS: Final = 2_000  # writers wait behind whoever waits to close, so it gives up soon and is tried again
HOUR: Final = timedelta(hours=1)


@cache
def _queries() -> tuple[str, str]:
    folder = Path(__file__).parent / "sql"
    aggregate = (folder / "aggregate.sql").read_text(encoding="utf-8")
    roll_up = (folder / "roll_up.sql").read_text(encoding="utf-8")
    closing = """SELECT device_id, metric_id, time, value FROM tds_new_leituradispositivo
                 WHERE time >= %(start)s AND time < %(end)s"""
    dirty = """SELECT r.device_id, r.metric_id, r.time, r.value
               FROM (SELECT DISTINCT * FROM unnest(%(devices)s::int8[], %(hours)s::timestamptz[])
                     AS late (device_id, hour)) AS d
               JOIN tds_new_leituradispositivo AS r
                 ON r.device_id = d.device_id AND r.time >= d.hour AND r.time < d.hour + interval '1 hour'"""
    closing_query, dirty_query = (
        roll_up.format(aggregate=aggregate.format(zone="'UTC'", rows=rows)) for rows in (closing, dirty)
    )
    return closing_query, dirty_query


def complete_before(connection: psycopg.Connection[Any]) -> datetime:
    return _state(connection)[1]


def keep_open(connection: psycopg.Connection[Any]) -> None:
    """Before a batch is written: until its transaction ends, no hour that it still counts as open is closed.

    A statement of its own, because the next one must see what was closed while this one waited.
    """
    psycopg.Cursor(connection).execute("SELECT pg_advisory_xact_lock_shared(%s)", (WRITERS_LOCK,))


def run(connection: psycopg.Connection[Any], *, oldest: datetime, now: datetime) -> int:
    """Close the hours that are over and aggregate late ones again; the number of hours of series written.

    `oldest` is a UTC hour before which there are no readings.
    """
    cursor = psycopg.Cursor(connection)
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (ADVISORY_LOCK,))
    if cursor.fetchone() != (True,):
        return 0
    try:
        return _close(connection, oldest, now) + _mend(connection)
    finally:
        cursor.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


def _close(connection: psycopg.Connection[Any], oldest: datetime, now: datetime) -> int:
    end = (now - CLOSE_AFTER).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    closing, start = _state(connection)
    if end > closing and _move_closing(connection, end):
        closing = end
    end = closing
    written = 0
    for step_start, step_end in _steps(max(start, oldest), end):
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            cursor.execute(_queries()[0], {"start": step_start, "end": step_end})
            written += cursor.rowcount
            connection.execute("UPDATE tds_new_estadorollup SET complete_before = %s", (step_end,))
    return written


def _move_closing(connection: psycopg.Connection[Any], end: datetime) -> bool:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS_LOCK,))
            connection.execute("UPDATE tds_new_estadorollup SET closing_before = %s", (end,))
    except errors.LockNotAvailable:
        logger.warning("Hours are not closed now: a batch is being written for more than %d ms.", PATIENCE_MS)
        return False
    return True


def _steps(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        step_end = min(start + HOUR * HOURS_A_STEP, end)
        yield start, step_end
        start = step_end


def _mend(connection: psycopg.Connection[Any]) -> int:
    written = 0
    # Not beyond what is there now: while gateways send their past, more comes as fast as it is mended.
    row = psycopg.Cursor(connection).execute("SELECT max(id) FROM tds_new_horasuja").fetchone()
    newest = row[0] if row else None
    while True:
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            cursor.execute(
                # All entries of an hour at once: a device that catches up writes one in every batch.
                """DELETE FROM tds_new_horasuja AS late USING (
                       SELECT device_id, hour FROM tds_new_horasuja WHERE id <= %(newest)s
                       GROUP BY device_id, hour LIMIT %(limit)s) AS due
                   WHERE late.device_id = due.device_id AND late.hour = due.hour AND late.id <= %(newest)s
                   RETURNING late.device_id, late.hour""",
                {"newest": newest, "limit": DIRTY_A_STEP},
            )
            late = cursor.fetchall()
            if not late:
                return written
            devices, hours = ([row[n] for row in late] for n in (0, 1))
            cursor.execute(_queries()[1], {"devices": devices, "hours": hours})
            written += cursor.rowcount


def _state(connection: psycopg.Connection[Any]) -> tuple[datetime, datetime]:
    row = (
        psycopg.Cursor(connection)
        .execute("SELECT closing_before, complete_before FROM tds_new_estadorollup")
        .fetchone()
    )
    if row is None:
        raise LookupError("tds_new_estadorollup has no row; run `python manage.py migrate`.")
    return row[0], row[1]
