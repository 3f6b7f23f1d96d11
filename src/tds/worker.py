"""Periodic work: hours aggregated, partitions made ahead and dropped by retention."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event
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


@dataclass(slots=True)
class Chore:
    """Something to do every so often. A chore that fails waits a little; the others go on."""

    name: str
    every_s: float
    do: Callable[[psycopg.Connection[Any], datetime], object]
    due_at: float = 0.0


def chores(store: ReadingStore) -> list[Chore]:
    return [
        Chore("partitions", PARTITIONS_EVERY_S, lambda connection, now: store.prepare(connection, now=now)),
        # Before retention: a day that is about to become a tenth as large should not cost another one its place.
        Chore("compression", PARTITIONS_EVERY_S, lambda connection, now: store.compact(connection, now=now)),
        Chore("retention", PARTITIONS_EVERY_S, lambda connection, now: store.expire(connection, now=now)),
        Chore("ledger", LEDGER_EVERY_S, lambda connection, now: ledger.fold(connection, now=now)),
        Chore("rollup", ROLL_UP_EVERY_S, lambda connection, now: store.roll_up(connection, now=now)),
    ]


def run(
    work: Sequence[Chore],
    stopping: Event,
    *,
    connect: Callable[[], psycopg.Connection[Any]],
    now: Callable[[], datetime],
    beat: Callable[[psycopg.Connection[Any], dict[str, Any]], None],
) -> None:
    """Do what is due until told to stop, over a connection that is made again when it breaks."""
    while not stopping.is_set():
        try:
            with connect() as connection:
                _serve(connection, work, stopping, now=now, beat=beat)
        except psycopg.Error as error:
            logger.warning("Database unavailable, trying again in %.0f s: %s", RETRY_S, str(error).strip())
            stopping.wait(RETRY_S)


def _serve(
    connection: psycopg.Connection[Any],
    work: Sequence[Chore],
    stopping: Event,
    *,
    now: Callable[[], datetime],
    beat: Callable[[psycopg.Connection[Any], dict[str, Any]], None],
) -> None:
    while not stopping.is_set():
        for chore in work:
            if monotonic() >= chore.due_at and not stopping.is_set():
                _do(chore, connection, now())
        beat(connection, {"chores": [chore.name for chore in work]})
        stopping.wait(TICK_S)


def _do(chore: Chore, connection: psycopg.Connection[Any], now: datetime) -> None:
    chore.due_at = monotonic() + chore.every_s
    try:
        done = chore.do(connection, now)
    except Exception as error:  # a fault of ours in one chore must not end the process for all
        if isinstance(error, psycopg.Error) and (connection.broken or connection.closed):
            raise
        logger.exception("%s failed; it is tried again in %.0f s", chore.name, chore.every_s)
        return
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
