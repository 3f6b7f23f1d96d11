"""Whichever store the database has. It is asked each time: a move to the other store takes effect without a restart.

Writing and reading are the same in both; only the upkeep, which the worker does, differs.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg

from tds.readings import timescale
from tds.readings.budget import NO_BUDGET, Budget, PartSize
from tds.readings.partitions import PartitionStore
from tds.readings.sqlstore import SqlStore
from tds.readings.store import Part
from tds.readings.timescale import TimescaleStore


class ChosenStore(SqlStore):
    """`ReadingStore` for a database that may have either."""

    def __init__(self, retention: timedelta, budget: Budget = NO_BUDGET) -> None:
        super().__init__()
        self._native = PartitionStore(retention, budget)
        self._timescale = TimescaleStore(retention, budget)

    def of(self, connection: psycopg.Connection[Any]) -> PartitionStore | TimescaleStore:
        return self._timescale if timescale.in_use(connection) else self._native

    def name_of(self, connection: psycopg.Connection[Any]) -> str:
        return self.of(connection).name

    def roll_up(self, connection: psycopg.Connection[Any], *, now: datetime) -> int:
        return self.of(connection).roll_up(connection, now=now)

    def rebuild(
        self, connection: psycopg.Connection[Any], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, int]]:
        return self.of(connection).rebuild(connection, since, until)

    def size(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        return self.of(connection).size(connection)

    def prepare(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        return self.of(connection).prepare(connection, now=now)

    def compact(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        return self.of(connection).compact(connection, now=now)

    def expire(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        return self.of(connection).expire(connection, now=now)

    def sizes(self, connection: psycopg.Connection[Any]) -> list[PartSize]:
        return self.of(connection).sizes(connection)

    def parts(self, connection: psycopg.Connection[Any]) -> list[Part]:
        return self.of(connection).parts(connection)
