"""Periodic work on a real PostgreSQL: what each chore does at a given moment, and that none holds up another."""

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
import pytest
from django.conf import settings

from tds import heartbeat, wiring, worker
from tds.heartbeat import Heartbeat, Pulse
from tds.ingest import database
from tds.readings.models import DirtyHour, HourRollup, Reading
from tds.readings.partitions import ADVISORY_LOCK, PartitionStore
from tds.readings.sqlstore import TABLE
from tds.readings.store import Series
from tds.worker import PARTITIONS_EVERY_S, ROLL_UP_EVERY_S, Chore
from tests import seeding
from tests.consuming import STOP_LIMIT_S, managed
from tests.running import free_port, wait_until
from tests.timescaledb import timescaledb

pytestmark = pytest.mark.django_db(transaction=True)

# Long before all that other tests store: retention drops nothing of theirs.
NOW: Final = datetime(2001, 6, 10, 12, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=3)
DAY: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
SERIES: Final = Series(1, 1)
STORE: Final = PartitionStore(RETENTION)

# Not the one that somebody may run on this machine: it would be the worker of that one, too.
NO_BROKER: Final = f"mqtt://127.0.0.1:{free_port()}"

Connection = psycopg.Connection[Any]
Work = Callable[[Connection, datetime], object]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        yield own
    with seeding.own_connection() as another:  # a test may have cut the first
        seeding.without_readings(another)
        STORE.expire(another, now=NOW + 30 * DAY)


def do(name: str, connection: Connection, now: datetime) -> object:
    """One of the worker's own chores."""
    [chore] = [chore for chore in worker.chores(STORE) if chore.name == name]
    return chore.do(connection, now)


def partitions(first: datetime, last: datetime) -> list[str]:
    """The names of those of some days."""
    return [f"{TABLE}_p{first + DAY * n:%Y%m%d}" for n in range((last - first).days + 1)]


def in_database(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE %s ORDER BY 1", (f"{TABLE}_p2001%",))
    return [name for (name,) in rows if not name.endswith(("_pkey", "_idx"))]


# What it does


def test_partitions_are_made_from_the_oldest_reading_accepted_to_some_days_ahead(connection: Connection) -> None:
    expected = partitions(NOW - RETENTION, NOW + 3 * DAY)
    assert do("partitions", connection, NOW) == expected == in_database(connection)
    assert do("partitions", connection, NOW) == []
    assert do("partitions", connection, NOW + DAY) == partitions(NOW + 4 * DAY, NOW + 4 * DAY)


def test_what_is_older_than_the_retention_goes_with_its_hours_and_nothing_else(connection: Connection) -> None:
    do("partitions", connection, NOW)
    times = [NOW - DAY * n for n in range(3, -1, -1)]
    seeding.insert(connection, [(SERIES, time, 1.0) for time in times])
    do("rollup", connection, NOW + timedelta(hours=1))
    assert HourRollup.objects.count() == 4
    assert do("retention", connection, NOW) == []

    assert do("retention", connection, NOW + 2 * DAY) == partitions(times[0], times[1])

    assert sorted(Reading.objects.values_list("time", flat=True)) == times[2:]
    assert sorted(HourRollup.objects.values_list("hour", flat=True)) == [t - 30 * MINUTE for t in times[2:]]


def test_an_hour_is_closed_shortly_after_its_end(connection: Connection) -> None:
    do("partitions", connection, NOW)
    seeding.insert(connection, [(SERIES, NOW, 1.0), (SERIES, NOW + MINUTE, 3.0), (SERIES, NOW + 40 * MINUTE, 9.0)])
    end = NOW + 30 * MINUTE
    assert do("rollup", connection, end + MINUTE) == 0
    assert do("rollup", connection, end + 2 * MINUTE) == 1
    hour = HourRollup.objects.get()
    assert (hour.hour, hour.n, hour.minimum, hour.maximum, hour.total) == (NOW - 30 * MINUTE, 2, 1.0, 3.0, 4.0)


def test_an_hour_that_got_a_late_reading_is_aggregated_again(connection: Connection) -> None:
    do("partitions", connection, NOW)
    seeding.insert(connection, [(SERIES, NOW, 1.0)])
    later = NOW + timedelta(hours=1)
    do("rollup", connection, later)
    seeding.insert(connection, [(SERIES, NOW + MINUTE, 5.0)])
    assert DirtyHour.objects.count() == 1

    assert do("rollup", connection, later) == 1

    assert DirtyHour.objects.count() == 0
    assert (HourRollup.objects.get().n, HourRollup.objects.get().total) == (2, 6.0)


def test_two_workers_at_once_do_the_work_of_one(connection: Connection) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        try:
            with seeding.own_connection() as own:
                for name in ("partitions", "retention", "compression", "rollup"):
                    for n in range(5):
                        barrier.wait(STOP_LIMIT_S)
                        do(name, own, NOW + DAY * n)
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(STOP_LIMIT_S)
    assert failures == []
    assert in_database(connection) == partitions(NOW + DAY, NOW + 7 * DAY)


# How it goes on


@contextmanager
def working(
    work: list[Chore], beat: Callable[[Connection, dict[str, Any]], None] = lambda *_: None
) -> Iterator[dict[str, list[int]]]:
    """A worker in threads; the process ids of the connections of each of them, one after the other."""
    stopping = threading.Event()
    backends: dict[str, list[int]] = defaultdict(list)

    def connect() -> Connection:
        made = database.connect(settings.DATABASES["default"], name="tests-worker")
        backends[threading.current_thread().name].append(made.info.backend_pid)
        return made

    thread = threading.Thread(
        target=worker.run,
        args=[work, stopping],
        kwargs={"connect": connect, "now": lambda: NOW, "beat": beat},
        daemon=True,
    )
    thread.start()
    try:
        yield backends
    finally:
        stopping.set()
        thread.join(STOP_LIMIT_S)
        assert not thread.is_alive()


@pytest.fixture
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "TICK_S", 0.01)
    monkeypatch.setattr(worker, "RETRY_S", 0.05)


def divide_by_zero(connection: Connection, _now: datetime) -> None:
    connection.execute("SELECT 1 / 0")


def wait_for_a_table(connection: Connection, _now: datetime) -> None:
    """As when somebody looks at it for too long."""
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 1")
        connection.execute("SELECT pg_sleep(1)")


def miss_a_row(_connection: Connection, _now: datetime) -> None:
    raise LookupError("a row that every installation has")


@pytest.mark.parametrize("failing", [divide_by_zero, wait_for_a_table, miss_a_row])
@pytest.mark.usefixtures("haste")
def test_a_chore_that_fails_is_tried_again_and_the_others_go_on(
    connection: Connection, failing: Work, caplog: pytest.LogCaptureFixture
) -> None:
    moments: list[datetime] = []
    tries: list[datetime] = []

    def fail(of: Connection, now: datetime) -> None:
        tries.append(now)
        failing(of, now)

    with working([Chore("fails", 0.0, fail), Chore("goes on", 0.0, lambda _, now: moments.append(now))]) as backends:
        wait_until(lambda: len(moments) >= 3, "three rounds")
    assert moments[:3] == [NOW] * 3  # the clock is the edge's
    assert len(tries) >= 3
    assert len(backends["quick chores"]) == 1  # a chore's failure is no reason for another connection
    assert "fails failed; it is tried again in 0 s" in caplog.text


@pytest.mark.usefixtures("haste")
def test_a_chore_is_done_at_once_and_then_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000.0]
    monkeypatch.setattr(worker, "monotonic", lambda: clock[0])
    quick: list[int] = []
    slow: list[int] = []
    done: dict[str, int] = {}

    def count(name: str) -> Work:
        return lambda *_: done.update({name: done.get(name, 0) + 1})

    work = [replace(chore, do=count(chore.name)) for chore in worker.chores(STORE)]
    rounds = [Chore("a quick round", 0.0, lambda *_: quick.append(1))]
    rounds += [Chore("a slow round", 0.0, lambda *_: slow.append(1), slow=True)]
    with working([*work, *rounds]):

        def settle() -> dict[str, int]:
            """After two whole rounds of both kinds at the present moment."""
            enough = max(len(quick), len(slow)) + 2
            wait_until(lambda: min(len(quick), len(slow)) >= enough, "two rounds")
            return dict(done)

        assert settle() == {"partitions": 1, "retention": 1, "compression": 1, "ledger": 1, "rollup": 1}
        clock[0] += ROLL_UP_EVERY_S - 1
        assert settle() == {"partitions": 1, "retention": 1, "compression": 1, "ledger": 1, "rollup": 1}
        clock[0] += 1
        assert settle() == {"partitions": 1, "retention": 1, "compression": 1, "ledger": 1, "rollup": 2}
        clock[0] += PARTITIONS_EVERY_S
        assert settle() == {"partitions": 2, "retention": 2, "compression": 2, "ledger": 1, "rollup": 3}


@pytest.mark.usefixtures("haste")
def test_a_connection_that_is_cut_is_made_again(connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
    moments: list[datetime] = []

    def touch(of: Connection, now: datetime) -> None:
        of.execute("SELECT 1")
        moments.append(now)

    with working([Chore("touches", 0.0, touch)]) as backends:
        wait_until(lambda: moments, "the first round")
        connection.execute("SELECT pg_terminate_backend(%s)", (backends["quick chores"][0],))
        wait_until(lambda: len(backends["quick chores"]) == 2, "another connection")
        before = len(moments)
        wait_until(lambda: len(moments) > before, "another round")
    assert "Database unavailable, trying again" in caplog.text


def sleep_for_minutes(connection: Connection, _now: datetime) -> None:
    connection.execute("SELECT pg_sleep(600)")


@pytest.mark.usefixtures("haste")
def test_a_slow_chore_holds_up_neither_the_quick_ones_nor_the_sign_of_life_nor_the_end(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    moments: list[datetime] = []
    facts: list[dict[str, Any]] = []
    work = [
        Chore("sleeps", 0.0, sleep_for_minutes, slow=True),
        Chore("waits its turn", 0.0, divide_by_zero, slow=True),
        Chore("goes on", 0.0, lambda _, now: moments.append(now)),
    ]
    with working(work, beat=lambda _, told: facts.append(told)):
        wait_until(lambda: facts and facts[-1]["doing"] == {"sleeps": NOW.isoformat()}, "the slow chore")
        before = len(moments), len(facts)
        wait_until(lambda: len(moments) > before[0] + 3 and len(facts) > before[1] + 3, "three rounds beside it")
        assert facts[-1] == {"chores": [chore.name for chore in work], "doing": {"sleeps": NOW.isoformat()}}
        began = monotonic()
    assert monotonic() - began < 3
    assert [record.message for record in caplog.records] == ["sleeps was broken off; it is done after the next start."]


@pytest.mark.parametrize("lane", ["quick chores", "slow chores", "the sign of life"])
@pytest.mark.usefixtures("haste")
def test_a_connection_that_is_cut_ends_nothing_else(connection: Connection, lane: str) -> None:
    rounds: Counter[str] = Counter()

    def touch(name: str) -> Work:
        def do(of: Connection, _now: datetime) -> None:
            of.execute("SELECT 1")
            rounds[name] += 1

        return do

    def beat(of: Connection, _facts: dict[str, Any]) -> None:
        touch("the sign of life")(of, NOW)

    work = [Chore("quick", 0.0, touch("quick chores")), Chore("slow", 0.0, touch("slow chores"), slow=True)]
    with working(work, beat=beat) as backends:
        wait_until(lambda: len(rounds) == 3, "a round of each")
        connection.execute("SELECT pg_terminate_backend(%s)", (backends[lane][0],))
        wait_until(lambda: len(backends[lane]) == 2, "another connection")
        before = Counter(rounds)
        wait_until(lambda: all(rounds[name] > before[name] for name in before), "another round of each")
        assert {name: len(pids) for name, pids in backends.items()} == {
            name: 2 if name == lane else 1 for name in before
        }


@pytest.mark.usefixtures("haste")
def test_a_fault_of_ours_outside_a_chore_ends_no_thread(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    moments: list[datetime] = []
    beats: list[int] = []

    def stumble(*_: object) -> None:
        beats.append(1)
        raise LookupError("what nobody thought of")

    with working([Chore("goes on", 0.0, lambda _, now: moments.append(now))], beat=stumble):
        wait_until(lambda: len(beats) >= 3 and len(moments) >= 3, "rounds of both")
    assert "A fault of ours in the sign of life; going on in 0 s" in caplog.text


def test_a_database_that_stays_away_is_said_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.01)
    said: list[str] = []
    monkeypatch.setattr(worker.logger, "warning", lambda text, *words: said.append(text % words))
    stopping = threading.Event()
    tries: list[int] = []

    def connect() -> Connection:
        tries.append(1)
        if len(tries) == 30:
            stopping.set()
        raise psycopg.OperationalError("connection refused")

    worker.run([], stopping, connect=connect, now=lambda: NOW, beat=lambda *_: None)
    assert sorted(said) == [
        f"Database unavailable, trying again in 0 s: connection refused ({name})"
        for name in ("quick chores", "slow chores", "the sign of life")
    ]


def test_a_sign_of_life_is_written_every_few_seconds(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(heartbeat, "monotonic", lambda: clock[0])
    pulse = Pulse("worker", started_at=NOW)
    pulse.beat(connection, {"n": 1})
    first = Heartbeat.objects.get()
    assert (first.process, first.pid, first.started_at, first.facts) == ("worker", os.getpid(), NOW, {"n": 1})
    clock[0] += heartbeat.INTERVAL_S - 0.1
    pulse.beat(connection, {"n": 2})
    assert Heartbeat.objects.get().facts == {"n": 1}
    clock[0] += 0.1
    pulse.beat(connection, {"n": 3})
    second = Heartbeat.objects.get()
    assert second.facts == {"n": 3}
    assert second.beat_at > first.beat_at


# The process


def test_the_worker_does_its_chores_says_that_it_lives_and_ends_on_sigterm(
    connection: Connection, tmp_path: Path
) -> None:
    strayed = tmp_path / "home" / "updates" / "artifacts" / f"{'0' * 64}.bin"
    strayed.parent.mkdir(parents=True)
    strayed.write_bytes(b"of an upload that ended before its commit")
    with managed(tmp_path, "worker", TDS_MQTT_URLS=NO_BROKER) as process:
        wait_until(Heartbeat.objects.exists, "a sign of life")
        beat = Heartbeat.objects.get()
        assert (beat.process, beat.pid) == ("worker", process.process.pid)
        every = ["partitions", "compression", "retention", "ledger", "rollup", "disk", "broker certificates"]
        assert beat.facts["chores"] == [*every, "updates of gateways that are gone", "images of no release"]
        # The hours are closed up to now, so the chores of this process really ran.
        wait_until(lambda: closed_before(connection, datetime.now(UTC) - timedelta(hours=2)), "the hours' end")
        wait_until(lambda: not strayed.exists(), "the end of the image that no release has")
        assert process.terminate() == 0
        assert process.errors == ""


@pytest.fixture
def present() -> Iterator[datetime]:
    """Now, for a process, with room for its readings and no rollup."""
    now = datetime.now(UTC)
    with seeding.own_connection() as own:
        wiring.reading_store().prepare(own, now=now)
        seeding.without_readings(own)
    yield now
    with seeding.own_connection() as own:
        seeding.without_readings(own)


def closed_before(connection: Connection, moment: datetime) -> bool:
    row = connection.execute("SELECT complete_before FROM tds_new_estadorollup").fetchone()
    return bool(row and row[0] > moment)


@pytest.mark.parametrize("store_name", ["native", "timescaledb"])
def test_a_late_reading_of_a_closed_hour_is_in_the_rollup_within_a_minute(
    present: datetime, tmp_path: Path, store_name: str
) -> None:
    """From the row to the aggregated hour, with the process as it is: what operations.md promises."""
    hour = present.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    assert ROLL_UP_EVERY_S <= 30
    with timescaledb() if store_name == "timescaledb" else nullcontext(), seeding.own_connection() as own:
        seeding.insert(own, [(SERIES, hour, 1.0)])
        with managed(tmp_path, "worker", TDS_MQTT_URLS=NO_BROKER) as process:
            wait_until(lambda: closed_before(own, hour), "the hour's end")
            assert [(row.hour, row.n) for row in HourRollup.objects.all()] == [(hour, 1)]
            seeding.insert(own, [(SERIES, hour + MINUTE, 5.0)])
            began = monotonic()
            assert DirtyHour.objects.count() == 1
            wait_until(lambda: not DirtyHour.objects.exists(), "the roll-up", 60)
            print(f"{store_name}: {monotonic() - began:.1f} s")
            assert [(row.hour, row.n, row.total) for row in HourRollup.objects.all()] == [(hour, 2, 6.0)]
            assert process.terminate() == 0
        seeding.without_readings(own)


def test_while_a_slow_chore_is_held_up_the_worker_says_that_it_lives_rolls_up_and_ends_on_sigterm(
    connection: Connection, present: datetime, tmp_path: Path
) -> None:
    hour = present.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    seeding.insert(connection, [(SERIES, hour, 1.0)])
    # A day is missing, and somebody else is making days: the chore waits until its lock's timeout.
    connection.execute(f"DROP TABLE {TABLE}_p{present + 3 * DAY:%Y%m%d}")
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    with managed(tmp_path, "worker", TDS_MQTT_URLS=NO_BROKER) as process:
        wait_until(lambda: closed_before(connection, hour), "the hour's end")
        wait_until(lambda: Heartbeat.objects.filter(facts__doing__has_key="partitions").exists(), "the held up chore")
        first = Heartbeat.objects.get().beat_at
        wait_until(lambda: Heartbeat.objects.get().beat_at > first, "another sign of life")
        assert list(Heartbeat.objects.get().facts["doing"]) == ["partitions"]
        began = monotonic()
        assert process.terminate() == 0
        assert monotonic() - began < STOP_LIMIT_S
        assert any("partitions was broken off; it is done after the next start." in line for line in process.lines)
        assert process.errors == ""
    connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


def test_a_worker_without_a_database_waits_for_it_and_ends_on_sigterm_at_once(tmp_path: Path) -> None:
    nobody = f"postgresql://tds:secret@127.0.0.1:{free_port()}/tds"
    with managed(tmp_path, "worker", TDS_DATABASE_URL=nobody, TDS_MQTT_URLS=NO_BROKER) as process:
        wait_until(lambda: process.says("Database unavailable, trying again in 5 s"), "the sentence")
        began = monotonic()
        assert process.terminate() == 0
        assert monotonic() - began < worker.RETRY_S / 2
        assert "secret" not in "".join(process.lines) + process.errors
