"""Whose messages quarantine lets go: nobody pushes out another tenant's, and nobody waits for who makes room."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.db.models import ProtectedError

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Tenant
from tds.ingest import ledger_check
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Bounds
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Writer
from tests import seeding
from tests.consuming import prepared_connection
from tests.migrating import database_of, migrate

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
FEW: Final = Bounds(per_gateway=4, messages=100, total_bytes=10**6)
RUBBISH: Final = b"rubbish"


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over."""
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-1")


@pytest.fixture
def other() -> Tenant:
    return seeding.tenant("other")


def writer(connection: Connection, bounds: Bounds = FEW) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), bounds, timedelta(days=90))


def posted(tenant: Tenant, gateway: Gateway | None = None) -> Arrival:
    """With a token of the tenant, or of its gateway."""
    return Arrival(None, RUBBISH, tenant_id=tenant.pk, gateway_code=gateway.code if gateway else None)


def published(code: str) -> Arrival:
    return Arrival(telemetry_topic(code, "D01"), RUBBISH)


def kept_of(tenant: Tenant | None) -> int:
    return QuarantinedMessage.objects.filter(tenant=tenant).count()


def test_rubbish_of_one_tenants_tokens_pushes_out_no_other_tenants_and_no_strangers(
    connection: Connection, gateway: Gateway, other: Tenant
) -> None:
    ours = writer(connection)
    ours.write([posted(gateway.tenant)] * 2 + [published("GW-STRANGER")] * 3, now=NOW)
    for _ in range(5):
        ours.write([posted(other)] * 7, now=NOW)
    assert (kept_of(gateway.tenant), kept_of(None), kept_of(other)) == (2, 3, 4)
    ours.write([published(f"GW-STRANGER-{n}") for n in range(9)], now=NOW)
    assert (kept_of(gateway.tenant), kept_of(None), kept_of(other)) == (2, 4, 4)
    assert dict(QuarantineCount.objects.values_list("tenant", "total")) == {
        gateway.tenant_id: 2,
        None: 12,
        other.pk: 35,
    }


def test_what_a_token_of_a_gateway_brings_is_in_the_bucket_of_the_gateway(
    connection: Connection, gateway: Gateway
) -> None:
    writer(connection).write([posted(gateway.tenant, gateway), published("GW-1")], now=NOW)
    count = QuarantineCount.objects.get()
    assert (count.gateway_id, count.tenant_id, count.total) == (gateway.pk, gateway.tenant_id, 2)
    assert set(QuarantinedMessage.objects.values_list("gateway_code", flat=True)) == {"GW-1"}


def test_a_token_of_a_gateway_that_was_retired_brings_nothing_to_the_next_owner_of_its_code(
    connection: Connection, gateway: Gateway, other: Tenant
) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(status="retired", retired_at=NOW - timedelta(hours=1))
    seeding.gateway(other, gateway.code)
    writer(connection).write([posted(gateway.tenant, gateway)], now=NOW)
    message = QuarantinedMessage.objects.get()
    assert (message.gateway_id, message.tenant_id) == (None, gateway.tenant_id)


def test_a_code_that_changes_hands_between_the_look_at_a_token_and_the_write_gets_no_reading(
    connection: Connection, gateway: Gateway, other: Tenant
) -> None:
    reading = seeding.as_bytes(seeding.message(gateway.code, NOW))
    Gateway.objects.filter(pk=gateway.pk).update(status="retired", retired_at=NOW)
    seeding.gateway(other, gateway.code)
    result = writer(connection).write([Arrival(None, reading, tenant_id=gateway.tenant_id)], now=NOW)
    assert result.stored == 0
    message = QuarantinedMessage.objects.get()
    assert (message.reason, message.gateway_id, message.tenant_id) == ("previous_owner", None, gateway.tenant_id)


def test_a_batch_does_not_wait_for_the_fullest_bucket_that_somebody_else_holds(
    connection: Connection, gateway: Gateway, other: Tenant
) -> None:
    bounds = Bounds(per_gateway=1_000, messages=10, total_bytes=10**6)
    ours = writer(connection, bounds)
    ours.write([published("GW-1")] * 9, now=NOW)
    with seeding.own_connection() as purging, purging.transaction():
        purging.execute("SELECT 1 FROM tds_new_quarantinecount FOR UPDATE")
        connection.execute("SET lock_timeout = '500ms'")
        ours.write([posted(other)] * 4, now=NOW)
        assert QuarantinedMessage.objects.count() == 13  # over the bound for as long as that lasts
    ours.write([posted(other)], now=NOW)
    assert (kept_of(gateway.tenant), kept_of(other)) == (5, 5)


def kept_by_gateway() -> Counter[int]:
    return Counter(QuarantinedMessage.objects.values_list("gateway_id", flat=True))


def test_a_firmware_that_sends_rubbish_on_every_gateway_costs_no_more_than_the_bound(
    connection: Connection, other: Tenant
) -> None:
    codes = [seeding.gateway(other, f"GW-{n:03}").code for n in range(50)]
    ours = writer(connection, Bounds(per_gateway=1_000, messages=120, total_bytes=10**6))
    for _ in range(6):
        ours.write([published(code) for code in codes], now=NOW)
    kept = kept_by_gateway()
    assert sum(kept.values()) == 120
    assert set(kept.values()) == {2, 3}  # fairly
    assert sum(QuarantineCount.objects.values_list("total", flat=True)) == 300
    # One that sends more than all others pushes out its own.
    ours.write([published(codes[0])] * 200, now=NOW)
    assert sum(kept_by_gateway().values()) == 120
    assert min(kept_by_gateway()[gateway] for gateway in kept) >= 2


def test_topics_and_sentences_count_among_the_bytes(connection: Connection, other: Tenant) -> None:
    ours = writer(connection, Bounds(per_gateway=1_000, messages=1_000, total_bytes=100_000))
    long = f"telemetry/{'x' * 20_000}/D01/data"
    for _ in range(10):
        ours.write([Arrival(long, b""), posted(other)], now=NOW)
    sizes = [len(m.topic) + len(m.detail.encode()) + len(m.payload) for m in QuarantinedMessage.objects.all()]
    assert sum(sizes) <= 100_000
    assert sum(QuarantineCount.objects.values_list("kept_bytes", flat=True)) == sum(sizes)
    assert kept_of(other) == 10  # the small ones stay


def test_the_largest_go_until_the_bytes_fit_and_the_newest_of_each_stay(connection: Connection, other: Tenant) -> None:
    one, two = (seeding.gateway(other, code).code for code in ("GW-1", "GW-2"))
    ours = writer(connection, Bounds(per_gateway=1_000, messages=1_000, total_bytes=50_000))
    for n in range(10):
        ours.write(
            [Arrival(telemetry_topic(code, "D01"), f"{n}".ljust(5_000).encode()) for code in (one, two)], now=NOW
        )
    payloads = [int(m.payload) for m in QuarantinedMessage.objects.filter(gateway_code=one).order_by("pk")]
    assert payloads == list(range(10 - len(payloads), 10))
    assert 3 <= len(payloads) <= 5
    assert QuarantinedMessage.objects.filter(gateway_code=two).count() in {len(payloads), len(payloads) - 1}


def test_a_batch_of_refusals_of_as_many_gateways_takes_a_bounded_number_of_statements(
    connection: Connection, other: Tenant
) -> None:
    codes = [seeding.gateway(other, f"GW-{n:03}").code for n in range(200)]
    ours = writer(connection, FEW)
    for _ in range(6):
        ours.write([published(code) for code in codes], now=NOW)  # every bucket is full
    executed: list[str] = []
    original = psycopg.Cursor.execute

    def counted(self: Any, query: Any, *words: Any, **more: Any) -> Any:
        executed.append(str(query))
        return original(self, query, *words, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", counted)
        ours.write([published(code) for code in codes], now=NOW)
    assert len(executed) < 20


def test_a_tenant_with_quarantine_cannot_be_deleted_because_its_counts_would_go(
    connection: Connection, other: Tenant
) -> None:
    writer(connection).write([posted(other)], now=NOW)
    LedgerHour.objects.update(tenant=None)
    with pytest.raises(ProtectedError):
        other.delete()
    LedgerHour.objects.update(tenant=other)


# Buckets of the version before, which were of a reason and gateway alone


@pytest.fixture
def before(tmp_path: Path) -> Iterator[tuple[Connection, dict[str, str]]]:
    """A database of its own as that version left it, and the environment of who migrates it."""
    with database_of("0008", tmp_path) as found:
        yield found


OLD: Final = """
    INSERT INTO tds_new_tenant (id, slug, name, time_zone, created_at)
    SELECT n, 'tenant-' || n, '', 'UTC', now() FROM generate_series(1, 2) AS n;
    INSERT INTO tds_new_gateway (id, tenant_id, code, name, status, auto_devices, created_at)
    VALUES (7, 1, 'GW-7', '', 'active', true, now());
    INSERT INTO tds_new_quarantinecount (reason, gateway_id, total, kept, kept_bytes, last_at)
    VALUES ('not_json', 7, 5, 0, 0, now()), ('not_json', NULL, 10, 3, 5, now()), ('too_large', NULL, 4, 1, 1, now()),
           ('unknown_gateway', NULL, 3, 0, 0, now()), ('previous_owner', 7, 2, 0, 0, now());
    INSERT INTO tds_new_quarantinedmessage
        (reason, tenant_id, payload, replayed_at, detail, gateway_code, topic, received_at)
    SELECT reason, tenant, payload::bytea, replayed_at, '', '', '', now() FROM (VALUES
        ('not_json', 1, 'ab', NULL), ('not_json', 1, 'cd', now()), ('not_json', NULL, 'e', NULL),
        ('too_large', 2, 'f', NULL)) AS kept (reason, tenant, payload, replayed_at);
    INSERT INTO tds_new_ledgerhour (tenant_id, hour, received, accepted, quarantined, readings, stored, duplicate)
    SELECT tenant, date_trunc('hour', now()), n, 0, n, 0, 0, 0 FROM (VALUES (1, 11), (2, 5), (NULL, 8)) AS h (tenant, n)
"""


def test_old_buckets_are_divided_among_their_tenants_as_the_ledger_has_them(
    before: tuple[Connection, dict[str, str]],
) -> None:
    connection, variables = before
    connection.execute(OLD)

    migrate(variables)

    rows = connection.execute(
        """SELECT reason, gateway_id, tenant_id, total, kept, kept_bytes FROM tds_new_quarantinecount
           ORDER BY reason, gateway_id NULLS FIRST, tenant_id NULLS FIRST"""
    ).fetchall()
    assert rows == [
        ("not_json", None, None, 1, 1, 1),
        # One of them was replayed, and the five that are kept no more were of these reasons.
        ("not_json", None, 1, 6, 2, 4),
        ("not_json", None, 2, 3, 0, 0),
        ("not_json", 7, 1, 5, 0, 0),
        ("previous_owner", 7, None, 2, 0, 0),
        ("too_large", None, None, 2, 0, 0),
        ("too_large", None, 2, 2, 1, 1),
        ("unknown_gateway", None, None, 3, 0, 0),
    ]
    assert ledger_check.check(connection, wiring.reading_store()).differences == []
