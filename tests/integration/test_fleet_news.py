"""What a writer remembers of the fleet, and how it comes to know that it is no longer so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Device, DeviceMetric, Gateway, Metric
from tds.ingest import database
from tds.ingest.messages import Refusal
from tds.ingest.quarantine import Bounds
from tds.ingest.reasons import Reason
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.running import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as own:
        yield own
        seeding.without_readings(own)


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-1")


@pytest.fixture
def writer(connection: psycopg.Connection[Any]) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), Bounds(100, 100, 10**6), timedelta(days=90))


def arrival(device: str = "D01", time: datetime = NOW) -> Arrival:
    return Arrival(f"telemetry/GW-1/{device}/data", seeding.as_bytes(seeding.message("GW-1", time, device)))


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


def hear(news: database.News, directory: Directory) -> bool:
    codes = news.take()
    for code in codes:
        directory.forget(code)
    return bool(codes)


def test_news_that_come_with_the_answer_to_a_statement_are_not_lost(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    news = database.News(connection)
    with connection.transaction():
        connection.execute("SELECT 1")
        gateway.status = "disabled"
        gateway.save()
    connection.execute("SELECT 1")  # with this at the latest psycopg has read them

    assert news.take() == {"GW-1"}
    assert news.take() == set()


def test_a_metric_that_is_renamed_concerns_every_gateway_of_its_tenant(writer: Writer, gateway: Gateway) -> None:
    news = database.News(writer.connection)
    writer.write([arrival()], now=NOW)
    metric = Metric.objects.get()
    metric.tipo = "energy"
    metric.save()
    wait_until(lambda: hear(news, writer.directory), "news of the metric")

    writer.write([arrival(time=LATER)], now=NOW)

    assert set(Metric.objects.values_list("tipo", flat=True)) == {"energia", "energy"}


def test_all_messages_of_a_gateway_are_judged_anew_when_one_brings_something_new(
    writer: Writer, gateway: Gateway
) -> None:
    writer.write([arrival("D01"), arrival("D02")], now=NOW)
    DeviceMetric.objects.filter(device__code="D01").delete()
    Device.objects.filter(code="D01").delete()

    result = writer.write([arrival("D01", LATER), arrival("D03", LATER)], now=NOW)

    assert reasons(result) == [None, None]
    assert set(Device.objects.values_list("code", flat=True)) == {"D01", "D02", "D03"}
    assert Reading.objects.filter(time=LATER, device__in=Device.objects.all()).count() == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "disabled"}, Reason.GATEWAY_DISABLED),
        ({"status": "retired", "retired_at": NOW}, Reason.UNKNOWN_GATEWAY),
    ],
)
def test_a_gateway_that_was_closed_meanwhile_is_refused_when_something_new_comes(
    writer: Writer, gateway: Gateway, change: dict[str, Any], reason: Reason
) -> None:
    writer.write([arrival()], now=NOW)
    Gateway.objects.filter(pk=gateway.pk).update(**change)

    result = writer.write([arrival("D01", LATER), arrival("D02", LATER)], now=NOW)

    assert reasons(result) == [reason, reason]
    assert not Device.objects.filter(code="D02").exists()


def test_what_was_learned_in_a_transaction_is_forgotten_when_it_is_rolled_back(
    writer: Writer, gateway: Gateway
) -> None:
    writer.connection.execute("ALTER TABLE tds_new_ledgerhour ADD CONSTRAINT made_up CHECK (received < 0) NOT VALID")
    try:
        # The message passes all rules: it is the ledger that fails, for the refusal as well.
        with pytest.raises(psycopg.errors.CheckViolation):
            writer.write([arrival()], now=NOW)
    finally:
        writer.connection.execute("ALTER TABLE tds_new_ledgerhour DROP CONSTRAINT made_up")
    assert not Device.objects.exists()

    assert reasons(writer.write([arrival()], now=NOW)) == [None]

    assert Reading.objects.filter(device__in=Device.objects.all(), metric__in=Metric.objects.all()).count() == 1
