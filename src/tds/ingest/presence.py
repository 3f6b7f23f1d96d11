"""When each gateway was last heard and of when its readings are: kept in memory and written now and then.

A consumer never writes it in the hot transaction. Who sends by HTTP is written with the message: the process that
answered may never hear of that gateway again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import psycopg

from tds.fleet.directory import Directory
from tds.fleet.known import KnownGateway
from tds.ingest.messages import Arrival, Message, Refusal
from tds.ingest.reasons import Reason
from tds.ingest.wire import timestamp_of

FLUSH_EVERY_S: Final = 30.0
MAX_GATEWAYS: Final = 50_000  # heard since the last flush; at the limit it is flushed at once
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
# Of these the time is what is wrong: it tells by how much a clock is.
BY_CLOCK: Final = frozenset({Reason.TIMESTAMP_IN_FUTURE, Reason.TIMESTAMP_TOO_OLD})


class LastSeen:
    """Three small dictionaries by gateway: one of records would cost ten times as much a message."""

    def __init__(self) -> None:
        self._heard: dict[int, datetime] = {}
        self._read: dict[int, datetime] = {}  # the newest time in messages that were accepted
        self._refused: dict[int, datetime] = {}  # … and in those that were refused for it
        self._flushed_at = float("-inf")  # the first flush is at once: a new gateway shows up within seconds

    def __bool__(self) -> bool:
        return bool(self._heard)

    def note(
        self,
        directory: Directory,
        arrivals: Sequence[Arrival],
        verdicts: Sequence[Message | Refusal],
        now: datetime,
    ) -> None:
        """After a batch was stored. Its messages came now, or when those of a replay were written down."""
        at = (arrivals[-1].received_at if arrivals else None) or now
        heard, read, of_code = self._heard, self._read, directory.get
        refused = False
        for verdict in verdicts:
            if type(verdict) is not Message:
                refused = True
            elif (gateway := of_code(verdict.gateway_code)) is not None:
                gateway_id = gateway.id
                heard[gateway_id] = at
                if verdict.time > read.get(gateway_id, LONG_AGO):
                    read[gateway_id] = verdict.time
        if refused:
            self._note_refused(directory, arrivals, verdicts, at)

    def _note_refused(
        self, directory: Directory, arrivals: Sequence[Arrival], verdicts: Sequence[Message | Refusal], at: datetime
    ) -> None:
        for arrival, verdict in zip(arrivals, verdicts, strict=True):
            if not isinstance(verdict, Refusal) or (gateway := sender(directory, arrival, verdict)) is None:
                continue
            self._heard[gateway.id] = at
            time = timestamp_of(arrival.payload) if verdict.reason in BY_CLOCK else None
            if time is not None and time > self._refused.get(gateway.id, LONG_AGO):
                self._refused[gateway.id] = time

    def flush(self, connection: psycopg.Connection[Any]) -> None:
        due = monotonic() - self._flushed_at >= FLUSH_EVERY_S or len(self._heard) >= MAX_GATEWAYS
        if not due or not self._heard:
            return
        with connection.transaction():
            # In the order of the ids, as a batch locks them: the two can't deadlock. An UPDATE keeps no order.
            psycopg.Cursor(connection).execute(
                "SELECT 1 FROM tds_new_gateway WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (sorted(self._heard),)
            )
            self.write(connection)
        self._heard.clear()
        self._read.clear()
        self._refused.clear()
        self._flushed_at = monotonic()

    def write(self, connection: psycopg.Connection[Any]) -> None:
        """In the caller's transaction, which has locked the gateways if there are several."""
        ids = sorted(self._heard)
        read, refused = self._read, self._refused
        dated = [max((t for t in (read.get(each), refused.get(each)) if t is not None), default=None) for each in ids]
        # What its clock says is of its last messages alone: it may have been set right. The greatest of a time and
        # nothing is the time.
        psycopg.Cursor(connection).execute(
            """UPDATE tds_new_gateway AS g SET last_seen_at = GREATEST(g.last_seen_at, heard.at),
                   last_reading_at = GREATEST(g.last_reading_at, heard.reading),
                   dated_at = CASE WHEN g.last_seen_at > heard.at THEN g.dated_at ELSE heard.dated END
               FROM unnest(%s::int8[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
                   AS heard (id, at, reading, dated) WHERE g.id = heard.id""",
            (ids, [self._heard[each] for each in ids], [read.get(each) for each in ids], dated),
        )


def sender(directory: Directory, arrival: Arrival, verdict: Message | Refusal) -> KnownGateway | None:
    """The gateway that sent a message, by the message or by who sent it; not whoever has its code since then."""
    code = verdict.gateway_code or arrival.gateway_code
    gateway = directory.get(code) if code else None
    return gateway if gateway is not None and arrival.tenant_id in (None, gateway.tenant_id) else None
