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
        ids = sorted(self._heard)
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            # In the order of the ids, as a batch locks them: the two can't deadlock. An UPDATE keeps no order.
            cursor.execute("SELECT 1 FROM tds_new_gateway WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (ids,))
            cursor.execute(
                """UPDATE tds_new_gateway AS g SET last_seen_at = GREATEST(g.last_seen_at, heard.at)
                   FROM unnest(%s::int8[], %s::timestamptz[]) AS heard (id, at) WHERE g.id = heard.id""",
                (ids, [self._heard[gateway_id] for gateway_id in ids]),
            )
        self._heard.clear()
        self._flushed_at = monotonic()
