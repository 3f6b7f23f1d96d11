"""When each gateway was last heard, kept in memory and written now and then: never in the hot transaction."""

from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Final

import psycopg

from tds.fleet.directory import Directory
from tds.ingest.messages import Message, Refusal

FLUSH_EVERY_S: Final = 30.0
MAX_GATEWAYS: Final = 50_000  # heard since the last flush; at the limit it is flushed at once


class LastSeen:
    def __init__(self) -> None:
        self._heard: dict[int, datetime] = {}
        self._flushed_at = 0.0  # the first flush is at once: a new gateway shows up within seconds

    def note(self, directory: Directory, verdicts: Sequence[Message | Refusal], now: datetime) -> None:
        for verdict in verdicts:
            gateway = directory.get(verdict.gateway_code) if verdict.gateway_code else None
            if gateway is not None:
                self._heard[gateway.id] = now

    def flush(self, connection: psycopg.Connection[Any]) -> None:
        due = monotonic() - self._flushed_at >= FLUSH_EVERY_S or len(self._heard) >= MAX_GATEWAYS
        if not due or not self._heard:
            return
        psycopg.Cursor(connection).execute(
            """UPDATE tds_new_gateway AS g SET last_seen_at = GREATEST(g.last_seen_at, heard.at)
               FROM (SELECT * FROM unnest(%s::int8[], %s::timestamptz[]) AS h (id, at) ORDER BY id) AS heard
               WHERE g.id = heard.id""",
            (list(self._heard), list(self._heard.values())),
        )
        self._heard.clear()
        self._flushed_at = monotonic()
