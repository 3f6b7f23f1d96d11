"""A release that rolled back twice on some hardware is not tried on more of it, also in the middle of a rollout."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from tds.updates.executions.rolled_back import MAX_PLACES
from tds.updates.executions.transitions import Kind, end_of_waiting
from tds.updates.rollouts import eligibility
from tds.updates.rollouts import running as rollouts
from tds.updates.rollouts.eligibility import Reason, Rollbacks
from tds.updates.rollouts.running import Running
from tds.updates.timeline import Happened

Connection = psycopg.Connection[Any]


def pairs(connection: Connection, release_id: int) -> frozenset[tuple[str, str]]:
    """Families with hardware revisions on which a release is known to be bad."""
    rows = connection.execute(
        """SELECT family, hardware, rolled_back, last_at, forgiven_at FROM tds_new_knownbad
           WHERE release_id = %s AND rolled_back >= %s ORDER BY family, hardware LIMIT %s""",
        (release_id, eligibility.KNOWN_BAD_AFTER, MAX_PLACES),
    )
    return eligibility.bad_on({(family, hardware): Rollbacks(*told) for family, hardware, *told in rows})


def unforgiven(connection: Connection, release_id: int, execution_ids: Sequence[int]) -> set[int]:
    """Those of them that were taken out, and whose hardware it is still known to be bad on."""
    bad, (status, reason) = pairs(connection, release_id), end_of_waiting(Kind.TAKE_OUT)
    rows = connection.execute(
        """SELECT id, family, hardware FROM tds_new_execution
           WHERE id = ANY(%s) AND status = %s AND reason = %s""",
        (list(execution_ids), status, reason),
    )
    return {pk for pk, family, hardware in rows if (family, hardware) in bad}


def take_out(connection: Connection, running: Running, family: str, hardware: str, now: datetime) -> int:
    """Whoever of that hardware was not offered it yet; how many. Another call finds nobody.

    It looks at all that wait, which it does once for each pair that becomes known.
    """
    status, reason = end_of_waiting(Kind.TAKE_OUT)
    row = connection.execute(
        """WITH alike AS (
               SELECT e.id FROM tds_new_execution e
               WHERE e.rollout_id = %(id)s AND e.status = 'QUEUED' AND e.offered_at IS NULL
                 AND e.family = %(family)s AND e.hardware = %(hardware)s
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
            "family": family,
            "hardware": hardware,
            "now": now,
            "status": status,
            "reason": reason,
            "left_out": str(Reason.KNOWN_BAD),
        },
    ).fetchone()
    taken = int(row[0]) if row else 0
    if taken:
        where = f"{family} {hardware}".strip()
        rollouts.note(connection, running.id, now, Happened.KNOWN_BAD, {"gateways": taken, "where": where})
    return taken
