"""The telemetry gate of rollouts that run: now and then, over a bounded sample of gateways that run the release."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from tds.updates.rollouts import gate
from tds.updates.rollouts.gate import GatewayHealth, Judged
from tds.updates.rollouts.rules import Verdict
from tds.updates.rollouts.running import Running

LOOK_EVERY_S: Final = 30.0  # of a rollout; or four times a soak that is shorter than that
LOOKS_A_SOAK: Final = 4
LEAST_EVERY_S: Final = 1.0
WATCHED_OF_THE_NEWEST: Final = 200  # gateways of the newest open wave
WATCHED_BEFORE: Final = 100  # of the one before it

Connection = psycopg.Connection[Any]


class Watched(NamedTuple):
    """A gateway that succeeded: since when it is watched, and before when its own week was. `restarts`: its count when
    it succeeded."""

    gateway_id: int
    since: datetime
    before: datetime
    restarts: int | None


Health = Callable[[Connection, Sequence[Watched], datetime], list[GatewayHealth]]


@dataclass(slots=True)
class Watching:
    health: Health
    _looked: dict[int, tuple[datetime, object, Judged]] = field(default_factory=dict)  # by rollout: when, of what

    def judged(self, connection: Connection, running: Running, now: datetime) -> Judged:
        """What was found at the last look, which is not long ago."""
        if not running.limits.gate or not running.opened:
            return gate.NOTHING
        newest = running.opened[-1]
        # What was seen before a soak is not enough to end it.
        wave, of = newest.number, (newest.number, newest.soak_from)
        every_s = max(LEAST_EVERY_S, min(LOOK_EVERY_S, running.limits.soak_s / LOOKS_A_SOAK))
        looked = self._looked.get(running.id)
        # By a clock that went back, the last look was later than now.
        if looked is not None and looked[1] == of and timedelta(0) <= now - looked[0] < timedelta(seconds=every_s):
            return looked[2]
        watched = _sample(connection, running, wave)
        found = gate.judge(self.health(connection, watched, now), running.limits) if watched else gate.NOTHING
        self._looked[running.id] = (now, of, found)
        return found

    def verdict(self, connection: Connection, running: Running, now: datetime) -> Verdict:
        return self.judged(connection, running, now).verdict

    def forget(self, running_ids: Sequence[int]) -> None:
        """All but those."""
        self._looked = {pk: looked for pk, looked in self._looked.items() if pk in running_ids}


def _sample(connection: Connection, running: Running, wave: int) -> list[Watched]:
    """The first ones of each wave, which have run it for longest."""
    rows = connection.execute(
        # What was sent while nobody listened may never come: nobody is judged by it.
        """SELECT gateway_id, greatest(succeeded_at, (SELECT back_at FROM tds_new_lastturn)),
               coalesce(offered_at, queued_at), restarts FROM (
               (SELECT * FROM tds_new_execution WHERE rollout_id = %(id)s AND wave = %(wave)s AND status = 'SUCCEEDED'
                ORDER BY place LIMIT %(newest)s)
               UNION ALL
               (SELECT * FROM tds_new_execution WHERE rollout_id = %(id)s AND wave = %(wave)s - 1
                  AND status = 'SUCCEEDED' ORDER BY place LIMIT %(earlier)s)
           ) AS watched
           WHERE succeeded_at >= coalesce(%(since)s, '-infinity'::timestamptz)""",
        {
            "id": running.id,
            "wave": wave,
            "newest": WATCHED_OF_THE_NEWEST,
            "earlier": WATCHED_BEFORE,
            "since": running.accepted_until,
        },
    )
    return [Watched(*row) for row in rows]
