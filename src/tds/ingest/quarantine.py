"""Keeps refused messages, byte for byte, within bounds that no gateway can push another's messages out of."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from tds.ingest.reasons import Reason

MAX_CODE_SHOWN_CHARS: Final = 200
EVICTION_ROUNDS: Final = 100  # of the fullest bucket each; enough for any overrun of one batch


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much quarantine keeps; beyond, the oldest of the fullest go and the counts stay."""

    per_gateway: int  # messages of one (reason, gateway)
    messages: int  # in all
    payload_bytes: int  # in all


class Refused(NamedTuple):
    """A message on its way into quarantine. `gateway_id` None: nobody's code, which all strangers share."""

    reason: Reason
    detail: str
    gateway_id: int | None
    tenant_id: int | None
    gateway_code: str
    topic: str
    payload: bytes


def keep(connection: psycopg.Connection[Any], messages: Sequence[Refused], bounds: Bounds, *, now: datetime) -> None:
    """Store refused messages in the caller's transaction and let the oldest go where a bound is reached."""
    buckets: dict[tuple[Reason, int | None], list[Refused]] = defaultdict(list)
    for message in messages:
        buckets[message.reason, message.gateway_id].append(message)
    cursor = psycopg.Cursor(connection)
    # In one order everywhere: two writers can't deadlock.
    for (reason, gateway_id), refused in sorted(buckets.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        newest = refused[-bounds.per_gateway :]
        with cursor.copy(
            """COPY tds_new_quarantinedmessage
               (reason, detail, gateway_id, tenant_id, gateway_code, topic, payload, received_at) FROM STDIN"""
        ) as copy:
            for message in newest:
                copy.write_row(
                    (
                        reason.value,
                        _text(message.detail),
                        gateway_id,
                        message.tenant_id,
                        _text(message.gateway_code[:MAX_CODE_SHOWN_CHARS]),
                        _text(message.topic),
                        message.payload,
                        now,
                    )
                )
        cursor.execute(
            """INSERT INTO tds_new_quarantinecount AS c (reason, gateway_id, total, kept, kept_bytes, last_at)
               VALUES (%s, %s, %s, %s, %s, %s)
               ON CONFLICT (reason, gateway_id) DO UPDATE SET total = c.total + EXCLUDED.total,
                   kept = c.kept + EXCLUDED.kept, kept_bytes = c.kept_bytes + EXCLUDED.kept_bytes,
                   last_at = EXCLUDED.last_at
               RETURNING kept""",
            (reason.value, gateway_id, len(refused), len(newest), sum(len(m.payload) for m in newest), now),
        )
        row = cursor.fetchone()
        if row and row[0] > bounds.per_gateway:
            _drop_oldest(cursor, reason, gateway_id, row[0] - bounds.per_gateway)
    _keep_within_total(cursor, bounds)


def purge(connection: psycopg.Connection[Any], ids: Sequence[int]) -> int:
    """Delete messages by their ids, in a transaction of its own; how many were there. Their number stays counted."""
    with connection.transaction():
        cursor = psycopg.Cursor(connection)
        # Counts before messages, as a batch does: the two can't deadlock.
        cursor.execute(
            """SELECT 1 FROM tds_new_quarantinecount AS c WHERE EXISTS (
                   SELECT FROM tds_new_quarantinedmessage AS m WHERE m.id = ANY(%s) AND m.reason = c.reason
                   AND m.gateway_id IS NOT DISTINCT FROM c.gateway_id)
               ORDER BY reason, COALESCE(gateway_id, 0) FOR UPDATE""",
            (list(ids),),
        )
        cursor.execute(
            """WITH gone AS (
                   DELETE FROM tds_new_quarantinedmessage WHERE id = ANY(%s)
                   RETURNING reason, gateway_id, octet_length(payload) AS size
               ), sums AS (
                   SELECT reason, gateway_id, count(*) AS n, sum(size) AS size FROM gone GROUP BY 1, 2
               ), counted AS (
                   UPDATE tds_new_quarantinecount AS c SET kept = c.kept - n, kept_bytes = c.kept_bytes - size
                   FROM sums WHERE sums.reason = c.reason AND sums.gateway_id IS NOT DISTINCT FROM c.gateway_id)
               SELECT COALESCE(sum(n), 0)::int8 FROM sums""",
            (list(ids),),
        )
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def _keep_within_total(cursor: psycopg.Cursor[Any], bounds: Bounds) -> None:
    """Fairly: the fullest bucket gives first, so a gateway that sends rubbish for ever pushes out only its own."""
    for _ in range(EVICTION_ROUNDS):
        cursor.execute("SELECT COALESCE(sum(kept), 0), COALESCE(sum(kept_bytes), 0) FROM tds_new_quarantinecount")
        kept, kept_bytes = cursor.fetchone() or (0, 0)
        if kept <= bounds.messages and kept_bytes <= bounds.payload_bytes:
            return
        measure = "kept" if kept > bounds.messages else "kept_bytes"
        cursor.execute(
            f"SELECT reason, gateway_id, kept FROM tds_new_quarantinecount ORDER BY {measure} DESC, id LIMIT 1"  # noqa: S608  # one of two words
        )
        reason, gateway_id, in_bucket = cursor.fetchone() or ("", None, 0)
        excess = kept - bounds.messages if measure == "kept" else in_bucket // 4
        _drop_oldest(cursor, reason, gateway_id, max(1, min(excess, (in_bucket + 1) // 2)))


def _drop_oldest(cursor: psycopg.Cursor[Any], reason: str, gateway_id: int | None, count: int) -> None:
    same_gateway = "gateway_id IS NULL" if gateway_id is None else "gateway_id = %(gateway_id)s"
    cursor.execute(
        f"""WITH gone AS (
                DELETE FROM tds_new_quarantinedmessage WHERE id IN (
                    SELECT id FROM tds_new_quarantinedmessage
                    WHERE reason = %(reason)s AND {same_gateway} ORDER BY id LIMIT %(count)s)
                RETURNING octet_length(payload) AS size)
            UPDATE tds_new_quarantinecount SET kept = kept - (SELECT count(*) FROM gone),
                kept_bytes = kept_bytes - (SELECT COALESCE(sum(size), 0) FROM gone)
            WHERE reason = %(reason)s AND {same_gateway}""",  # noqa: S608  # our own words
        {"reason": reason, "gateway_id": gateway_id, "count": count},
    )


def _text(value: str) -> str:
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL's text has no NUL
