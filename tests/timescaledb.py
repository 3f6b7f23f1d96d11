"""The test database with TimescaleDB's tables for a while, where this machine has TimescaleDB; or either store."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from django.db import connections

from tds.readings import timescale
from tds.readings.budget import NO_BUDGET, Budget
from tds.readings.partitions import PartitionStore
from tds.readings.sqlstore import query
from tds.readings.timescale import TimescaleStore
from tests.seeding import own_connection, without_readings

HOW_TO_GET_IT: Final = (
    "PostgreSQL here has no TimescaleDB: install Timescale's package for this PostgreSQL version, or build it "
    "from github.com/timescale/timescaledb (2.28.3 fits PostgreSQL 15); the tests load it by themselves then"
)


@contextmanager
def timescaledb() -> Iterator[None]:
    """Empty tables of the TimescaleDB store; afterwards empty ones of the native store again. Skips without it."""
    with afterwards_native():
        with own_connection() as connection:
            if not timescale.in_use(connection):
                with connection.transaction():
                    connection.execute("DROP TABLE tds_new_leituradispositivo, tds_new_leiturahora")
                    timescale.create(connection)
            connections.close_all()
        yield


@contextmanager
def store_of(
    kind: type[PartitionStore | TimescaleStore],
    connection: psycopg.Connection[Any],
    retention: timedelta,
    budget: Budget = NO_BUDGET,
    *,
    now: datetime,
    until: datetime,
) -> Iterator[PartitionStore | TimescaleStore]:
    """A store of either kind with room for readings at `now`; what it has before `until` is gone after it."""
    if kind is TimescaleStore:
        with timescaledb():
            yield TimescaleStore(retention, budget)
        return
    native = PartitionStore(retention, budget)
    native.prepare(connection, now=now)
    yield native
    without_readings(connection)
    native.expire(connection, now=until)


@contextmanager
def afterwards_native() -> Iterator[None]:
    """Where a test may move the readings; skips without TimescaleDB."""
    with own_connection() as connection:
        if not timescale.available(connection):
            pytest.skip(HOW_TO_GET_IT)
        was_native = not timescale.in_use(connection)
    try:
        yield
    finally:
        if was_native:
            with own_connection() as connection, connection.transaction():
                _go_back(connection)
            # A session that is left open has the dropped extension's tables in its plans, for all tests after this.
            connections.close_all()


def _go_back(connection: psycopg.Connection[Any]) -> None:
    connection.execute("DROP EXTENSION timescaledb CASCADE")
    connection.execute(
        """DROP TABLE IF EXISTS tds_new_leituradispositivo, tds_new_horasuja, tds_new_estadorollup,
           tds_new_horaemendada CASCADE"""
    )
    relation = connection.execute("SELECT relkind FROM pg_class WHERE relname = 'tds_new_leiturahora'").fetchone()
    if relation:
        connection.execute(f"DROP {'VIEW' if relation[0] == 'v' else 'TABLE'} tds_new_leiturahora CASCADE")
    connection.execute("DROP AGGREGATE IF EXISTS tds_new_counted(float8)")
    connection.execute("DROP FUNCTION IF EXISTS tds_new_counted(float8[], float8)")
    connection.execute(query("tables"))
    connection.execute(query("mended_table"))
    connection.execute(query("counters"))
