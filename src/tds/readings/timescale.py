"""The TimescaleDB store: a hypertable, compressed when it is a week old, and a continuous aggregate by the hour.

Late rows are logged and hours are closed as in the native store (rollup.py): TimescaleDB alone would show an hour
without them until its next refresh. Compressing and refreshing is the worker's, not a policy of TimescaleDB's: it
then happens at the platform's `now`, one thing at a time, and shows in its log.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import errors, sql

from tds.readings import clock, kept, keys, rollup
from tds.readings.budget import NO_BUDGET, Budget, PartSize, day_of, oldest_kept
from tds.readings.dropped import PATIENCE_MS, may_drop, note_dropped
from tds.readings.hours import HOUR
from tds.readings.sqlstore import TABLE, SqlStore, query
from tds.readings.store import Part

logger = logging.getLogger("tds.readings")

HOURS: Final = "tds_new_leiturahora"
COMPRESS_AFTER: Final = timedelta(days=7)
LATE_ENTRIES_A_STEP: Final = 20_000
MENDED_AT_ONCE: Final = 6  # hours at most: of a small fleet many are quick, of a large one each is long
QUICK_S: Final = 1.0
# Of a chunk's status: compressed at all, and with rows that came later and are not compressed.
COMPRESSED, PARTIAL = 1, 8


class LateEntry(NamedTuple):
    """Of the log of late rows."""

    id: int
    device_id: int
    hour: datetime


class TimescaleStore(SqlStore):
    """`ReadingStore` on PostgreSQL with TimescaleDB 2.18 or later."""

    name = "timescaledb"

    def __init__(self, retention: timedelta, budget: Budget = NO_BUDGET) -> None:
        super().__init__()
        self.retention = retention
        self.budget = budget

    def roll_up(self, connection: psycopg.Connection[Any], *, now: datetime) -> int:
        oldest = oldest_kept(self.retention, kept.kept_since(connection), now=now)
        oldest = clock.first_reading(connection, self.parts(connection), oldest)
        return rollup.run(connection, AGGREGATE, oldest=oldest, now=now)

    def rebuild(
        self, connection: psycopg.Connection[Any], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, int]]:
        return rollup.rebuild(connection, AGGREGATE, since, until)

    def size(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        row = psycopg.Cursor(connection).execute(
            """SELECT approximate_row_count(%(rows)s::regclass), hypertable_size(%(rows)s::regclass)
                   + (SELECT hypertable_size(format('%%I.%%I', materialization_hypertable_schema,
                                                    materialization_hypertable_name)::regclass)
                      FROM timescaledb_information.continuous_aggregates WHERE view_name = %(hours)s)""",
            {"rows": TABLE, "hours": HOURS},
        )
        rows, size = row.fetchone() or (0, 0)
        return int(rows), int(size)

    def prepare(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:  # noqa: ARG002  # the interface
        return []  # chunks are made when the first row comes

    def compact(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        compressed = []
        for chunk, _ in _chunks_to_compress(connection, now):
            with connection.transaction():
                if not may_drop(connection):
                    break  # who counts all rows would miss those that go into another table
                # As long as it takes: late rows of that day wait, or go to the spool.
                connection.execute("SET LOCAL statement_timeout = 0")
                connection.execute("SELECT compress_chunk(%s::regclass, if_not_compressed => true)", (chunk,))
            compressed.append(chunk)
        return compressed + keys.rebuild_one(connection, self.parts(connection), now=now)

    def expire(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        sizes = self._lasting_sizes(connection, now) if self.budget.max_bytes else []
        since = kept.decided(connection, sizes, self.budget, self.retention, now=now)
        due = [part for part in self.parts(connection) if part.end <= since]
        dropped = [part.name for part in due if self._drop(connection, part, now)]
        with connection.transaction():
            before = kept.first_there(self.parts(connection), since)
            connection.execute("SELECT drop_chunks(%s::regclass, older_than => %s)", (HOURS, before))
            connection.execute("DELETE FROM tds_new_horaemendada WHERE hour < %s", (before,))
        return dropped

    def _lasting_sizes(self, connection: psycopg.Connection[Any], now: datetime) -> list[PartSize]:
        """As `sizes`, but what is due to be compressed and is not yet counts as nothing.

        While that has to wait, or fails, a day is ten times as large as it will be: a cut-off that it moved would stay.
        """
        due = _chunks_to_compress(connection, now)
        passing = {start: _bytes_to_compress(connection, chunk) for chunk, start in due}
        return [
            part._replace(size_bytes=max(0, part.size_bytes - passing.get(part.start, 0)))
            for part in self.sizes(connection)
        ]

    def sizes(self, connection: psycopg.Connection[Any]) -> list[PartSize]:
        cursor = psycopg.Cursor(connection).execute(
            """WITH hours AS (
                   SELECT c.range_start, sum(s.total_bytes) AS total_bytes
                   FROM timescaledb_information.continuous_aggregates AS a
                   JOIN timescaledb_information.chunks AS c
                     ON (c.hypertable_schema, c.hypertable_name)
                      = (a.materialization_hypertable_schema, a.materialization_hypertable_name)
                   CROSS JOIN LATERAL chunks_detailed_size(
                       format('%%I.%%I', c.hypertable_schema, c.hypertable_name)::regclass) AS s
                   WHERE a.view_name = %(hours)s AND s.chunk_name = c.chunk_name GROUP BY 1
               )
               SELECT c.range_start, c.range_end,
                      (COALESCE(s.total_bytes, 0) + COALESCE(h.total_bytes, 0))::int8
               FROM timescaledb_information.chunks AS c
               LEFT JOIN chunks_detailed_size(%(rows)s::regclass) AS s USING (chunk_schema, chunk_name)
               LEFT JOIN hours AS h USING (range_start)
               WHERE c.hypertable_name = %(name)s ORDER BY 1""",
            {"rows": TABLE, "name": TABLE, "hours": HOURS},
        )
        return [PartSize(*row) for row in cursor]

    def _drop(self, connection: psycopg.Connection[Any], part: Part, now: datetime) -> bool:
        """False when it has to wait for the next time, or another worker was faster."""
        try:
            with connection.transaction():
                if not may_drop(connection) or part not in self.parts(connection):
                    return False
                note_dropped(connection, part.name, now=now)
                connection.execute(
                    "SELECT drop_chunks(%s::regclass, older_than => %s, newer_than => %s)",
                    (TABLE, part.end, part.start),
                )
        except errors.LockNotAvailable:
            logger.warning("%s is in use for more than %d ms; it is dropped the next time.", part.name, PATIENCE_MS)
            return False
        return True

    def parts(self, connection: psycopg.Connection[Any]) -> list[Part]:
        cursor = psycopg.Cursor(connection).execute(
            """SELECT chunk_schema || '.' || chunk_name, range_start, range_end
               FROM timescaledb_information.chunks WHERE hypertable_name = %s ORDER BY range_start""",
            (TABLE,),
        )
        return [Part(*row) for row in cursor]


class ContinuousAggregate:
    """Hours in TimescaleDB's own keeping. A refresh is no part of a transaction: what follows it may come again."""

    def close(self, connection: psycopg.Connection[Any], start: datetime, end: datetime) -> int:
        refresh(connection, start, end)
        rollup.completed(connection, end)
        return _hours_of_series(psycopg.Cursor(connection), start, end)

    def mend(self, connection: psycopg.Connection[Any], newest: int) -> int:
        # An hour is aggregated whole, for all series, however few of its rows are late.
        written, at_once, until_s = 0, 1, monotonic() + rollup.RUN_S
        while late := _late_entries(connection, newest):
            waiting: dict[datetime, list[LateEntry]] = {}  # by hour, what waits longest first
            for entry in late:
                waiting.setdefault(entry.hour, []).append(entry)
            while waiting:
                began_s = monotonic()
                hours = next_to_mend(list(waiting), at_once)
                refresh(connection, hours[0], hours[-1] + HOUR)
                written += _mended(connection, [entry for hour in hours for entry in waiting.pop(hour)])
                if monotonic() >= until_s:
                    return written
                at_once = min(2 * at_once, MENDED_AT_ONCE) if monotonic() - began_s < QUICK_S else max(1, at_once // 2)
        return written

    def rebuild(self, connection: psycopg.Connection[Any], start: datetime, end: datetime) -> int:
        refresh(connection, start, end, force=True)
        cursor = psycopg.Cursor(connection)
        cursor.execute(query("mended_all"), {"start": start, "end": end})
        return _hours_of_series(cursor, start, end)


AGGREGATE: Final = ContinuousAggregate()


def next_to_mend(waiting: Sequence[datetime], at_most: int) -> list[datetime]:
    """The hour that waits longest, which is the first one, and others that wait next to it; ascending. Pure."""
    first = last = waiting[0]
    others = {*waiting}
    while (last - first) // HOUR + 1 < at_most:
        if last + HOUR in others:
            last += HOUR
        elif first - HOUR in others:
            first -= HOUR
        else:
            break
    return [first + n * HOUR for n in range((last - first) // HOUR + 1)]


def available(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has TimescaleDB's files and has loaded its library."""
    row = psycopg.Cursor(connection).execute(
        """SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
               AND current_setting('timescaledb.disable_load', true) IS NOT NULL"""
    )
    return row.fetchone() == (True,)


def in_use(connection: psycopg.Connection[Any]) -> bool:
    """Whether the readings' table is a hypertable: the native one is partitioned."""
    row = psycopg.Cursor(connection).execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (TABLE,))
    return row.fetchone() == ("r",)


def create(connection: psycopg.Connection[Any], *, suffix: str = "") -> None:
    """Make the tables in the caller's transaction, under their names and a suffix, on a server that has the library."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    connection.execute(query("hypertable").replace(TABLE, TABLE + suffix))
    connection.execute(query("hourly_view").replace(TABLE, TABLE + suffix).replace(HOURS, HOURS + suffix))
    # A batch of late rows may touch thousands of compressed series: a limit would refuse it for ever.
    name = psycopg.Cursor(connection).execute("SELECT current_database()").fetchone()
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0").format(
            sql.Identifier(name[0] if name else "")
        )
    )


def _chunks_to_compress(connection: psycopg.Connection[Any], now: datetime) -> list[tuple[str, datetime]]:
    """Their names and beginnings, the oldest first: not compressed yet, or not what came late."""
    cursor = psycopg.Cursor(connection).execute(
        """SELECT format('%%I.%%I', chunk_schema, chunk_name), range_start FROM timescaledb_information.chunks
           WHERE hypertable_name = %s AND range_end <= %s AND _timescaledb_functions.chunk_status(
               format('%%I.%%I', chunk_schema, chunk_name)::regclass) & %s <> %s
           ORDER BY range_start""",
        (TABLE, day_of(now - COMPRESS_AFTER), COMPRESSED | PARTIAL, COMPRESSED),
    )
    return cursor.fetchall()


def _bytes_to_compress(connection: psycopg.Connection[Any], chunk: str) -> int:
    """What is compressed already lies in a table beside it. 0 for a chunk that has gone meanwhile."""
    row = psycopg.Cursor(connection).execute("SELECT pg_total_relation_size(to_regclass(%s))", (chunk,)).fetchone()
    return int((row and row[0]) or 0)


def refresh(
    connection: psycopg.Connection[Any], start: datetime, end: datetime, *, hours: str = HOURS, force: bool = False
) -> None:
    # A procedure that commits takes no parameters from outside; `force`: also where nothing is known to have changed.
    connection.execute(
        sql.SQL("CALL refresh_continuous_aggregate({}, {}, {}, force => {})").format(
            sql.Literal(hours), sql.Literal(start.astimezone(UTC)), sql.Literal(end.astimezone(UTC)), sql.Literal(force)
        )
    )


def _hours_of_series(cursor: psycopg.Cursor[Any], start: datetime, end: datetime) -> int:
    cursor.execute("SELECT count(*) FROM tds_new_leiturahora WHERE hour >= %s AND hour < %s", (start, end))
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def _late_entries(connection: psycopg.Connection[Any], newest: int) -> list[LateEntry]:
    cursor = psycopg.Cursor(connection).execute(
        "SELECT id, device_id, hour FROM tds_new_horasuja WHERE id <= %s ORDER BY id LIMIT %s",
        (newest, LATE_ENTRIES_A_STEP),
    )
    return [LateEntry(*row) for row in cursor]


def _mended(connection: psycopg.Connection[Any], late: Sequence[LateEntry]) -> int:
    """Take them out of the log once their hours are aggregated; the number of hours of devices."""
    columns = {"devices": [entry.device_id for entry in late], "hours": [entry.hour for entry in late]}
    with connection.transaction():
        cursor = psycopg.Cursor(connection)
        # Exactly those: an entry with a lower id may have been committed since, for rows not refreshed yet.
        cursor.execute("DELETE FROM tds_new_horasuja WHERE id = ANY(%s)", ([entry.id for entry in late],))
        cursor.execute(query("mended"), columns)
    return len({(entry.device_id, entry.hour) for entry in late})
