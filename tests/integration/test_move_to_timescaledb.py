"""The move of a native store into TimescaleDB, with a writer that never pauses and an end at any moment."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tds.readings import move, timescale
from tds.readings.chosen import ChosenStore
from tds.readings.store import HourOfReadings, Rows, Series
from tests.running import wait_until
from tests.seeding import own_connection, without_readings
from tests.timescaledb import afterwards_native

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
RETENTION = timedelta(days=12)
SERIES = [Series(device, 1) for device in range(1, 6)]
MINUTE = timedelta(minutes=1)

Connection = psycopg.Connection[Any]


class Killed(BaseException):
    """In the place of kill -9: nothing of ours catches it."""


@pytest.fixture
def store() -> ChosenStore:
    return ChosenStore(RETENTION)


@pytest.fixture
def connection(transactional_db: None, store: ChosenStore) -> Iterator[Connection]:
    with afterwards_native(), own_connection() as own:
        without_readings(own)
        store.prepare(own, now=NOW)
        yield own


def insert(store: ChosenStore, connection: Connection, *readings: tuple[Series, datetime, float]) -> int:
    rows = Rows()
    for (device_id, metric_id), time, value in readings:
        rows.add(device_id, [metric_id], time, [value])
    with connection.transaction():
        return store.insert(connection, rows).stored


def history(store: ChosenStore, connection: Connection) -> None:
    for day in range(11):
        start = NOW - timedelta(days=day)
        insert(
            store,
            connection,
            *((of, start - n * MINUTE, float(n % 50 + of.device_id)) for of in SERIES for n in range(0, 600, 7)),
        )


def count(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM tds_new_leituradispositivo").fetchone()
    return int(row[0]) if row else 0


def hours(store: ChosenStore, connection: Connection) -> list[HourOfReadings]:
    return store.hours(connection, SERIES, NOW - RETENTION, NOW + timedelta(hours=1), zone="America/Sao_Paulo")


def test_a_move_loses_nothing_and_stops_nobody(store: ChosenStore, connection: Connection) -> None:
    history(store, connection)
    store.roll_up(connection, now=NOW)
    written = count(connection)
    stopping = threading.Event()

    def write() -> None:
        nonlocal written
        n = 0
        with own_connection() as own:
            while not stopping.is_set():
                n += 1
                # Now, and as late as may be: each moment is another one.
                moment = NOW - timedelta(days=n % 10, microseconds=n)
                written += insert(store, own, *((of, moment, float(n)) for of in SERIES))
                assert len(hours(store, own)) > 0

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: count(connection) > written - 10, "the writer")
        steps: list[str] = []
        move.move(connection, now=NOW, step=lambda what, _day: steps.append(what))
        after = count(connection)
        wait_until(lambda: count(connection) > after, "what comes after the switch")
    finally:
        stopping.set()
        writer.join()
    assert steps[-2:] == ["aggregated", "switched"]
    assert store.name_of(connection) == "timescaledb"
    assert count(connection) == written
    before = hours(store, connection)
    assert sum(hour.n for hour in before) == written
    store.roll_up(connection, now=NOW)
    assert hours(store, connection) == before


@pytest.mark.parametrize("at_step", [0, 3, 10, "aggregated", "switched"])
def test_a_move_that_is_killed_goes_on_where_it_was(
    store: ChosenStore, connection: Connection, at_step: int | str
) -> None:
    history(store, connection)
    store.roll_up(connection, now=NOW)
    before = hours(store, connection)
    done = 0

    def step(what: str, _day: object) -> None:
        nonlocal done
        if at_step in {done, what}:
            raise Killed
        done += 1

    with pytest.raises(Killed), own_connection() as own:
        move.move(own, now=NOW, step=step)
    assert store.name_of(connection) == ("timescaledb" if at_step == "switched" else "native")
    assert insert(store, connection, (SERIES[0], NOW - timedelta(days=9, seconds=1), 1.0)) == 1
    move.move(connection, now=NOW, step=lambda _what, _day: None)
    assert store.name_of(connection) == "timescaledb"
    assert sum(hour.n for hour in hours(store, connection)) == sum(hour.n for hour in before) + 1
    assert move.left_over(connection) is None
    assert leftovers(connection) == []


def leftovers(connection: Connection) -> list[str]:
    """What a move makes for itself, tables and functions."""
    rows = connection.execute(
        """SELECT relname FROM pg_class WHERE relname ~ '^tds_new.*(_novo|_antigo)$'
           UNION SELECT proname FROM pg_proc WHERE proname = %s""",
        (move.FUNCTION,),
    )
    return [name for (name,) in rows]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(move, "ATTEMPTS", 20)


@contextmanager
def read_for(seconds: float, table: str) -> Iterator[None]:
    """Somebody who holds a table as a chart or a backup does, for so long."""
    done = threading.Event()
    holding = threading.Event()

    def read() -> None:
        with own_connection() as own, own.transaction():
            own.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
            holding.set()
            done.wait(seconds)

    reader = threading.Thread(target=read)
    reader.start()
    assert holding.wait(10)
    try:
        yield
    finally:
        done.set()
        reader.join()


def quietly(connection: Connection, **options: Any) -> None:
    move.move(connection, now=NOW, step=options.pop("step", lambda _what, _day: None), **options)


@pytest.mark.usefixtures("hasty")
def test_who_holds_the_old_tables_for_a_while_holds_up_only_their_end(
    store: ChosenStore, connection: Connection
) -> None:
    history(store, connection)
    reader: list[AbstractContextManager[None]] = []

    def step(what: str, _day: object) -> None:
        if what == "switched":
            reader.append(read_for(0.3, "tds_new_leituradispositivo_antigo"))
            reader[0].__enter__()

    quietly(connection, step=step)
    reader[0].__exit__(None, None, None)
    assert leftovers(connection) == []


@pytest.mark.usefixtures("hasty")
def test_old_tables_that_are_held_for_minutes_are_left_with_a_sentence_and_dropped_the_next_time(
    store: ChosenStore, connection: Connection
) -> None:
    history(store, connection)
    rows = count(connection)

    def step(what: str, _day: object) -> None:
        if what == "switched":
            raise Killed

    with pytest.raises(Killed), own_connection() as own:
        quietly(own, step=step)
    assert (move.left_over(connection) or 0) > 0
    with read_for(60, "tds_new_leituradispositivo_antigo"):
        with pytest.raises(move.StoppedError, match=r"in TimescaleDB\. .* Begin again later to drop the native"):
            quietly(connection)
        with pytest.raises(move.CannotMoveError, match=r"can't be taken back: .* alone"):
            move.abort(connection)
    quietly(connection)
    assert leftovers(connection) == []
    assert count(connection) == rows


@pytest.mark.usefixtures("hasty")
def test_a_batch_that_is_long_under_way_holds_up_the_beginning_and_does_not_end_it(
    store: ChosenStore, connection: Connection
) -> None:
    history(store, connection)
    with read_for(0.3, "tds_new_leituradispositivo"):
        quietly(connection)
    assert store.name_of(connection) == "timescaledb"


@pytest.mark.usefixtures("hasty")
def test_a_batch_that_never_ends_is_a_sentence_and_leaves_nothing_begun(
    store: ChosenStore, connection: Connection
) -> None:
    with read_for(60, "tds_new_leituradispositivo"), pytest.raises(move.StoppedError, match="Nothing was begun"):
        quietly(connection)
    assert leftovers(connection) == []


def test_the_disk_is_looked_at_before_each_hour_and_the_move_goes_on_when_there_is_room_again(
    store: ChosenStore, connection: Connection
) -> None:
    history(store, connection)
    rows = count(connection)
    expected: list[int] = []
    for day in move.days(connection):
        there = connection.execute(
            "SELECT 1 FROM tds_new_leituradispositivo WHERE time >= %s AND time < %s LIMIT 1",
            (day.start, day.start + timedelta(days=1)),
        )
        expected += [day.size_bytes // 24] * 24 if there.fetchone() else []
        # To compress a day it is sorted on disk.
        expected += [day.size_bytes] if day.start < NOW - timedelta(days=8) else []
    asked: list[int] = []

    def shortage(more_bytes: int) -> str:
        asked.append(more_bytes)
        return "Only 5 MB are free." if len(asked) == 100 else ""

    with pytest.raises(move.StoppedError, match=r"^Only 5 MB are free\. What is copied stays: make room and begin"):
        quietly(connection, shortage=shortage)
    assert store.name_of(connection) == "native"
    copied = connection.execute("SELECT count(*) FROM tds_new_leituradispositivo_novo").fetchone()
    assert copied
    assert 0 < copied[0] < rows
    assert asked == expected[:100]
    quietly(connection, shortage=shortage)
    assert (store.name_of(connection), count(connection)) == ("timescaledb", rows)


def test_a_full_disk_is_a_sentence(store: ChosenStore, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    history(store, connection)

    def full(*_arguments: object) -> None:
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(move, "_compress", full)
        with pytest.raises(move.StoppedError, match=r"^The disk of the database is full\. What is copied stays"):
            quietly(connection)
    quietly(connection)
    assert store.name_of(connection) == "timescaledb"


def test_a_move_can_be_taken_back(store: ChosenStore, connection: Connection) -> None:
    history(store, connection)
    before = hours(store, connection)

    def step(_what: str, _day: object) -> None:
        raise Killed

    with pytest.raises(Killed), own_connection() as own:
        move.move(own, now=NOW, step=step)
    move.abort(connection)
    assert hours(store, connection) == before
    insert(store, connection, (SERIES[0], NOW, 1.0))
    move.move(connection, now=NOW, step=lambda _what, _day: None)
    with pytest.raises(move.CannotMoveError, match="the native tables are gone"):
        move.abort(connection)
    with pytest.raises(move.CannotMoveError, match="already"):
        move.check(connection)


def test_old_days_are_compressed_at_least_ten_times(store: ChosenStore, connection: Connection) -> None:
    connection.execute(
        """INSERT INTO tds_new_leituradispositivo
           SELECT d, 1, t, round((20 + 5 * sin(extract(epoch FROM t) / 13751) + d + random())::numeric, 1)
           FROM generate_series(1, 10) AS d,
                generate_series(%(start)s::timestamptz, %(start)s::timestamptz + interval '1 day', '3 s') AS t""",
        {"start": NOW - timedelta(days=10)},
    )
    rows = count(connection)
    move.move(connection, now=NOW, step=lambda _what, _day: None)
    row = connection.execute(
        """SELECT before_compression_total_bytes, after_compression_total_bytes
           FROM hypertable_compression_stats('tds_new_leituradispositivo')"""
    ).fetchone()
    assert row
    live, compressed = row
    print(f"{live / rows:.1f} bytes a row live, {compressed / rows:.1f} compressed: {live / compressed:.1f}×")
    assert live / compressed >= 10


def test_a_late_row_of_a_compressed_day_is_stored_once_and_the_first_value_stays(
    store: ChosenStore, connection: Connection
) -> None:
    history(store, connection)
    store.roll_up(connection, now=NOW)
    move.move(connection, now=NOW, step=lambda _what, _day: None)
    old = NOW - timedelta(days=10)
    known = [(of, old, 999.0) for of in SERIES]
    assert insert(store, connection, *known) == 0
    fresh = [(of, old + timedelta(seconds=1), 5_000.0) for of in SERIES]
    assert insert(store, connection, *known, *fresh) == len(fresh)
    assert max(hour.maximum for hour in hours(store, connection)) == 5_000.0
    store.roll_up(connection, now=NOW)
    assert max(hour.maximum for hour in hours(store, connection)) == 5_000.0
    assert len(store.compact(connection, now=NOW)) == 1
    assert store.compact(connection, now=NOW) == []
    assert max(hour.maximum for hour in hours(store, connection)) == 5_000.0


def test_a_batch_that_touches_more_compressed_rows_than_timescaledbs_limit_is_stored(
    store: ChosenStore, connection: Connection
) -> None:
    connection.execute(
        """INSERT INTO tds_new_leituradispositivo SELECT d, 1, t, 1
           FROM generate_series(1, 200) AS d,
                generate_series(%(start)s::timestamptz, %(start)s::timestamptz + interval '12 h', '60 s') AS t""",
        {"start": NOW - timedelta(days=10)},
    )
    move.move(connection, now=NOW, step=lambda _what, _day: None)
    with own_connection() as own:  # the limit is the database's: a new session has it
        late = [(Series(device, 1), NOW - timedelta(days=10) + timedelta(seconds=1), 1.0) for device in range(1, 201)]
        assert insert(store, own, *late) == 200
    assert timescale.in_use(connection)
