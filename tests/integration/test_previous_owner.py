"""A code that changed hands: what was measured before is neither stored for its present owner nor shown to them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Tenant
from tds.ingest.messages import Refusal
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.replay import Outcome, replay
from tds.ingest.topics import telemetry_topic
from tds.ingest.wire import MAX_PAYLOAD_BYTES
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.balancing import assert_balanced
from tests.consuming import AMPLE, prepared_connection

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
HANDOVER: Final = NOW - timedelta(hours=2)
BEFORE: Final = HANDOVER - timedelta(minutes=1)
AFTER: Final = HANDOVER + timedelta(minutes=1)
BAD_ENTRY: Final = [{"tipo": "t", "valor": "a secret"}]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over."""
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture
def former() -> Tenant:
    return seeding.tenant("former")


@pytest.fixture
def present() -> Tenant:
    return seeding.tenant("present")


@pytest.fixture
def gateway(former: Tenant, present: Tenant) -> Gateway:
    """The present one; another of the same code was retired at HANDOVER."""
    seeding.gateway(former, "GW-1", status="retired", retired_at=HANDOVER)
    return seeding.gateway(present, "GW-1")


@pytest.fixture
def ours(connection: Connection) -> Writer:
    return writer(connection)


def writer(connection: Connection) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, timedelta(days=90))


def document(time: datetime, **fields: Any) -> bytes:
    return seeding.as_bytes(seeding.message("GW-1", time, **fields))


def arrival(payload: bytes, **more: Any) -> Arrival:
    return Arrival(telemetry_topic("GW-1", "D01"), payload, **more)


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


def kept() -> list[tuple[str, int | None]]:
    """What is in quarantine, and which tenant may look at it."""
    return list(QuarantinedMessage.objects.order_by("id").values_list("reason", "tenant"))


def replayed(connection: Connection) -> Outcome:
    """All that is in quarantine, once more, by who asks the database for every gateway."""
    total = Outcome()
    for outcome in replay(writer(connection), list(QuarantinedMessage.objects.values_list("id", flat=True)), now=NOW):
        total.add(outcome)
    return total


def replace_owner(of: Gateway, by: Tenant, *, at: datetime) -> Gateway:
    Gateway.objects.filter(pk=of.pk).update(status="retired", retired_at=at)
    return seeding.gateway(by, of.code)


# Refused for another reason than its age


BROKEN: Final = [
    pytest.param(lambda t: document(t, leituras=BAD_ENTRY), Reason.BAD_VALUE, id="a bad value"),
    pytest.param(lambda t: document(t, leituras=[]), Reason.NO_READINGS, id="no readings"),
    pytest.param(lambda t: document(t, device_code=None), Reason.MISSING_FIELD, id="no device"),
    pytest.param(lambda t: document(t, device_code="D02"), Reason.CODE_MISMATCH, id="another device"),
    pytest.param(lambda t: document(t).replace(b"123.45", b"NaN"), Reason.NOT_JSON, id="a NaN"),
    pytest.param(lambda t: document(t)[:-20], Reason.NOT_JSON, id="cut short"),
    pytest.param(lambda t: document(t, x="y").replace(b"y", b"\xff"), Reason.NOT_JSON, id="no UTF-8"),
    pytest.param(lambda t: document(t, x="y" * MAX_PAYLOAD_BYTES), Reason.TOO_LARGE, id="too large"),
    pytest.param(
        lambda t: document(t, x="y" * MAX_PAYLOAD_BYTES).replace(b"123.45", b"NaN"), Reason.TOO_LARGE, id="both"
    ),
]


@pytest.mark.parametrize(("payload", "reason"), BROKEN)
def test_a_former_owners_message_is_not_shown_to_the_present_one_whatever_rule_it_breaks(
    ours: Writer, gateway: Gateway, payload: Any, reason: Reason
) -> None:
    result = ours.write([arrival(payload(BEFORE)), arrival(payload(AFTER))], now=NOW)
    assert reasons(result) == [reason, reason]
    assert kept() == [(reason, None), (reason, gateway.tenant_id)]
    totals = QuarantineCount.objects.order_by("tenant").values_list("tenant", "total")
    assert sorted(totals, key=str) == sorted([(None, 1), (gateway.tenant_id, 1)], key=str)
    assert_balanced()


def test_a_former_owners_reading_too_old_to_keep_is_not_shown_to_the_present_one(
    ours: Writer, gateway: Gateway
) -> None:
    assert reasons(ours.write([arrival(document(NOW - timedelta(days=91)))], now=NOW)) == [Reason.TIMESTAMP_TOO_OLD]
    assert kept() == [(Reason.TIMESTAMP_TOO_OLD, None)]


@pytest.mark.parametrize("fields", [{"status": "disabled"}, {"auto_devices": False}])
def test_a_former_owners_message_is_not_shown_when_the_present_gateway_takes_none(
    ours: Writer, gateway: Gateway, fields: dict[str, Any]
) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(**fields)
    ours.write([arrival(document(BEFORE)), arrival(document(AFTER))], now=NOW)
    assert [tenant for _, tenant in kept()] == [None, gateway.tenant_id]


@pytest.mark.parametrize("payload", [b"rubbish", document(AFTER, timestamp="yesterday")])
def test_a_message_without_a_readable_time_is_whose_the_code_was_when_it_arrived(
    ours: Writer, gateway: Gateway, payload: bytes
) -> None:
    # The first two waited in a spool.
    batch = [arrival(payload, received_at=BEFORE), arrival(payload, received_at=AFTER), arrival(payload)]
    ours.write(batch, now=NOW)
    assert [tenant for _, tenant in kept()] == [None, gateway.tenant_id, gateway.tenant_id]


def test_a_reading_that_arrived_before_the_handover_is_the_former_owners_though_its_clock_is_ahead(
    ours: Writer, gateway: Gateway
) -> None:
    ahead = document(HANDOVER + timedelta(minutes=5))
    assert reasons(ours.write([arrival(ahead, received_at=BEFORE)], now=NOW)) == [Reason.PREVIOUS_OWNER]
    assert kept() == [(Reason.PREVIOUS_OWNER, None)]
    assert Reading.objects.count() == 0


def test_a_gateway_without_a_former_owner_shows_its_tenant_the_oldest_of_messages(
    ours: Writer, present: Tenant
) -> None:
    seeding.gateway(present, "GW-1")
    ours.write([arrival(document(NOW - timedelta(days=9_000))), arrival(b"rubbish", received_at=BEFORE)], now=NOW)
    assert {tenant for _, tenant in kept()} == {present.pk}


# Replayed after the code changed hands


def test_a_message_kept_for_one_tenant_is_not_replayed_into_the_next_owners_device(
    ours: Writer, former: Tenant, present: Tenant
) -> None:
    theirs = seeding.gateway(former, "GW-1", status="disabled")
    # Measured after the retirement by its own clock, which is ahead: its time alone would let it through.
    ours.write([arrival(document(AFTER))], now=BEFORE)
    replace_owner(theirs, present, at=HANDOVER)

    assert replayed(ours.connection).refused == {"previous_owner": 1}

    assert Reading.objects.count() == 0
    assert kept() == [(Reason.GATEWAY_DISABLED, former.pk)]
    assert_balanced()


def test_a_refusal_says_nothing_about_the_next_owners_gateway(ours: Writer, former: Tenant, present: Tenant) -> None:
    theirs = seeding.gateway(former, "GW-1", status="disabled")
    ours.write([arrival(document(BEFORE))], now=BEFORE)
    next_one = replace_owner(theirs, present, at=HANDOVER)
    Gateway.objects.filter(pk=next_one.pk).update(status="disabled")
    assert replayed(ours.connection).refused == {"previous_owner": 1}


def test_a_message_kept_for_nobody_is_not_replayed_into_a_gateway_that_took_the_code_over_later(
    ours: Writer, former: Tenant, present: Tenant
) -> None:
    ours.write([arrival(document(AFTER))], now=BEFORE)  # nobody has the code yet, and the clock is ahead
    replace_owner(seeding.gateway(former, "GW-1"), present, at=HANDOVER)
    assert replayed(ours.connection).refused == {"previous_owner": 1}
    assert Reading.objects.count() == 0
    assert_balanced()


def test_a_message_kept_for_nobody_is_replayed_into_the_first_gateway_of_its_code(
    ours: Writer, present: Tenant
) -> None:
    ours.write([arrival(document(BEFORE))], now=BEFORE)
    seeding.gateway(present, "GW-1")
    assert replayed(ours.connection).accepted == 1
    assert_balanced()


def test_a_message_of_the_present_owner_is_replayed(ours: Writer, gateway: Gateway) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(status="disabled")
    ours.write([arrival(document(AFTER))], now=AFTER)
    Gateway.objects.filter(pk=gateway.pk).update(status="active")
    assert replayed(ours.connection).accepted == 1
    assert_balanced()


# What waited in a spool is kept with the time of its arrival


def test_what_waited_is_judged_by_its_arrival_when_it_is_replayed_too(
    ours: Writer, former: Tenant, present: Tenant
) -> None:
    theirs = seeding.gateway(former, "GW-1")
    Gateway.objects.filter(pk=theirs.pk).update(status="retired", retired_at=HANDOVER)
    ours.write([arrival(document(HANDOVER + timedelta(minutes=5)), received_at=BEFORE)], now=NOW)  # nobody's by now
    seeding.gateway(present, "GW-1")
    assert kept() == [(Reason.UNKNOWN_GATEWAY, None)]
    assert replayed(ours.connection).refused == {"previous_owner": 1}
    assert Reading.objects.count() == 0


def test_a_clock_that_was_ahead_when_its_message_was_spooled_never_becomes_right_by_waiting(
    ours: Writer, present: Tenant
) -> None:
    seeding.gateway(present, "GW-1")
    ours.write([arrival(document(NOW), received_at=NOW - timedelta(hours=1))], now=NOW)
    assert replayed(ours.connection).refused == {"timestamp_in_future": 1}


def test_what_waited_moves_in_the_hour_in_which_it_was_counted(ours: Writer, present: Tenant) -> None:
    gateway = seeding.gateway(present, "GW-1", status="disabled")
    came = NOW - timedelta(hours=3)
    ours.write([arrival(document(came), received_at=came)], now=NOW)
    assert QuarantinedMessage.objects.get().received_at == came
    Gateway.objects.filter(pk=gateway.pk).update(status="active")
    assert replayed(ours.connection).accepted == 1
    hours = LedgerHour.objects.values_list("hour", "received", "accepted", "quarantined")
    assert list(hours) == [(NOW.replace(minute=0), 1, 1, 0)]
    assert_balanced()
