"""Keys that became half empty while their day was filled: when they are made anew, and what a broken-off try leaves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pytest_django import DjangoDbBlocker

from tds.readings import keys
from tds.readings.keys import MIN_KEY_BYTES, REBUILD_AFTER, is_half_empty
from tds.readings.partitions import PartitionStore
from tds.readings.sqlstore import TABLE, SqlStore
from tds.readings.store import Part
from tds.readings.timescale import TimescaleStore
from tests.seeding import own_connection, without_readings
from tests.timescaledb import timescaledb

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = [datetime(2026, 6, day, tzinfo=UTC) for day in (8, 9, 10)]
SERIES, MINUTES = 200, 400

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", params=["native", "timescaledb"])
def store(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Iterator[SqlStore]:
    if request.param == "native":
        yield PartitionStore(30 * DAY)
        return
    with django_db_blocker.unblock(), timescaledb():
        yield TimescaleStore(30 * DAY)


@pytest.fixture
def connection(store: PartitionStore | TimescaleStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """Three days, filled minute by minute as readings arrive."""
    monkeypatch.setattr(keys, "MIN_KEY_BYTES", 500_000)
    with own_connection() as made:
        without_readings(made)
        store.prepare(made, now=NOW)
        for day in DAYS:
            made.execute(
                f"""INSERT INTO {TABLE} (device_id, metric_id, time, value)
                    SELECT device, 1, minute, 1
                    FROM generate_series(%s::timestamptz, %s, interval '1 minute') AS minute,
                         generate_series(1, %s) AS device
                    ORDER BY minute, device""",
                (day, day + (MINUTES - 1) * timedelta(minutes=1), SERIES),
            )
        yield made
        without_readings(made)
        made.execute(f"TRUNCATE {TABLE}")  # dead rows would make the next test's days look large


def part_of(store: PartitionStore | TimescaleStore, connection: Connection, day: datetime) -> Part:
    return next(part for part in store.parts(connection) if part.start == day)


def key_bytes(connection: Connection, part: Part) -> int:
    row = connection.execute(
        "SELECT pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = to_regclass(%s) AND indisprimary",
        (part.name,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def rows(connection: Connection) -> list[Any]:
    return connection.execute(f"SELECT count(*), count(DISTINCT (device_id, metric_id, time)) FROM {TABLE}").fetchall()


@pytest.mark.parametrize(
    ("rows_bytes", "key", "expected"),
    [
        (17_350_656, 19_890_176, True),  # as measured, filled minute by minute
        (17_350_656, 11_714_560, False),  # the same, made anew
        (0, MIN_KEY_BYTES, True),
        (MIN_KEY_BYTES, MIN_KEY_BYTES - 1, False),  # too small to be worth it
    ],
)
def test_a_key_larger_than_its_rows_is_half_empty(rows_bytes: int, key: int, expected: bool) -> None:
    assert is_half_empty(rows_bytes, key) is expected


def test_the_keys_of_days_that_are_over_are_made_anew_newest_first_and_once(
    store: PartitionStore | TimescaleStore, connection: Connection
) -> None:
    before, stored = {day: key_bytes(connection, part_of(store, connection, day)) for day in DAYS}, rows(connection)
    done = [store.compact(connection, now=NOW) for _ in range(3)]
    assert done == [[part_of(store, connection, day).name] for day in (DAYS[1], DAYS[0])] + [[]]
    after = {day: key_bytes(connection, part_of(store, connection, day)) for day in DAYS}
    assert after[DAYS[0]] < 0.7 * before[DAYS[0]]
    assert after[DAYS[1]] < 0.7 * before[DAYS[1]]
    assert after[DAYS[2]] == before[DAYS[2]], "the day under way is still being filled"
    assert rows(connection) == stored


def test_a_day_that_has_just_ended_is_left_until_gateways_caught_up(
    store: PartitionStore | TimescaleStore, connection: Connection
) -> None:
    ended = DAYS[1] + DAY
    days = [part_of(store, connection, DAYS[1])]
    assert keys.rebuild_one(connection, days, now=ended + REBUILD_AFTER - timedelta(seconds=1)) == []
    assert keys.rebuild_one(connection, days, now=ended + REBUILD_AFTER) == [days[0].name]


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM {}", "DELETE FROM {} WHERE false"])
def test_what_a_broken_off_try_left_is_dropped_by_the_next_one(
    store: PartitionStore | TimescaleStore, connection: Connection, statement: str
) -> None:
    part = part_of(store, connection, DAYS[1])
    before = key_bytes(connection, part)
    # A writer stops it before the new key is there, a reader before the old one is gone.
    with own_connection() as other, other.transaction():
        other.execute(statement.format(part.name))
        connection.execute("SET lock_timeout = '200ms'")
        assert keys.rebuild_one(connection, [part], now=NOW) == []
    connection.execute("RESET lock_timeout")
    assert len(invalid(connection, part)) == 1
    keys.rebuild_one(connection, [part], now=NOW)
    assert invalid(connection, part) == []
    assert key_bytes(connection, part) < 0.7 * before


def invalid(connection: Connection, part: Part) -> list[Any]:
    return connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass(%s) AND NOT indisvalid",
        (part.name,),
    ).fetchall()


def test_a_part_that_is_gone_is_no_matter(connection: Connection) -> None:
    assert keys.rebuild_one(connection, [Part("tds_new_nobody", DAYS[0], DAYS[1])], now=NOW) == []
