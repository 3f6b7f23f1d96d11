"""A release that rolled back twice on some hardware is not tried on more of it, also in the middle of a rollout."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from tds.updates.executions.transitions import Kind, end_of_waiting
from tds.updates.rollouts import eligibility
from tds.updates.rollouts import running as rollouts
from tds.updates.rollouts.eligibility import EVERYBODYS, Place, Reason, Rollbacks
from tds.updates.rollouts.running import Running
from tds.updates.timeline import Happened

Connection = psycopg.Connection[Any]


def places(connection: Connection, release_id: int) -> frozenset[Place]:
    """Where a release is known to be bad. Gateways are looked at only where there is something to find."""
    rows = connection.execute(
        """SELECT k.family, k.hardware, g.tenant_id, count(*), max(r.at), k.forgiven_at
           FROM tds_new_knownbad k
           JOIN tds_new_rolledback r
               ON (r.release_id, r.family, r.hardware) = (k.release_id, k.family, k.hardware)
           JOIN tds_new_gateway g ON g.id = r.gateway_id
           WHERE k.release_id = %s AND k.rolled_back >= %s AND (k.forgiven_at IS NULL OR k.forgiven_at < k.last_at)
           GROUP BY k.id, g.tenant_id""",
        (release_id, eligibility.KNOWN_BAD_AFTER),
    )
    return eligibility.bad_on(
        {Place(family, hardware, tenant_id): Rollbacks(*told) for family, hardware, tenant_id, *told in rows}
    )


def unforgiven(connection: Connection, release_id: int, execution_ids: Sequence[int]) -> set[int]:
    """Those of them that were taken out, and whose hardware it is still known to be bad on."""
    bad, (status, reason) = places(connection, release_id), end_of_waiting(Kind.TAKE_OUT)
    rows = connection.execute(
        """SELECT e.id, e.family, e.hardware, g.tenant_id
           FROM tds_new_execution e JOIN tds_new_gateway g ON g.id = e.gateway_id
           WHERE e.id = ANY(%s) AND e.status = %s AND e.reason = %s""",
        (list(execution_ids), status, reason),
    )
    return {pk for pk, *where in rows if eligibility.is_bad_on(bad, Place(*where))}


def take_out(connection: Connection, running: Running, place: Place, now: datetime) -> int:
    """Whoever of that place was not offered it yet; how many. Another call finds nobody.

    It looks at all that wait, which it does once for each place that becomes known.
    """
    status, reason = end_of_waiting(Kind.TAKE_OUT)
    row = connection.execute(
        """WITH alike AS (
               SELECT e.id FROM tds_new_execution e JOIN tds_new_gateway g ON g.id = e.gateway_id
               WHERE e.rollout_id = %(id)s AND e.status = 'QUEUED' AND e.offered_at IS NULL
                 AND e.family = %(family)s AND e.hardware = %(hardware)s
                 AND %(tenant)s IN (g.tenant_id, %(everybodys)s)
               ORDER BY e.id FOR UPDATE OF e
           ), gone AS (
               UPDATE tds_new_execution e
               SET status = %(status)s, reason = %(reason)s, changed_at = %(now)s, finished_at = %(now)s,
                   deadline_at = NULL
               FROM alike WHERE e.id = alike.id RETURNING e.gateway_id
           ), noted AS (
               INSERT INTO tds_new_leftout (rollout_id, gateway_id, reason)
               SELECT %(id)s, gateway_id, %(left_out)s FROM gone ON CONFLICT DO NOTHING
           ) SELECT count(*) FROM gone""",
        {
            "id": running.id,
            "family": place.family,
            "hardware": place.hardware,
            "tenant": place.tenant_id,
            "everybodys": EVERYBODYS,
            "now": now,
            "status": status,
            "reason": reason,
            "left_out": str(Reason.KNOWN_BAD),
        },
    ).fetchone()
    taken = int(row[0]) if row else 0
    if taken:
        where = f"{place.family} {place.hardware}".strip()
        rollouts.note(connection, running.id, now, Happened.KNOWN_BAD, {"gateways": taken, "where": where})
    return taken
