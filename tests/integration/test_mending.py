"""Closed hours with late rows are aggregated again bit by bit: a run is bounded, and what waits longest is first."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import psycopg
import pytest

from tds.readings import rollup, timescale
from tds.readings.models import DirtyHour
from tds.readings.partitions import PartitionStore
from tds.readings.store import HourOfReadings, Series
from tds.readings.timescale import MENDED_AT_ONCE, TimescaleStore, next_to_mend
from tests import seeding
from tests.timescaledb import store_of, timescaledb

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
Store = PartitionStore | TimescaleStore
NOW: Final = datetime(2005, 6, 10, 12, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=10)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
SERIES: Final = [Series(device, 1) for device in range(1_001, 1_004)]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        yield own


@pytest.fixture(params=[PartitionStore, TimescaleStore], ids=["native", "timescaledb"])
def store(request: pytest.FixtureRequest, connection: Connection) -> Iterator[Store]:
    with store_of(request.param, connection, RETENTION, now=NOW, until=NOW + 60 * timedelta(days=1)) as either:
        yield either


def ago(hours: int) -> datetime:
    """The beginning of an hour that is closed."""
    return NOW.replace(minute=0) - hours * HOUR


def charted(store: Store, connection: Connection) -> list[HourOfReadings]:
    return store.hours(connection, SERIES, NOW - RETENTION, NOW + HOUR, zone="UTC")


def closed(store: Store, connection: Connection, hours: int) -> None:
    """So many hours, each with a reading of each series."""
    seeding.insert(connection, [(of, ago(n), 1.0) for of in SERIES for n in range(1, hours + 1)])
    store.roll_up(connection, now=NOW)


def dirty() -> list[datetime]:
    return sorted(set(DirtyHour.objects.values_list("hour", flat=True)))


def test_a_run_ends_when_its_time_is_over_and_the_next_one_goes_on(
    store: Store, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tds.readings.partitions.DIRTY_A_STEP", 1)
    closed(store, connection, 8)
    # Not next to each other, and the newest hour first.
    for n in (2, 8, 4, 6):
        seeding.insert(connection, [(SERIES[0], ago(n) + MINUTE, 5.0)])
    chart = charted(store, connection)
    clock = [0.0]

    def later() -> float:
        clock[0] += 5.0
        return clock[0]

    for module in ("partitions", "timescale"):
        monkeypatch.setattr(f"tds.readings.{module}.monotonic", later)
    monkeypatch.setattr(rollup, "RUN_S", 6.0)
    left = [dirty()]
    while left[-1]:
        assert len(left) < 5
        store.roll_up(connection, now=NOW)
        left.append(dirty())
        assert charted(store, connection) == chart
    assert [len(hours) for hours in left] == [4, 3, 2, 1, 0]
    if store.name == "timescaledb":
        assert [set(before) - set(after) for before, after in pairwise(left)] == [{ago(n)} for n in (2, 8, 4, 6)]


def test_hours_are_closed_however_much_is_to_be_mended(
    store: Store, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tds.readings.partitions.DIRTY_A_STEP", 1)
    monkeypatch.setattr(rollup, "RUN_S", 0.0)
    closed(store, connection, 6)
    while store.open_since(connection) < NOW.replace(minute=0):
        store.roll_up(connection, now=NOW)
    seeding.insert(connection, [(SERIES[0], ago(n) + MINUTE, 5.0) for n in (1, 3, 5)])
    seeding.insert(connection, [(SERIES[0], NOW, 1.0)])
    store.roll_up(connection, now=NOW + HOUR)
    assert store.open_since(connection) == NOW.replace(minute=0) + HOUR
    assert len(dirty()) >= 2


def test_of_a_small_fleet_hours_that_follow_one_another_are_aggregated_together(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[int] = []
    refresh = timescale.refresh

    def counted(own: Connection, start: datetime, end: datetime, **options: Any) -> None:
        spans.append((end - start) // HOUR)
        refresh(own, start, end, **options)

    with timescaledb():
        store = TimescaleStore(RETENTION)
        closed(store, connection, 30)
        seeding.insert(connection, [(SERIES[0], ago(n) + MINUTE, 5.0) for n in range(1, 31)])
        chart = charted(store, connection)
        monkeypatch.setattr(timescale, "refresh", counted)
        assert store.roll_up(connection, now=NOW) == 30
        assert charted(store, connection) == chart
        assert not dirty()
        assert sum(spans) == 30
        assert max(spans) == MENDED_AT_ONCE
        # Of a large one, each by itself: how long a step takes is not known before.
        spans.clear()
        monkeypatch.setattr(timescale, "QUICK_S", 0.0)
        seeding.insert(connection, [(SERIES[0], ago(n) + 2 * MINUTE, 5.0) for n in range(1, 9)])
        store.roll_up(connection, now=NOW)
        assert spans == [1] * 8


@pytest.mark.parametrize(
    ("waiting", "at_most", "expected"),
    [
        ([5], 1, [5]),
        ([5], 6, [5]),
        ([5, 4, 6], 1, [5]),
        ([5, 4, 6], 2, [5, 6]),
        ([5, 4, 6], 3, [4, 5, 6]),
        ([5, 4, 6, 3], 3, [4, 5, 6]),
        ([5, 7, 8, 3], 6, [5]),  # a gap on both sides
        ([1, 9, 2, 8, 3], 6, [1, 2, 3]),
        ([9, 8, 7, 6, 5, 4, 3], 6, [4, 5, 6, 7, 8, 9]),  # a gateway that sends its past backwards
    ],
)
def test_what_waits_longest_is_next_with_what_waits_beside_it(
    waiting: list[int], at_most: int, expected: list[int]
) -> None:
    start = NOW.replace(minute=0)
    assert next_to_mend([start + n * HOUR for n in waiting], at_most) == [start + n * HOUR for n in expected]


def test_a_flood_into_a_log_that_was_empty_when_it_was_last_counted_is_mended_in_seconds(
    connection: Connection,
) -> None:
    entries, devices = 20_000, 300
    with store_of(PartitionStore, connection, RETENTION, now=NOW, until=NOW + 60 * timedelta(days=1)) as store:
        store.roll_up(connection, now=NOW)
        flood = """INSERT INTO tds_new_horasuja (device_id, hour)
                   SELECT 5000 + n %% %s, %s FROM generate_series(1, %s) AS n"""
        # One is left, at the end of the file: the planner believes that there is one in all of its pages.
        connection.execute(flood, (devices, ago(5), entries))
        connection.execute("DELETE FROM tds_new_horasuja WHERE id < (SELECT max(id) FROM tds_new_horasuja)")
        connection.execute("VACUUM ANALYZE tds_new_horasuja")
        connection.execute(flood, (devices, ago(5), entries))
        connection.execute("SET statement_timeout = '5s'")
        store.roll_up(connection, now=NOW)
        assert dirty() == []
