"""Waiting for PostgreSQL to tell that something changed."""

import select
from typing import Any, Final

import psycopg
from psycopg import sql

from tds.fleet.directory import CHANNEL as FLEET

CERTIFICATES: Final = "tds_identity"  # a certificate came, or another state of one
ACCESS: Final = "tds_access"  # a revocation list was signed, or a password changed

__all__ = ["ACCESS", "CERTIFICATES", "FLEET", "Notices"]


class Notices:
    """What one connection hears. It may have missed what came before: whoever makes it looks at once."""

    def __init__(self, connection: psycopg.Connection[Any], *channels: str) -> None:
        self._connection = connection
        self._told = False
        # Most come with the answer to a statement, and psycopg takes those out itself.
        connection.add_notify_handler(self._tell)
        for channel in channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def wait(self, timeout_s: float) -> bool:
        """Whether any came since the last call, waiting up to so long. Raises psycopg.OperationalError."""
        pgconn = self._connection.pgconn
        if not self._told:
            select.select([pgconn.socket], [], [], timeout_s)
        pgconn.consume_input()
        while pgconn.notifies():
            self._told = True
        told, self._told = self._told, False
        return told

    def _tell(self, _notice: psycopg.Notify) -> None:
        self._told = True
