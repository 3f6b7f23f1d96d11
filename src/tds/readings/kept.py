"""The cut-off that bytes or a person decided: readings before it are neither accepted nor kept any more.

It is written down before anything is dropped, and moves forward only: else a day that is gone would be made again for
the next late reading. It moves while no batch is being written, so each batch is wholly before or after it: a batch
that was judged by the old one is refused by `insert` and judged again.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import psycopg
from psycopg import errors

from tds.readings import clock, rollup
from tds.readings.budget import LONG_AGO, Budget, PartSize, cut_off, oldest_kept
from tds.readings.dropped import may_drop
from tds.readings.store import Part

logger = logging.getLogger("tds.readings")

PATIENCE_MS: Final = 2_000  # writers wait behind whoever waits to move it, so it gives up soon and is tried again

Why = Literal["bytes", "person"]


def kept_since(connection: psycopg.Connection[Any]) -> datetime:
    """The cut-off; LONG_AGO while days alone decide."""
    row = psycopg.Cursor(connection).execute("SELECT max(since) FROM tds_new_keptsince").fetchone()
    return (row[0] if row else None) or LONG_AGO


def move(connection: psycopg.Connection[Any], since: datetime, *, why: Why, now: datetime) -> bool:
    """Keep nothing before `since`, from the next batch on; False when that has to wait. Raises psycopg.Error."""
    try:
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            if why == "bytes" and not may_drop(connection):
                return False  # decided when it can be done: by the sizes of then
            cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (rollup.WRITERS_LOCK,))
            cursor.execute(
                """INSERT INTO tds_new_keptsince (since, decided_at, why) SELECT %(since)s, %(now)s, %(why)s
                   WHERE NOT EXISTS (SELECT FROM tds_new_keptsince WHERE since >= %(since)s)""",
                {"since": since, "now": now, "why": why},
            )
    except errors.LockNotAvailable:
        logger.warning("Nothing is dropped now: a batch is being written for more than %d ms.", PATIENCE_MS)
        return False
    return True


def first_there(parts: Sequence[Part], since: datetime) -> datetime:
    """Hours before it have no readings any more: `since`, or the start of a part that is still to be dropped. Pure."""
    return min([since, *(part.start for part in parts)])


def decided(
    connection: psycopg.Connection[Any],
    sizes: Sequence[PartSize],
    budget: Budget,
    retention: timedelta,
    *,
    now: datetime,
) -> datetime:
    """From when on readings are kept, moved forward first when they take more bytes than they may.

    While the clock can't be believed, no further than was written down before.
    """
    since = kept_since(connection)
    known = oldest_kept(retention, since, now=now)
    wanted = cut_off(sizes, budget, retention, known, now=now).since if budget.max_bytes else known
    if doubt := clock.doubt(connection, wanted, now=now):
        logger.warning("%s %s", doubt, clock.WHAT_TO_DO)
        return since
    if wanted > known and move(connection, wanted, why="bytes", now=now):
        logger.info("Readings before %s are dropped: they take more than TDS_RETENTION_BYTES.", wanted.date())
        return wanted
    return known
