"""How long statements wait for locks, where the connection's own limit is the wrong one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

NO_LIMIT: Final = 0


@contextmanager
def changed(connection: psycopg.Connection[Any], **limits_ms: int) -> Iterator[None]:
    """In here with `lock_timeout` or `statement_timeout` as given in ms (0: none), afterwards with those of before.

    Inside a transaction too: what SET LOCAL sets would hold to its end, for statements of others.
    """
    before = _set(connection, {name: f"{limit}ms" for name, limit in limits_ms.items()})
    try:
        yield
    finally:
        # Who rolls back what failed, or lost the connection, has those of before already.
        usable = {TransactionStatus.IDLE, TransactionStatus.INTRANS}
        if connection.info.transaction_status in usable:
            _set(connection, before)


def _set(connection: psycopg.Connection[Any], settings: dict[str, str]) -> dict[str, str]:
    """Set them for the session; what they were."""
    before = {}
    cursor = psycopg.Cursor(connection)
    for name, value in settings.items():
        row = cursor.execute("SELECT current_setting(%s)", (name,)).fetchone()
        before[name] = row[0] if row else ""
        cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    return before
