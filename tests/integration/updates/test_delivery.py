"""Offers, the command, and the lane that pushes it: on a real database, with brokers where the test says so."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from django.conf import settings

from tds.fleet.lifecycle import change
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.identity.authorities.keys import KeyUnusableError
from tds.updates.executions import delivery, keeper, numbers, pushing, tickets
from tds.updates.executions.delivery import Checked, MayOffer
from tds.updates.executions.pushing import AGAIN_AFTER, Pushing
from tds.updates.folders import UpdatesFolder
from tds.updates.models import Execution, Rollout, RolloutStatus
from tds.updates.releases import trust_sets
from tds.updates.signed import jws, ticket
from tds.updates.signed.jws import Kind
from tds.updates.signed.ticket import Ticket
from tests import executing, seeding
from tests.executing import NOW, OLD, TARGET, Got, Spot, Unit

pytestmark = pytest.mark.django_db(transaction=True)

LATER: Final = NOW + timedelta(hours=1)
MANY: Final = 1_000
DRAWS: Final = 100
MILLISECOND: Final = timedelta(milliseconds=1)
STANDS_AT_1000: Final = "SELECT setval('tds_new_ticket_seq', 1000)"
SERVER: Final = "https://ota.example.com:8070"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, home=tmp_path))
    monkeypatch.setattr(pushing, "WAIT_S", 0.0)
    return tmp_path


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as made:
        yield made


def document_for(
    connection: psycopg.Connection[Any], gateway_id: int, now: datetime, may_offer: MayOffer | None = None
) -> bytes | None:
    return delivery.document_for(connection, gateway_id, now, may_offer, base_url=SERVER)


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    made = seeding.gateway(tenant, "GW-001")
    executing.runs(made)
    return made


@pytest.fixture
def rollout() -> Rollout:
    return executing.rollout(executing.release())


@pytest.fixture
def execution(rollout: Rollout, gateway: Gateway) -> Execution:
    return executing.execution(rollout, gateway)


def signed(text: str) -> Ticket:
    """What is in a ticket, whose signature must hold."""
    found = jws.split(Kind.TICKET, text)
    return msgspec.json.decode(found.check(tickets.assignment_key().public), type=Ticket)


def yes(_connection: psycopg.Connection[Any], _gateway_id: int, _now: datetime) -> bool:
    return True


def no(_connection: psycopg.Connection[Any], _gateway_id: int, _now: datetime) -> bool:
    return False


# Offers


def test_an_offer_is_a_ticket_for_this_gateway_and_this_manifest(
    connection: psycopg.Connection[Any], execution: Execution
) -> None:
    assert delivery.offer(connection, [execution.pk], NOW) == [execution.pk]
    execution.refresh_from_db()
    found = signed(execution.ticket)
    assert (found.execution_id, found.gateway_code) == (execution.public_id, "GW-001")
    assert (found.manifest_sha256, found.seq) == (execution.rollout.release.manifest_sha256, execution.seq)
    assert (found.iat, found.not_before) == (int(NOW.timestamp()), int(NOW.timestamp()))
    assert found.exp == int((NOW + tickets.LIFE).timestamp())
    assert (execution.offered_at, execution.status, execution.from_sha256) == (NOW, "QUEUED", OLD)


def test_an_offer_that_stands_is_not_made_twice(connection: psycopg.Connection[Any], execution: Execution) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    first = Execution.objects.get().ticket
    assert delivery.offer(connection, [execution.pk], LATER) == []
    assert Execution.objects.get().ticket == first


def test_an_expired_ticket_is_signed_anew_with_a_higher_number(
    connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    first = Execution.objects.get()
    year = NOW + timedelta(days=365)
    document = json.loads(document_for(connection, gateway.pk, year) or b"")
    second = signed(document["ticket"])
    assert first.seq is not None
    assert second.seq > first.seq
    assert second.exp > year.timestamp()
    assert Execution.objects.get().offered_at == NOW


def test_after_a_restore_of_an_older_database_tickets_are_higher_than_all_that_gateways_saw(
    connection: psycopg.Connection[Any], execution: Execution
) -> None:
    connection.execute(STANDS_AT_1000)
    delivery.offer(connection, [execution.pk], NOW)
    seen = Execution.objects.get().seq
    # As the backup has it: nobody was offered anything, and the sequence stands where it stood.
    connection.execute(STANDS_AT_1000)
    Execution.objects.update(offered_at=None, seq=None, ticket="")
    delivery.offer(connection, [execution.pk], LATER)
    again = Execution.objects.get().seq
    assert seen is not None
    assert again is not None
    assert again > seen
    assert signed(Execution.objects.get().ticket).seq == again == LATER.timestamp() * 1_000


def test_ticket_numbers_grow_also_while_the_clock_goes_back(connection: psycopg.Connection[Any]) -> None:
    drawn = [number for hours in (3, 2, 2, 1) for number in numbers.draw(connection, 5, NOW + timedelta(hours=hours))]
    assert drawn == list(range(drawn[0], drawn[0] + 20))


def test_ticket_numbers_of_many_who_offer_at_once_are_of_one_each(connection: psycopg.Connection[Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(draws, range(4)))
    drawn = [number for of_one in found for number in of_one]
    assert len(set(drawn)) == len(drawn) == 4 * DRAWS * 3
    assert all(of_one == sorted(of_one) for of_one in found)
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
    assert connection.execute(held, (numbers.LOCK,)).fetchone() == (0,)


def test_a_transaction_that_offers_keeps_no_other_from_offering(connection: psycopg.Connection[Any]) -> None:
    with seeding.own_connection() as other, connection.transaction():
        first = numbers.draw(connection, 1, NOW)
        other.execute("SET statement_timeout = '2s'")
        assert numbers.draw(other, 1, NOW)[0] == first[0] + 1


def draws(_of: int) -> list[int]:
    with seeding.own_connection() as connection:
        return [number for step in range(DRAWS) for number in numbers.draw(connection, 3, NOW + step * MILLISECOND)]


def test_nothing_is_offered_of_what_is_over(connection: psycopg.Connection[Any], execution: Execution) -> None:
    Execution.objects.update(status="CANCELED", finished_at=NOW)
    assert delivery.offer(connection, [execution.pk], NOW) == []
    assert Execution.objects.get().ticket == ""


def test_a_waves_tickets_begin_one_after_the_other(
    connection: psycopg.Connection[Any], tenant: Tenant, rollout: Rollout
) -> None:
    rollout.spread_s = 600
    rollout.save()
    rollout.waves.update(size=4)
    made = [executing.execution(rollout, seeding.gateway(tenant, f"GW-{n}")) for n in range(4)]
    delivery.offer(connection, [each.pk for each in made], NOW)
    begins = [signed(each.ticket).not_before - int(NOW.timestamp()) for each in Execution.objects.order_by("place")]
    assert begins == [0, 150, 300, 450]


def test_a_thousand_offers_take_few_statements_and_seconds(
    connection: psycopg.Connection[Any], tenant: Tenant, rollout: Rollout
) -> None:
    made = Gateway.objects.bulk_create([Gateway(tenant=tenant, code=f"GW-{n:04d}") for n in range(MANY)])
    Execution.objects.bulk_create(
        Execution(
            public_id=f"e-{n}",
            rollout=rollout,
            wave=1,
            place=n,
            gateway=gateway,
            time_zone="UTC",
            changed_at=NOW,
        )
        for n, gateway in enumerate(made)
    )
    began = perf_counter()
    offered = delivery.offer(connection, list(Execution.objects.values_list("pk", flat=True)), NOW)
    took = perf_counter() - began
    print(f"{MANY} offers in {took:.2f} s")
    assert len(offered) == MANY
    assert took < 5
    assert Execution.objects.values("seq").distinct().count() == MANY


# The gateway that asks


def test_the_command_is_as_the_document_has_it(
    connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    text = document_for(connection, gateway.pk, NOW, yes)
    assert text is not None
    execution.refresh_from_db()
    assert json.loads(text) == {
        "execution_id": execution.public_id,
        "version": "1.1.0",
        "url": f"{SERVER}/ota/v1/artifacts/{TARGET}.bin",
        "manifest": execution.rollout.release.manifest,
        "ticket": execution.ticket,
    }


def test_the_largest_command_fits_into_a_gateways_buffer(connection: psycopg.Connection[Any], tenant: Tenant) -> None:
    rollout = executing.rollout(executing.release("1" * 31, manifest="m" * 1_536))
    made = executing.execution(rollout, seeding.gateway(tenant, "G" * 64), public_id="e" * 36)
    text = document_for(connection, made.gateway_id, NOW, yes)
    assert text is not None
    assert len(text) <= tickets.MAX_COMMAND_BYTES


def test_who_waits_gets_nothing_until_its_turn(
    connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    assert document_for(connection, gateway.pk, NOW) is None
    assert document_for(connection, gateway.pk, NOW, no) is None
    assert Execution.objects.get().offered_at is None


@pytest.mark.parametrize("status", [RolloutStatus.PAUSED, RolloutStatus.HALTED, RolloutStatus.CANCELED])
def test_a_rollout_that_does_not_run_starts_nobody(
    status: RolloutStatus, connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    Rollout.objects.update(status=status)
    assert document_for(connection, gateway.pk, NOW, yes) is None


def test_a_withdrawn_release_is_given_to_nobody(
    connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    release = execution.rollout.release
    release.status = "withdrawn"
    release.save()
    assert document_for(connection, gateway.pk, NOW, yes) is None


def test_a_disabled_gateway_is_given_nothing(
    connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    change(gateway, GatewayStatus.DISABLED, by="tests", now=NOW)
    assert document_for(connection, gateway.pk, NOW, yes) is None


@pytest.mark.parametrize(("phase", "answered"), [("downloading", True), ("verified", True), ("rebooting", False)])
def test_who_is_at_it_is_told_again_until_it_installs(
    phase: str, answered: bool, connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    Execution.objects.update(status="IN_PROGRESS", phase=phase)
    assert (document_for(connection, gateway.pk, NOW) is not None) is answered


# The push


@dataclass
class Air:
    """A broker and who is connected to it."""

    places: dict[int, Spot] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any], tuple[str, ...]]] = field(default_factory=list)
    checks: int = 0
    outcome: str = "taken"

    def where(self, _connection: psycopg.Connection[Any], gateway_ids: Sequence[int]) -> Mapping[int, Spot]:
        return {each: self.places[each] for each in gateway_ids if each in self.places}

    def update(self, code: str, document: bytes, *, brokers: Sequence[str] = (), expiry_s: int) -> Sequence[Got]:
        if self.outcome == "taken":
            self.sent.append((code, json.loads(document), tuple(brokers)))
        return [Got(self.outcome, "The broker is away.")]

    def check_now(self) -> Sequence[Got]:
        self.checks += 1
        return []


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture
def window(execution: Execution) -> timedelta:
    """Of two hours, from now on, by the clock of the gateway's site; how long it is."""
    Execution.objects.filter(pk=execution.pk).update(time_zone="America/Sao_Paulo")
    begins = NOW.astimezone(ZoneInfo("America/Sao_Paulo"))
    length = timedelta(hours=2)
    Rollout.objects.update(window_start=begins.time(), window_end=(begins + length).time())
    return length


def test_outside_of_its_window_a_gateway_that_asks_is_given_nothing(
    connection: psycopg.Connection[Any], execution: Execution, window: timedelta
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    assert document_for(connection, execution.gateway_id, NOW) is not None
    last = NOW + window - timedelta(seconds=1)
    assert document_for(connection, execution.gateway_id, last) is not None
    for later in (NOW + window, NOW + timedelta(hours=23)):
        assert document_for(connection, execution.gateway_id, later) is None
        assert delivery.check_now(connection, execution.gateway_id, later) is Checked.WAITS
    assert document_for(connection, execution.gateway_id, NOW + timedelta(days=1)) is not None


def test_a_gateway_whose_time_zone_this_machine_does_not_know_is_answered_by_utc(
    connection: psycopg.Connection[Any], execution: Execution
) -> None:
    Execution.objects.filter(pk=execution.pk).update(time_zone="Mars/Phobos")
    Rollout.objects.update(window_start=NOW.time(), window_end=(NOW + timedelta(hours=2)).time())
    delivery.offer(connection, [execution.pk], NOW)
    assert document_for(connection, execution.gateway_id, NOW) is not None
    assert document_for(connection, execution.gateway_id, NOW + timedelta(hours=2)) is None


def test_a_ticket_ends_with_the_window_and_not_while_it_is_open(
    connection: psycopg.Connection[Any], execution: Execution, window: timedelta
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    execution.refresh_from_db()
    found, first = signed(execution.ticket), execution.seq
    assert found.exp == int((NOW + window + tickets.WINDOW_SLACK).timestamp())
    assert execution.ticket_until == NOW + window + tickets.WINDOW_SLACK
    document_for(connection, execution.gateway_id, NOW + window - timedelta(seconds=1))
    execution.refresh_from_db()
    assert execution.seq == first  # it is not renewed each time
    document_for(connection, execution.gateway_id, NOW + timedelta(days=1))
    execution.refresh_from_db()
    assert signed(execution.ticket).exp == int((NOW + timedelta(days=1) + window + tickets.WINDOW_SLACK).timestamp())


def test_what_is_spread_beyond_the_window_is_spread_over_it(
    connection: psycopg.Connection[Any], execution: Execution, window: timedelta
) -> None:
    Rollout.objects.update(spread_s=7 * 86_400)
    delivery.offer(connection, [execution.pk], NOW)
    execution.refresh_from_db()
    found = signed(execution.ticket)
    assert NOW.timestamp() <= found.not_before < (NOW + window).timestamp()
    assert found.exp == int((NOW + window + tickets.WINDOW_SLACK).timestamp())


def test_outside_of_its_window_nothing_is_pushed_to_a_gateway(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, clock: Clock, window: timedelta
) -> None:
    lane = Pushing(air, air.where, clock, SERVER)
    delivery.offer(connection, [execution.pk], NOW)
    clock.now = NOW + window
    air.places[execution.gateway_id] = Spot(("broker",), clock.now)
    lane.turn(connection)
    assert air.sent == []
    clock.now = NOW + timedelta(days=1)
    lane.turn(connection)
    assert len(air.sent) == 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lane(air: Air, clock: Clock) -> Pushing:
    return Pushing(air, air.where, clock, SERVER)


def test_what_is_offered_is_pushed_once_where_its_gateway_is(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing
) -> None:
    lane.turn(connection)
    air.places[execution.gateway_id] = Spot(("broker-2",), NOW)
    lane.turn(connection)
    assert air.sent == []  # it was not offered
    delivery.offer(connection, [execution.pk], NOW)
    for _ in range(3):
        lane.turn(connection)
    [(code, document, brokers)] = air.sent
    assert (code, document["execution_id"], brokers) == ("GW-001", execution.public_id, ("broker-2",))
    assert lane.facts() == {"pushed": 1, "trouble": "", "turned_at": NOW.isoformat()}


def test_who_is_away_is_told_when_it_comes_and_again_when_it_comes_anew(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing, clock: Clock
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    lane.turn(connection)
    assert air.sent == []
    for later in (1, 60):
        clock.now = NOW + timedelta(seconds=later)
        air.places[execution.gateway_id] = Spot(("broker",), clock.now)
        clock.now += timedelta(seconds=1)
        lane.turn(connection)
        lane.turn(connection)
    assert len(air.sent) == 2


def test_who_stays_and_says_nothing_is_told_again_after_a_while(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing, clock: Clock
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    air.places[execution.gateway_id] = Spot(("broker",), NOW - timedelta(days=1))
    for after in (timedelta(0), AGAIN_AFTER - timedelta(seconds=1), AGAIN_AFTER):
        clock.now = NOW + after
        lane.turn(connection)
    assert len(air.sent) == 2


def test_who_has_begun_is_not_told_again(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing, clock: Clock
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    unit = Unit("GW-001", execution.public_id)
    keeper.take_report(connection, execution.gateway_id, "GW-001", unit.phase("downloading"), NOW)
    air.places[execution.gateway_id] = Spot(("broker",), NOW)
    clock.now = NOW + AGAIN_AFTER * 2
    lane.turn(connection)
    assert air.sent == []


def test_what_a_broker_did_not_take_is_tried_again(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    air.places[execution.gateway_id] = Spot(("broker",), NOW)
    air.outcome = "failed"
    lane.turn(connection)
    assert lane.trouble == "The broker is away."
    air.outcome = "taken"
    lane.turn(connection)
    assert (len(air.sent), lane.trouble) == (1, "")


def test_a_ticket_that_is_over_is_not_pushed(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing, clock: Clock
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    clock.now = NOW + timedelta(days=365)
    air.places[execution.gateway_id] = Spot(("broker",), clock.now)
    lane.turn(connection)
    [(_code, document, _brokers)] = air.sent
    assert signed(document["ticket"]).exp > clock.now.timestamp()


def test_a_paused_rollout_pushes_nothing_until_it_goes_on(
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    air.places[execution.gateway_id] = Spot(("broker",), NOW)
    Rollout.objects.update(status="paused")
    lane.turn(connection)
    assert air.sent == []
    Rollout.objects.update(status="running")
    lane.turn(connection)
    assert len(air.sent) == 1


def test_a_turn_pushes_a_bounded_number_and_the_next_one_goes_on(  # noqa: PLR0917  # fixtures
    connection: psycopg.Connection[Any],
    tenant: Tenant,
    rollout: Rollout,
    air: Air,
    lane: Pushing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushing, "PUSHED", 3)
    monkeypatch.setattr(pushing, "LOOKED_AT", 5)
    made = [executing.execution(rollout, seeding.gateway(tenant, f"GW-{n}")) for n in range(12)]
    delivery.offer(connection, [each.pk for each in made], NOW)
    here = made[1::2]  # the others are away
    air.places = {each.gateway_id: Spot(("broker",), NOW) for each in here}
    lane.turn(connection)
    assert len(air.sent) <= 3
    for _ in range(8):
        lane.turn(connection)
    assert sorted(code for code, _, _ in air.sent) == sorted(each.gateway.code for each in here)


def test_without_a_key_nothing_is_pushed_and_it_is_said(  # noqa: PLR0917  # fixtures
    connection: psycopg.Connection[Any], execution: Execution, air: Air, lane: Pushing, home: Path, clock: Clock
) -> None:
    delivery.offer(connection, [execution.pk], NOW)
    (home / "updates" / "assignment.key").write_text("no key")
    air.places[execution.gateway_id] = Spot(("broker",), NOW)
    clock.now = NOW + timedelta(days=365)
    lane.turn(connection)
    assert air.sent == []
    assert lane.trouble.startswith("No ticket can be signed: ")


# A person's button


def test_the_button_pushes_again_what_was_pushed(
    connection: psycopg.Connection[Any], gateway: Gateway, execution: Execution, air: Air, lane: Pushing
) -> None:
    air.places[gateway.pk] = Spot(("broker",), NOW - timedelta(days=1))
    assert delivery.check_now(connection, gateway.pk, NOW) is Checked.WAITS
    assert delivery.check_now(connection, gateway.pk, NOW, yes) is Checked.TOLD
    lane.turn(connection)
    assert delivery.check_now(connection, gateway.pk, NOW) is Checked.TOLD
    lane.turn(connection)
    assert len(air.sent) == 2
    Execution.objects.update(status="IN_PROGRESS", phase="downloading")
    assert delivery.check_now(connection, gateway.pk, NOW) is Checked.UNDER_WAY
    Execution.objects.update(status="SUCCEEDED")
    assert delivery.check_now(connection, gateway.pk, NOW) is Checked.NOTHING


def test_the_button_for_all_is_heard_by_the_lane(connection: psycopg.Connection[Any], air: Air, lane: Pushing) -> None:
    lane.turn(connection)
    with seeding.own_connection() as other:
        delivery.check_now_all(other)
    lane.turn(connection)
    lane.turn(connection)
    assert air.checks == 1


def test_a_key_is_read_again_when_it_was_replaced(home: Path) -> None:
    made_first = tickets.assignment_key()
    first = tickets.assignment_key()
    assert (first.kid, tickets.assignment_key()) == (made_first.kid, first)
    for name in ("assignment.key", "assignment.pub"):
        (home / "updates" / name).unlink(missing_ok=True)
    second = tickets.assignment_key()
    assert second.kid != first.kid
    assert (home / "updates" / "assignment.key").stat().st_mode & 0o777 == 0o600
    made = Ticket("e", "GW", "0" * 64, 1, 0, 0, 0)
    assert ticket.make(made, second)


def test_tickets_are_never_signed_with_a_key_that_no_trust_set_has(
    connection: psycopg.Connection[Any], home: Path, execution: Execution
) -> None:
    folder = UpdatesFolder(home / "updates")
    trust_sets.ensure_desk(home / "release-keys", folder, NOW)
    trusted = tickets.signing_key(connection, NOW)
    folder.assignment_key_file.unlink()
    with pytest.raises(KeyUnusableError, match="is missing: restore it from the backup"):
        delivery.offer(connection, [execution.pk], NOW)
    assert not folder.assignment_key_file.exists()  # none is made in silence
    other = folder.assignment_key()
    assert other.kid != trusted.kid
    with pytest.raises(KeyUnusableError, match="no gateway would believe"):
        delivery.offer(connection, [execution.pk], NOW)
    execution.refresh_from_db()
    assert (execution.seq, execution.ticket, execution.offered_at) == (None, "", None)
    trust_sets.ensure_desk(home / "release-keys", folder, NOW)  # as `tds up` does it at its start
    assert delivery.offer(connection, [execution.pk], NOW) == [execution.pk]
