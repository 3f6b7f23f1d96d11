"""What goes when quarantine is full: the oldest of those who have most, so that nobody pushes out another's messages.

One statement for all buckets that have to give: a firmware that sends rubbish does so on every gateway at once.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Literal, LiteralString, NamedTuple

import psycopg
from psycopg import sql

# What a message takes beside its row: a topic is as long as 65,535 bytes, and a payload may be empty.
SIZE: Final = "(octet_length(payload) + octet_length(topic) + octet_length(detail))"

# The level L to which the fullest must come down, all to the same, for so many to go as are too many. The fullest n
# have s; they are enough when the next one has no more than what is left to each, (s - too many) / n. What does not
# divide evenly stays with the first of them.
LEVEL: Final = sql.SQL(
    """WITH ranked AS (
           SELECT id, {measure} AS has, row_number() OVER fullest AS n, sum({measure}) OVER fullest AS s,
                  COALESCE(lead({measure}) OVER fullest, 0) AS next_has
           FROM tds_new_quarantinecount WHERE {measure} > 0
           WINDOW fullest AS (ORDER BY {measure} DESC, id)
       ), enough AS (
           SELECT n, div(s - %(too_many)s, n) AS level, (s - %(too_many)s) %% n AS rest FROM ranked
           WHERE s - %(too_many)s >= n * next_has ORDER BY n LIMIT 1
       )
       SELECT c.id, c.reason, c.gateway_id, c.tenant_id,
              (ranked.has - enough.level - CASE WHEN ranked.n <= enough.rest THEN 1 ELSE 0 END)::int8
       FROM ranked JOIN enough ON ranked.n <= enough.n JOIN tds_new_quarantinecount AS c ON c.id = ranked.id
       ORDER BY c.id"""
)
GONE: Final = sql.SQL(
    """WITH bucket AS (
           SELECT * FROM unnest(%(ids)s::int8[], %(reasons)s::text[], %(gateways)s::int8[], %(tenants)s::int8[],
                                %(gives)s::int8[]) AS b (id, reason, gateway_id, tenant_id, gives)
       ), oldest AS (
           SELECT bucket.id AS bucket, m.id FROM bucket CROSS JOIN LATERAL ({oldest}) AS m
       ), gone AS (
           DELETE FROM tds_new_quarantinedmessage AS q USING oldest WHERE q.id = oldest.id
           RETURNING oldest.bucket, {size} AS size
       ), sums AS (
           SELECT bucket, count(*) AS n, sum(size) AS size FROM gone GROUP BY 1)
       UPDATE tds_new_quarantinecount AS c SET kept = c.kept - sums.n, kept_bytes = c.kept_bytes - sums.size
       FROM sums WHERE c.id = sums.bucket"""
)
OF_BUCKET: Final = "FROM tds_new_quarantinedmessage AS q WHERE q.reason = bucket.reason AND {gateway} AND {tenant}"
OLDEST: Final[dict[str, LiteralString]] = {
    "kept": f"SELECT id {OF_BUCKET} ORDER BY id LIMIT bucket.gives",
    "kept_bytes": f"""SELECT id FROM (SELECT id, sum({SIZE}) OVER (ORDER BY id) - {SIZE} AS before {OF_BUCKET}) AS aged
                      WHERE before < bucket.gives""",  # noqa: S608  # our own words
}


class Gives(NamedTuple):
    """A counter's id with its bucket, and how many messages or bytes it has too many."""

    id: int
    reason: str
    gateway_id: int | None
    tenant_id: int | None
    too_many: int


def make_room(cursor: psycopg.Cursor[Any], *, messages: int, bytes_: int) -> None:
    """In the caller's transaction: until quarantine as a whole is within its bounds."""
    limits: tuple[tuple[Literal["kept", "kept_bytes"], int], ...] = (("kept", messages), ("kept_bytes", bytes_))
    for measure, limit in limits:
        column = sql.Identifier(measure)
        cursor.execute(sql.SQL("SELECT COALESCE(sum({}), 0) FROM tds_new_quarantinecount").format(column))
        [has] = cursor.fetchone() or (0,)
        if has > limit:
            cursor.execute(LEVEL.format(measure=column), {"too_many": has - limit})
            drop_oldest(cursor, _unlocked(cursor, [Gives(*row) for row in cursor.fetchall()]), by=measure)


def drop_oldest(
    cursor: psycopg.Cursor[Any], gives: Sequence[Gives], *, by: Literal["kept", "kept_bytes"] = "kept"
) -> None:
    """Let the oldest of some buckets go, whose counters are locked: so many messages, or so many bytes."""
    # An index is used for `=` and for IS NULL, but not for either in one.
    shapes: dict[tuple[bool, bool], list[Gives]] = defaultdict(list)
    for one in gives:
        shapes[one.gateway_id is None, one.tenant_id is None].append(one)
    for (no_gateway, no_tenant), alike in shapes.items():
        oldest = sql.SQL(OLDEST[by]).format(
            gateway=sql.SQL("q.gateway_id IS NULL" if no_gateway else "q.gateway_id = bucket.gateway_id"),
            tenant=sql.SQL("q.tenant_id IS NULL" if no_tenant else "q.tenant_id = bucket.tenant_id"),
        )
        ids, reasons, gateways, tenants, too_many = map(list, zip(*alike, strict=True))
        cursor.execute(
            GONE.format(oldest=oldest, size=sql.SQL(SIZE)),
            {"ids": ids, "reasons": reasons, "gateways": gateways, "tenants": tenants, "gives": too_many},
        )


def _unlocked(cursor: psycopg.Cursor[Any], gives: Sequence[Gives]) -> list[Gives]:
    """Those whose counters nobody has, locked now. Out of the order of locks, so without a wait: whoever has one of
    the others makes room too, or the next batch does."""
    cursor.execute(
        "SELECT id FROM tds_new_quarantinecount WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED",
        ([one.id for one in gives],),
    )
    free = {found for (found,) in cursor.fetchall()}
    return [one for one in gives if one.id in free]
