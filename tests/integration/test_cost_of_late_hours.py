"""What hours with late readings cost: the rows that are read are those of these hours, however much else there is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from pytest_django import DjangoDbBlocker

from tds.readings import partitions, sqlstore
from tds.readings.partitions import PartitionStore
from tds.readings.sqlstore import TABLE
from tds.readings.store import Series
from tds.readings.timescale import TimescaleStore
from tests import seeding
from tests.timescaledb import timescaledb

pytestmark = pytest.mark.django_db

Connection = psycopg.Connection[Any]
Store = PartitionStore | TimescaleStore
# Long before all that other tests store.
NOW: Final = datetime(2004, 6, 10, 12, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
DAYS: Final = 12
RETENTION: Final = DAYS * DAY
SERIES: Final = [Series(device, 1) for device in range(1, 21)]
EVERY: Final = timedelta(minutes=2)
AN_HOUR: Final = HOUR // EVERY
LATE: Final = [(of.device_id, NOW.replace(minute=0) - n * HOUR) for n in range(2, 32) for of in SERIES[:10]]


@pytest.fixture(scope="module", params=["native", "timescaledb"])
def store(django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest) -> Iterator[Store]:
    with django_db_blocker.unblock(), seeding.own_connection() as connection:
        if request.param == "native":
            native = PartitionStore(RETENTION)
            native.prepare(connection, now=NOW)
            yield native
            seeding.without_readings(connection)
            native.expire(connection, now=NOW + 60 * DAY)
            return
    with django_db_blocker.unblock(), timescaledb():
        yield TimescaleStore(RETENTION)


@pytest.fixture(scope="module")
def connection(store: Store) -> Iterator[Connection]:
    """All hours closed; then those of ten devices over thirty hours got late readings."""
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        own.execute(
            f"""INSERT INTO {TABLE} (device_id, metric_id, time, value)
                SELECT device, 1, time, 1 FROM generate_series(%s::timestamptz, %s, %s) AS time,
                     generate_series(1, %s) AS device""",
            (NOW - RETENTION + HOUR, NOW, EVERY, len(SERIES)),
        )
        store.roll_up(own, now=NOW)
        with own.cursor() as cursor:
            cursor.executemany("INSERT INTO tds_new_horasuja (device_id, hour) VALUES (%s, %s)", LATE)
        own.execute(f"ANALYZE {TABLE}, tds_new_horasuja")
        yield own
        seeding.without_readings(own)


def readings_read(connection: Connection, store: Store, query: str, parameters: dict[str, Any]) -> int:
    """How many readings a statement takes out of the tables, those it throws away again among them."""
    parts = {part.name.split(".")[-1] for part in store.parts(connection)}
    with connection.transaction(force_rollback=True):
        row = psycopg.Cursor(connection).execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}", parameters)
        [(plan,)] = row.fetchall()
    nodes, read = [plan[0]["Plan"]], 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") in parts:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            read += (node["Actual Rows"] + removed) * node["Actual Loops"]
    return read


def test_a_chart_reads_the_rows_of_dirty_hours_and_no_others(store: Store, connection: Connection) -> None:
    start, end = (NOW - RETENTION).replace(minute=0) + DAY, NOW.replace(minute=0) + HOUR
    parameters = {
        "devices": [of.device_id for of in SERIES],
        "metrics": [of.metric_id for of in SERIES],
        "start": start,
        "end": end,
        "origin": start,
        "zone": "UTC",
        "rollup": True,
    }
    open_hour = len(SERIES) * (30 // 2 + 1)
    for ordered in (True, False):
        read = readings_read(connection, store, sqlstore.hours_query(ordered=ordered), parameters)
        assert len(LATE) * AN_HOUR <= read <= 1.1 * (len(LATE) * AN_HOUR + open_hour)
    # It is the statement that the store runs.
    hours = store.hours(connection, SERIES, start, end, zone="America/Sao_Paulo")
    assert sum(hour.n for hour in hours) == len(SERIES) * ((NOW - start) // EVERY + 1)


@pytest.mark.parametrize("store", ["native"], indirect=True)  # the other has TimescaleDB refresh them
def test_mending_reads_the_rows_of_dirty_hours_and_no_others(store: PartitionStore, connection: Connection) -> None:
    columns = {"devices": [device for device, _ in LATE], "hours": [hour for _, hour in LATE]}
    read = readings_read(connection, store, partitions._roll_up_queries()[1], columns)
    assert len(LATE) * AN_HOUR <= read <= 1.1 * len(LATE) * AN_HOUR
