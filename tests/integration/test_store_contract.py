"""What every `ReadingStore` does, whichever it is."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db.models import Avg, Count, Max, Min
from django.db.models.functions import TruncHour
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from tds.readings import kept, optimism, rollup
from tds.readings.budget import LONG_AGO, Budget, PartSize, day_of
from tds.readings.hours import hour_of
from tds.readings.models import Reading
from tds.readings.partitions import PartitionStore
from tds.readings.store import LatestReading, MissingPartitionError, ReadingStore, Rows, Series
from tds.readings.timescale import TimescaleStore
from tests.seeding import own_connection, without_readings
from tests.timescaledb import timescaledb

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
RETENTION = timedelta(days=3)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
A, B, C = Series(1, 1), Series(1, 2), Series(2, 1)
ALL = [A, B, C]
ZONES = ["UTC", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
# A zone, and a moment shortly before its clocks are changed.
CHANGES_OF_CLOCK = [
    ("America/New_York", datetime(2026, 3, 8, 2, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 1, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 10, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 10, tzinfo=UTC)),
    ("Australia/Adelaide", datetime(2026, 4, 4, 12, tzinfo=UTC)),
]

Connection = psycopg.Connection[Any]
Values = dict[tuple[Series, datetime], float]

STORES = ["native", "timescaledb"]
FAR_DAYS = count(400, 100)  # a place that a test made stays


@pytest.fixture(scope="module", params=STORES)
def store(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Iterator[ReadingStore]:
    if request.param == "native":
        yield PartitionStore(RETENTION)
        return
    with django_db_blocker.unblock(), timescaledb():
        yield TimescaleStore(RETENTION)


@pytest.fixture(scope="module")
def connections(store: ReadingStore, django_db_setup: None) -> Iterator[tuple[Connection, Connection]]:
    with own_connection() as first, own_connection() as second:
        store.prepare(first, now=NOW)
        yield first, second
        without_readings(first)


@pytest.fixture(params=["with care", "the quick way first"], autouse=True)
def way(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """However a batch is stored, all of this is so."""
    quick = request.param == "the quick way first"
    monkeypatch.setattr(optimism, "MIN_ROWS", 1 if quick else 1_000_000)
    monkeypatch.setattr(optimism, "CALM_BATCHES", 0)


@pytest.fixture
def connection(connections: tuple[Connection, Connection]) -> Connection:
    without_readings(connections[0])
    return connections[0]


@pytest.fixture
def other(connections: tuple[Connection, Connection]) -> Connection:
    return connections[1]


def rows(readings: Iterable[tuple[Series, datetime, float]]) -> Rows:
    columns = Rows()
    for (device_id, metric_id), time, value in readings:
        columns.add(device_id, [metric_id], time, [value])
    return columns


def reference(values: Values, series: Iterable[Series], start: datetime, end: datetime, zone: str) -> list[Any]:
    """The hours, counted the plain way."""
    by_hour: dict[tuple[Series, datetime], list[tuple[datetime, float]]] = defaultdict(list)
    for (of, time), value in values.items():
        by_hour[of, hour_of(time, ZoneInfo(zone))].append((time, value))
    wanted = set(series)
    answer = []
    for (of, hour), unordered in sorted(by_hour.items()):
        if of in wanted and start <= hour < end:
            readings = sorted(unordered)
            numbers = [value for _, value in readings]
            increase = sum(after - before if after >= before else after for before, after in pairwise(numbers))
            fell_from = [before for before, after in pairwise(numbers) if after < before]
            answer.append(
                # A plain tuple: it equals ours, and takes sums that are nearly the same.
                (
                    *of,
                    hour,
                    len(numbers),
                    min(numbers),
                    max(numbers),
                    pytest.approx(sum(numbers)),
                    numbers[0],
                    numbers[-1],
                    pytest.approx(increase),
                    len(fell_from),
                    pytest.approx(sum(fell_from)),
                )
            )
    return answer


def insert(store: ReadingStore, connection: Connection, readings: list[tuple[Series, datetime, float]]) -> Any:
    with connection.transaction():
        return store.insert(connection, rows(readings))


def test_a_reading_that_comes_again_changes_nothing_and_is_counted(store: ReadingStore, connection: Connection) -> None:
    first = insert(store, connection, [(A, NOW, 1.0), (C, NOW, 2.0)])
    again = insert(store, connection, [(A, NOW, 9.0), (A, NOW + MINUTE, 3.0), (C, NOW, 9.0)])
    assert (first.stored, +first.duplicates) == (2, Counter())
    assert (again.stored, +again.duplicates) == (1, Counter({A.device_id: 1, C.device_id: 1}))
    assert [(r.device_id, r.value) for r in store.latest(connection, [A, C])] == [(1, 3.0), (2, 2.0)]


def test_of_two_equal_keys_in_one_batch_the_first_wins(store: ReadingStore, connection: Connection) -> None:
    stored = insert(store, connection, [(A, NOW, 5.0), (A, NOW, 6.0), (A, NOW, 4.0)])
    assert (stored.stored, +stored.duplicates) == (1, Counter({A.device_id: 2}))
    assert [reading.value for reading in store.latest(connection, [A])] == [5.0]


def test_readings_a_microsecond_apart_are_two(store: ReadingStore, connection: Connection) -> None:
    stored = insert(store, connection, [(A, NOW, 1.0), (A, NOW + timedelta(microseconds=1), 1.0)])
    assert stored.stored == 2


def test_an_empty_batch_is_nothing(store: ReadingStore, connection: Connection) -> None:
    stored = store.insert(connection, Rows())
    assert (stored.stored, +stored.duplicates) == (0, Counter())


def test_what_the_caller_rolls_back_was_never_there(store: ReadingStore, connection: Connection) -> None:
    store.roll_up(connection, now=NOW)
    with connection.transaction(force_rollback=True):
        insert(store, connection, [(A, NOW, 1.0), (B, NOW - 5 * HOUR, 1.0)])
    assert store.latest(connection, ALL) == []
    assert store.changed_since(connection, ALL, NOW - RETENTION, NOW - RETENTION) is None


def test_values_are_kept_to_the_last_bit(store: ReadingStore, connection: Connection) -> None:
    values = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 2.0**53 + 2]
    insert(store, connection, [(Series(1, 10 + n), NOW, value) for n, value in enumerate(values)])
    latest = store.latest(connection, [Series(1, 10 + n) for n in range(len(values))])
    assert sorted(repr(reading.value) for reading in latest) == sorted(map(repr, values))


def test_the_largest_numbers_of_one_gateway_stop_no_aggregation(store: ReadingStore, connection: Connection) -> None:
    largest = 1.7976931348623157e308
    old = NOW - 5 * HOUR
    insert(store, connection, [(A, old, largest), (A, old + MINUTE, largest), (A, old + 2 * MINUTE, -largest)])
    insert(store, connection, [(A, old + 3 * MINUTE, largest), (C, old, 1.0)])
    before = store.hours(connection, [A, C], old - HOUR, NOW, zone="UTC")
    store.roll_up(connection, now=NOW)
    assert store.hours(connection, [A, C], old - HOUR, NOW, zone="UTC") == before
    assert [(hour.device_id, hour.minimum, hour.maximum) for hour in before] == [(1, -largest, largest), (2, 1.0, 1.0)]


def test_a_time_without_a_place_asks_for_prepare(store: ReadingStore, connection: Connection) -> None:
    far = NOW + timedelta(days=next(FAR_DAYS))
    if isinstance(store, PartitionStore):  # the other makes places by itself
        with pytest.raises(MissingPartitionError), connection.transaction():
            insert(store, connection, [(A, NOW, 1.0), (A, far, 1.0)])
    assert store.latest(connection, [A]) == []
    store.prepare(connection, now=far)
    insert(store, connection, [(A, far, 1.0)])
    assert [reading.time for reading in store.latest(connection, [A])] == [far]


def test_prepare_makes_room_for_all_that_ingest_accepts_and_days_ahead(
    store: ReadingStore, connection: Connection
) -> None:
    moment = datetime(2031, 1, 1, 23, 59, tzinfo=UTC)
    store.prepare(connection, now=moment)
    insert(store, connection, [(A, moment - RETENTION, 1.0), (A, moment + 2 * timedelta(days=1), 1.0)])
    assert store.prepare(connection, now=moment) == []


def test_many_processes_prepare_at_once(store: ReadingStore, connection: Connection) -> None:
    moment = datetime(2032, 1, 1, tzinfo=UTC)
    failures: list[BaseException] = []
    barrier = threading.Barrier(6)

    def prepare() -> None:
        with own_connection() as own:
            barrier.wait()
            try:
                store.prepare(own, now=moment)
            except psycopg.Error as error:
                failures.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    insert(store, connection, [(A, moment, 1.0)])


def test_expire_drops_whole_days_that_are_beyond_the_retention(store: ReadingStore, connection: Connection) -> None:
    moment = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
    store.prepare(connection, now=moment)
    oldest, newest = moment - RETENTION, moment
    insert(store, connection, [(A, oldest - 12 * HOUR, 1.0), (A, newest, 2.0)])
    insert(store, connection, [(B, newest - DAY, 1.0)])  # so that readings of three days say that it is this one
    store.roll_up(connection, now=moment + HOUR)
    assert store.expire(connection, now=moment) is not None
    hours = store.hours(connection, [A], moment - 2 * RETENTION, moment + HOUR, zone="UTC")
    assert [hour.last for hour in hours] == [1.0, 2.0]  # the day that holds the oldest instant stays
    later = moment + timedelta(days=1)
    assert store.expire(connection, now=later)
    assert store.expire(connection, now=later) == []
    for zone in ("UTC", "Asia/Kolkata"):
        hours = store.hours(connection, [A], moment - 2 * RETENTION, moment + HOUR, zone=zone)
        assert [hour.last for hour in hours] == [2.0]
    store.prepare(connection, now=moment)


@pytest.fixture
def daily(store: ReadingStore, connection: Connection) -> Iterator[list[PartSize]]:
    """A reading on each day that is kept, aggregated; the sizes of those days, the oldest first."""
    insert(store, connection, [(A, NOW - n * DAY, float(n)) for n in range(4)])
    store.roll_up(connection, now=NOW + HOUR)
    yield [size for size in store.sizes(connection) if size.end > NOW - RETENTION]
    without_readings(connection)
    store.prepare(connection, now=NOW)


def with_budget(store: ReadingStore, max_bytes: int, min_days: int = 1) -> ReadingStore:
    assert isinstance(store, PartitionStore | TimescaleStore)
    return type(store)(RETENTION, Budget(max_bytes, min_days))


def test_bytes_drop_whole_days_the_oldest_first_with_their_hours(
    store: ReadingStore, connection: Connection, daily: list[PartSize]
) -> None:
    total = sum(size.size_bytes for size in daily)
    assert with_budget(store, total).expire(connection, now=NOW) is not None
    assert store.kept_since(connection) == LONG_AGO
    small = with_budget(store, total - 1)
    [gone] = [part for part in store.parts(connection) if part.start == daily[0].start]
    assert gone.name in small.expire(connection, now=NOW)
    assert small.kept_since(connection) == daily[0].end == datetime(2026, 6, 8, tzinfo=UTC)
    for zone in ("UTC", "Asia/Kolkata"):
        hours = store.hours(connection, [A], NOW - 2 * RETENTION, NOW + HOUR, zone=zone)
        assert [hour.last for hour in hours] == [2.0, 1.0, 0.0]
    assert small.expire(connection, now=NOW) == []


def test_a_day_that_bytes_dropped_is_not_made_again_and_takes_no_late_reading(
    store: ReadingStore, connection: Connection, daily: list[PartSize]
) -> None:
    small = with_budget(store, sum(size.size_bytes for size in daily) - 1)
    small.expire(connection, now=NOW)
    since = small.kept_since(connection)
    assert not [name for name in store.prepare(connection, now=NOW) if since > NOW - RETENTION and "20260607" in name]
    with pytest.raises(MissingPartitionError):
        insert(store, connection, [(B, NOW, 1.0), (B, since - timedelta(microseconds=1), 1.0)])
    with pytest.raises(MissingPartitionError):  # and so in a large batch, which is tried the quick way
        insert(store, connection, [(B, since - MINUTE + n * timedelta(seconds=1), 1.0) for n in range(1_500)])
    assert store.latest(connection, [B]) == []
    assert insert(store, connection, [(B, since, 1.0)]).stored == 1
    assert min(part.start for part in store.parts(connection)) == since
    assert store.roll_up(connection, now=NOW + HOUR) == 1


def test_the_cut_off_does_not_move_back_when_there_is_room_again(
    store: ReadingStore, connection: Connection, daily: list[PartSize]
) -> None:
    with_budget(store, sum(size.size_bytes for size in daily) - 1).expire(connection, now=NOW)
    since = store.kept_since(connection)
    for roomy in (with_budget(store, 10**12), with_budget(store, 0)):
        roomy.expire(connection, now=NOW - DAY)
        assert kept.move(connection, since - DAY, why="person", now=NOW)
        assert roomy.kept_since(connection) == since


@pytest.mark.parametrize(("min_days", "there"), [(1, 2), (2, 3), (3, 4), (7, 4)])
def test_bytes_never_undercut_the_minimum_of_days(
    store: ReadingStore, connection: Connection, daily: list[PartSize], min_days: int, there: int
) -> None:
    tiny = with_budget(store, 1, min_days)
    for _ in range(3):
        tiny.expire(connection, now=NOW)
    hours = store.hours(connection, [A], NOW - 2 * RETENTION, NOW + HOUR, zone="UTC")
    assert [hour.last for hour in hours] == [3.0, 2.0, 1.0, 0.0][-there:]


def test_a_persons_word_undercuts_the_minimum(
    store: ReadingStore, connection: Connection, daily: list[PartSize]
) -> None:
    careful = with_budget(store, 1, 3)
    assert kept.move(connection, day_of(NOW), why="person", now=NOW)
    assert careful.expire(connection, now=NOW)
    hours = store.hours(connection, [A], NOW - 2 * RETENTION, NOW + HOUR, zone="UTC")
    assert [hour.last for hour in hours] == [0.0]


def test_the_cut_off_waits_for_the_batches_under_way(
    store: ReadingStore,
    connection: Connection,
    other: Connection,
    daily: list[PartSize],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "PATIENCE_MS", 100)
    small = with_budget(store, sum(size.size_bytes for size in daily) - 1)
    with other.transaction():
        store.insert(other, rows([(B, daily[0].start, 1.0)]))
        small.expire(connection, now=NOW)
        assert small.kept_since(connection) == LONG_AGO
    small.expire(connection, now=NOW)
    assert small.kept_since(connection) == daily[0].end


def test_latest_is_the_newest_reading_and_the_one_a_day_before(store: ReadingStore, connection: Connection) -> None:
    day = timedelta(days=1)
    insert(
        store,
        connection,
        [
            (A, NOW, 5.0),
            (A, NOW - HOUR, 4.0),
            (A, NOW - day, 3.0),
            (A, NOW - day - MINUTE, 2.0),
            (B, NOW, 7.0),
            (B, NOW - day + MINUTE, 6.0),  # less than a day ago
            (C, NOW - MINUTE, 9.0),
            (C, NOW - MINUTE - day - 59 * MINUTE, 8.0),
        ],
    )
    latest = store.latest(connection, [C, A, B, Series(99, 99)])
    assert sorted(latest) == [
        LatestReading(*A, NOW, 5.0, 3.0),
        LatestReading(*B, NOW, 7.0, None),
        LatestReading(*C, NOW - MINUTE, 9.0, 8.0),
    ]


def test_nothing_is_asked_for_and_nothing_comes(store: ReadingStore, connection: Connection) -> None:
    assert store.hours(connection, [], NOW - HOUR, NOW, zone="UTC") == []
    assert store.latest(connection, []) == []
    assert store.changed_since(connection, [], NOW - HOUR, NOW) is None


def test_a_counter_that_is_reset_within_an_hour_goes_on_from_nought(
    store: ReadingStore, connection: Connection
) -> None:
    hour = NOW - 5 * HOUR
    readings = [10.0, 12.0, 12.0, 1.5, 4.0]
    insert(store, connection, [(A, hour + n * MINUTE, value) for n, value in enumerate(readings)])
    for _ in range(2):
        [only] = store.hours(connection, [A], NOW - 6 * HOUR, NOW, zone="UTC")
        assert only.increase == pytest.approx(2.0 + 0.0 + 1.5 + 2.5)
        store.roll_up(connection, now=NOW)


def test_an_hour_belongs_to_the_answer_when_it_begins_within(store: ReadingStore, connection: Connection) -> None:
    insert(store, connection, [(A, NOW - 5 * HOUR + n * 10 * MINUTE, 1.0) for n in range(20)])
    for start in (NOW - 4 * HOUR, NOW - 4 * HOUR + 30 * MINUTE):
        open_hours = store.hours(connection, [A], start, NOW - 2 * HOUR, zone="UTC")
        assert [hour.hour for hour in open_hours] == [NOW.replace(hour=9, minute=0), NOW.replace(hour=10, minute=0)]
        assert [hour.n for hour in open_hours] == [6, 5]
    answers = [store.hours(connection, [A], NOW - 4 * HOUR, NOW - 2 * HOUR, zone=zone) for zone in ("UTC", "Etc/GMT+3")]
    store.roll_up(connection, now=NOW)
    for zone, answer in zip(("UTC", "Etc/GMT+3"), answers, strict=True):
        assert store.hours(connection, [A], NOW - 4 * HOUR, NOW - 2 * HOUR, zone=zone) == answer


@pytest.mark.parametrize(("zone", "before"), CHANGES_OF_CLOCK)
def test_hours_are_right_where_clocks_are_changed(
    store: ReadingStore, connection: Connection, zone: str, before: datetime
) -> None:
    store.prepare(connection, now=before)
    source = random.Random(7)
    values = {(A, before + n * 7 * MINUTE): source.uniform(-5, 5) for n in range(150)}
    insert(store, connection, [(of, time, value) for (of, time), value in values.items()])
    start, end = hour_of(before - HOUR, ZoneInfo(zone)), hour_of(before + 20 * HOUR, ZoneInfo(zone))
    expected = reference(values, [A], start, end, zone)
    assert len({hour[2] for hour in expected}) == len(expected)
    assert store.hours(connection, [A], start, end, zone=zone) == expected
    store.roll_up(connection, now=before + RETENTION)
    assert store.hours(connection, [A], start, end, zone=zone) == expected


@pytest.mark.parametrize(("zone", "before"), [change for change in CHANGES_OF_CLOCK if "Lord_Howe" in change[0]])
def test_an_hour_is_whole_or_not_in_the_answer_where_a_clock_goes_by_half_an_hour(
    store: ReadingStore, connection: Connection, zone: str, before: datetime
) -> None:
    store.prepare(connection, now=before)
    values = {(A, before + n * 10 * MINUTE): float(n) for n in range(60)}
    insert(store, connection, [(of, time, value) for (of, time), value in values.items()])
    edges = [before + n * 30 * MINUTE for n in range(21)]
    for _ in range(2):
        for start, end in [(edge, edges[-1]) for edge in edges] + [(edges[0], edge) for edge in edges]:
            assert store.hours(connection, [A], start, end, zone=zone) == reference(values, [A], start, end, zone)
        store.roll_up(connection, now=before + RETENTION)


@pytest.mark.parametrize("zone", ZONES)
def test_without_the_order_of_readings_the_rest_is_the_same(
    store: ReadingStore, connection: Connection, zone: str
) -> None:
    source = random.Random(5)
    insert(store, connection, [(of, NOW - n * 7 * MINUTE, source.uniform(-9, 9)) for n in range(200) for of in ALL])
    start, end = NOW - 30 * HOUR, NOW + HOUR
    for _ in range(2):
        with_order = store.hours(connection, ALL, start, end, zone=zone)
        without = store.hours(connection, ALL, start, end, zone=zone, ordered=False)
        expected: list[Any] = [(*hour[:6], pytest.approx(hour.total), 0.0, 0.0, 0.0, 0, 0.0) for hour in with_order]
        assert without == expected
        store.roll_up(connection, now=NOW)
        insert(store, connection, [(C, NOW - n * 13 * MINUTE - timedelta(seconds=1), 1.0) for n in range(100)])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "before"),
    [(zone, NOW - 20 * HOUR) for zone in ZONES] + [CHANGES_OF_CLOCK[0]],
)
def test_hours_equal_those_of_djangos_trunc_hour(
    store: ReadingStore, connection: Connection, zone: str, before: datetime
) -> None:
    # Where an hour comes twice Django adds the two up, ours stay apart: so none of these here.
    store.prepare(connection, now=before)
    source = random.Random(3)
    insert(
        store,
        connection,
        [(of, before + n * 11 * MINUTE, source.uniform(0, 9)) for n in range(100) for of in (A, B)],
    )
    information = ZoneInfo(zone)
    theirs = (
        Reading.objects.filter(device_id=A.device_id, metric_id__in=[A.metric_id, B.metric_id])
        .annotate(hour=TruncHour("time", tzinfo=information))
        .values("metric_id", "hour")
        .annotate(n=Count("value"), low=Min("value"), high=Max("value"), mean=Avg("value"))
        .order_by("metric_id", "hour")
    )
    for _ in range(2):
        ours = store.hours(connection, [A, B], before - HOUR, before + 24 * HOUR, zone=zone)
        assert [(o.metric_id, o.hour, o.n, o.minimum, o.maximum, pytest.approx(o.total / o.n)) for o in ours] == [
            (t["metric_id"], t["hour"].astimezone(UTC), t["n"], t["low"], t["high"], t["mean"]) for t in theirs
        ]
        store.roll_up(connection, now=before + RETENTION)


def test_the_hour_that_comes_twice_is_two_hours(store: ReadingStore, connection: Connection) -> None:
    twice = datetime(2026, 11, 1, 5, tzinfo=UTC)  # 01:00 in New York, and 01:00 again an hour later
    store.prepare(connection, now=twice)
    insert(store, connection, [(A, twice + 5 * MINUTE, 1.0), (A, twice + 65 * MINUTE, 2.0)])
    hours = store.hours(connection, [A], twice, twice + 5 * HOUR, zone="America/New_York")
    assert [(hour.hour, hour.total) for hour in hours] == [(twice, 1.0), (twice + HOUR, 2.0)]


moments = st.integers(min_value=-30 * 12, max_value=6).map(lambda n: NOW + n * 5 * MINUTE)
readings = st.lists(
    st.tuples(st.sampled_from(ALL), moments, st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: round(x, 3))),
    min_size=1,
    max_size=12,
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), readings),
        st.tuples(st.just("roll up"), moments),
        st.tuples(st.just("look"), st.sampled_from(ZONES)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_hours_are_right_after_whatever_was_inserted_late_and_aggregated(
    store: ReadingStore, connection: Connection, doings: list[tuple[str, Any]]
) -> None:
    without_readings(connection)
    values: Values = {}
    latest_roll_up = NOW - RETENTION
    for what, given_value in [*doings, ("look", "America/Sao_Paulo")]:
        if what == "insert":
            stored = insert(store, connection, given_value)
            fresh: dict[tuple[Series, datetime], float] = {}
            for of, time, value in given_value:
                if (of, time) not in values:
                    fresh.setdefault((of, time), value)
            assert stored.stored == len(fresh)
            values |= fresh
        elif what == "roll up":
            latest_roll_up = max(latest_roll_up, given_value)
            store.roll_up(connection, now=given_value)
        else:
            start, end = NOW - 40 * HOUR, NOW + 3 * HOUR
            answer = store.hours(connection, [A, C, B], start, end, zone=given_value)
            assert answer == reference(values, ALL, start, end, given_value)
    # What was closed is closed: one roll_up mends all hours that got late readings.
    store.roll_up(connection, now=latest_roll_up)
    assert store.open_since(connection) <= latest_roll_up
    assert store.roll_up(connection, now=latest_roll_up) == 0


def test_hours_are_right_at_every_moment_of_a_roll_up(
    store: ReadingStore, connection: Connection, other: Connection
) -> None:
    source = random.Random(11)
    values = {(of, NOW - n * 7 * MINUTE): round(source.uniform(0, 99), 2) for n in range(500) for of in ALL}
    insert(store, connection, [(of, time, value) for (of, time), value in values.items()])
    done = threading.Event()
    failures: list[BaseException] = []

    def roll_up() -> None:
        try:
            for hours_ago in range(50, -1, -1):
                store.roll_up(other, now=NOW - hours_ago * HOUR)
        except psycopg.Error as error:
            failures.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=roll_up)
    thread.start()
    looks = 0
    start, end = (NOW - 60 * HOUR).replace(minute=0), NOW + HOUR
    while not done.is_set():
        fresh = {(C, NOW - source.randrange(3_000) * MINUTE - timedelta(microseconds=1 + looks)): float(looks)}
        insert(store, connection, [(of, time, value) for (of, time), value in fresh.items()])
        values |= fresh
        answer = store.hours(connection, ALL, start, end, zone="America/Sao_Paulo")
        assert answer == reference(values, ALL, start, end, "America/Sao_Paulo")
        looks += 1
    thread.join()
    assert failures == []
    assert looks > 3


def test_only_what_changed_after_it_was_closed_is_a_change(store: ReadingStore, connection: Connection) -> None:
    start = (NOW - 20 * HOUR).replace(minute=0)
    insert(store, connection, [(of, NOW - n * HOUR, 1.0) for n in range(1, 20) for of in (A, C)])
    store.roll_up(connection, now=NOW)
    assert store.open_since(connection) <= NOW
    seen = datetime.now(UTC) + timedelta(minutes=2)  # a store may count a change as newer than it is, but not by much
    assert store.changed_since(connection, ALL, start, seen) is None
    insert(store, connection, [(A, NOW - 10 * HOUR + MINUTE, 2.0)])
    changed = (NOW - 10 * HOUR).replace(minute=0)
    assert store.changed_since(connection, [A], start, seen) == changed
    assert store.changed_since(connection, [C], start, seen) is None
    assert store.changed_since(connection, [A], changed + HOUR, seen) is None
    store.roll_up(connection, now=NOW)
    shortly_before = datetime.now(UTC) - timedelta(seconds=1)
    told = store.changed_since(connection, [A], start, shortly_before)
    assert told is not None
    assert told <= changed
    assert store.changed_since(connection, [C], start, datetime.now(UTC) + timedelta(minutes=2)) is None


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu"])
def test_a_late_reading_is_a_change_where_hours_begin_at_another_minute(
    store: ReadingStore, connection: Connection, zone: str
) -> None:
    start = hour_of(NOW - 3 * HOUR, ZoneInfo(zone))
    assert start.minute
    insert(store, connection, [(A, start + n * HOUR, 1.0) for n in range(3)])
    store.roll_up(connection, now=NOW)
    later = datetime.now(UTC) + timedelta(minutes=2)
    assert store.changed_since(connection, [A], start, later) is None
    insert(store, connection, [(A, start + MINUTE, 2.0)])
    for seen in (later, datetime.now(UTC)):  # while it is only logged, and when it is in
        changed = store.changed_since(connection, [A], start, seen)
        assert changed is not None
        # Of an hour of UTC, so that it may be told a little early.
        assert start - HOUR < changed <= start + MINUTE
        assert store.changed_since(connection, [A], start + HOUR, seen) is None
        store.roll_up(connection, now=NOW)


def test_a_duplicate_in_a_closed_hour_is_no_change(store: ReadingStore, connection: Connection) -> None:
    insert(store, connection, [(A, NOW - 5 * HOUR, 1.0)])
    store.roll_up(connection, now=NOW)
    insert(store, connection, [(A, NOW - 5 * HOUR, 2.0)])
    assert store.changed_since(connection, [A], NOW - 10 * HOUR, datetime.now(UTC) + timedelta(minutes=2)) is None
    assert store.roll_up(connection, now=NOW) == 0


def late_batch(store: ReadingStore, begun: threading.Event, commit: threading.Event, first: bool) -> Callable[[], None]:
    """A batch whose transaction is open while an hour is closed: it began before, its rows come `first` or after."""

    def work() -> None:
        with own_connection() as own, own.transaction():
            own.execute("SELECT 1 FROM tds_new_tenant LIMIT 1")
            if first:
                insert(store, own, [(A, NOW - 3 * HOUR, 5.0)])
            begun.set()
            commit.wait(10)
            if not first:
                insert(store, own, [(A, NOW - 3 * HOUR, 5.0)])

    return work


@pytest.mark.parametrize("first", [True, False])
def test_rows_of_an_hour_that_is_closed_meanwhile_are_not_missed(
    store: ReadingStore, connection: Connection, other: Connection, first: bool
) -> None:
    insert(store, connection, [(A, NOW - 3 * HOUR + MINUTE, 7.0)])
    begun, commit = threading.Event(), threading.Event()
    batch = threading.Thread(target=late_batch(store, begun, commit, first))
    batch.start()
    assert begun.wait(10)
    closer = threading.Thread(target=store.roll_up, args=(other,), kwargs={"now": NOW})
    closer.start()
    closer.join(0.3)  # it may have to wait for the batch
    start = (NOW - 5 * HOUR).replace(minute=0)
    assert [h.n for h in store.hours(connection, [A], start, NOW, zone="UTC")] == [1]
    commit.set()
    batch.join(10)
    closer.join(10)
    assert not closer.is_alive()
    for _ in range(2):
        [hour] = store.hours(connection, [A], start, NOW, zone="UTC")
        assert (hour.n, hour.first, hour.last) == (2, 5.0, 7.0)
        store.roll_up(connection, now=NOW)


def test_writers_that_never_pause_do_not_keep_an_hour_open(
    store: ReadingStore, connection: Connection, other: Connection
) -> None:
    stopping = threading.Event()

    def write(device: int) -> None:
        with own_connection() as own:
            n = 0
            while not stopping.is_set():
                with own.transaction():
                    insert(store, own, [(Series(device, 1), NOW + n * timedelta(milliseconds=1), 1.0)])
                    stopping.wait(0.02)
                n += 1

    writers = [threading.Thread(target=write, args=(50 + n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    try:
        closer = threading.Thread(target=store.roll_up, args=(other,), kwargs={"now": NOW})
        closer.start()
        closer.join(8)
        assert not closer.is_alive()
        assert store.open_since(connection) > NOW - 2 * HOUR
    finally:
        stopping.set()
        for writer in writers:
            writer.join()


def test_a_writer_that_hangs_holds_up_the_others_for_seconds_only(
    store: ReadingStore, connection: Connection, other: Connection
) -> None:
    insert(store, connection, [(A, NOW - 9 * HOUR, 1.0)])
    with own_connection() as hanging, hanging.transaction():
        insert(store, hanging, [(B, NOW - 9 * HOUR, 1.0)])
        closer = threading.Thread(target=store.roll_up, args=(other,), kwargs={"now": NOW})
        closer.start()
        closer.join(0.2)
        began = monotonic()
        insert(store, connection, [(C, NOW - 9 * HOUR, 1.0)])
        closer.join(20)
        assert not closer.is_alive()
        assert monotonic() - began < 10
    store.roll_up(connection, now=NOW)
    hours = store.hours(connection, ALL, NOW - 10 * HOUR, NOW, zone="UTC")
    assert [(hour.device_id, hour.metric_id, hour.n) for hour in hours] == [(1, 1, 1), (1, 2, 1), (2, 1, 1)]


def test_late_readings_that_never_cease_do_not_keep_a_roll_up_busy(
    store: ReadingStore, connection: Connection, other: Connection
) -> None:
    devices = [Series(device, 1) for device in range(300)]
    insert(store, connection, [(of, NOW - 9 * HOUR, 1.0) for of in devices])
    store.roll_up(connection, now=NOW)
    stopping = threading.Event()

    def write() -> None:
        with own_connection() as own:
            n = 0
            while not stopping.is_set():
                n += 1
                insert(store, own, [(of, NOW - 9 * HOUR + timedelta(milliseconds=n), 1.0) for of in devices])

    writer = threading.Thread(target=write)
    writer.start()
    closer = threading.Thread(target=store.roll_up, args=(other,), kwargs={"now": NOW})
    try:
        stopping.wait(0.3)
        closer.start()
        closer.join(8)
        assert not closer.is_alive()
    finally:
        stopping.set()
        writer.join()
        closer.join()


def test_a_second_roll_up_at_the_same_time_leaves_the_work_to_the_first(
    store: ReadingStore, connection: Connection
) -> None:
    insert(store, connection, [(A, NOW - n * HOUR, 1.0) for n in range(1, 40)])
    written: list[int] = []

    def roll_up() -> None:
        with closing(connect()) as own:
            written.append(store.roll_up(own, now=NOW))

    threads = [threading.Thread(target=roll_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.roll_up(connection, now=NOW)
    start = (NOW - 50 * HOUR).replace(minute=0)
    assert len(store.hours(connection, [A], start, NOW, zone="UTC")) == 39


def connect() -> Connection:
    from django.conf import settings as django_settings

    from tds.ingest import database

    return database.connect(django_settings.DATABASES["default"], name="tests")


def test_rows_that_came_past_ingest_show_after_a_rebuild_and_pages_that_are_open_hear_of_it(
    store: ReadingStore, connection: Connection
) -> None:
    insert(store, connection, [(A, NOW - 10 * HOUR, 1.0), (A, NOW - 30 * HOUR, 1.0)])
    store.roll_up(connection, now=NOW)
    made_at = datetime.now(UTC) + timedelta(minutes=2)
    bulk = "INSERT INTO tds_new_leituradispositivo VALUES (%s, %s, %s, %s)"
    connection.execute(bulk, (*A, NOW - 10 * HOUR + MINUTE, 9.0))
    connection.execute(bulk, (*C, NOW - 20 * HOUR, 5.0))
    connection.execute("DELETE FROM tds_new_leituradispositivo WHERE time = %s", (NOW - 30 * HOUR,))
    assert store.changed_since(connection, [A, C], NOW - RETENTION, made_at) is None
    steps = list(store.rebuild(connection, NOW - RETENTION, NOW + 5 * HOUR))
    assert steps[-1][0] == store.open_since(connection)
    assert sum(written for _, written in steps) == 2
    hours = store.hours(connection, [A, C], NOW - RETENTION, NOW, zone="UTC")
    assert [(hour.device_id, hour.n, hour.maximum) for hour in hours] == [(1, 2, 9.0), (2, 1, 5.0)]
    changed = store.changed_since(connection, [A, C], NOW - RETENTION, datetime.now(UTC))
    assert changed == hour_of(NOW - 20 * HOUR, ZoneInfo("UTC"))
    assert [written for _, written in store.rebuild(connection, NOW - RETENTION, NOW)] == [n for _, n in steps]


def test_a_rebuild_waits_for_the_aggregation_under_way_however_long_a_lock_may_take(
    store: ReadingStore, connection: Connection, other: Connection
) -> None:
    insert(store, connection, [(A, NOW - 10 * HOUR, 1.0)])
    store.roll_up(connection, now=NOW)
    limits = {"lock_timeout": "100ms", "statement_timeout": "5s"}
    with own_connection() as patient:
        for name, limit in limits.items():
            patient.execute(f"SET {name} = '{limit}'")
        other.execute("SELECT pg_advisory_lock(%s)", (rollup.ADVISORY_LOCK,))
        steps: list[Any] = []
        rebuild = threading.Thread(target=lambda: steps.extend(store.rebuild(patient, NOW - RETENTION, NOW)))
        rebuild.start()
        rebuild.join(0.5)
        assert rebuild.is_alive()
        other.execute("SELECT pg_advisory_unlock(%s)", (rollup.ADVISORY_LOCK,))
        rebuild.join(10)
        assert sum(written for _, written in steps) == 1
        for name, limit in limits.items():
            assert patient.execute(f"SHOW {name}").fetchone() == (limit,)


def test_a_store_says_how_large_it_is(store: ReadingStore, connection: Connection) -> None:
    _, before_bytes = store.size(connection)  # parts of other days stay, with no rows in them
    insert(store, connection, [(A, NOW - n * MINUTE, 1.0) for n in range(1_000)])
    connection.execute("ANALYZE tds_new_leituradispositivo")
    rows, size_bytes = store.size(connection)
    assert 900 <= rows <= 1_100
    assert size_bytes > 50_000
    assert size_bytes - before_bytes < 50_000_000
