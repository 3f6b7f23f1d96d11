"""Moves the readings of a native store into TimescaleDB, while everything goes on.

A trigger writes each new batch into both tables. Then the days are copied, the oldest first, checked and compressed;
then the hours are aggregated; and a short transaction, for which writers wait, gives the new tables the old names.
Killed at any moment it goes on where it was when it is begun again: what is copied is found, not remembered. So it does
when it stops by itself: before it takes the room on disk that ingest needs, or when others do not let go of a table.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import errors

from tds.readings import rollup, timescale
from tds.readings.budget import day_of
from tds.readings.dropped import DROPPING_LOCK
from tds.readings.hours import HOUR
from tds.readings.partitions import DAY, NEW
from tds.readings.sqlstore import TABLE
from tds.readings.timescale import COMPRESS_AFTER, HOURS

OLD: Final = "_antigo"
FUNCTION: Final = "tds_new_leitura_tambem_no_novo"
LOCK_TIMEOUT_MS: Final = 3_000  # writers and charts wait behind whoever waits for a lock
ATTEMPTS: Final = 60  # of what needs a lock, each of LOCK_TIMEOUT_MS at most
HOURS_A_DAY: Final = 24
GO_ON: Final = "What is copied stays: make room and begin again, or take the move back with --abort, which frees it."
IN_USE: Final = "Something has held the readings for minutes, a backup perhaps."

# Why the disk should not take so many bytes more, in a sentence; empty when it may.
Shortage = Callable[[int], str]


class CannotMoveError(Exception):
    """Why the move can't be made, in a sentence."""


class StoppedError(Exception):
    """Why a move ended before its end, and what to do, in a sentence."""


class RowsDifferError(Exception):
    """A day that was copied does not have the rows that it should: a fault of ours, and nothing was switched."""


@dataclass(frozen=True, slots=True)
class Day:
    """A partition of the native store."""

    start: datetime
    size_bytes: int


def check(connection: psycopg.Connection[Any]) -> None:
    """Raises CannotMoveError."""
    if timescale.in_use(connection):
        raise CannotMoveError("The readings are in TimescaleDB already; there is nothing to move.")
    if not timescale.available(connection):
        raise CannotMoveError(
            "This PostgreSQL has not loaded TimescaleDB: install it for this PostgreSQL version, add timescaledb to "
            "shared_preload_libraries and restart the database (./tds up does both when the library is installed)."
        )


def days(connection: psycopg.Connection[Any]) -> list[Day]:
    """The days to copy, the oldest first."""
    rows = psycopg.Cursor(connection).execute(
        """SELECT right(inhrelid::regclass::text, 8), pg_total_relation_size(inhrelid)
           FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1""",
        (TABLE,),
    )
    return [Day(datetime.strptime(f"{day}+0000", "%Y%m%d%z"), size) for day, size in rows]


def left_over(connection: psycopg.Connection[Any]) -> int | None:
    """The bytes of the native tables that a move switched away from and was ended before it dropped; None: no such."""
    if not timescale.in_use(connection) or not _exists(connection, TABLE + OLD):
        return None
    row = psycopg.Cursor(connection).execute(
        """SELECT COALESCE(sum(pg_total_relation_size(inhrelid)), 0)::int8 + pg_total_relation_size(%s::regclass)
           FROM pg_inherits WHERE inhparent = %s::regclass""",
        (HOURS + OLD, TABLE + OLD),
    )
    (size_bytes,) = row.fetchone() or (0,)
    return int(size_bytes)


def move(
    connection: psycopg.Connection[Any],
    *,
    now: datetime,
    step: Callable[[str, Day | None], None],
    shortage: Shortage = lambda _more_bytes: "",
) -> None:
    """All of it. `step` is told what has been done: ("copied", day) for each day, then "aggregated", "switched".

    Raises CannotMoveError, StoppedError, RowsDifferError.
    """
    if left_over(connection) is not None:
        clean_up(connection)
        return
    check(connection)
    connection.execute("SET statement_timeout = 0")
    with _disk_full_said():
        _begin(connection)
        for day in days(connection):
            _copy(connection, day, shortage)
            if day.start + DAY <= day_of(now - COMPRESS_AFTER):
                _stop_for_want_of_room(shortage, day.size_bytes)  # it is sorted on disk
                _compress(connection, day.start)
            step("copied", day)
        # From here on no hour is closed or mended in the old tables: what comes late stays in the log for the new ones.
        with rollup.alone(connection):
            _aggregate(connection, shortage)
            step("aggregated", None)
            _switch(connection)
    step("switched", None)
    clean_up(connection)


def abort(connection: psycopg.Connection[Any]) -> None:
    """Take back a move that was begun and not switched."""
    if left_over(connection) is not None:
        raise CannotMoveError(
            "The move is done and can't be taken back: what came since is in TimescaleDB alone. "
            "./tds readings move-to-timescaledb drops what is left of the native tables."
        )
    if timescale.in_use(connection):
        raise CannotMoveError("The move is done; the native tables are gone.")

    def drop() -> None:
        connection.execute(f"DROP FUNCTION IF EXISTS {FUNCTION} CASCADE")
        connection.execute(f"DROP MATERIALIZED VIEW IF EXISTS {HOURS}{NEW}")
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}{NEW}")
        connection.execute("DROP AGGREGATE IF EXISTS tds_new_counted(float8)")
        connection.execute("DROP FUNCTION IF EXISTS tds_new_counted(float8[], float8)")

    _with_locks(connection, drop, otherwise=f"{IN_USE} Nothing was taken back: try again.")


def clean_up(connection: psycopg.Connection[Any]) -> None:
    """Drop the native tables that a switch left. Raises StoppedError."""

    def drop() -> None:
        # Whoever counts all rows may have begun before the switch.
        connection.execute("SET LOCAL lock_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (DROPPING_LOCK,))
        connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}{OLD}, {HOURS}{OLD}")
        connection.execute(f"DROP FUNCTION IF EXISTS {FUNCTION} CASCADE")

    otherwise = f"The readings are in TimescaleDB. {IN_USE} Begin again later to drop the native tables that are left."
    _with_locks(connection, drop, otherwise=otherwise)


def _begin(connection: psycopg.Connection[Any]) -> None:
    """The new tables, and the trigger: in one transaction, so there is never one without the other."""
    if _exists(connection, TABLE + NEW):
        return
    # Committed by itself: a session in which its making was rolled back can't make the hours any more.
    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")

    def make() -> None:
        # Waits for the batches under way, so every row is either there for the copy or seen by the trigger.
        connection.execute(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        timescale.create(connection, suffix=NEW)
        connection.execute(
            f"""CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    INSERT INTO {TABLE}{NEW} SELECT device_id, metric_id, time, value FROM fresh
                    ON CONFLICT DO NOTHING;
                    RETURN NULL;
                END $$"""  # noqa: S608  # our own words
        )
        connection.execute(
            f"""CREATE TRIGGER {FUNCTION} AFTER INSERT ON {TABLE} REFERENCING NEW TABLE AS fresh
                FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()"""
        )

    _with_locks(connection, make, otherwise=f"{IN_USE} Nothing was begun: try again.")


def _copy(connection: psycopg.Connection[Any], day: Day, shortage: Shortage) -> None:
    start = day.start
    if _same(connection, start):
        return
    for hour in range(HOURS_A_DAY):
        _stop_for_want_of_room(shortage, day.size_bytes // HOURS_A_DAY)
        window = {"start": start + hour * HOUR, "end": start + (hour + 1) * HOUR}
        with connection.transaction():
            connection.execute(
                f"""INSERT INTO {TABLE}{NEW} SELECT device_id, metric_id, time, value FROM {TABLE}
                    WHERE time >= %(start)s AND time < %(end)s ON CONFLICT DO NOTHING""",  # noqa: S608  # our own words
                window,
            )
    if not _same(connection, start):
        raise RowsDifferError(f"{start:%Y-%m-%d} was copied and does not hold the same rows; nothing was switched.")


def _same(connection: psycopg.Connection[Any], start: datetime) -> bool:
    """One statement, so one moment: the trigger keeps both alike. A day that retention drops meanwhile is alike."""
    window = {"start": start, "end": start + DAY}
    of_day = "WHERE time >= %(start)s AND time < %(end)s"
    row = psycopg.Cursor(connection).execute(
        f"SELECT (SELECT count(*) FROM {TABLE} {of_day}) <= (SELECT count(*) FROM {TABLE}{NEW} {of_day})",  # noqa: S608  # our own words
        window,
    )
    return row.fetchone() == (True,)


def _compress(connection: psycopg.Connection[Any], start: datetime) -> None:
    with connection.transaction():
        connection.execute(
            """SELECT compress_chunk(chunk, if_not_compressed => true)
               FROM show_chunks(%s::regclass, newer_than => %s, older_than => %s) AS chunk""",
            (TABLE + NEW, start, start + DAY),
        )


def _aggregate(connection: psycopg.Connection[Any], shortage: Shortage) -> None:
    end = rollup.complete_before(connection)
    for day in days(connection):
        if day.start < end:
            _stop_for_want_of_room(shortage, 0)
            timescale.refresh(connection, day.start, min(day.start + DAY, end), hours=HOURS + NEW)


def _switch(connection: psycopg.Connection[Any]) -> None:
    def rename() -> None:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (DROPPING_LOCK,))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (rollup.WRITERS_LOCK,))
        connection.execute(f"LOCK TABLE {TABLE}, {HOURS}, {TABLE}{NEW} IN ACCESS EXCLUSIVE MODE")
        connection.execute(f"DROP TRIGGER {FUNCTION} ON {TABLE}")
        connection.execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}{OLD}")
        connection.execute(f"ALTER TABLE {HOURS} RENAME TO {HOURS}{OLD}")
        connection.execute(f"ALTER TABLE {TABLE}{NEW} RENAME TO {TABLE}")
        connection.execute(f"ALTER MATERIALIZED VIEW {HOURS}{NEW} RENAME TO {HOURS}")

    _with_locks(connection, rename, otherwise=f"{IN_USE} All is copied and nothing was switched: begin again to go on.")


def _with_locks(connection: psycopg.Connection[Any], work: Callable[[], None], *, otherwise: str) -> None:
    """Do it in one transaction, which gives way soon when it does not get a lock, and is tried again.

    Raises StoppedError with what to say `otherwise`.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                work()
        except errors.LockNotAvailable as error:
            if attempt == ATTEMPTS:
                raise StoppedError(otherwise) from error
        else:
            return


def _stop_for_want_of_room(shortage: Shortage, more_bytes: int) -> None:
    if sentence := shortage(more_bytes):
        raise StoppedError(f"{sentence} {GO_ON}")


@contextmanager
def _disk_full_said() -> Iterator[None]:
    try:
        yield
    except errors.DiskFull as error:
        raise StoppedError(f"The disk of the database is full. {GO_ON}") from error


def _exists(connection: psycopg.Connection[Any], table: str) -> bool:
    return psycopg.Cursor(connection).execute("SELECT to_regclass(%s)", (table,)).fetchone() != (None,)
