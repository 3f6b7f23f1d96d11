"""How much of a fleet a writer remembers, and what becomes of a fleet that is larger."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds import wiring
from tds.fleet import directory as directory_module
from tds.fleet.directory import Directory
from tds.fleet.models import Device, Gateway, Metric, Tenant
from tds.ingest.messages import Refusal
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.consuming import AMPLE, prepared_connection

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over."""
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture
def writer(connection: Connection) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, timedelta(days=90))


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


def fleet(tenant: Tenant, count: int) -> list[str]:
    made = Gateway.objects.bulk_create([Gateway(tenant=tenant, code=f"GW-{n:04d}") for n in range(count)])
    return [gateway.code for gateway in made]


def arrival(code: str, device: str = "D01", second: int = 0, metrics: Sequence[int] = (0,)) -> Arrival:
    leituras = [{"tipo": f"t{n}", "valor": 1.0, "unidade": ""} for n in metrics]
    body = seeding.message(code, NOW - timedelta(seconds=second), device, leituras=leituras)
    return Arrival(telemetry_topic(code, device), seeding.as_bytes(body))


def write(writer: Writer, batch: Sequence[Arrival]) -> None:
    refused = [v for v in writer.write(batch, now=NOW).verdicts if isinstance(v, Refusal)]
    assert refused == []


def remembered(directory: Directory, codes: Sequence[str]) -> list[str]:
    return [code for code in codes if directory.get(code) is not None]


def test_of_a_fleet_that_reports_in_turn_and_does_not_fit_some_are_still_remembered(
    writer: Writer, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "GATEWAYS_REMEMBERED", 200)
    codes = fleet(tenant, 300)
    found = 0
    for turn in range(4):
        for start in range(0, len(codes), 10):
            batch = codes[start : start + 10]
            found += len(remembered(writer.directory, batch)) if turn else 0
            write(writer, [arrival(code, second=turn) for code in batch])
            assert len(remembered(writer.directory, codes)) <= 200
    # What was learned first would never be found again; what is forgotten by chance, of 900 some 300.
    assert found > 100
    assert Device.objects.count() == 300


def test_what_is_forgotten_to_make_room_is_never_named_by_the_batch(
    writer: Writer, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "GATEWAYS_REMEMBERED", 20)
    codes = fleet(tenant, 60)
    for turn in range(12):
        # Half of it was in the batch before; and one batch is larger than all that may be remembered.
        size = 30 if turn == 5 else 12
        write(writer, [arrival(codes[(turn * 6 + n) % 60], second=turn) for n in range(size)])


def test_devices_and_names_count_and_no_batch_leaves_more_than_itself_beyond_the_bound(
    writer: Writer, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 200
    monkeypatch.setattr(directory_module, "ENTRIES_REMEMBERED", bound)
    codes = fleet(tenant, 4)
    for turn in range(3):
        for device in range(0, 40, 5):
            batch = [arrival(code, f"D{device + n}", turn) for code in codes for n in range(5)]
            write(writer, batch)
            assert writer.directory.entries <= bound + len(batch)
            assert counted(writer.directory) == writer.directory.entries
    assert Device.objects.count() == 160
    assert Reading.objects.count() == 3 * 160


def test_what_many_tenants_call_their_metrics_is_forgotten_with_their_gateways(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "ENTRIES_REMEMBERED", 1_000)
    codes = [seeding.gateway(seeding.tenant(f"t-{n}"), f"GW-{n}").code for n in range(30)]
    for turn in range(2):
        for code in codes:
            write(writer, [arrival(code, second=turn, metrics=range(20))])
            assert writer.directory.entries <= 1_100
            assert counted(writer.directory) == writer.directory.entries
    writer.directory.forget()
    assert counted(writer.directory) == writer.directory.entries == 0


def test_the_count_of_what_is_remembered_is_right_through_all_changes(writer: Writer, tenant: Tenant) -> None:
    directory = writer.directory
    codes = [*fleet(tenant, 5), seeding.gateway(seeding.tenant("other"), "GW-other").code]
    write(writer, [arrival(code, f"D{n}", metrics=range(n + 1)) for code in codes for n in range(3)])
    for change in (
        lambda: directory.forget("GW-0001"),
        lambda: directory.forget("GW-0001"),
        lambda: directory.forget("GW-other"),
        lambda: directory.learn(writer.connection, ["GW-?", "GW-0001", "GW-other"]),
        lambda: directory.renew(writer.connection, codes),
        lambda: directory.look_up(writer.connection, [("GW-0001", "D0"), ("GW-0001", "D9"), ("GW-?", "D0")]),
        lambda: Gateway.objects.filter(code="GW-0002").update(status="retired", retired_at=NOW),
        lambda: seeding.gateway(Tenant.objects.get(slug="other"), "GW-0002"),
        lambda: directory.renew(writer.connection, codes),
        directory.forget,
    ):
        change()
        assert counted(directory) == directory.entries


def test_a_device_of_which_nothing_is_remembered_is_found_with_all_it_has_sent(writer: Writer, tenant: Tenant) -> None:
    [code] = fleet(tenant, 1)
    write(writer, [arrival(code, "D01", 0, range(30)), arrival(code, "D02", 0, range(20, 50))])
    writer.directory.forget()
    write(writer, [arrival(code, "D02", 1, (49, 20)), arrival(code, "D01", 1, (0,))])
    assert Metric.objects.count() == 50
    assert set(Reading.objects.filter(time__lt=NOW).values_list("device__code", "metric__tipo")) == {
        ("D01", "t0"),
        ("D02", "t20"),
        ("D02", "t49"),
    }


def counted(directory: Directory) -> int:
    """The entries, one by one."""
    gateways = [gateway for gateway in directory._gateways.values() if gateway]
    tenants = {gateway.tenant.id: gateway.tenant for gateway in gateways}
    assert tenants == directory._tenants
    assert sum(tenant.gateways for tenant in tenants.values()) == len(gateways)
    return sum(gateway.entries for gateway in gateways) + sum(tenant.entries for tenant in tenants.values())
