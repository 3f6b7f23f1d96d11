"""A late, a very late and a future reading on their way through the writer: the same in both stores."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from pytest_django import DjangoDbBlocker

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Device, Metric
from tds.ingest.messages import Refusal
from tds.ingest.models import QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tds.readings.store import Series
from tds.readings.timescale import COMPRESS_AFTER
from tests import seeding
from tests.consuming import AMPLE, ledger, prepared_connection
from tests.timescaledb import timescaledb

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
RETENTION: Final = wiring.retention()
AHEAD: Final = timedelta(minutes=10)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
MICROSECOND: Final = timedelta(microseconds=1)


@pytest.fixture(scope="module", params=["native", "timescaledb"], autouse=True)
def store_name(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Iterator[str]:
    if request.param == "native":
        yield request.param
        return
    with django_db_blocker.unblock(), timescaledb():
        yield request.param


@pytest.fixture
def connection(store_name: str) -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over, and closed hours with theirs."""
    with prepared_connection(NOW) as own:
        seeding.without_readings(own)
        assert wiring.reading_store().name_of(own) == store_name
        yield own


@pytest.fixture
def writer(connection: Connection) -> Writer:
    seeding.gateway(seeding.tenant("acme"), "GW-1")
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, RETENTION)


def arrival(time: datetime, value: float = 1.0, received_at: datetime | None = None) -> Arrival:
    body = seeding.message("GW-1", time, leituras=[{"tipo": "t", "valor": value}])
    return Arrival(telemetry_topic("GW-1", "D01"), seeding.as_bytes(body), received_at=received_at)


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


def charted(connection: Connection) -> dict[datetime, tuple[int, float, float]]:
    """What a chart shows: of each hour how many readings, the first and the last one."""
    series = [Series(Device.objects.get().pk, Metric.objects.get().pk)]
    hours = wiring.reading_store().hours(connection, series, NOW - 2 * RETENTION, NOW + 2 * HOUR, zone="UTC")
    return {hour.hour: (hour.n, hour.first, hour.last) for hour in hours}


def test_a_late_reading_is_in_the_chart_at_once_and_after_its_hour_was_mended(
    connection: Connection, writer: Writer
) -> None:
    store = wiring.reading_store()
    closed = (NOW - 5 * HOUR).replace(minute=0)
    writer.write([arrival(closed + 20 * MINUTE, 20.0), arrival(NOW, 99.0)], now=NOW)
    store.roll_up(connection, now=NOW)
    assert store.open_since(connection) > closed + HOUR

    late = [arrival(closed + 40 * MINUTE, 40.0), arrival(closed - HOUR, 5.0), arrival(closed + 20 * MINUTE, 7.0)]
    result = writer.write(late, now=NOW + MINUTE)

    assert (reasons(result), result.stored, result.duplicate) == ([None] * 3, 2, 1)
    expected = {closed - HOUR: (1, 5.0, 5.0), closed: (2, 20.0, 40.0), NOW.replace(minute=0): (1, 99.0, 99.0)}
    assert charted(connection) == expected
    assert store.changed_since(connection, series_of_all(), closed - HOUR, NOW) == closed - HOUR
    assert store.roll_up(connection, now=NOW + MINUTE) == 2
    assert charted(connection) == expected


def test_a_reading_later_than_a_week_joins_a_day_that_was_made_smaller_and_its_copy_is_a_duplicate(
    connection: Connection, writer: Writer
) -> None:
    store = wiring.reading_store()
    old = (NOW - COMPRESS_AFTER - 3 * 24 * HOUR).replace(minute=0)
    writer.write([arrival(old + n * MINUTE, float(n)) for n in range(10)], now=old + HOUR)
    store.roll_up(connection, now=NOW)
    made_smaller = store.compact(connection, now=NOW)
    assert made_smaller or store.name_of(connection) == "native"  # which has nothing to compress with

    late = [arrival(old + 3 * MINUTE, 333.0), arrival(old + 30 * MINUTE, 30.0), arrival(old + 30 * MINUTE, 31.0)]
    result = writer.write(late, now=NOW)

    assert (reasons(result), result.stored, result.duplicate) == ([None] * 3, 1, 2)
    assert Reading.objects.get(time=old + 3 * MINUTE).value == 3.0
    assert charted(connection) == {old: (11, 0.0, 30.0)}
    store.roll_up(connection, now=NOW)
    assert charted(connection) == {old: (11, 0.0, 30.0)}


def test_a_very_late_reading_is_stored_up_to_the_retention_and_refused_a_microsecond_beyond(
    connection: Connection, writer: Writer
) -> None:
    store = wiring.reading_store()
    store.roll_up(connection, now=NOW)
    oldest = NOW - RETENTION
    batch = [
        arrival(oldest),
        arrival(oldest - MICROSECOND),
        arrival(oldest, 2.0),
        arrival(datetime(1970, 1, 1, tzinfo=UTC)),
    ]
    result = writer.write(batch, now=NOW)
    assert reasons(result) == [None, Reason.TIMESTAMP_TOO_OLD, None, Reason.TIMESTAMP_TOO_OLD]
    assert (result.stored, result.duplicate) == (1, 1)
    assert charted(connection) == {oldest.replace(minute=0): (1, 1.0, 1.0)}
    store.roll_up(connection, now=NOW)
    assert charted(connection) == {oldest.replace(minute=0): (1, 1.0, 1.0)}
    # What waited is judged as of now: there is no room any more for what was in time when it came.
    waited = arrival(oldest, 3.0, received_at=NOW)
    assert reasons(writer.write([waited], now=NOW + MICROSECOND)) == [Reason.TIMESTAMP_TOO_OLD]
    assert QuarantinedMessage.objects.count() == 3
    assert ledger(connection) == {
        "received": 5,
        "accepted": 2,
        "quarantined": 3,
        "readings": 2,
        "stored": 1,
        "duplicate": 1,
    }


def test_a_future_reading_is_stored_up_to_ten_minutes_ahead_and_refused_a_microsecond_beyond(
    connection: Connection, writer: Writer
) -> None:
    store = wiring.reading_store()
    # The next hour has not begun, and the reading is of it.
    now = NOW.replace(minute=55)
    batch = [arrival(now + AHEAD), arrival(now + AHEAD + MICROSECOND), arrival(now.replace(year=2036))]
    result = writer.write(batch, now=now)
    assert reasons(result) == [None, Reason.TIMESTAMP_IN_FUTURE, Reason.TIMESTAMP_IN_FUTURE]
    next_hour = now.replace(minute=0) + HOUR
    assert charted(connection) == {next_hour: (1, 1.0, 1.0)}
    # Neither closed before it is over, nor missed when it is.
    for later in (now, next_hour + HOUR, next_hour + 3 * HOUR):
        store.roll_up(connection, now=later)
        assert charted(connection) == {next_hour: (1, 1.0, 1.0)}
    # It never becomes right by waiting.
    waited = arrival(now + 2 * AHEAD, received_at=now)
    assert reasons(writer.write([waited], now=now + HOUR)) == [Reason.TIMESTAMP_IN_FUTURE]
    assert ledger(connection) == {
        "received": 4,
        "accepted": 1,
        "quarantined": 3,
        "readings": 1,
        "stored": 1,
        "duplicate": 0,
    }


def series_of_all() -> list[Series]:
    return [Series(device, metric) for device, metric in Reading.objects.values_list("device", "metric").distinct()]
