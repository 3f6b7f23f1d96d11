"""Gateways and tenants at their limits: exact with several writers, and what has no room costs the others nothing."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds import wiring
from tds.fleet import full, registration
from tds.fleet.directory import Directory
from tds.fleet.models import Device, DeviceMetric, Gateway, Metric, Tenant
from tds.ingest import assign, database
from tds.ingest.messages import Refusal
from tds.ingest.reasons import Reason
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.balancing import assert_balanced
from tests.consuming import AMPLE
from tests.running import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=90)


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        wiring.reading_store().prepare(own, now=NOW)
        yield own
        seeding.without_readings(own)


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture(autouse=True)
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(connection: Connection, clock: Clock) -> Writer:
    return a_writer(connection, clock)


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in {"DEVICES_A_GATEWAY": 3, "METRICS_A_DEVICE": 4, "METRICS_A_GATEWAY": 6}.items():
        monkeypatch.setattr(registration, f"MAX_{name}", limit)
    monkeypatch.setattr(registration, "MAX_METRICS_A_TENANT", 8)


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each time that a writer locked gateways."""
    taken: list[int] = []

    def lock(*arguments: Any) -> None:
        taken.append(1)
        registration.lock(*arguments)

    monkeypatch.setattr(assign, "lock", lock)
    return taken


def a_writer(connection: Connection, clock: Callable[[], float] = Clock()) -> Writer:  # noqa: B008  # it stands still
    return Writer(connection, wiring.reading_store(), Directory(clock), AMPLE, RETENTION)


def arrival(device: str, metrics: Sequence[int] = (0,), second: int = 0, code: str = "GW-1", **more: Any) -> Arrival:
    leituras = [{"tipo": f"t{n}", "valor": 1.0, "unidade": ""} for n in metrics]
    body = seeding.message(code, NOW - timedelta(seconds=second), device, leituras=leituras)
    return Arrival(telemetry_topic(code, device), seeding.as_bytes(body), **more)


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


def write(writer: Writer, *batch: Arrival) -> list[Reason | None]:
    return reasons(writer.write(batch, now=NOW))


def fill_with_devices(writer: Writer) -> None:
    assert write(writer, *(arrival(f"D{n}") for n in range(3))) == [None] * 3


def fill_with_metrics(writer: Writer) -> None:
    """The gateway has room for a device, but for no metric; its tenant has some."""
    assert write(writer, arrival("D0", range(4)), arrival("D1", range(2, 6))) == [None] * 2


def fill_tenant(writer: Writer) -> None:
    """With metrics of another gateway."""
    seeding.gateway(Tenant.objects.get(), "GW-2")
    assert write(writer, arrival("D0", range(4), code="GW-2"), arrival("D1", (4, 5), code="GW-2")) == [None] * 2
    seeding.gateway(Tenant.objects.get(), "GW-3")
    assert write(writer, arrival("D0", (6, 7), code="GW-3")) == [None]


# What was refused once


@pytest.mark.parametrize(
    ("fill", "more", "reason"),
    [
        (fill_with_devices, [arrival(f"X{n}", second=n) for n in range(5)], Reason.TOO_MANY_DEVICES),
        (fill_with_metrics, [arrival("D0", (n,), n) for n in range(10, 15)], Reason.TOO_MANY_METRICS),
        (fill_with_metrics, [arrival(f"X{n}", (0, n), n) for n in range(10, 15)], Reason.TOO_MANY_METRICS),
        (fill_tenant, [arrival("D0", (n,), n) for n in range(10, 15)], Reason.TOO_MANY_METRICS),
    ],
    ids=["devices", "metrics of its device", "metrics of the gateway", "metrics of the tenant"],
)
def test_what_has_no_room_is_refused_again_and_again_for_one_lock(
    writer: Writer, locks: list[int], fill: Callable[[Writer], None], more: list[Arrival], reason: Reason
) -> None:
    fill(writer)
    before = (Device.objects.count(), Metric.objects.count(), DeviceMetric.objects.count())
    locks.clear()
    for one in more:
        assert write(writer, one) == [reason]
    assert len(locks) == 1
    assert (Device.objects.count(), Metric.objects.count(), DeviceMetric.objects.count()) == before


def test_a_gateway_that_registers_no_devices_refuses_unknown_ones_for_one_lock(
    writer: Writer, locks: list[int], gateway: Gateway
) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(auto_devices=False)
    for n in range(5):
        assert write(writer, arrival(f"X{n}")) == [Reason.UNKNOWN_DEVICE]
    assert len(locks) == 1


def test_a_full_tenant_is_found_once_and_not_by_each_of_its_gateways(writer: Writer, locks: list[int]) -> None:
    fill_tenant(writer)
    locks.clear()
    assert write(writer, arrival("D0", (10,))) == [Reason.TOO_MANY_METRICS]
    assert write(writer, arrival("D0", (11,), code="GW-2")) == [Reason.TOO_MANY_METRICS]
    assert write(writer, arrival("D0", (12,), code="GW-3")) == [Reason.TOO_MANY_METRICS]
    assert len(locks) == 1


def test_what_has_room_beside_what_has_none_is_registered(writer: Writer) -> None:
    fill_with_metrics(writer)
    assert write(writer, arrival("D0", (6,))) == [Reason.TOO_MANY_METRICS]

    assert write(writer, arrival("X1", (0, 7)), arrival("D2", (0, 5)), arrival("D2", (0, 7), 1)) == [
        Reason.TOO_MANY_METRICS,
        None,
        Reason.TOO_MANY_METRICS,
    ]

    assert list(DeviceMetric.objects.filter(device__code="D2").values_list("metric__tipo", flat=True)) == ["t0", "t5"]
    assert write(writer, arrival("X2")) == [Reason.TOO_MANY_DEVICES]


def test_a_full_tenants_gateways_still_take_up_what_it_has(writer: Writer) -> None:
    fill_tenant(writer)
    assert write(writer, arrival("D0", (10,))) == [Reason.TOO_MANY_METRICS]
    assert write(writer, arrival("D0", (0, 7))) == [None]
    assert write(writer, arrival("D1", (7,), 1), arrival("D0", (6,), 1), arrival("D0", (5, 6), 2)) == [None] * 3


# Until there is room again


def test_when_a_device_is_removed_the_news_make_room(writer: Writer) -> None:
    news = database.News(writer.connection)
    fill_with_devices(writer)
    assert write(writer, arrival("X1")) == [Reason.TOO_MANY_DEVICES]

    remove("D2")
    wait_until(lambda: heard(news, writer.directory) == {"GW-1"}, "the news")

    assert write(writer, arrival("X1", second=1)) == [None]
    assert write(writer, arrival("D2", second=1)) == [Reason.TOO_MANY_DEVICES]


def test_without_news_there_is_room_again_within_the_named_time(writer: Writer, clock: Clock) -> None:
    fill_with_devices(writer)
    assert write(writer, arrival("X1")) == [Reason.TOO_MANY_DEVICES]
    remove("D2")
    clock.seconds += full.REFUSED_FOR_S - 0.001
    assert write(writer, arrival("X1")) == [Reason.TOO_MANY_DEVICES]
    clock.seconds += 0.001
    assert write(writer, arrival("X1")) == [None]


@pytest.mark.parametrize(
    ("fill", "limit"),
    [(fill_with_metrics, "MAX_METRICS_A_GATEWAY"), (fill_tenant, "MAX_METRICS_A_TENANT")],
    ids=["gateway", "tenant"],
)
def test_a_limit_that_is_raised_is_found_within_the_named_time(
    writer: Writer, clock: Clock, fill: Callable[[Writer], None], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(writer)
    assert write(writer, arrival("D2", (10,))) == [Reason.TOO_MANY_METRICS]
    monkeypatch.setattr(registration, limit, 9)
    clock.seconds += full.REFUSED_FOR_S
    assert write(writer, arrival("D2", (10,), 1)) == [None]


def test_a_gateway_that_may_register_again_does_so_with_the_news(writer: Writer, gateway: Gateway) -> None:
    news = database.News(writer.connection)
    Gateway.objects.filter(pk=gateway.pk).update(auto_devices=False)
    assert write(writer, arrival("D0")) == [Reason.UNKNOWN_DEVICE]
    Gateway.objects.filter(pk=gateway.pk).update(auto_devices=True)
    wait_until(lambda: heard(news, writer.directory) == {"GW-1"}, "the news")
    assert write(writer, arrival("D0")) == [None]


def test_what_is_noted_is_bounded_and_the_first_goes(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full, "FULL_REMEMBERED", 2)
    noted = writer.directory.full
    for n in range(4):
        noted.note_gateway(f"GW-{n}", 256, range(1_000))
        noted.note_tenant(n, 5_000)
    assert [n for n in range(4) if noted.gateway(f"GW-{n}")] == [n for n in range(4) if noted.tenant(n)] == [2, 3]
    noted.forget()
    assert [n for n in range(4) if noted.gateway(f"GW-{n}") or noted.tenant(n)] == []


# Several writers


def test_a_device_that_another_writer_registered_last_is_taken_by_a_writer_that_knows_the_gateway_is_full(
    writer: Writer,
) -> None:
    with seeding.own_connection() as another:
        fill_with_devices(a_writer(another))
    assert write(writer, arrival("X1")) == [Reason.TOO_MANY_DEVICES]
    assert write(writer, arrival("D2", second=1), arrival("X2")) == [None, Reason.TOO_MANY_DEVICES]


def test_a_metric_that_another_writer_registered_is_taken_by_a_writer_that_knows_the_tenant_is_full(
    writer: Writer,
) -> None:
    with seeding.own_connection() as another:
        fill_tenant(a_writer(another))
    assert write(writer, arrival("D0", (10,))) == [Reason.TOO_MANY_METRICS]
    assert write(writer, arrival("D0", (0, 7), 1)) == [None]


def test_a_device_that_is_gone_is_registered_anew_though_only_one_of_its_messages_names_something_new(
    writer: Writer,
) -> None:
    fill_with_metrics(writer)
    assert write(writer, arrival("D0", (10,))) == [Reason.TOO_MANY_METRICS]
    remove("D1")  # and nobody has heard of it
    assert write(writer, arrival("D1", (2,), 1), arrival("D1", (10,), 1)) == [None, Reason.TOO_MANY_METRICS]
    assert Reading.objects.filter(device__code="D1", device__in=Device.objects.all()).count() == 1


def test_a_metric_with_a_new_name_that_nobody_has_heard_of_is_found_under_it(writer: Writer) -> None:
    assert write(writer, arrival("D0", (0,))) == [None]
    Metric.objects.update(tipo="t1")
    assert write(writer, arrival("D0", (1,), 1)) == [None]
    assert Metric.objects.count() == DeviceMetric.objects.count() == 1
    assert Reading.objects.count() == 2


@pytest.mark.parametrize("writers", [2, 3])
def test_writers_that_register_at_once_do_not_get_past_a_limit(
    connection: Connection, tenant: Tenant, writers: int
) -> None:
    codes = ["GW-1", "GW-2"]
    seeding.gateway(tenant, "GW-2")

    def batches(number: int) -> list[list[Arrival]]:
        # Every writer names other devices and metrics, some of all; more than there is room for.
        return [
            [
                arrival(f"D{(turn + number) % 5}", (turn, turn + 1 + number), turn * 10 + number, code)
                for code in codes[:: 1 if number % 2 else -1]
            ]
            for turn in range(8)
        ]

    at_once([batches(number) for number in range(writers)])

    for code in codes:
        devices = Device.objects.filter(gateway__code=code)
        assert devices.count() == 3
        assert all(device.device_metrics.count() <= 4 for device in devices)
        assert Metric.objects.filter(device_metrics__device__in=devices).distinct().count() <= 6
    assert Metric.objects.count() <= 8
    assert_balanced()


def test_writers_that_flag_retained_messages_of_each_others_newcomers_do_not_deadlock(
    connection: Connection, tenant: Tenant
) -> None:
    seeding.gateway(tenant, "GW-2")
    turns = range(3)
    one = [[arrival(f"D{n}", second=n), arrival("D9", second=n, code="GW-2", retained=True)] for n in turns]
    two = [[arrival("D9", second=n, retained=True), arrival(f"D{n}", second=n, code="GW-2")] for n in turns]

    at_once([one, two])

    assert Gateway.objects.filter(retained_seen_at=NOW).count() == 2
    assert_balanced()


def at_once(batches_of: list[list[list[Arrival]]]) -> None:
    """Writers of their own, whose nth batches begin at the same moment."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(batches_of))

    def work(batches: list[list[Arrival]]) -> None:
        try:
            with seeding.own_connection() as own:
                ours = a_writer(own)
                for batch in batches:
                    barrier.wait(timeout=30)
                    ours.write(batch, now=NOW)
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=[batches]) for batches in batches_of]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []


def remove(device: str) -> None:
    """As a person in a shell."""
    Device.objects.filter(code=device).delete()


def heard(news: database.News, directory: Directory) -> set[str]:
    codes = news.take()
    for code in codes:
        directory.forget(code)
    return codes
