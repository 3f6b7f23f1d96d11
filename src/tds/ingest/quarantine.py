"""Keeps refused messages, byte for byte, within bounds that nobody can push another's messages out of.

A bucket is a reason, a gateway and the tenant that may look. Counters are locked before messages, and in one order:
whoever keeps, purges and replays at once can't deadlock.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from tds.ingest.eviction import SIZE, Gives, drop_oldest, make_room
from tds.ingest.reasons import Reason

MAX_CODE_SHOWN_CHARS: Final = 200
PURGE_MESSAGES: Final = 1_000  # of one transaction: ingest waits for its counters no longer than that takes

_BUCKET: Final = """m.reason = c.reason AND m.gateway = COALESCE(c.gateway_id, 0)
    AND m.tenant = COALESCE(c.tenant_id, 0)"""
_PLACE: Final = "reason, COALESCE(gateway_id, 0), COALESCE(tenant_id, 0)"  # as Bucket.place


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much quarantine keeps; beyond, the oldest of the fullest go and the counts stay."""

    per_gateway: int  # messages of one bucket
    messages: int  # in all
    total_bytes: int  # of payloads, topics and sentences, in all


class Bucket(NamedTuple):
    """`gateway_id` None: nobody's code, or none that can be read. `tenant_id` None: for the platform operator alone.

    All strangers share one; what a tenant's token brings without a code is in one of that tenant.
    """

    reason: str
    gateway_id: int | None
    tenant_id: int | None

    @property
    def place(self) -> tuple[str, int, int]:
        """In the order in which counters are locked."""
        return self.reason, self.gateway_id or 0, self.tenant_id or 0


class Refused(NamedTuple):
    """A message on its way into quarantine."""

    reason: Reason
    detail: str
    gateway_id: int | None
    tenant_id: int | None
    gateway_code: str
    topic: str
    payload: bytes
    received_at: datetime | None = None  # of one that waited; else it comes now

    @property
    def size(self) -> int:
        """Bytes that it is counted with; SIZE says the same of a row."""
        return len(self.payload) + len(_text(self.topic).encode()) + len(_text(self.detail).encode())


def keep(connection: psycopg.Connection[Any], messages: Sequence[Refused], bounds: Bounds, *, now: datetime) -> None:
    """Store refused messages in the caller's transaction and let the oldest go where a bound is reached."""
    buckets: dict[Bucket, list[Refused]] = defaultdict(list)
    for message in messages:
        buckets[Bucket(message.reason.value, message.gateway_id, message.tenant_id)].append(message)
    newest = {bucket: buckets[bucket][-bounds.per_gateway :] for bucket in sorted(buckets, key=lambda b: b.place)}
    cursor = psycopg.Cursor(connection)
    full = _count(cursor, buckets, newest, bounds, now)
    with cursor.copy(
        """COPY tds_new_quarantinedmessage
           (reason, detail, gateway_id, tenant_id, gateway_code, topic, payload, received_at, counted_at) FROM STDIN"""
    ) as copy:
        for bucket, some in newest.items():
            for message in some:
                copy.write_row(
                    (
                        bucket.reason,
                        _text(message.detail),
                        bucket.gateway_id,
                        bucket.tenant_id,
                        _text(message.gateway_code[:MAX_CODE_SHOWN_CHARS]),
                        _text(message.topic),
                        message.payload,
                        message.received_at or now,
                        now,
                    )
                )
    drop_oldest(cursor, full)
    make_room(cursor, messages=bounds.messages, bytes_=bounds.total_bytes)


def _count(
    cursor: psycopg.Cursor[Any],
    buckets: dict[Bucket, list[Refused]],
    newest: dict[Bucket, list[Refused]],
    bounds: Bounds,
    now: datetime,
) -> list[Gives]:
    """Count what comes, in the order of locks; the buckets that have too many then."""
    columns = zip(
        *(
            (*bucket, len(buckets[bucket]), len(some), sum(message.size for message in some))
            for bucket, some in newest.items()
        ),
        strict=True,
    )
    cursor.execute(
        """INSERT INTO tds_new_quarantinecount AS c (reason, gateway_id, tenant_id, total, kept, kept_bytes, last_at)
           SELECT reason, gateway_id, tenant_id, total, kept, kept_bytes, %s
           FROM unnest(%s::text[], %s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::int8[]) WITH ORDINALITY
               AS b (reason, gateway_id, tenant_id, total, kept, kept_bytes, place)
           ORDER BY place
           ON CONFLICT (reason, gateway_id, tenant_id) DO UPDATE SET total = c.total + EXCLUDED.total,
               kept = c.kept + EXCLUDED.kept, kept_bytes = c.kept_bytes + EXCLUDED.kept_bytes,
               last_at = EXCLUDED.last_at
           RETURNING id, reason, gateway_id, tenant_id, kept""",
        (now, *map(list, columns)),
    )
    return [
        Gives(counter, reason, gateway_id, tenant_id, kept - bounds.per_gateway)
        for counter, reason, gateway_id, tenant_id, kept in cursor.fetchall()
        if kept > bounds.per_gateway
    ]


def purge(connection: psycopg.Connection[Any], ids: Sequence[int]) -> int:
    """Delete messages by their ids, PURGE_MESSAGES a transaction; how many were there. Their number stays counted."""
    gone = 0
    for start in range(0, len(ids), PURGE_MESSAGES):
        some = list(ids[start : start + PURGE_MESSAGES])
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            counters = _lock_counters(cursor, some)
            cursor.execute(
                f"DELETE FROM tds_new_quarantinedmessage WHERE id = ANY(%s) RETURNING {_PLACE}, {SIZE}",  # noqa: S608
                (some,),
            )
            number: Counter[int] = Counter()
            size: Counter[int] = Counter()
            for reason, gateway, tenant, message_size in cursor.fetchall():
                counter = counters[reason, gateway, tenant]
                number[counter] += 1
                size[counter] += message_size
            cursor.execute(
                """UPDATE tds_new_quarantinecount AS c SET kept = c.kept - m.number, kept_bytes = c.kept_bytes - m.size
                   FROM unnest(%s::int8[], %s::int8[], %s::int8[]) AS m (counter, number, size)
                   WHERE c.id = m.counter""",
                (list(number), list(number.values()), [size[counter] for counter in number]),
            )
            gone += number.total()
    return gone


def mark_replayed(connection: psycopg.Connection[Any], ids: Sequence[int], *, now: datetime) -> int:
    """In the caller's transaction: what was accepted after all counts as refused no more; how many were there."""
    cursor = psycopg.Cursor(connection)
    counters = _lock_counters(cursor, ids)
    cursor.execute(
        f"""UPDATE tds_new_quarantinedmessage SET replayed_at = %s
            WHERE id = ANY(%s) AND replayed_at IS NULL RETURNING {_PLACE}""",  # noqa: S608  # our own words
        (now, list(ids)),
    )
    number = Counter(counters[place] for place in cursor.fetchall())
    cursor.execute(
        """UPDATE tds_new_quarantinecount AS c SET total = c.total - m.number
           FROM unnest(%s::int8[], %s::int8[]) AS m (counter, number) WHERE c.id = m.counter""",
        (list(number), list(number.values())),
    )
    return number.total()


def _lock_counters(cursor: psycopg.Cursor[Any], ids: Sequence[int]) -> dict[tuple[str, int, int], int]:
    """Lock the counters of some messages until the transaction ends; their ids by their place.

    Joins nothing: tables that grew since they were last analyzed make a plan that compares each bucket with each
    message, for seconds, while ingest waits.
    """
    cursor.execute(
        f"SELECT DISTINCT {_PLACE}, gateway_id FROM tds_new_quarantinedmessage WHERE id = ANY(%s)",  # noqa: S608
        (list(ids),),
    )
    rows = cursor.fetchall()
    places = {(reason, gateway, tenant) for reason, gateway, tenant, _ in rows}
    cursor.execute(
        f"""SELECT {_PLACE}, id FROM tds_new_quarantinecount
            WHERE gateway_id = ANY(%s) OR gateway_id IS NULL""",  # noqa: S608  # our own words
        ([gateway_id for *_, gateway_id in rows if gateway_id is not None],),
    )
    counters = {(reason, gateway, tenant): id_ for reason, gateway, tenant, id_ in cursor.fetchall()}
    wanted = [counters[place] for place in places if place in counters]
    cursor.execute(
        f"""SELECT {_PLACE}, id FROM tds_new_quarantinecount WHERE id = ANY(%s)
            ORDER BY reason COLLATE "C", COALESCE(gateway_id, 0), COALESCE(tenant_id, 0) FOR UPDATE""",  # noqa: S608
        (wanted,),
    )
    return {(reason, gateway, tenant): id_ for reason, gateway, tenant, id_ in cursor.fetchall()}


def _text(value: str) -> str:
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL's text has no NUL
