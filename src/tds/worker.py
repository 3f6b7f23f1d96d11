"""Periodic work: hours aggregated, partitions made ahead and dropped by retention.

What is quick and what is slow have a thread and a connection each, and so has the sign of life: late readings are in
the rollup within a minute also while a day is compressed for many.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

import psycopg

from tds.ingest import ledger
from tds.readings.store import ReadingStore

logger = logging.getLogger("tds.worker")

ROLL_UP_EVERY_S: Final = 15.0  # late readings are in the rollup within a minute
PARTITIONS_EVERY_S: Final = 600.0
LEDGER_EVERY_S: Final = 3_600.0
DISK_EVERY_S: Final = 600.0
TICK_S: Final = 1.0
RETRY_S: Final = 5.0
RETRY_SOON_S: Final = 1.0  # of a turn for which somebody waits
SAY_EVERY_S: Final = 60.0  # that the database is still away
STOP_S: Final = 8.0  # for what is under way, of the 10 s that a process of the platform has
CANCEL_EVERY_S: Final = 0.2  # again and again: one that comes between two statements ends neither
CANCEL_LIMIT_S: Final = 1.0  # for a server that does not even take it

Turn = Callable[[psycopg.Connection[Any]], None]


@dataclass(slots=True)
class Chore:
    """Something to do every so often. A chore that fails waits a little; the others go on.

    A slow one may take hours: it is done beside those that are not.
    """

    name: str
    every_s: float
    do: Callable[[psycopg.Connection[Any], datetime], object]
    slow: bool = False
    due_at: float = 0.0
    since: datetime | None = None  # it is being done


def chores(store: ReadingStore) -> list[Chore]:
    return [
        Chore("partitions", PARTITIONS_EVERY_S, lambda connection, now: store.prepare(connection, now=now), slow=True),
        # Before retention: a day that is about to become a tenth as large should not cost another one its place.
        Chore("compression", PARTITIONS_EVERY_S, lambda connection, now: store.compact(connection, now=now), slow=True),
        Chore("retention", PARTITIONS_EVERY_S, lambda connection, now: store.expire(connection, now=now), slow=True),
        Chore("ledger", LEDGER_EVERY_S, lambda connection, now: ledger.fold(connection, now=now), slow=True),
        Chore("rollup", ROLL_UP_EVERY_S, lambda connection, now: store.roll_up(connection, now=now)),
    ]


def run(  # noqa: PLR0913  # the parts that a test replaces
    work: Sequence[Chore],
    stopping: Event,
    *,
    connect: Callable[[], psycopg.Connection[Any]],
    now: Callable[[], datetime],
    beat: Callable[[psycopg.Connection[Any], dict[str, Any]], None],
    waiting: Mapping[str, Turn] | None = None,
) -> None:
    """Do what is due until told to stop, over connections that are made again when they break.

    `waiting` are turns that wait for their work themselves, by name. Told to stop, it cancels what is under way and
    ends within STOP_S.
    """

    def do_all(of: Sequence[Chore]) -> Turn:
        def turn(connection: psycopg.Connection[Any]) -> None:
            for chore in of:
                if monotonic() >= chore.due_at and not stopping.is_set():
                    _do(chore, connection, now(), stopping)

        return turn

    def tell(connection: psycopg.Connection[Any]) -> None:
        doing = {chore.name: since.isoformat() for chore in work if (since := chore.since)}
        beat(connection, {"chores": [chore.name for chore in work], "doing": doing})

    quick, slow = ([chore for chore in work if chore.slow is is_slow] for is_slow in (False, True))
    turns = {"the sign of life": tell, "quick chores": do_all(quick), "slow chores": do_all(slow)}
    lanes = [Lane(name, turn, connect, stopping, TICK_S, RETRY_S) for name, turn in turns.items()]
    run_lanes([*lanes, *waiting_lanes(waiting or {}, connect, stopping)], stopping)


def waiting_lanes(
    turns: Mapping[str, Turn], connect: Callable[[], psycopg.Connection[Any]], stopping: Event
) -> list["Lane"]:
    """Of turns that wait for their work themselves: nothing is added to how long that takes."""
    return [Lane(name, turn, connect, stopping, pause_s=0, retry_s=RETRY_SOON_S) for name, turn in turns.items()]


def run_lanes(lanes: Sequence["Lane"], stopping: Event) -> None:
    """Until told to stop; then what is under way is cancelled."""
    for lane in lanes:
        lane.thread.start()
    stopping.wait()
    _end(lanes)


@dataclass(slots=True)
class Lane:
    """A turn that is taken again and again, on a thread and a connection of its own.

    No fault ends it before the process does: nobody would notice that a part of the chores is not done any more.
    """

    name: str
    turn: Turn
    connect: Callable[[], psycopg.Connection[Any]]
    stopping: Event
    pause_s: float = TICK_S  # between two turns
    retry_s: float = RETRY_S
    thread: Thread = field(init=False)
    _connection: psycopg.Connection[Any] | None = None
    _said: tuple[str, float] = ("", 0.0)

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._run, name=self.name, daemon=True)

    def cancel(self) -> None:
        """From another thread: whatever statement is under way."""
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_LIMIT_S)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                with self.connect() as connection:
                    self._connection = connection
                    self._serve(connection)
            except psycopg.Error as error:
                self._say_away(str(error).strip())
            except Exception:
                logger.exception("A fault of ours in %s; going on in %.0f s", self.name, self.retry_s)
            self._connection = None
            self.stopping.wait(self.retry_s)

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            self.turn(connection)
            self.stopping.wait(self.pause_s)

    def _say_away(self, why: str) -> None:
        said, at = self._said
        if not self.stopping.is_set() and (why != said or monotonic() - at >= SAY_EVERY_S):
            self._said = (why, monotonic())
            logger.warning("Database unavailable, trying again in %.0f s: %s (%s)", self.retry_s, why, self.name)


def _end(lanes: Sequence[Lane]) -> None:
    deadline = monotonic() + STOP_S
    while (busy := [lane for lane in lanes if lane.thread.is_alive()]) and monotonic() < deadline:
        for lane in busy:
            lane.cancel()
        busy[0].thread.join(CANCEL_EVERY_S)
    for lane in busy:
        logger.warning("The database does not let go of %s; the process ends without it.", lane.name)


def _do(chore: Chore, connection: psycopg.Connection[Any], now: datetime, stopping: Event) -> None:
    chore.due_at = monotonic() + chore.every_s
    chore.since = now
    try:
        done = chore.do(connection, now)
    except Exception as error:  # a fault of ours in one chore must not end the process for all
        if isinstance(error, psycopg.Error) and (connection.broken or connection.closed):
            raise
        if stopping.is_set():
            logger.info("%s was broken off; it is done after the next start.", chore.name)
            return
        logger.exception("%s failed; it is tried again in %.0f s", chore.name, chore.every_s)
        return
    finally:
        chore.since = None
    if done:
        logger.info("%s: %s", chore.name, _short(done))


def _short(done: object) -> object:
    """The first start makes a partition a day of retention: their names would fill a page of the log."""
    match done:
        case [first, *between, last] if between:
            return f"{first} to {last} ({len(between) + 2})"
        case [*names]:
            return ", ".join(map(str, names))
        case _:
            return done
