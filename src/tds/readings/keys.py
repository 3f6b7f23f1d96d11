"""Keys that became half empty while their day was filled, made anew.

Readings arrive in the order of time, and their key is by device: each lands in the middle of the key, where a full page
is split in two halves that nobody fills again. Over a day that makes the key larger than the rows. Made anew from the
sorted rows it is half as large, and so are the pages that a chart reads from it.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from tds.readings.store import Part

logger = logging.getLogger("tds.readings")

REBUILD_AFTER: Final = timedelta(hours=2)  # of the day's end, when gateways that were away for a while have caught up
MAX_SHARE: Final = 0.9  # of the rows' bytes; a key that is full has two thirds of them
MIN_KEY_BYTES: Final = 8_388_608  # a smaller one is not worth it


def is_half_empty(rows_bytes: int, key_bytes: int) -> bool:
    """Pure."""
    return key_bytes >= MIN_KEY_BYTES and key_bytes > MAX_SHARE * rows_bytes


def rebuild_one(connection: psycopg.Connection[Any], parts: Iterable[Part], *, now: datetime) -> list[str]:
    """Make the key of the newest part that needs it anew, while it is read and written; the part's name, or nothing.

    One a call: it takes a minute for 30 million rows. Needs a connection in autocommit.
    """
    for part in sorted(parts, key=lambda part: part.start, reverse=True):
        if part.end + REBUILD_AFTER > now:
            continue
        _drop_left_over(connection, part.name)
        key, rows_bytes, key_bytes = _sizes(connection, part.name)
        if key is not None and is_half_empty(rows_bytes, key_bytes):
            return [part.name] if _rebuild(connection, key) else []
    return []


def _sizes(connection: psycopg.Connection[Any], table: str) -> tuple[sql.Identifier | None, int, int]:
    """The primary key's index, and the bytes of the rows and of it; no index when the part has gone meanwhile."""
    cursor = psycopg.Cursor(connection).execute(
        """SELECT n.nspname, c.relname, pg_relation_size(i.indrelid), pg_relation_size(c.oid)
           FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
           JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE i.indrelid = to_regclass(%s) AND i.indisprimary""",
        (table,),
    )
    for schema, name, rows_bytes, key_bytes in cursor:
        return sql.Identifier(schema, name), rows_bytes or 0, key_bytes or 0
    return None, 0, 0


def _rebuild(connection: psycopg.Connection[Any], key: sql.Identifier) -> bool:
    try:
        connection.execute(sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(key))
    except (errors.LockNotAvailable, errors.QueryCanceled, errors.UndefinedTable, errors.DiskFull) as error:
        logger.warning("The key of a day was not made anew; it stays as large as it is. %s", error)
        return False
    return True


def _drop_left_over(connection: psycopg.Connection[Any], table: str) -> None:
    """What a rebuild that was broken off left behind: an index that nobody reads and every writer fills."""
    found = psycopg.Cursor(connection).execute(
        """SELECT n.nspname, c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
           JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE i.indrelid = to_regclass(%s) AND NOT i.indisvalid AND c.relname ~ '_ccnew[0-9]*$|_ccold[0-9]*$'""",
        (table,),
    )
    for schema, name in found.fetchall():
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name)))
