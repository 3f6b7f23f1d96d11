"""Charts out of the real stores, and as the API's JSON, against the plain reference."""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import psycopg
import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from pytest_django import DjangoDbBlocker

from tds.dashboard import chart_api
from tds.fleet.models import Metric, MetricKind
from tds.readings import charts
from tds.readings.charts import Line, Point
from tds.readings.partitions import PartitionStore
from tds.readings.store import ReadingStore, Series
from tds.readings.timescale import TimescaleStore
from tests import charted, seeding
from tests.charted import REGISTER, SCENARIOS, Batch, Scenario
from tests.timescaledb import timescaledb

Connection = psycopg.Connection[Any]
A, B = Series(1, 1), Series(2, 1)
RETENTION: Final = timedelta(days=8)
API: Final = "/tds_new/telemetria/api"
SETTINGS: Final = [
    *((kind, None) for kind in MetricKind),
    (MetricKind.COUNTER, REGISTER),
]
CHECKED: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def partitions(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'tds_new_leituradispositivo'::regclass"
    )
    return {name for (name,) in rows}


@pytest.fixture(scope="module", params=["native", "timescaledb"])
def store(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Iterator[ReadingStore]:
    if request.param == "native":
        with django_db_blocker.unblock(), seeding.own_connection() as connection:
            before = partitions(connection)
            yield PartitionStore(RETENTION)
            # Two months in several years: the planner would look at them in every test after these.
            for name in partitions(connection) - before:
                connection.execute(f"DROP TABLE {name}")
        return
    with django_db_blocker.unblock(), timescaledb():
        yield TimescaleStore(RETENTION)


@pytest.fixture(scope="module")
def own(store: ReadingStore) -> Iterator[Connection]:
    with seeding.own_connection() as connection:
        yield connection
        seeding.without_readings(connection)


@pytest.fixture
def connection(own: Connection) -> Connection:
    return own


def emptied(connection: Connection, scenario: Scenario) -> None:
    """As if the worker had run until shortly before all readings."""
    seeding.without_readings(connection)
    begin = (scenario.now - charted.SPAN - timedelta(hours=4)).replace(minute=0, second=0, microsecond=0)
    connection.execute("UPDATE tds_new_estadorollup SET closing_before = %s, complete_before = %s", (begin, begin))


def take_in(store: ReadingStore, connection: Connection, of: Series, batches: list[Batch], now: datetime) -> None:
    for batch in batches:
        seeding.insert(connection, ((of, now - ago, value) for ago, value in batch.readings))
        if batch.roll_up_ago is not None:
            store.roll_up(connection, now=now - batch.roll_up_ago)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
@settings(max_examples=12, deadline=None, suppress_health_check=CHECKED)
@given(batches=charted.batches(), others=charted.batches())
def test_charts_out_of_the_store_are_what_the_readings_say(
    store: ReadingStore, connection: Connection, scenario: Scenario, batches: list[Batch], others: list[Batch]
) -> None:
    now, zone = scenario.now, scenario.zone
    store.prepare(connection, now=now)
    emptied(connection, scenario)
    take_in(store, connection, A, batches, now)
    take_in(store, connection, B, others, now)
    of_series = {A: charted.first_ones(batches, now), B: charted.first_ones(others, now)}
    for kind, register in SETTINGS:
        lines = [Line(series, "GW", "D01", "energia", "kWh", kind, register) for series in (A, B)]
        for whole_days, points, judge in (
            (False, charts.hourly_points, charted.hourly),
            (True, charts.daily_points, charted.daily),
        ):
            window = charts.window(charted.PERIOD, zone, now=now, whole_days=whole_days)
            begin = charts.lookback(lines, window)
            ordered = charts.ordered(lines)
            hours = store.hours(connection, [A, B], begin, window.end, zone=zone.key, ordered=ordered)
            labels, of_lines = points(hours, lines, window, now=now)
            for line, shown in zip(lines, of_lines, strict=True):
                readings = of_series[line.series]
                expected: Mapping[Any, Point] = judge(readings, kind, register, zone)
                charted.assert_same(dict(zip(labels, shown, strict=True)), expected, readings)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if "Lord_Howe" in s.zone_name], ids=str)
def test_a_tail_from_any_half_hour_says_what_the_whole_chart_says_where_a_clock_goes_by_half_an_hour(
    store: ReadingStore, connection: Connection, scenario: Scenario
) -> None:
    now, zone = scenario.now, scenario.zone
    store.prepare(connection, now=now)
    emptied(connection, scenario)
    seeding.insert(connection, ((A, now - n * timedelta(minutes=10), float(n * n % 97)) for n in range(6 * 72)))
    half_hours = [now.replace(minute=0) - n * timedelta(minutes=30) for n in range(2 * 48)]
    assert len({time.astimezone(zone).utcoffset() for time in half_hours}) == 2
    for kind in MetricKind:
        lines = [Line(A, "GW", "D01", "energia", "kWh", kind)]

        def drawn(shown: charts.Window, lines: list[Line] = lines) -> dict[datetime, Point]:
            begin, ordered = charts.lookback(lines, shown), charts.ordered(lines)
            hours = store.hours(connection, [A], begin, shown.end, zone=zone.key, ordered=ordered)
            labels, [points] = charts.hourly_points(hours, lines, shown, now=now)
            return dict(zip(labels, points, strict=True))

        window = charts.window(charted.PERIOD, zone, now=now)
        whole = drawn(window)
        assert sum(point != charts.GAP for point in whole.values()) >= 72
        for since in half_hours:
            tail = drawn(charts.tail(window, since))
            assert tail == {label: point for label, point in whole.items() if label >= min(tail)}
            assert min(tail) <= since


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(at=None)
    monkeypatch.setattr(chart_api, "timezone", SimpleNamespace(now=lambda: clock.at))
    return clock


@pytest.mark.django_db
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
@settings(max_examples=4, deadline=None, suppress_health_check=CHECKED)
@given(batches=charted.batches())
def test_the_apis_json_is_what_the_readings_say(
    store: ReadingStore, connection: Connection, frozen: SimpleNamespace, scenario: Scenario, batches: list[Batch]
) -> None:
    frozen.at = scenario.now
    store.prepare(connection, now=scenario.now)
    readings = charted.first_ones(batches, scenario.now)
    with transaction.atomic():
        tenant = seeding.tenant("acme", time_zone=scenario.zone_name)
        of = seeding.series(seeding.gateway(tenant, "GW-1"), "D01", "energia", "kWh")
        client = Client()
        client.force_login(seeding.person("ana", tenant))
        # What the worker does commits; so the readings come over a connection of their own.
        emptied(connection, scenario)
        take_in(store, connection, of, batches, scenario.now)
        for kind, register in SETTINGS:
            Metric.objects.update(kind=kind, rollover_at=register)
            of_hours = shown(client, "timeline", "24h", datetime.fromisoformat)
            charted.assert_same(of_hours, charted.hourly(readings, kind, register, scenario.zone), readings)
            of_days = shown(client, "barras", "7d", date.fromisoformat)
            charted.assert_same(of_days, charted.daily(readings, kind, register, scenario.zone), readings)
        transaction.set_rollback(True)


def shown(client: Client, name: str, period: str, label: Any) -> dict[Any, Point]:
    document = json.loads(client.get(f"{API}/{name}/", {"periodo": period}).content)
    [dataset] = document["datasets"]
    return {
        label(text): Point(*values)
        for text, *values in zip(document["labels"], dataset["data"], dataset["min"], dataset["max"], strict=True)
    }
