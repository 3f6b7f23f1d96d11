"""The consumer's own connection to PostgreSQL: one consumer a broker, and news of the fleet."""

from typing import Any, Final
from zlib import crc32

import psycopg
from psycopg import sql

from tds.fleet.directory import CHANNEL

LOCK_CLASS: Final = 0x7D5
STATEMENT_TIMEOUT_S: Final = 60  # of a batch: a database that hangs becomes an error that is tried again
UPKEEP_TIMEOUT_S: Final = 3_600  # of the worker's: aggregating, compressing and counting take what they take
OPTIONS: Final = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s -c timezone=UTC -c jit=off"


def connect(
    settings: dict[str, Any], *, name: str, statement_timeout_s: int = STATEMENT_TIMEOUT_S
) -> psycopg.Connection[Any]:
    """A connection in autocommit, from Django's DATABASES entry. Raises psycopg.OperationalError."""
    return psycopg.connect(
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
        options=f"{OPTIONS} -c statement_timeout={statement_timeout_s}s",
        autocommit=True,
    )


def claim_broker(connection: psycopg.Connection[Any], broker: str) -> bool:
    """Become the one consumer of a broker, for as long as this connection lives; False when another one is."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, crc32(broker.encode()) - 2**31))
    return row.fetchone() == (True,)


class News:
    """The codes of gateways that changed, as PostgreSQL tells one connection; empty: any may have."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._codes: set[str] = set()  # bounded by the fleet: a code is in it once
        # Most news come with the answer to a statement, and psycopg takes those out itself.
        connection.add_notify_handler(lambda notice: self._codes.add(notice.payload))
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))

    def take(self) -> set[str]:
        """What changed since the last call, without waiting. Raises psycopg.OperationalError."""
        pgconn = self._connection.pgconn
        pgconn.consume_input()
        while notice := pgconn.notifies():
            self._codes.add(notice.extra.decode())
        codes, self._codes = self._codes, set()
        return codes
