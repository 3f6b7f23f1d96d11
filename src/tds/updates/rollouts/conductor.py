"""The worker's lane that conducts rollouts: about once a second it does what their rules say.

Each rollout has its turn in a transaction of its own, under its row's lock, and all that a turn does is in it: it may
be cut off at any moment and is done anew. A turn costs what has changed, not what a rollout has: counts are kept by a
trigger, and those that wait are looked at a bounded number at a time.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final, Protocol, assert_never

import psycopg

from tds.updates.executions.absence import Absence
from tds.updates.rollouts import counts, known_bad, rules, windows, withdrawn
from tds.updates.rollouts import running as rollouts
from tds.updates.rollouts.eligibility import Place
from tds.updates.rollouts.gate import Sign
from tds.updates.rollouts.offering import Offer, Offering, Online
from tds.updates.rollouts.rules import Decision, Does, Halt
from tds.updates.rollouts.running import Running
from tds.updates.rollouts.watching import Health, Watching
from tds.updates.timeline import Happened

logger = logging.getLogger("tds.worker")

TURN_S: Final = 1.0
SETTLED_A_TURN: Final = 1_000  # executions
POSTPONED_S: Final = 30.0  # a rollout whose turn failed; the others go on
STEPS_A_TURN: Final = 3  # the first wave opens, its offers are made: without waiting for another turn

Connection = psycopg.Connection[Any]


class Settle(Protocol):
    """executions/keeper.py's: ends executions whose deadline has passed; how many."""

    def __call__(self, connection: Connection, now: datetime, limit: int) -> int: ...


@dataclass(slots=True)
class Conducting:
    """One lane of the worker, with a connection to itself. `wait` ends early when the process is told to stop."""

    settle: Settle
    offer: Offer
    online: Online
    health: Health
    now: Callable[[], datetime]
    wait: Callable[[float], object]
    clock: Callable[[], float] = monotonic
    _offering: Offering = field(init=False)
    _watching: Watching = field(init=False)
    _absence: Absence = field(default_factory=Absence)
    _known_bad: dict[int, frozenset[Place]] = field(default_factory=dict)  # by rollout: taken out
    _postponed: dict[int, float] = field(default_factory=dict)
    _gate_waits: dict[int, int] = field(default_factory=dict)  # by rollout: the wave of which that was told
    _turned_at: datetime | None = None

    def __post_init__(self) -> None:
        self._offering = Offering(self.offer, self.online)
        self._watching = Watching(self.health)

    def turn(self, connection: Connection) -> None:
        began = self.clock()
        self._absence.settle(connection, self.now())
        self.conduct_all(connection)
        self._turned_at = self.now()
        self.wait(max(0.0, TURN_S - (self.clock() - began)))

    def facts(self) -> dict[str, Any]:
        """For the heartbeat: when the last turn ended, and which rollouts were passed over in it; and time
        zones of sites that this machine does not know."""
        passed_over = [pk for pk, until in self._postponed.items() if self.clock() < until]
        turned_at = self._turned_at.isoformat() if self._turned_at else None
        return {
            "turned_at": turned_at,
            "passed_over": passed_over,
            "unknown_zones": sorted(windows.unknown_zones),
        }

    def conduct_all(self, connection: Connection) -> None:
        self.settle(connection, self.now(), SETTLED_A_TURN)
        counts.fold(connection)
        running = rollouts.ids(connection)
        self._watching.forget(running)
        self._known_bad = {pk: taken for pk, taken in self._known_bad.items() if pk in running}
        self._gate_waits = {pk: wave for pk, wave in self._gate_waits.items() if pk in running}
        self._postponed = {pk: until for pk, until in self._postponed.items() if pk in running}
        for rollout_id in running:
            if self.clock() >= self._postponed.get(rollout_id, 0):
                self._conduct(connection, rollout_id)

    def _conduct(self, connection: Connection, rollout_id: int) -> None:
        try:
            for _step in range(STEPS_A_TURN):
                with connection.transaction():
                    if not self.step(connection, rollout_id, self.now()):
                        break
        except psycopg.OperationalError as error:  # in each other's way; or the database is gone
            self._forget(rollout_id)
            if connection.broken or connection.closed:
                raise
            logger.info("Rollout %d waits for its next turn: %s", rollout_id, str(error).strip())
        except Exception:  # a fault of ours in one rollout must not hold up the others
            self._forget(rollout_id)
            self._postponed[rollout_id] = self.clock() + POSTPONED_S
            logger.exception("Rollout %d failed; it is tried again in %.0f s", rollout_id, POSTPONED_S)

    def _forget(self, rollout_id: int) -> None:
        """What was noted as done in a transaction that is gone."""
        self._known_bad.pop(rollout_id, None)
        self._gate_waits.pop(rollout_id, None)

    def step(self, connection: Connection, rollout_id: int, now: datetime) -> bool:
        """In a transaction: what is to do now; whether it may be that more is."""
        running = rollouts.lock(connection, rollout_id)
        if running is None:
            return False
        if self._takes_out(connection, running, now):
            return True
        judged = self._watching.judged(connection, running, now)
        decision = rules.decide(
            running.limits,
            running.opened,
            len(running.waves),
            judged.verdict,
            withdrawn=running.withdrawn,
            now=now,
        )
        if decision.does is Does.SOAK_BROKEN:
            before = rollouts.soaks_broken(connection, running, decision.wave)
            decision = rules.broken(decision, before)
        if decision.why is Halt.UNSTEADY:
            rollouts.unsteady(connection, running, decision.wave, now)
        if decision.why is Halt.TELEMETRY:
            watched = len(judged.bad) + judged.good + judged.waiting + judged.unjudged
            words = {"bad": len(judged.bad), "watched": watched, "signs": _signs(connection, judged.bad)}
            rollouts.note(connection, running.id, now, Happened.GATE_FAILED, words)
        ends_a_wave = running.opened and decision.does in (Does.OPEN, Does.COMPLETE)
        if ends_a_wave and judged.unjudged and not judged.good:
            rollouts.note(connection, running.id, now, Happened.GATE_BLIND, {"watched": judged.unjudged})
        if decision.does is Does.GATE_WAITS and self._gate_waits.get(running.id) != decision.wave:
            rollouts.gate_waits(connection, running, decision.wave, judged.waiting, now)
            self._gate_waits[running.id] = decision.wave
        goes_on = _apply(connection, running, decision, now)
        if decision.does in (Does.STAY, Does.SOAK, Does.SOAK_BROKEN, Does.GATE_WAITS):
            self._offering.turn(connection, running, now)
        return goes_on

    def _takes_out(self, connection: Connection, running: Running, now: datetime) -> bool:
        """Whether anybody was taken out because the release became known to be bad on some hardware."""
        bad, taken_out = known_bad.places(connection, running.release_id), 0
        for place in sorted(bad - self._known_bad.get(running.id, frozenset())):
            taken_out += known_bad.take_out(connection, running, place, now)
        self._known_bad[running.id] = bad
        return taken_out > 0


def _signs(connection: Connection, bad: Mapping[int, Sign]) -> dict[str, str]:
    """By codes, for the timeline: the first of them."""
    some = sorted(bad)[: rollouts.GATEWAYS_TOLD]
    rows = connection.execute("SELECT code, id FROM tds_new_gateway WHERE id = ANY(%s) ORDER BY code", (some,))
    return {code: str(bad[pk]) for code, pk in rows.fetchall()}


def _apply(connection: Connection, running: Running, decision: Decision, now: datetime) -> bool:
    """Whether the rollout has changed, so that more may be to do at once."""
    match decision.does:
        case Does.STAY | Does.GATE_WAITS:
            return False
        case Does.SOAK:
            rollouts.soak(connection, running, decision.wave, now, now)
            return running.limits.soak_s == 0
        case Does.SOAK_BROKEN:
            rollouts.soak(connection, running, decision.wave, None, now)
            return False
        case Does.OPEN:
            rollouts.open_wave(connection, running, decision.wave, now)
            return True
        case Does.HALT:
            rollouts.halt(connection, running, str(decision.why), decision.wave, now)
            if decision.why is Halt.WITHDRAWN:
                withdrawn.end(connection, running.id, now)
            logger.warning("Rollout %d (%s) halted: %s", running.id, running.title, decision.why)
            return False
        case Does.COMPLETE:
            rollouts.complete(connection, running, decision.wave, now)
            logger.info("Rollout %d (%s) is complete.", running.id, running.title)
            return False
        case _:
            assert_never(decision.does)
