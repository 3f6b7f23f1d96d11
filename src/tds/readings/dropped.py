"""Counts the readings that are dropped, so that the ledger can be compared with what is there.

Counted row by row from what is dropped: the aggregated hours may still lack late rows, and a count kept beside the
rows would hide the very loss that the comparison is to find.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import sql

logger = logging.getLogger("tds.readings")

DROPPING_LOCK: Final = 0x7D5_0004  # alone: who drops; shared: who counts all rows, which must not vanish meanwhile
PATIENCE_MS: Final = 2_000  # all readers and writers wait behind whoever waits to drop, so it gives up soon
MAX_COUNT_MS: Final = 1_800_000  # of one part; 40 M rows take some 5 s


def may_drop(connection: psycopg.Connection[Any]) -> bool:
    """Inside a transaction, before anything is dropped; False while a check counts or another process drops."""
    row = psycopg.Cursor(connection).execute("SELECT pg_try_advisory_xact_lock(%s)", (DROPPING_LOCK,)).fetchone()
    return row == (True,)


def note_dropped(connection: psycopg.Connection[Any], part: str, *, now: datetime) -> int:
    """Write down by tenant how many readings a table holds that the same transaction drops next; how many in all.

    `part` is a table with a device_id: a partition or a chunk, its name as PostgreSQL prints a regclass. Until the
    COMMIT nobody writes into it. Who drops a day that ingest still accepts must stop that first: a writer that waits
    here holds the whole table, and the two would be a deadlock. Raises psycopg.errors.LockNotAvailable.
    """
    cursor = psycopg.Cursor(connection)
    cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}; SET LOCAL statement_timeout = {MAX_COUNT_MS}")
    cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(table(part)))
    by_tenant = counted_by_tenant(connection, part)
    cursor.executemany(
        """INSERT INTO tds_new_ledgerdropped AS d (tenant_id, day, rows) VALUES (%s, %s, %s)
           ON CONFLICT (tenant_id, day) DO UPDATE SET rows = d.rows + EXCLUDED.rows""",
        [(tenant_id, now.astimezone(UTC).date(), rows) for tenant_id, rows in sorted_by_tenant(by_tenant)],
    )
    return by_tenant.total()


def counted_by_tenant(connection: psycopg.Connection[Any], part: str) -> Counter[int | None]:
    """The rows of one part by tenant; None: of devices that are gone. Raises psycopg.Error."""
    # Grouped before it is joined: PostgreSQL spreads that over its workers, which it does not for an INSERT.
    cursor = psycopg.Cursor(connection).execute(
        sql.SQL(
            """SELECT g.tenant_id, sum(r.n)::int8
               FROM (SELECT device_id, count(*) AS n FROM {} GROUP BY device_id) AS r
               LEFT JOIN tds_new_device AS d ON d.id = r.device_id
               LEFT JOIN tds_new_gateway AS g ON g.id = d.gateway_id
               GROUP BY g.tenant_id"""
        ).format(table(part))
    )
    return Counter(dict(cursor.fetchall()))


def sorted_by_tenant(by_tenant: Mapping[int | None, int]) -> list[tuple[int | None, int]]:
    """In one order everywhere: two writers can't deadlock."""
    return sorted(by_tenant.items(), key=lambda item: (item[0] is not None, item[0] or 0))


def table(part: str) -> sql.Composable:
    """A table's name with its schema, if it has one."""
    return sql.SQL(".").join(map(sql.Identifier, part.split(".")))
