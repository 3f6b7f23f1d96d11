"""What becomes of a rollout's gateways when its release is withdrawn.

Whoever has not begun does not begin any more, and is free for another rollout. Whoever is at it goes on, or is told by
the firmware server that the image is gone.
"""

from datetime import datetime
from typing import Any

import psycopg

from tds.updates.executions import deeds
from tds.updates.executions.transitions import Kind
from tds.updates.rollouts import running as rollouts
from tds.updates.rollouts import snapshot
from tds.updates.timeline import Happened

Connection = psycopg.Connection[Any]


def end(connection: Connection, rollout_id: int, now: datetime) -> int:
    """Those that wait, and those that were offered it and have said nothing since; how many."""
    offered = connection.execute(
        """WITH queued AS (
               SELECT id, offered_at FROM tds_new_execution WHERE rollout_id = %s AND status = 'QUEUED'
               ORDER BY id FOR UPDATE
           ) SELECT id FROM queued WHERE offered_at IS NOT NULL""",
        (rollout_id,),
    ).fetchall()
    ended = snapshot.end_waiting(connection, rollout_id, Kind.WITHDRAW, now)
    ended += len(deeds.withdraw(connection, [pk for (pk,) in offered], now))
    if ended:
        rollouts.note(connection, rollout_id, now, Happened.WITHDRAWN, {"gateways": ended})
    return ended
