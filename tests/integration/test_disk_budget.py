"""Days that bytes or a person dropped: late readings into them are refused, and the ledger still balances."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds import worker
from tds.fleet.directory import Directory
from tds.ingest.ledger_check import Account
from tds.ingest.messages import Message, Refusal
from tds.ingest.models import QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.replay import replay
from tds.ingest.writer import Arrival, Writer
from tds.readings import kept
from tds.readings.budget import Budget
from tds.readings.dropped import DROPPING_LOCK
from tds.readings.models import KeptSince, LedgerDropped, Reading
from tds.readings.partitions import DAY, PartitionStore
from tds.readings.timescale import TimescaleStore
from tests import seeding
from tests.balancing import assert_balanced
from tests.consuming import AMPLE, STOP_LIMIT_S
from tests.timescaledb import store_of, timescaledb

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
Store = PartitionStore | TimescaleStore
# Long before all that other tests store: nothing of theirs is dropped.
NOW: Final = datetime(2003, 6, 10, 12, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=10)
A_MINUTE: Final = timedelta(minutes=1)
FULL: Final = Budget(max_bytes=1, min_days=2)  # whatever is there is too much


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        yield own


@pytest.fixture(params=[PartitionStore, TimescaleStore], ids=["native", "timescaledb"])
def store(request: pytest.FixtureRequest, connection: Connection) -> Iterator[Store]:
    with store_of(request.param, connection, RETENTION, FULL, now=NOW, until=NOW + 60 * DAY) as either:
        yield either


@pytest.fixture(autouse=True)
def gateways() -> None:
    for slug in ("acme", "other"):
        seeding.gateway(seeding.tenant(slug), f"GW-{slug}")


def writer(connection: Connection, store: Store) -> Writer:
    return Writer(connection, store, Directory(), AMPLE, RETENTION)


def arrival(code: str, time: datetime, received_at: datetime | None = None) -> Arrival:
    payload = seeding.as_bytes(seeding.message(code, time))
    return Arrival(f"telemetry/{code}/D01/data", payload, received_at=received_at)


def test_a_late_reading_of_a_dropped_day_is_quarantined_as_one_that_is_too_old_and_the_rest_is_stored(
    store: Store, connection: Connection
) -> None:
    ours = writer(connection, store)
    ours.write([arrival("GW-acme", NOW - n * DAY) for n in range(6)], now=NOW)
    store.roll_up(connection, now=NOW + DAY)
    ours.write([arrival("GW-other", NOW - 5 * DAY)], now=NOW)  # late: in no hour yet

    assert len(store.expire(connection, now=NOW)) >= 3

    assert dict(LedgerDropped.objects.values_list("tenant__slug", "rows")) == {"acme": 3, "other": 1}
    assert_balanced()
    late = [arrival("GW-acme", NOW - 4 * DAY), arrival("GW-acme", NOW - A_MINUTE), arrival("GW-other", NOW - 5 * DAY)]
    # One that knew the cut-off of before, and one that is new and knows none.
    for n, of in enumerate((ours, writer(connection, store))):
        verdicts = of.write(late, now=NOW).verdicts
        assert [type(verdict) for verdict in verdicts] == [Refusal, Message, Refusal]
        assert {verdict.reason for verdict in verdicts if isinstance(verdict, Refusal)} == {Reason.TIMESTAMP_TOO_OLD}
        assert QuarantinedMessage.objects.filter(reason="timestamp_too_old").count() == 2 * (n + 1)
    assert Reading.objects.count() == 4
    assert_balanced()


def test_what_waited_while_its_day_was_dropped_is_refused_and_so_it_is_when_it_is_replayed(
    store: Store, connection: Connection
) -> None:
    ours = writer(connection, store)
    ours.write([arrival("GW-acme", NOW - n * DAY) for n in range(6)], now=NOW)
    store.expire(connection, now=NOW)
    # From the spool: it was in time when it came.
    waited = arrival("GW-acme", NOW - 5 * DAY - A_MINUTE, received_at=NOW - 5 * DAY)
    [verdict] = ours.write([waited], now=NOW).verdicts
    assert isinstance(verdict, Refusal)
    assert verdict.reason is Reason.TIMESTAMP_TOO_OLD
    ids = list(QuarantinedMessage.objects.values_list("id", flat=True))
    for of in (ours, writer(connection, store)):
        [outcome] = replay(of, ids, now=NOW)
        assert (outcome.accepted, dict(outcome.refused)) == (0, {"timestamp_too_old": 1})
    assert_balanced()


def test_it_balances_while_readings_of_all_days_come_in_and_bytes_drop_them(
    store: Store, connection: Connection
) -> None:
    stopping = threading.Event()
    failures: list[BaseException] = []

    def write(code: str) -> None:
        try:
            with seeding.own_connection() as own:
                ours = writer(own, store)
                n = 0
                while not stopping.is_set():
                    times = [NOW - day * DAY + timedelta(seconds=n * 10 + day) for day in range(6, -1, -1)]
                    ours.write([arrival(code, time) for time in times], now=NOW)
                    n += 1
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=[code]) for code in ("GW-acme", "GW-other")]
    for thread in threads:
        thread.start()
    try:
        for days in (6, 5, 4, 3, 2, 1):
            cautious = type(store)(RETENTION, Budget(max_bytes=1, min_days=days))
            cautious.expire(connection, now=NOW)
            store.roll_up(connection, now=NOW)
            assert_balanced()
    finally:
        stopping.set()
        for thread in threads:
            thread.join(STOP_LIMIT_S)
    assert failures == []
    type(store)(RETENTION, Budget(max_bytes=1, min_days=1)).expire(connection, now=NOW)
    assert store.kept_since(connection) >= NOW.replace(hour=0, minute=0) - 6 * DAY
    store.roll_up(connection, now=NOW + DAY)
    report = assert_balanced()
    assert sum(account.dropped for account in report.accounts) > 0
    assert not Reading.objects.filter(time__lt=store.kept_since(connection)).exists()


def test_the_worker_drops_by_bytes_and_leaves_the_minimum(store: Store, connection: Connection) -> None:
    writer(connection, store).write([arrival("GW-acme", NOW - n * DAY) for n in range(6)], now=NOW)
    retention = next(chore for chore in worker.chores(store) if chore.name == "retention")
    for _ in range(3):
        retention.do(connection, NOW)
    assert sorted(Reading.objects.values_list("time", flat=True)) == [NOW - n * DAY for n in (2, 1, 0)]
    assert [row.why for row in KeptSince.objects.all()] == ["bytes"]
    # A day later one more day goes; by themselves never two.
    retention.do(connection, NOW + DAY)
    assert sorted(Reading.objects.values_list("time", flat=True)) == [NOW - DAY, NOW]
    account = next(account for account in assert_balanced().accounts if account.tenant == "acme")
    assert isinstance(account, Account)
    assert (account.rows, account.dropped) == (2, 4)


def test_a_day_that_only_has_to_be_compressed_costs_no_other_day(connection: Connection) -> None:
    with timescaledb():
        plain = TimescaleStore(RETENTION)
        ours = writer(connection, plain)
        for n in range(10):
            minutes = [NOW - n * DAY + timedelta(seconds=20 * second) for second in range(1_000)]
            ours.write([arrival("GW-acme", time) for time in minutes], now=NOW)
        plain.roll_up(connection, now=NOW)
        raw = plain.sizes(connection)
        store = TimescaleStore(RETENTION, Budget(sum(size.size_bytes for size in raw) - raw[0].size_bytes // 2, 2))
        for chore in worker.chores(store):
            chore.do(connection, NOW)
        assert not KeptSince.objects.exists()
        assert len(store.sizes(connection)) == len(raw)
        assert sum(size.size_bytes for size in store.sizes(connection)) <= store.budget.max_bytes
        assert_balanced()


@pytest.fixture
def compressed(connection: Connection) -> Iterator[tuple[TimescaleStore, int, int]]:
    """Ten days, compressed as far as may be; what they take the day after before one more is compressed, and then."""
    with timescaledb():
        plain = TimescaleStore(RETENTION)
        ours = writer(connection, plain)
        for n in range(10):
            minutes = [NOW - n * DAY + timedelta(seconds=20 * second) for second in range(1_000)]
            ours.write([arrival("GW-acme", time) for time in minutes], now=NOW)
        plain.roll_up(connection, now=NOW)
        plain.compact(connection, now=NOW)
        before = in_all(plain, connection)
        with connection.transaction(force_rollback=True):
            assert len(plain.compact(connection, now=NOW + DAY)) == 1
            after = in_all(plain, connection)
        assert after < before == in_all(plain, connection)
        yield plain, before, after


def in_all(store: Store, connection: Connection) -> int:
    return sum(size.size_bytes for size in store.sizes(connection))


@pytest.mark.parametrize("why", ["a check of the ledger goes on", "compressing failed"])
def test_a_day_that_waits_to_be_compressed_costs_no_other_day(
    connection: Connection, compressed: tuple[TimescaleStore, int, int], why: str
) -> None:
    _, before, after = compressed
    store = TimescaleStore(RETENTION, Budget((before + after) // 2, 2))
    with seeding.own_connection() as check:
        if why == "a check of the ledger goes on":
            check.execute("SELECT pg_advisory_lock_shared(%s)", (DROPPING_LOCK,))
            assert store.compact(connection, now=NOW + DAY) == []
        store.expire(connection, now=NOW + DAY)
        assert not KeptSince.objects.exists()
    assert len(store.compact(connection, now=NOW + DAY)) == 1
    store.expire(connection, now=NOW + DAY)
    assert not KeptSince.objects.exists()
    assert in_all(store, connection) == after
    assert_balanced()


def test_late_readings_into_compressed_days_do_not_keep_bytes_from_deciding(
    connection: Connection, compressed: tuple[TimescaleStore, int, int]
) -> None:
    """Else one gateway that is a week behind would keep a disk from being freed for ever."""
    plain, before, _ = compressed
    late = [arrival("GW-other", NOW - n * DAY - A_MINUTE) for n in (8, 9)]
    writer(connection, plain).write(late, now=NOW)
    store = TimescaleStore(RETENTION, Budget(before // 2, 2))
    store.expire(connection, now=NOW)
    assert [row.why for row in KeptSince.objects.all()] == ["bytes"]
    assert in_all(store, connection) < before
    assert_balanced()


def test_bytes_decide_nothing_while_nothing_can_be_dropped(store: Store, connection: Connection) -> None:
    writer(connection, store).write([arrival("GW-acme", NOW - n * DAY) for n in range(6)], now=NOW)
    with seeding.own_connection() as check:
        check.execute("SELECT pg_advisory_lock_shared(%s)", (DROPPING_LOCK,))
        assert store.expire(connection, now=NOW) == []
        assert not KeptSince.objects.exists()
        assert kept.move(connection, NOW - 20 * DAY, why="person", now=NOW)  # a person's word is not about sizes
    assert store.expire(connection, now=NOW)
    assert Reading.objects.count() == 3
    assert_balanced()


def test_a_persons_word_holds_for_late_readings_too(store: Store, connection: Connection) -> None:
    ours = writer(connection, store)
    ours.write([arrival("GW-acme", NOW - n * DAY) for n in range(3)], now=NOW)
    assert kept.move(connection, NOW.replace(hour=0, minute=0), why="person", now=NOW)
    store.expire(connection, now=NOW)
    assert Reading.objects.count() == 1
    [verdict] = ours.write([arrival("GW-acme", NOW - DAY)], now=NOW).verdicts
    assert isinstance(verdict, Refusal)
    assert_balanced()
