"""Deadlines and soaks do not run while nobody listens: after an absence of the platform they are moved by as long.

Or the first turn after it would call all gateways lost that installed meanwhile, before one of their reports is read,
and halt the rollout. The telemetry gate begins anew for the same reason (rollouts/watching.py). A clock that was set
looks the same, and is dealt with the same way. See docs/decisions/0030-an-absence-counts-against-nobody.md.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

import psycopg

logger = logging.getLogger("tds.worker")

AWAY: Final = timedelta(seconds=60)  # between two turns; less is a restart
KEPT_EVERY_S: Final = 5.0
NONE: Final = timedelta()

Connection = psycopg.Connection[Any]

_KEPT: Final = "SELECT at FROM tds_new_lastturn WHERE id = 1"
_KEEP: Final = """
    INSERT INTO tds_new_lastturn (id, at, back_at) VALUES (1, %(now)s, %(now)s)
    ON CONFLICT (id) DO UPDATE SET
        at = EXCLUDED.at, back_at = CASE WHEN %(away)s THEN EXCLUDED.at ELSE tds_new_lastturn.back_at END
"""
# Locked in the order in which a person's deeds lock them, and executions in that of their ids: see rows.py.
_MOVE_WAVES: Final = """
    WITH running AS MATERIALIZED (SELECT id FROM tds_new_rollout WHERE status = 'running' ORDER BY id FOR UPDATE)
    UPDATE tds_new_wave AS w SET offers_until = offers_until + %(by)s, soak_from = soak_from + %(by)s
    FROM running WHERE w.rollout_id = running.id AND w.opened_at IS NOT NULL AND w.completed_at IS NULL
"""
_MOVE_EXECUTIONS: Final = """
    WITH due AS MATERIALIZED (
        SELECT id FROM tds_new_execution WHERE deadline_at IS NOT NULL ORDER BY id FOR UPDATE)
    UPDATE tds_new_execution AS e SET deadline_at = deadline_at + %(by)s, installing_at = installing_at + %(by)s
    FROM due WHERE e.id = due.id
"""


def missed(last: datetime | None, now: datetime) -> timedelta:
    """By how much deadlines are to be moved between two turns: back as well, by a clock that was put back."""
    gap = NONE if last is None else now - last
    return gap if abs(gap) > AWAY else NONE


@dataclass(slots=True)
class Absence:
    """When the last turn was, in memory and in the database: an absence is also one that a restart ends."""

    _last: datetime | None = None
    _kept_at: float = field(default=float("-inf"))

    def settle(self, connection: Connection, now: datetime) -> None:
        """Before each look at deadlines."""
        with connection.transaction():
            gap = missed(self._last or _kept(connection), now)
            if gap:
                connection.execute(_MOVE_WAVES, {"by": gap})
                moved = psycopg.Cursor(connection).execute(_MOVE_EXECUTIONS, {"by": gap}).rowcount
                logger.warning(
                    "Nobody took reports of gateways for %.0f s, or the clock was set by as much: the deadlines of %d"
                    " updates were moved by that.",
                    gap.total_seconds(),
                    moved,
                )
            if gap or monotonic() - self._kept_at >= KEPT_EVERY_S:
                connection.execute(_KEEP, {"now": now, "away": bool(gap)})
                self._kept_at = monotonic()
        self._last = now


def _kept(connection: Connection) -> datetime | None:
    row = psycopg.Cursor(connection).execute(_KEPT).fetchone()
    return row[0] if row else None
