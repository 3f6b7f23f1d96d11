"""The native store: one partition a UTC day, and hours aggregated into a table by the worker."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from tds.readings import clock, kept, keys, rollup, timeouts
from tds.readings.budget import NO_BUDGET, Budget, PartSize, day_of, oldest_kept
from tds.readings.costs import ROLLUP_BYTES_AN_HOUR
from tds.readings.dropped import PATIENCE_MS, may_drop, note_dropped
from tds.readings.sqlstore import TABLE, SqlStore, query
from tds.readings.store import Part

logger = logging.getLogger("tds.readings")

DAYS_AHEAD: Final = 3  # partitions made before they are needed: a worker may be away for a weekend
DAY: Final = timedelta(days=1)
DIRTY_A_STEP: Final = 500
NEW: Final = "_novo"  # ends the names of the tables that a move into TimescaleDB (move.py) fills
ADVISORY_LOCK: Final = 0x7D5_0002  # who makes partitions
ATTACH_PATIENCE_MS: Final = 2_000


class PartitionStore(SqlStore):
    """`ReadingStore` on plain PostgreSQL 15 or later."""

    name = "native"

    def __init__(self, retention: timedelta, budget: Budget = NO_BUDGET) -> None:
        super().__init__()
        self.retention = retention
        self.budget = budget

    def compact(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        # PostgreSQL has nothing to compress rows with.
        return keys.rebuild_one(connection, self.parts(connection), now=now)

    def roll_up(self, connection: psycopg.Connection[Any], *, now: datetime) -> int:
        oldest = oldest_kept(self.retention, kept.kept_since(connection), now=now)
        oldest = clock.first_reading(connection, self.parts(connection), oldest)
        return rollup.run(connection, ROLLUP, oldest=oldest, now=now)

    def rebuild(
        self, connection: psycopg.Connection[Any], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, int]]:
        return rollup.rebuild(connection, ROLLUP, since, until)

    def size(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        row = psycopg.Cursor(connection).execute(
            """SELECT COALESCE(sum(GREATEST(reltuples, 0)), 0)::int8,
                      COALESCE(sum(pg_total_relation_size(c.oid)), 0)::int8
                          + pg_total_relation_size('tds_new_leiturahora')
               FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = %s::regclass""",
            (TABLE,),
        )
        rows, size = row.fetchone() or (0, 0)
        return int(rows), int(size)

    def prepare(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        return [partition_name(day) for day in self._missing(connection, now) if _make(connection, day)]

    def _missing(self, connection: psycopg.Connection[Any], now: datetime) -> list[datetime]:
        existing = {part.name for part in self.parts(connection)}
        first = oldest_kept(self.retention, kept.kept_since(connection), now=now)
        days = (first + DAY * n for n in range((day_of(now) - first).days + DAYS_AHEAD + 1))
        return [day for day in days if partition_name(day) not in existing]

    def expire(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        sizes = self.sizes(connection) if self.budget.max_bytes else []
        since = kept.decided(connection, sizes, self.budget, self.retention, now=now)
        due = [part for part in self.parts(connection) if part.end <= since]
        dropped = [part.name for part in due if self._drop(connection, part, now)]
        with connection.transaction():
            before = kept.first_there(self.parts(connection), since)
            connection.execute("DELETE FROM tds_new_leiturahora WHERE hour < %s", (before,))
            connection.execute("DELETE FROM tds_new_horaemendada WHERE hour < %s", (before,))
        return dropped

    def sizes(self, connection: psycopg.Connection[Any]) -> list[PartSize]:
        # Hours are counted, not measured: their table does not shrink when some are deleted, and what is measured
        # as if it could come free would drop day after day.
        rows = psycopg.Cursor(connection).execute(
            """SELECT inhrelid::regclass::text, COALESCE(pg_total_relation_size(inhrelid), 0) FROM pg_inherits
               WHERE inhparent = %s::regclass""",
            (TABLE,),
        )
        by_name = dict(rows.fetchall())
        rows = psycopg.Cursor(connection).execute(
            "SELECT date_trunc('day', hour, 'UTC'), count(*) FROM tds_new_leiturahora GROUP BY 1"
        )
        hours = dict(rows.fetchall())
        return [
            PartSize(
                part.start, part.end, by_name.get(part.name, 0) + int(hours.get(part.start, 0) * ROLLUP_BYTES_AN_HOUR)
            )
            for part in self.parts(connection)
        ]

    def _drop(self, connection: psycopg.Connection[Any], part: Part, now: datetime) -> bool:
        """False when it has to wait for the next time, or another worker was faster."""
        try:
            with connection.transaction():
                if not may_drop(connection) or part not in self.parts(connection):
                    return False
                note_dropped(connection, part.name, now=now)
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(part.name)))
                _drop_copy(connection, part)
        except errors.LockNotAvailable:
            logger.warning("%s is in use for more than %d ms; it is dropped the next time.", part.name, PATIENCE_MS)
            return False
        return True

    def parts(self, connection: psycopg.Connection[Any]) -> list[Part]:
        rows = psycopg.Cursor(connection).execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", (TABLE,)
        )
        days = [(name, datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)) for (name,) in rows]
        return [Part(name, day, day + DAY) for name, day in days]


def _make(connection: psycopg.Connection[Any], day: datetime) -> bool:
    """A table of its own that becomes a partition; False when it is there already. Raises errors.LockNotAvailable.

    `CREATE TABLE … PARTITION OF` would lock all readings alone: it would wait for whoever reads long (a backup, a check
    of the ledger), and all writers behind it. To attach one, readers and writers go on.
    """
    name = partition_name(day)
    with connection.transaction():
        # Worker, consumer and web may all be first. Held until the COMMIT, which may be a caller's and come later.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
        if psycopg.Cursor(connection).execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
            return False
        names = {"day": sql.Identifier(name), "readings": sql.Identifier(TABLE)}
        bounds = {"start": sql.Literal(day.isoformat()), "end": sql.Literal((day + DAY).isoformat())}
        connection.execute(sql.SQL("CREATE TABLE {day} (LIKE {readings} INCLUDING ALL)").format(**names))
        # Empty, so that nothing has to be looked through; an ANALYZE of all readings or another change holds it up.
        with timeouts.changed(connection, lock_timeout=ATTACH_PATIENCE_MS):
            attach = sql.SQL("ALTER TABLE {readings} ATTACH PARTITION {day} FOR VALUES FROM ({start}) TO ({end})")
            connection.execute(attach.format(**names, **bounds))
    return True


def _drop_copy(connection: psycopg.Connection[Any], part: Part) -> None:
    """While readings are moved into TimescaleDB a day may be there as well; it would be dropped and counted twice."""
    row = psycopg.Cursor(connection).execute("SELECT to_regclass(%s)", (TABLE + NEW,)).fetchone()
    if row != (None,):
        bounds = (TABLE + NEW, part.end, part.start)
        connection.execute("SELECT drop_chunks(%s::regclass, older_than => %s, newer_than => %s)", bounds)


class RollupTable:
    """Hours as rows of a table."""

    def close(self, connection: psycopg.Connection[Any], start: datetime, end: datetime) -> int:
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            cursor.execute(_roll_up_queries()[0], {"start": start, "end": end})
            rollup.completed(connection, end)
            return cursor.rowcount

    def mend(self, connection: psycopg.Connection[Any], newest: int) -> int:
        written, until_s = 0, monotonic() + rollup.RUN_S
        while monotonic() < until_s:
            with connection.transaction():
                cursor = psycopg.Cursor(connection)
                cursor.execute(
                    # All entries of an hour at once: a device that catches up writes one in every batch. Entry by
                    # entry through the index (OFFSET 0 keeps it so): of a log that is empty most of the time the
                    # planner believes that it is, and would read all of it again for each of its entries.
                    """DELETE FROM tds_new_horasuja WHERE ctid = ANY (ARRAY (
                           SELECT late.ctid FROM (
                               SELECT device_id, hour FROM tds_new_horasuja WHERE id <= %(newest)s
                               GROUP BY device_id, hour LIMIT %(limit)s) AS due
                           CROSS JOIN LATERAL (
                               SELECT entry.ctid FROM tds_new_horasuja AS entry
                               WHERE entry.device_id = due.device_id AND entry.hour = due.hour
                                   AND entry.id <= %(newest)s OFFSET 0) AS late))
                       RETURNING device_id, hour""",
                    {"newest": newest, "limit": DIRTY_A_STEP},
                    prepare=False,  # planned for the log as large as it is now
                )
                late = cursor.fetchall()
                if not late:
                    break
                columns = {"devices": [row[0] for row in late], "hours": [row[1] for row in late]}
                cursor.execute(_roll_up_queries()[1], columns)
                written += cursor.rowcount
                cursor.execute(query("mended"), columns)
        return written

    def rebuild(self, connection: psycopg.Connection[Any], start: datetime, end: datetime) -> int:
        window = {"start": start, "end": end}
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            cursor.execute("DELETE FROM tds_new_leiturahora WHERE hour >= %(start)s AND hour < %(end)s", window)
            cursor.execute(_roll_up_queries()[0], window)
            written = cursor.rowcount
            cursor.execute(query("mended_all"), window)
        return written


ROLLUP: Final = RollupTable()


@cache
def _roll_up_queries() -> tuple[str, str]:
    closing = """SELECT device_id, metric_id, time, value FROM tds_new_leituradispositivo
                 WHERE time >= %(start)s AND time < %(end)s"""
    closing_query, late_query = (
        query("roll_up").format(
            aggregate=query("aggregate").format(
                keys="device_id, metric_id, ", hour="date_trunc('hour', time, 'UTC')", rows=rows
            )
        )
        for rows in (closing, query("late_rows"))
    )
    return closing_query, late_query


def partition_name(day: datetime) -> str:
    return f"{TABLE}_p{day:%Y%m%d}"
