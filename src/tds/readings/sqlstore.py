"""What both stores do alike: their tables have the same names and columns, so one SQL writes and reads them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg import errors

from tds.readings import kept, rollup
from tds.readings.hours import first_instant_from, hour_of, minutes_past
from tds.readings.optimism import Optimism
from tds.readings.pgbinary import FLOAT8, INT8, TIMESTAMPTZ, PackedArray, PackedArrayDumper, packed
from tds.readings.store import (
    EPOCH,
    MICROSECOND,
    HourOfReadings,
    LatestReading,
    MissingPartitionError,
    Rows,
    Series,
    Stored,
)

TABLE: Final = "tds_new_leituradispositivo"
# A late row's hour counts as changed a little longer than needed: its transaction may have begun before the moment.
CHANGE_OVERLAP: Final = timedelta(seconds=60)


@cache
def query(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")


# What an hour's readings say by their order, and what stands there when nobody asked: the end of HourOfReadings.
IN_ORDER: Final = ", first, last, increase, falls, fell_from"
NOT_ASKED: Final = (0.0, 0.0, 0.0, 0, 0.0)


@cache
def hours_query(*, ordered: bool = True, even: bool = True) -> str:
    """`even`: each hour of the zone begins an hour after the one before, and arithmetic finds it: 75 ns a row less."""
    hour = "date_bin('1 hour', time, %(origin)s)" if even else "date_trunc('hour', time, %(zone)s)"
    aggregate = query("aggregate" if ordered else "aggregate_unordered")
    return query("hours").format(
        aggregate=aggregate.format(keys="", hour=hour, rows=query("fresh_rows")), in_order=IN_ORDER if ordered else ""
    )


class SqlStore:
    """The part of `ReadingStore` that ingest and charts use."""

    name: str

    def __init__(self) -> None:
        self._optimism = Optimism()

    def name_of(self, connection: psycopg.Connection[Any]) -> str:  # noqa: ARG002  # the interface
        return self.name

    def insert(self, connection: psycopg.Connection[Any], rows: Rows) -> Stored:
        if not len(rows):
            return Stored(0, Counter())
        cursor = psycopg.Cursor(connection)
        cursor.adapters.register_dumper(PackedArray, PackedArrayDumper)
        oldest = EPOCH + min(rows.times_us) * MICROSECOND
        parameters = {
            "devices": packed(INT8, rows.devices),
            "metrics": packed(INT8, rows.metrics),
            "times": packed(TIMESTAMPTZ, rows.times_us),
            "values": packed(FLOAT8, rows.values),
            "oldest": oldest,
            "rows": len(rows),
        }
        rollup.keep_open(connection)
        try:
            if self._optimism.suits(len(rows)) and self._all_new(cursor, parameters):
                return Stored(len(rows), Counter())
            cursor.execute(query("insert"), parameters)
        except errors.CheckViolation as error:
            if error.diag.constraint_name is None and error.diag.table_name == TABLE:
                raise MissingPartitionError from error
            raise
        stored, new_devices, since = cursor.fetchone() or (0, None, None)
        if since is not None and oldest < since:
            raise MissingPartitionError
        duplicates: Counter[int] = Counter()
        if stored < len(rows):
            duplicates = Counter(rows.devices)
            duplicates.subtract(new_devices or ())
        self._optimism.learn(len(rows), len(rows) - stored)
        return Stored(stored, duplicates)

    def _all_new(self, cursor: psycopg.Cursor[Any], parameters: dict[str, Any]) -> bool:
        """Store a batch the quick way; False, with nothing stored, when the careful one has to look at it."""
        try:
            with cursor.connection.transaction():
                cursor.execute(query("insert_new"), parameters)
                if cursor.rowcount == parameters["rows"]:
                    return True
                raise psycopg.Rollback
        except errors.UniqueViolation:
            self._optimism.disappointed()
        return False

    def kept_since(self, connection: psycopg.Connection[Any]) -> datetime:
        return kept.kept_since(connection)

    def hours(  # noqa: PLR0913  # which hours of what, and how much of them
        self,
        connection: psycopg.Connection[Any],
        series: Sequence[Series],
        start: datetime,
        end: datetime,
        *,
        zone: str,
        ordered: bool = True,
    ) -> list[HourOfReadings]:
        hours_zone = ZoneInfo(zone)
        # Whole hours, or the rows of the first and last one would give other sums than the rollup.
        start, end = first_instant_from(start, hours_zone), first_instant_from(end, hours_zone)
        origin, past = hour_of(start, hours_zone), minutes_past(hours_zone, start, end)
        parameters = {
            "start": start,
            "end": end,
            "zone": zone,
            "origin": origin,
            # The rollup's hours are UTC's. Where a zone's are not, its tenants' charts read the rows: slower.
            "rollup": past == timedelta(0) and origin == start,
        }
        cursor = psycopg.Cursor(connection)
        text = hours_query(ordered=ordered, even=past is not None)
        cursor.execute(text, _columns(series) | parameters, binary=True)
        rows = cursor.fetchall()
        begins = {seconds: datetime.fromtimestamp(seconds, UTC) for seconds in {row[2] for row in rows}}
        blank = () if ordered else NOT_ASKED
        return [
            HourOfReadings(device, metric, begins[seconds], *rest, *blank) for device, metric, seconds, *rest in rows
        ]

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
        limits = {"start": start, "moment": moment - CHANGE_OVERLAP}
        cursor.execute(query("changed_since"), _columns(series) | limits)
        row = cursor.fetchone()
        return row[0] if row else None


def _columns(series: Sequence[Series]) -> dict[str, Any]:
    return {"devices": [s.device_id for s in series], "metrics": [s.metric_id for s in series]}
