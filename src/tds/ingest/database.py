"""The consumer's own connection to PostgreSQL: one consumer a broker, and news of the fleet."""

from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

import psycopg
from psycopg import sql

from tds.fleet.directory import CHANNEL

LOCK_CLASS: Final = 0x7D5
# A database that hangs must become an error that is tried again, and not a consumer that waits for ever.
OPTIONS: Final = (
    "-c statement_timeout=60s -c lock_timeout=30s -c idle_in_transaction_session_timeout=60s -c timezone=UTC"
)


def connect(settings: dict[str, Any], *, name: str) -> psycopg.Connection[Any]:
    """A connection in autocommit, from Django's DATABASES entry. Raises psycopg.OperationalError."""
    connection = psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        application_name=name,
        connect_timeout=5,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
        options=OPTIONS,
        autocommit=True,
    )
    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
    return connection


def claim_broker(connection: psycopg.Connection[Any], broker: str) -> bool:
    """Become the one consumer of a broker, for as long as this connection lives; False when another one is."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, crc32(broker.encode()) - 2**31))
    return row.fetchone() == (True,)


def news(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """The codes of gateways that changed since the last call, without waiting; empty: any may have."""
    connection.pgconn.consume_input()
    while notice := connection.pgconn.notifies():
        yield notice.extra.decode()
