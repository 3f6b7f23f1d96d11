"""Who is offered a release now: within concurrency, the redundancy of sites, the window, and who is there to take it.

A turn looks at a bounded number of those that wait, and the next one goes on from there: thousands that are away cost
no turn more than a few that are not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import psycopg

from tds.updates.executions.transitions import Kind, end_of_waiting
from tds.updates.rollouts import running as rollouts
from tds.updates.rollouts import sides, windows
from tds.updates.rollouts.running import Running
from tds.updates.timeline import Happened

CANDIDATES_A_TURN: Final = 1_000  # looked at, a rollout
OFFERS_A_TURN: Final = 500  # made, a rollout
OFFERS_LOCK: Final = 0x7D5_0031  # whoever offers looks first who is under way at a site; a lock for a few milliseconds
# Who was there when it was offered, and says nothing. Or the rest of the wave's time, if that is longer.
ANSWER_LIMIT_S: Final = 3_600
NEXT_WINDOW_S: Final = 86_400  # besides: nothing is given after the window that it was offered it in

Connection = psycopg.Connection[Any]


class Offer(Protocol):
    """executions/delivery.py's: makes tickets for executions; a lane of its own pushes them once that is committed."""

    def __call__(self, connection: Connection, execution_ids: Sequence[int], now: datetime) -> object: ...


Online = Callable[[Connection, Sequence[int]], set[int]]  # which of those gateways have a session with a broker


class Waiting(NamedTuple):
    """An execution that was never offered."""

    id: int
    wave: int
    place: int
    gateway_id: int
    time_zone: str


@dataclass(slots=True)
class Offering:
    """The offers of all rollouts; where each of them goes on is kept in memory, and begins anew after a start."""

    offer: Offer
    online: Online
    _after: dict[int, tuple[int, int]] = field(default_factory=dict)  # by rollout: wave and place

    def turn(self, connection: Connection, running: Running, now: datetime) -> int:
        """Offer to as many as there is room for, and give up those that were away for too long; how many were offered.

        In the transaction that has the rollout's lock.
        """
        opened = {wave.number: wave for wave in running.waves if wave.opened_at is not None}
        if not any(running.counts[number].waiting for number in opened if number in running.counts):
            self._after.pop(running.id, None)
            return 0
        room = min(running.limits.concurrency - running.under_way, OFFERS_A_TURN)
        if room <= 0 and not any(_is_over(wave.offers_until, now) for wave in opened.values()):
            return 0
        found = self._next(connection, running.id, max(opened))
        there = self.online(connection, [each.gateway_id for each in found]) if found else set()
        given_up = [
            each.id for each in found if each.gateway_id not in there and _is_over(opened[each.wave].offers_until, now)
        ]
        if given_up:
            give_up(connection, running.id, given_up, now)
        fit = [each for each in found if each.gateway_id in there]
        chosen = _chosen(connection, running, fit, room, now)
        # Whoever had no room is looked at again first; who is away, or has to wait for a neighbour, comes round.
        full = len(chosen) >= room
        if full and chosen:
            self._after[running.id] = (chosen[-1].wave, chosen[-1].place)
        elif not full and len(found) == CANDIDATES_A_TURN:
            self._after[running.id] = (found[-1].wave, found[-1].place)
        elif not full:
            self._after.pop(running.id, None)
        _offer(connection, running, chosen, self.offer, now)
        return len(chosen)

    def may_offer(self, connection: Connection, execution_id: int, now: datetime) -> bool:
        """A gateway asks by itself, or a person asks for it: what waits for it is offered if its turn has come.

        For the firmware server; in a transaction of its own, so that no two share the last place that is free.
        """
        with connection.transaction():
            row = connection.execute(
                """SELECT e.rollout_id FROM tds_new_execution e JOIN tds_new_rollout r ON r.id = e.rollout_id
                   WHERE e.id = %s AND e.status = 'QUEUED' AND e.offered_at IS NULL AND e.wave <= r.current_wave""",
                (execution_id,),
            ).fetchone()
            running = rollouts.lock(connection, row[0]) if row else None
            if running is None or running.withdrawn:
                return False
            found = _waiting(
                connection,
                """SELECT id, wave, place, gateway_id, time_zone FROM tds_new_execution
                   WHERE id = %s AND status = 'QUEUED' AND offered_at IS NULL""",
                (execution_id,),
            )
            room = running.limits.concurrency - running.under_way
            chosen = _chosen(connection, running, found, room, now)
            _offer(connection, running, chosen, self.offer, now)
            return bool(chosen)

    def _next(self, connection: Connection, rollout_id: int, last_wave: int) -> list[Waiting]:
        wave, place = self._after.get(rollout_id, (0, 0))
        found = _waiting(
            connection,
            """SELECT id, waiting.wave, place, gateway_id, time_zone FROM (
                   SELECT number AS wave FROM tds_new_wave
                   WHERE rollout_id = %(id)s AND number BETWEEN GREATEST(%(wave)s, 1) AND %(last)s
               ) AS opened CROSS JOIN LATERAL (
                   SELECT e.id, e.wave, e.place, e.gateway_id, e.time_zone FROM tds_new_execution e
                   WHERE e.rollout_id = %(id)s AND e.wave = opened.wave AND e.status = 'QUEUED'
                     AND e.offered_at IS NULL
                     AND e.place > CASE WHEN e.wave = %(wave)s THEN %(place)s ELSE -1 END
                   ORDER BY e.place LIMIT %(limit)s
               ) AS waiting ORDER BY waiting.wave, place LIMIT %(limit)s""",
            {"id": rollout_id, "wave": wave, "place": place, "last": last_wave, "limit": CANDIDATES_A_TURN},
        )
        if not found and (wave, place) != (0, 0):  # once round
            self._after.pop(rollout_id, None)
            return self._next(connection, rollout_id, last_wave)
        return found


def _chosen(
    connection: Connection, running: Running, found: Sequence[Waiting], room: int, now: datetime
) -> list[Waiting]:
    """Of those that are there, in their order."""
    window = running.limits.window
    found = [each for each in found if windows.is_open(window, windows.zone(each.time_zone), now)]
    if not found or room <= 0:
        return []
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (OFFERS_LOCK,))
    of_all = sides.look(connection, [each.gateway_id for each in found], now)
    one_per_site = running.limits.one_per_site
    chosen: list[Waiting] = []
    for each in found:
        if len(chosen) == room:
            break
        if of_all.is_free(each.gateway_id, one_per_site=one_per_site):
            of_all.take(each.gateway_id, one_per_site=one_per_site)
            chosen.append(each)
    return chosen


def give_up(connection: Connection, rollout_id: int, execution_ids: Sequence[int], now: datetime) -> None:
    """Of those that wait: what the transition table says of a deadline there."""
    status, reason = end_of_waiting(Kind.DEADLINE)
    _lock(connection, execution_ids)
    given_up = connection.execute(
        """UPDATE tds_new_execution
           SET status = %(status)s, reason = %(reason)s, changed_at = %(now)s, finished_at = %(now)s,
               deadline_at = NULL
           WHERE id = ANY(%(ids)s) AND status = 'QUEUED' AND offered_at IS NULL""",
        {"ids": list(execution_ids), "now": now, "status": status, "reason": reason},
    ).rowcount
    if given_up:  # one may have reported meanwhile
        rollouts.note(connection, rollout_id, now, Happened.NO_ANSWER, {"gateways": given_up})


def _offer(connection: Connection, running: Running, chosen: Sequence[Waiting], offer: Offer, now: datetime) -> None:
    if not chosen:
        return
    _lock(connection, [each.id for each in chosen])
    limit_s = min(running.limits.offer_limit_s, ANSWER_LIMIT_S) + running.limits.spread_s
    if running.limits.window is not None:
        limit_s += NEXT_WINDOW_S
    connection.execute(
        """UPDATE tds_new_execution e SET deadline_at = GREATEST(w.offers_until, %(least)s)
           FROM tds_new_wave w
           WHERE e.id = ANY(%(ids)s) AND w.rollout_id = e.rollout_id AND w.number = e.wave""",
        {"ids": [each.id for each in chosen], "least": now + timedelta(seconds=limit_s)},
    )
    offer(connection, [each.id for each in chosen], now)


def _lock(connection: Connection, execution_ids: Sequence[int]) -> None:
    """In the order of their ids, as whoever keeps reports does it: two can't wait for one another."""
    connection.execute(
        "SELECT FROM tds_new_execution WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (list(execution_ids),)
    )


def _waiting(connection: Connection, query: str, parameters: Any) -> list[Waiting]:
    return [Waiting(*row) for row in connection.execute(query, parameters)]


def _is_over(until: datetime | None, now: datetime) -> bool:
    return until is not None and now >= until
