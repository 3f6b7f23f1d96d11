"""The native store: one partition a UTC day, and hours aggregated into a table by the worker."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg import errors, sql

from tds.readings import rollup
from tds.readings.hours import first_hour_from, on_the_hour
from tds.readings.pgbinary import FLOAT8, INT8, TIMESTAMPTZ, PackedArray, PackedArrayDumper, packed
from tds.readings.store import HourOfReadings, LatestReading, MissingPartitionError, Rows, Series, Stored

TABLE: Final = "tds_new_leituradispositivo"
DAYS_AHEAD: Final = 3  # partitions made before they are needed: a worker may be away for a weekend
DAY: Final = timedelta(days=1)
# A late row's hour counts as changed a little longer than needed: its transaction may have begun before the moment.
CHANGE_OVERLAP: Final = timedelta(seconds=60)
ADVISORY_LOCK: Final = 0x7D5_0002  # who makes partitions


@cache
def query(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def hours_query() -> str:
    aggregate = query("aggregate").format(zone="%(zone)s", rows=query("fresh_rows"))
    return query("hours").format(aggregate=aggregate)


class PartitionStore:
    """`ReadingStore` on plain PostgreSQL 15 or later."""

    name = "native"

    def __init__(self, retention: timedelta) -> None:
        self.retention = retention

    def insert(self, connection: psycopg.Connection[Any], rows: Rows) -> Stored:
        if not len(rows):
            return Stored(0, Counter())
        cursor = psycopg.Cursor(connection)
        cursor.adapters.register_dumper(PackedArray, PackedArrayDumper)
        parameters = (
            packed(INT8, rows.devices),
            packed(INT8, rows.metrics),
            packed(TIMESTAMPTZ, rows.times_us),
            packed(FLOAT8, rows.values),
        )
        rollup.keep_open(connection)
        try:
            cursor.execute(query("insert"), (*parameters, len(rows)))
        except errors.CheckViolation as error:
            if error.diag.constraint_name is None and error.diag.table_name == TABLE:
                raise MissingPartitionError from error
            raise
        stored, new_devices = cursor.fetchone() or (0, None)
        duplicates: Counter[int] = Counter()
        if stored < len(rows):
            duplicates = Counter(rows.devices)
            duplicates.subtract(new_devices or ())
        return Stored(stored, duplicates)

    def hours(
        self,
        connection: psycopg.Connection[Any],
        series: Sequence[Series],
        start: datetime,
        end: datetime,
        *,
        zone: str,
    ) -> list[HourOfReadings]:
        # The rollup's hours are UTC's. Where a zone's are not, its tenants' charts read the rows: right, but slower.
        hours_zone = ZoneInfo(zone)
        # Whole hours, or the rows of the first and last one would give other sums than the rollup.
        start, end = first_hour_from(start, hours_zone), first_hour_from(end, hours_zone)
        rollup_fits = on_the_hour(hours_zone, start, end)
        parameters = {"start": start, "end": end, "zone": "UTC" if rollup_fits else zone, "rollup": rollup_fits}
        cursor = psycopg.Cursor(connection)
        cursor.execute(hours_query(), _columns(series) | parameters, binary=True)
        rows = cursor.fetchall()
        begins = {seconds: datetime.fromtimestamp(seconds, UTC) for seconds in {row[2] for row in rows}}
        return [HourOfReadings(device, metric, begins[seconds], *rest) for device, metric, seconds, *rest in rows]

    def latest(self, connection: psycopg.Connection[Any], series: Sequence[Series]) -> list[LatestReading]:
        cursor = psycopg.Cursor(connection)
        cursor.execute(query("latest"), _columns(series))
        return [LatestReading(*row) for row in cursor]

    def open_since(self, connection: psycopg.Connection[Any]) -> datetime:
        return rollup.complete_before(connection)

    def changed_since(
        self, connection: psycopg.Connection[Any], series: Sequence[Series], start: datetime, moment: datetime
    ) -> datetime | None:
        cursor = psycopg.Cursor(connection)
        limits = {"start": start, "end": self.open_since(connection), "moment": moment - CHANGE_OVERLAP}
        cursor.execute(query("changed_since"), _columns(series) | limits)
        row = cursor.fetchone()
        return row[0] if row else None

    def roll_up(self, connection: psycopg.Connection[Any], *, now: datetime) -> int:
        return rollup.run(connection, oldest=day_of(now - self.retention), now=now)

    def prepare(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        if not self._missing(connection, now):
            return []
        # Worker, consumer and web may all be first; `IF NOT EXISTS` alone fails when two make the same one at once.
        connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        try:
            missing = self._missing(connection, now)
            self._make(connection, missing)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))
        return [partition_name(day) for day in missing]

    def _missing(self, connection: psycopg.Connection[Any], now: datetime) -> list[datetime]:
        existing = self._partitions(connection)
        first = day_of(now - self.retention)
        days = (first + DAY * n for n in range((day_of(now) - first).days + DAYS_AHEAD + 1))
        return [day for day in days if partition_name(day) not in existing]

    def _make(self, connection: psycopg.Connection[Any], days: Sequence[datetime]) -> None:
        for day in days:
            statement = sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                sql.Identifier(partition_name(day)),
                sql.Identifier(TABLE),
                sql.Literal(day.isoformat()),
                sql.Literal((day + DAY).isoformat()),
            )
            with connection.transaction():
                connection.execute(statement)

    def expire(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        oldest_kept = day_of(now - self.retention)
        dropped = [name for name in self._partitions(connection) if name < partition_name(oldest_kept)]
        for name in dropped:
            with connection.transaction():
                # Another worker may have been faster.
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
        with connection.transaction():
            connection.execute("DELETE FROM tds_new_leiturahora WHERE hour < %s", (oldest_kept,))
        return dropped

    def _partitions(self, connection: psycopg.Connection[Any]) -> list[str]:
        rows = psycopg.Cursor(connection).execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", (TABLE,)
        )
        return [name for (name,) in rows]


def day_of(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def partition_name(day: datetime) -> str:
    return f"{TABLE}_p{day:%Y%m%d}"


def _columns(series: Sequence[Series]) -> dict[str, Any]:
    return {"devices": [s.device_id for s in series], "metrics": [s.metric_id for s in series]}
