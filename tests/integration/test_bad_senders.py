"""Gateways whose messages are well-formed and make no sense: one moment for ever, look-alike names, endless names."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from django.core.exceptions import ValidationError

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.limits import MAX_METRICS_A_DEVICE
from tds.fleet.models import Device, DeviceMetric, Gateway, Metric, Tenant
from tds.ingest.messages import Refusal
from tds.ingest.models import QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.rules import MAX_READINGS
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings import optimism
from tds.readings.models import Reading
from tests import seeding
from tests.consuming import AMPLE, ledger, prepared_connection

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=90)
NOTHING: Final = {"received": 0, "accepted": 0, "quarantined": 0, "readings": 0, "stored": 0, "duplicate": 0}

CYRILLIC_O: Final = "\N{CYRILLIC CAPITAL LETTER O}"
FULLWIDTH_G: Final = "\N{FULLWIDTH LATIN CAPITAL LETTER G}"
FULLWIDTH_0: Final = "\N{FULLWIDTH DIGIT ZERO}"
NON_BREAKING_HYPHEN: Final = "\N{NON-BREAKING HYPHEN}"
KELVIN: Final = "\N{KELVIN SIGN}"  # its lower case is an ASCII letter


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over."""
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture(autouse=True)
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


@pytest.fixture
def writer(connection: Connection) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, RETENTION)


def arrival(
    code: str = "GW-1",
    device: str = "D01",
    time: datetime = NOW,
    leituras: Sequence[tuple[str, float, str]] = (("t", 1.0, ""),),
) -> Arrival:
    entries = [{"tipo": tipo, "valor": valor, "unidade": unidade} for tipo, valor, unidade in leituras]
    body = seeding.message(code, time, device, leituras=entries)
    # Not as escapes: one character of a look-alike has several bytes then, as most devices send it.
    return Arrival(telemetry_topic(code, device), json.dumps(body, ensure_ascii=False).encode())


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


# One moment for ever


def test_of_a_timestamp_that_never_changes_the_first_value_stays_and_all_others_are_duplicates(
    connection: Connection, writer: Writer
) -> None:
    # Batches that are stored with care, and one so large that it is first tried as if all of it were new.
    sizes = (1, 7, optimism.MIN_ROWS, 92)
    sent = 0
    for size in sizes:
        batch = [arrival(leituras=[("t", float(sent + n), "")]) for n in range(size)]
        writer.write(batch, now=NOW + timedelta(minutes=sent))
        sent += size
    assert Reading.objects.get().value == 0.0
    assert sent == 600
    assert ledger(connection) == NOTHING | {
        "received": 600,
        "accepted": 600,
        "readings": 600,
        "stored": 1,
        "duplicate": 599,
    }
    assert QuarantinedMessage.objects.count() == 0


def test_a_timestamp_that_never_changes_is_refused_from_when_it_is_older_than_the_retention(
    connection: Connection, writer: Writer
) -> None:
    writer.write([arrival(leituras=[("t", 0.0, "")])], now=NOW)
    again = [arrival(leituras=[("t", float(n), "")]) for n in (1, 2, 3)]
    at_the_edge = NOW + RETENTION
    assert reasons(writer.write(again, now=at_the_edge)) == [None] * 3
    beyond = at_the_edge + timedelta(microseconds=1)
    assert reasons(writer.write(again, now=beyond)) == [Reason.TIMESTAMP_TOO_OLD] * 3
    assert Reading.objects.get().value == 0.0
    assert {message.gateway_code for message in QuarantinedMessage.objects.all()} == {"GW-1"}
    assert ledger(connection) == {
        "received": 7,
        "accepted": 4,
        "quarantined": 3,
        "readings": 4,
        "stored": 1,
        "duplicate": 3,
    }


# Names that look alike


def test_a_gateway_code_in_another_case_is_a_strangers(writer: Writer) -> None:
    assert reasons(writer.write([arrival("gw-1"), arrival("Gw-1"), arrival("GW-1")], now=NOW)) == [
        Reason.UNKNOWN_GATEWAY,
        Reason.UNKNOWN_GATEWAY,
        None,
    ]
    kept: list[Any] = list(QuarantinedMessage.objects.order_by("id").values_list("gateway_code", "gateway", "tenant"))
    assert kept == [("gw-1", None, None), ("Gw-1", None, None)]
    assert Reading.objects.count() == 1


def test_two_gateway_codes_that_differ_in_case_are_two_gateways_of_whichever_tenants(
    writer: Writer, gateway: Gateway
) -> None:
    other = seeding.gateway(seeding.tenant("other"), "gw-1")
    result = writer.write([arrival("GW-1"), arrival("gw-1", leituras=[("t", 2.0, "")])], now=NOW)
    assert (reasons(result), result.duplicate) == ([None, None], 0)
    stored = Reading.objects.order_by("value").values_list("device__gateway", "metric__tenant", "value")
    assert list(stored) == [(gateway.pk, gateway.tenant_id, 1.0), (other.pk, other.tenant_id, 2.0)]


def test_two_device_codes_that_differ_in_case_are_two_devices(writer: Writer) -> None:
    result = writer.write([arrival(device="D01"), arrival(device="d01", leituras=[("t", 2.0, "")])], now=NOW)
    assert (result.stored, result.duplicate) == (2, 0)
    assert sorted(Device.objects.values_list("code", flat=True)) == ["D01", "d01"]
    assert sorted(Reading.objects.values_list("device__code", "value")) == [("D01", 1.0), ("d01", 2.0)]


@pytest.mark.parametrize(
    ("code", "device", "of_gateway"),
    [
        (f"{FULLWIDTH_G}W-1", "D01", ""),
        (f"GW{NON_BREAKING_HYPHEN}1", "D01", ""),
        (f"GW-1{KELVIN}", "D01", ""),
        # Who sent it can be read: it is shown to that gateway's tenant.
        ("GW-1", f"D{CYRILLIC_O}1", "GW-1"),
        ("GW-1", f"D{FULLWIDTH_0}1", "GW-1"),
        ("GW-1", f"{KELVIN}01", "GW-1"),
    ],
)
def test_a_code_of_letters_that_look_like_ascii_is_a_bad_topic(
    writer: Writer, tenant: Tenant, code: str, device: str, of_gateway: str
) -> None:
    look_alike = arrival(code, device)
    assert reasons(writer.write([look_alike, arrival()], now=NOW)) == [Reason.BAD_TOPIC, None]
    kept = QuarantinedMessage.objects.get()
    assert (kept.gateway_code, kept.topic) == (of_gateway, look_alike.topic)
    assert kept.tenant == (tenant if of_gateway else None)
    assert [device.code for device in Device.objects.all()] == ["D01"]


@pytest.mark.parametrize(
    "code", [f"{FULLWIDTH_G}W-1", f"GW{NON_BREAKING_HYPHEN}1", f"GW-1{KELVIN}", f"GW-{CYRILLIC_O}"]
)
def test_nobody_can_register_a_gateway_that_looks_like_anothers(tenant: Tenant, code: str) -> None:
    with pytest.raises(ValidationError):
        Gateway(tenant=tenant, code=code).full_clean()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([("pressão", ""), ("pressa\N{COMBINING TILDE}o", "")], id="composed or not"),
        pytest.param([("t", "°C"), ("t", "ºC")], id="degree sign or ordinal indicator"),
        pytest.param([("t", "K"), ("t", KELVIN)], id="kelvin as a letter or as a sign"),
        pytest.param([("energia", "kWh"), ("Energia", "kWh"), ("energia", "kwh")], id="case"),
        pytest.param([("t", ""), (" t", ""), ("t ", ""), ("t\N{NO-BREAK SPACE}", "")], id="spaces"),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["one message", "a message each"])
def test_tipo_and_unidade_are_compared_character_by_character(
    writer: Writer, names: list[tuple[str, str]], apart: bool
) -> None:
    readings = [(tipo, float(n), unidade) for n, (tipo, unidade) in enumerate(names)]
    batch = [arrival(leituras=[reading]) for reading in readings] if apart else [arrival(leituras=readings)]
    result = writer.write(batch, now=NOW)
    assert (result.stored, result.duplicate) == (len(names), 0)
    stored = Reading.objects.order_by("value").values_list("metric__tipo", "value", "metric__unidade")
    assert list(stored) == readings
    # As remembered, and as read anew.
    for of in (writer, Writer(writer.connection, writer.store, Directory(), AMPLE, RETENTION)):
        again = of.write(batch, now=NOW)
        assert (again.stored, again.duplicate) == (0, len(names))
    assert Metric.objects.count() == len(names)


# Endless names


@pytest.mark.parametrize("batch_messages", [20, 1], ids=["in one batch", "a batch each"])
def test_of_10_000_metrics_of_one_device_the_first_500_are_taken_and_what_brings_more_is_refused(
    connection: Connection, writer: Writer, batch_messages: int
) -> None:
    assert MAX_READINGS == MAX_METRICS_A_DEVICE == 500

    def names(n: int) -> list[tuple[str, float, str]]:
        return [(f"t{n * 500 + m:05d}", 1.0, "") for m in range(500)]

    messages = [arrival(time=NOW - timedelta(seconds=n), leituras=names(n)) for n in range(20)]
    found: list[Reason | None] = []
    for start in range(0, 20, batch_messages):
        found += reasons(writer.write(messages[start : start + batch_messages], now=NOW))
    assert found == [None] + [Reason.TOO_MANY_METRICS] * 19
    assert Metric.objects.count() == DeviceMetric.objects.count() == Reading.objects.count() == 500

    # What is known goes on, and another device of the gateway has room of its own.
    later = NOW + timedelta(seconds=1)
    known = arrival(time=later, leituras=names(0)[:2])
    known_and_new = arrival(time=later, leituras=[*names(0)[2:4], ("t99999", 1.0, "")])
    other_device = arrival(device="D02", time=later, leituras=names(1))
    assert reasons(writer.write([known, known_and_new, other_device], now=later)) == [
        None,
        Reason.TOO_MANY_METRICS,
        None,
    ]
    assert ledger(connection) == {
        "received": 23,
        "accepted": 3,
        "quarantined": 20,
        "readings": 1_002,
        "stored": 1_002,
        "duplicate": 0,
    }
