"""A server's clock that is wrong for a while: no day is lost to it, and charts are right then and afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds import worker
from tds.fleet.probe import PROBE_GATEWAY, PROBE_TENANT
from tds.readings import clock, kept, rollup
from tds.readings.budget import Budget, day_of
from tds.readings.models import DirtyHour, KeptSince
from tds.readings.partitions import PartitionStore
from tds.readings.store import HourOfReadings, Series
from tds.readings.timescale import TimescaleStore
from tests import seeding
from tests.timescaledb import store_of

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
Store = PartitionStore | TimescaleStore
# Long before all that other tests store: nothing of theirs is dropped.
NOW: Final = datetime(2004, 6, 10, 12, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=10)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
AHEAD: Final = NOW + 100 * DAY
A, B = Series(1_001, 1), Series(1_002, 1)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        yield own


@pytest.fixture(params=[PartitionStore, TimescaleStore], ids=["native", "timescaledb"])
def store(request: pytest.FixtureRequest, connection: Connection) -> Iterator[Store]:
    with store_of(request.param, connection, RETENTION, now=NOW, until=AHEAD + 60 * DAY) as either:
        yield either


def send(connection: Connection, *readings: tuple[Series, datetime, float]) -> None:
    seeding.insert(connection, readings)


def history(connection: Connection) -> None:
    """A reading on each day that is kept."""
    send(connection, *((A, NOW - n * DAY, float(n)) for n in range(10, -1, -1)))


def days(connection: Connection) -> int:
    row = connection.execute(
        "SELECT count(DISTINCT date_trunc('day', time, 'UTC')) FROM tds_new_leituradispositivo"
    ).fetchone()
    return int(row[0]) if row else 0


def charted(store: Store, connection: Connection) -> list[HourOfReadings]:
    return store.hours(connection, [A, B], NOW - 20 * DAY, NOW + 2 * DAY, zone="UTC")


def state(connection: Connection) -> tuple[datetime, datetime]:
    row = connection.execute("SELECT closing_before, complete_before FROM tds_new_estadorollup").fetchone()
    assert row
    return row[0], row[1]


@pytest.mark.parametrize("budget", [Budget(), Budget(max_bytes=1, min_days=2)], ids=["days", "bytes"])
def test_a_clock_that_is_months_ahead_drops_no_day(
    store: Store, connection: Connection, budget: Budget, caplog: pytest.LogCaptureFixture
) -> None:
    history(connection)
    store.roll_up(connection, now=NOW)
    before = charted(store, connection)
    store.budget = budget

    for ahead in (timedelta(days=5), timedelta(days=60), timedelta(days=100), timedelta(days=36_500)):
        assert store.expire(connection, now=NOW + ahead) == []

    assert days(connection) == 11
    assert charted(store, connection) == before
    assert not KeptSince.objects.exists()
    assert (
        "The clock says 2004-09-18, and gateways sent readings of 0 of the last 7 days: no day is dropped before there "
        "are readings of 3 of them. Correct the clock if it is wrong. If it is right, days go by themselves once "
        "gateways have sent for some; to make room at once: ./tds readings drop."
    ) in caplog.text
    # The clock is right again, and one day is due.
    store.expire(connection, now=NOW + DAY)
    assert days(connection) == 3 - 1 if budget.max_bytes else 10


def test_a_platform_that_was_off_for_months_drops_again_once_gateways_have_sent_for_some_days(
    store: Store, connection: Connection
) -> None:
    history(connection)
    store.prepare(connection, now=AHEAD)
    for n, left in ((0, 12), (1, 13), (2, 3)):  # in the third day what is too old goes
        send(connection, (A, AHEAD + n * DAY, 1.0))
        store.expire(connection, now=AHEAD + n * DAY)
        assert days(connection) == left


def test_a_new_platform_waits_for_nothing(store: Store, connection: Connection) -> None:
    first = NOW - DAY
    send(connection, (A, first, 1.0), (A, NOW, 2.0))
    dropped = store.expire(connection, now=NOW + 3 * DAY)
    assert bool(dropped) is (store.name == "native")  # days that it made beforehand, and that nothing came of
    assert days(connection) == 2
    assert clock.doubt_of_upkeep(connection, Budget(), RETENTION, kept.kept_since(connection), now=NOW) == ""


def test_what_this_machine_sends_itself_to_say_that_it_works_proves_nothing(
    store: Store, connection: Connection
) -> None:
    probe = seeding.series(seeding.gateway(seeding.tenant(PROBE_TENANT), PROBE_GATEWAY), "P01", "sonda")
    history(connection)
    store.prepare(connection, now=AHEAD)
    send(connection, *((probe, AHEAD - n * DAY, 1.0) for n in range(5, -1, -1)))
    assert store.expire(connection, now=AHEAD) == []
    send(connection, *((A, AHEAD - n * DAY, 1.0) for n in range(2, -1, -1)))
    assert store.expire(connection, now=AHEAD)


def test_a_persons_word_holds_whatever_the_clock_says(store: Store, connection: Connection) -> None:
    history(connection)
    assert kept.move(connection, day_of(NOW - 2 * DAY), why="person", now=AHEAD)
    assert store.expire(connection, now=AHEAD)
    assert days(connection) == 3


def test_a_worker_whose_clock_was_ahead_for_a_while_leaves_charts_right_and_aggregates_what_comes_late(
    store: Store, connection: Connection
) -> None:
    history(connection)
    store.roll_up(connection, now=NOW)
    closed = NOW.replace(minute=0)
    assert state(connection) == (closed, closed)
    send(connection, (B, NOW + MINUTE, 1.0))  # of the hour that is open, and the last of its series in it

    for _ in range(2):
        for chore in worker.chores(store):
            chore.do(connection, AHEAD)
    assert state(connection)[0] > NOW + 99 * DAY
    expected = {(A, n) for n in range(11)} | {(B, 0)}
    assert {
        (Series(h.device_id, h.metric_id), round((NOW - h.hour) / DAY)) for h in charted(store, connection)
    } == expected
    # Meanwhile all that comes is late, and is aggregated so.
    send(connection, (A, NOW + 2 * MINUTE, 7.0), (A, NOW - 3 * DAY + MINUTE, 8.0))
    assert DirtyHour.objects.count() == 2
    chart = charted(store, connection)
    store.roll_up(connection, now=AHEAD)
    assert not DirtyHour.objects.exists()
    assert charted(store, connection) == chart

    later = NOW + HOUR
    send(connection, (A, later - MINUTE, 9.0), (A, NOW - 4 * DAY + MINUTE, 10.0))  # just before it is put right
    chart = charted(store, connection)
    for chore in worker.chores(store):
        chore.do(connection, later)
    closed = later.replace(minute=0)
    assert state(connection) == (closed, closed)
    assert not DirtyHour.objects.exists()
    assert charted(store, connection) == chart
    # What comes now is not late any more; what is late still is.
    send(connection, (A, later, 11.0), (A, NOW - 5 * DAY + MINUTE, 12.0))
    assert [row.hour for row in DirtyHour.objects.all()] == [(NOW - 5 * DAY).replace(minute=0)]
    chart = charted(store, connection)
    for hours in (0, 1, 2):
        store.roll_up(connection, now=later + hours * HOUR)
        assert charted(store, connection) == chart
    assert sum(hour.n for hour in chart) == 11 + 1 + 6
    assert days(connection) == 11


def test_a_clock_that_is_behind_opens_no_hour_again(
    store: Store, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a machine without a battery: all hours would be aggregated anew when it is right again."""
    history(connection)
    store.roll_up(connection, now=NOW)
    before = state(connection)
    chart = charted(store, connection)
    for behind in (datetime(1970, 1, 1, tzinfo=UTC), NOW - 8 * DAY, NOW - 5 * DAY):
        store.roll_up(connection, now=behind)
        assert state(connection) == before
    monkeypatch.setattr(rollup, "HOURS_A_STEP", 1)
    store.roll_up(connection, now=NOW - 2 * HOUR)  # a little behind: little is done again
    assert state(connection)[1] == NOW.replace(minute=0) - 2 * HOUR
    assert charted(store, connection) == chart
    store.roll_up(connection, now=NOW)
    assert (state(connection), charted(store, connection)) == (before, chart)


def test_closing_goes_on_where_a_run_ended(
    store: Store, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "RUN_S", 0.0)
    history(connection)
    chart = charted(store, connection)
    runs = 0
    while state(connection)[1] < NOW.replace(minute=0):
        store.roll_up(connection, now=NOW)
        assert charted(store, connection) == chart
        runs += 1
    assert runs > 10
