"""Presence on a real mosquitto and PostgreSQL: who is connected, since when, and how certain that is."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from psycopg import errors
from typer.testing import CliRunner

from tds import worker
from tds.devicelink import events, fleet_health, keeper, link, openings
from tds.devicelink.commands import CHECK_NOW_EXPIRY_S, NO_SUBSCRIBER, Commands, Outcome
from tds.devicelink.events import Changed, Report, Said
from tds.devicelink.health import CONFIRM_WITHIN, BrokerHeard, Health, Session, Trouble
from tds.devicelink.ignored import Strangers, Unheeded
from tds.devicelink.keeper import Keeper
from tds.devicelink.link import DeviceLink, LinkConfig
from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.devicelink.openings import CLIENT_ID
from tds.devicelink.presence import Ignored
from tds.fleet.lifecycle import change
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.gateway_commands import gateway_app
from tds.heartbeat import Heartbeat
from tds.identity.access.broker_rules import DEVICELINK
from tds.ingest import database
from tds.settings import ENV
from tds.status import State
from tds.status.gateways import examine_gateways
from tests import seeding
from tests.boards import Board, BoardProcess, boards, forget, presence, retain, watching
from tests.consuming import STOP_LIMIT_S, consumer_thread, managed, prepared_connection
from tests.running import RunningBroker, running_broker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MANY: Final = 10_000
WAITING: Final = 3_000  # in this process, of so many
HOUR: Final = timedelta(hours=1)
FIRST: Final = "broker"
SECOND: Final = "broker-2"

Handler = Callable[[psycopg.Connection[Any], Sequence[Any]], Iterable[events.Effect]]


@pytest.fixture(scope="module")
def one() -> Iterator[RunningBroker]:
    with running_broker() as running:
        yield running


@pytest.fixture(scope="module")
def another() -> Iterator[RunningBroker]:
    with running_broker() as running:
        yield running


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "TICK_EVERY_S", 0.1)
    monkeypatch.setattr(link, "IDLE_S", 0.1)
    monkeypatch.setattr(worker, "RETRY_SOON_S", 0.1)


@pytest.fixture(autouse=True)
def forgotten(one: RunningBroker, another: RunningBroker) -> None:
    """A broker outlives its test: the next one finds nothing retained, and nothing that waits for the link."""
    for broker in (one, another):
        forget(broker.port, CLIENT_ID)


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@contextmanager
def linked(
    broker: RunningBroker,
    name: str = FIRST,
    *,
    more: dict[type[events.Event], tuple[Handler, ...]] | None = None,
    caught: bool = True,
) -> Iterator[DeviceLink]:
    """A link over the services' listener, as a lane of the worker; `more` handlers come after those of presence."""
    unheeded = Unheeded(name)
    handlers: dict[type[events.Event], tuple[Handler, ...]] = dict(Keeper(name, unheeded).handlers())
    for kind, others in (more or {}).items():
        handlers[kind] = (*handlers.get(kind, ()), *others)
    made = DeviceLink(LinkConfig(name, broker.service_url(DEVICELINK), handlers, unheeded), now=timezone.now)
    stopping = threading.Event()
    [lane] = worker.waiting_lanes(
        {made.name: made.turn}, lambda: database.connect(settings.DATABASES["default"], name=made.name), stopping
    )
    lane.thread.start()
    try:
        if caught:
            wait_until(lambda: made.facts()["caught"], "the end of what the broker has retained")
        yield made
    finally:
        stopping.set()
        lane.cancel()
        lane.thread.join(STOP_LIMIT_S)
        made.close()
        assert not lane.thread.is_alive()


def row(code: str) -> GatewayPresence | None:
    return GatewayPresence.objects.filter(gateway__code=code).order_by("-gateway_id").first()


def is_online(code: str) -> bool | None:
    found = row(code)
    return found.online if found else None


def wait_online(*codes: str, online: bool = True) -> None:
    wait_until(
        lambda: all(is_online(code) is online for code in codes), f"{codes} {'connected' if online else 'gone'}", 10
    )


def heard_all(broker: RunningBroker, of: DeviceLink) -> None:
    """Until the link has told of all that was published before."""
    code = f"LAST-{monotonic()}"
    ignored = sum(of.config.unheeded.counts.values())
    retain(broker.port, (f"status/{code}", b"junk"), retain=False)
    wait_until(lambda: sum(of.config.unheeded.counts.values()) > ignored and of.facts()["caught"], "the last message")
    ticks = BrokerLink.objects.filter(broker=of.broker, heard_until__gt=timezone.now())
    wait_until(ticks.exists, "a tick after it")


def health(code: str, *, later: timedelta = timedelta(0)) -> Health:
    gateway = Gateway.objects.filter(code=code).latest("id")
    return fleet_health.of([gateway], now=timezone.now() + later)[gateway.pk]


# How it comes and goes


def test_a_killed_gateway_is_not_connected_any_more_by_its_will(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1")
    with linked(one):
        before = timezone.now()
        process = BoardProcess(one.port, "GW-1")
        wait_online("GW-1")
        found = health("GW-1")
        assert (found.session, found.since_exact, found.broker) == (Session.CONNECTED, True, FIRST)
        assert found.since is not None
        assert before < found.since < timezone.now()
        process.kill()
        wait_online("GW-1", online=False)
        assert (health("GW-1").session, health("GW-1").since_exact) == (Session.NOT_CONNECTED, True)


def test_a_gateway_that_leaves_in_good_order_is_not_connected(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1")
    with linked(one):
        board = Board(one.port, "GW-1", firmware="1.4.0", interval_s=3_600).connect()
        wait_online("GW-1")
        board.leave()
        wait_online("GW-1", online=False)
        assert (health("GW-1").firmware, health("GW-1").silent_after) == ("1.4.0", 3 * HOUR)


def test_a_session_taken_over_by_the_same_gateway_is_a_new_session(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1")
    recorded: list[events.Event] = []
    with linked(one, more={Said: (recorder(recorded),)}) as ours, boards(one.port, "GW-1"):
        wait_online("GW-1")
        first = health("GW-1").since
        # As after a cut of which the broker knows nothing: it comes again under its own name.
        with boards(one.port, "GW-1"):
            wait_until(lambda: len(recorded) == 3, "the will and the new word")
            heard_all(one, ours)
            # mosquitto publishes the old one's will before it answers the new one.
            assert [said.online for said in recorded if isinstance(said, Said)] == [True, False, True]
            again = health("GW-1")
            assert again.session is Session.CONNECTED
            assert first is not None
            assert again.since is not None
            assert again.since > first


def recorder(into: list[events.Event]) -> Handler:
    def handler(_connection: psycopg.Connection[Any], told: Sequence[Any]) -> Iterable[events.Effect]:
        into.extend(told)
        return ()

    return handler


def test_a_wrong_clock_is_visible_by_the_messages_of_a_gateway_that_says_no_time(
    one: RunningBroker, tenant: Tenant
) -> None:
    seeding.gateway(tenant, "GW-1")
    now = timezone.now().replace(microsecond=0)
    with prepared_connection(now), linked(one) as ours, consumer_thread(one.url), boards(one.port, "GW-1"):
        ahead = seeding.as_bytes(seeding.message("GW-1", now + 3 * HOUR))
        retain(one.port, ("telemetry/GW-1/D01/data", ahead), retain=False)
        wait_until(lambda: health("GW-1").clock_off, "what the consumer heard")
        heard_all(one, ours)
        found = health("GW-1")
        assert (found.session, found.troubles) == (Session.CONNECTED, (Trouble.CLOCK_AHEAD,))
        assert (found.message_at is not None, found.reading_at) == (True, None)


# While nobody listens


def test_what_happened_while_nobody_listened_is_known_at_the_latest(one: RunningBroker, tenant: Tenant) -> None:
    for code in ("GW-STAYS", "GW-GOES", "GW-COMES"):
        seeding.gateway(tenant, code)
    with ExitStack() as stack:
        present = stack.enter_context(boards(one.port, "GW-STAYS", "GW-GOES"))
        with linked(one):
            wait_online("GW-STAYS", "GW-GOES")
            since = health("GW-STAYS").since
        present["GW-GOES"].lose_power()
        stack.enter_context(boards(one.port, "GW-COMES"))
        with linked(one):
            wait_online("GW-STAYS", "GW-COMES")
            wait_online("GW-GOES", online=False)
            assert [health(code).since_exact for code in ("GW-GOES", "GW-COMES")] == [False, False]
            assert health("GW-STAYS").since == since


def test_what_the_broker_knows_nothing_of_any_more_is_not_connected(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1")
    with linked(one):
        retain(one.port, ("status/GW-1", presence("GW-1")))
        wait_online("GW-1")
    retain(one.port, ("status/GW-1", b""))
    with linked(one):
        wait_online("GW-1", online=False)
        assert not health("GW-1").since_exact


def test_after_a_clean_restart_of_the_broker_who_does_not_come_back_is_not_connected(tenant: Tenant) -> None:
    for code in ("GW-BACK", "GW-GONE"):
        seeding.gateway(tenant, code)
    with running_broker() as broker, linked(broker) as ours:
        with boards(broker.port, "GW-BACK", "GW-GONE"):
            wait_online("GW-BACK", "GW-GONE")
            broker.stop()  # at its end mosquitto publishes the wills
        broker.start()
        wait_until(lambda: ours.facts()["caught"], "the next connection")
        wait_online("GW-BACK", "GW-GONE", online=False)
        with boards(broker.port, "GW-BACK"):
            wait_online("GW-BACK")
            assert is_online("GW-GONE") is False


def test_of_a_killed_broker_what_it_kept_is_uncertain_until_the_gateway_is_heard(tenant: Tenant) -> None:
    for code in ("GW-BACK", "GW-SENDS", "GW-GONE"):
        seeding.gateway(tenant, code)
    with running_broker() as broker, linked(broker) as ours:
        with boards(broker.port, "GW-BACK", "GW-SENDS", "GW-GONE"):
            wait_online("GW-BACK", "GW-SENDS", "GW-GONE")
            heard_all(broker, ours)
            before = timezone.now() - HOUR
            GatewayPresence.objects.update(changed_at=before, heard_at=before)
            broker.save()
            broker.kill()
        # No wills: all three are dead, and the broker has it that they are there.
        died_at = timezone.now()
        broker.start()
        wait_until(lambda: ours.facts()["caught"], "the next connection")
        with boards(broker.port, "GW-BACK"):
            wait_until(lambda: (health("GW-BACK").since or died_at) > died_at, "its word")
            wait_until(BrokerLink.objects.filter(started_at__gt=died_at - HOUR / 60).exists, "the broker's start")
            Gateway.objects.filter(code="GW-SENDS").update(last_seen_at=timezone.now() + timedelta(seconds=30))
            assert health("GW-GONE").session is Session.CONNECTED  # they have some minutes to come back
            later = CONFIRM_WITHIN + timedelta(seconds=30)
            heard = {FIRST: BrokerHeard(timezone.now() + later, BrokerLink.objects.get().started_at)}
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(fleet_health, "brokers", lambda: heard)
                sessions = {code: health(code, later=later).session for code in ("GW-BACK", "GW-SENDS", "GW-GONE")}
    assert sessions == {
        "GW-BACK": Session.CONNECTED,
        "GW-SENDS": Session.CONNECTED,
        "GW-GONE": Session.UNCERTAIN,
    }


# Many


def test_ten_thousand_presences_at_once_take_few_statements_and_bounded_memory(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [f"GW-{n:05d}" for n in range(MANY)]
    Gateway.objects.bulk_create([Gateway(tenant=tenant, code=code) for code in codes])
    monkeypatch.setattr(link, "INBOX_MESSAGES", WAITING)
    batches: list[int] = []
    waiting: list[int] = []

    def counted(_connection: psycopg.Connection[Any], said: Sequence[Said]) -> Iterable[events.Effect]:
        batches.append(len(said))
        waiting.append(len(ours._session.inbox) if ours._session else 0)
        return ()

    with running_broker() as broker:
        retain(broker.port, *[(f"status/{code}", presence(code)) for code in codes])
        began = monotonic()
        with linked(broker, more={Said: (counted,)}, caught=False) as ours:
            wait_until(lambda: ours.facts()["caught"], "the end of what the broker has retained")
            first_s = monotonic() - began
            assert GatewayPresence.objects.filter(online=True).count() == MANY
            retain(broker.port, *[(f"status/{code}", presence(code, online=False)) for code in codes[::2]])
            began = monotonic()
            heard_all(broker, ours)
            live_s = monotonic() - began
            assert GatewayPresence.objects.filter(online=True).count() == MANY / 2
            broker.stop()
            broker.start()
            began = monotonic()
            wait_until(lambda: ours.facts()["caught"], "the next connection")
            again_s = monotonic() - began
    assert GatewayPresence.objects.filter(online=True).count() == MANY / 2
    assert sum(batches) >= 2.5 * MANY
    # Each takes four statements, whatever it holds.
    assert len(batches) < 100
    assert 0 < max(waiting) <= 2 * WAITING
    print(f"first {first_s:.1f} s, live {live_s:.1f} s, again {again_s:.1f} s; {len(batches)} batches")


# Several brokers


def test_a_late_will_from_the_former_broker_does_not_end_the_session_with_the_new_one(
    one: RunningBroker, another: RunningBroker, tenant: Tenant
) -> None:
    seeding.gateway(tenant, "GW-1")
    with linked(one, FIRST) as first, linked(another, SECOND) as second:
        before, after = Board(one.port, "GW-1").connect(), Board(another.port, "GW-1")
        wait_online("GW-1")
        after.connect()
        heard_all(another, second)
        assert health("GW-1").broker == SECOND
        before.lose_power()
        heard_all(one, first)
        assert (health("GW-1").session, health("GW-1").broker) == (Session.CONNECTED, SECOND)
        after.lose_power()
        wait_online("GW-1", online=False)


def test_a_gateway_that_moved_while_nobody_listened_is_where_it_is(
    one: RunningBroker, another: RunningBroker, tenant: Tenant
) -> None:
    seeding.gateway(tenant, "GW-1")
    # The first broker has not yet noticed that it left.
    retain(one.port, ("status/GW-1", presence("GW-1")))
    with boards(another.port, "GW-1"), linked(one, FIRST) as first, linked(another, SECOND) as second:
        heard_all(one, first)
        heard_all(another, second)
        found = row("GW-1")
        assert found is not None
        assert set(found.brokers) == {FIRST, SECOND}
        retain(one.port, ("status/GW-1", presence("GW-1", online=False)))
        heard_all(one, first)
        assert (health("GW-1").session, health("GW-1").broker) == (Session.CONNECTED, SECOND)


# Who is none of ours, or not any more


def test_the_retained_presence_of_a_retired_gateway_is_cleared_once(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-RETIRED", status=GatewayStatus.RETIRED, retired_at=timezone.now() - HOUR)
    seeding.gateway(tenant, "GW-OFF", status=GatewayStatus.DISABLED)
    seeding.gateway(tenant, "GW-1")
    for code in ("GW-RETIRED", "GW-NOBODY", "GW-OFF", "GW-1"):
        retain(one.port, (f"status/{code}", presence(code)))
    with watching(one.port, "status/+") as seen:
        wait_until(lambda: len(seen) == 4, "what is retained")
        for _ in range(2):
            with linked(one) as ours:
                wait_until(lambda: len([1 for _, payload, _ in seen if not payload]) == 2, "the clearing")
                heard_all(one, ours)
        cleared = [topic for topic, payload, _ in seen if not payload]
        assert sorted(cleared) == ["status/GW-NOBODY", "status/GW-RETIRED"]
    with watching(one.port, "status/+") as left:
        wait_until(lambda: len(left) == 2, "what is left")
    assert row("GW-RETIRED") is None
    assert is_online("GW-OFF") is True


def test_a_gateway_that_is_retired_while_it_is_connected_goes_with_its_session(
    one: RunningBroker, tenant: Tenant
) -> None:
    gateway = seeding.gateway(tenant, "GW-1")
    with linked(one), boards(one.port, "GW-1") as present:
        wait_online("GW-1")
        gateway.status, gateway.retired_at = GatewayStatus.RETIRED, timezone.now()
        gateway.save()
        assert (health("GW-1").session, health("GW-1").put_out) == (Session.UNCERTAIN, True)
        present["GW-1"].say(presence("GW-1"))
        wait_until(lambda: health("GW-1").troubles == (Trouble.DISABLED_YET_CONNECTED,), "its word after that")
        with watching(one.port, "status/GW-1") as seen:
            present["GW-1"].lose_power()
            wait_online("GW-1", online=False)
            wait_until(lambda: any(not payload for _, payload, _ in seen), "the clearing")


def test_a_new_gateway_of_a_retired_ones_code_has_a_presence_of_its_own(one: RunningBroker, tenant: Tenant) -> None:
    former = seeding.gateway(tenant, "GW-1", status=GatewayStatus.RETIRED, retired_at=timezone.now())
    present = seeding.gateway(tenant, "GW-1")
    with linked(one), boards(one.port, "GW-1"):
        wait_online("GW-1")
        assert [found.gateway_id for found in GatewayPresence.objects.all()] == [present.pk] != [former.pk]


def retired(gateway: Gateway) -> None:
    assert change(gateway, GatewayStatus.RETIRED, by="tests", now=timezone.now())


def test_of_a_gateway_that_was_off_when_it_was_retired_the_next_owner_inherits_no_presence(
    one: RunningBroker, tenant: Tenant
) -> None:
    former = seeding.gateway(tenant, "GW-1")
    other = seeding.gateway(tenant, "GW-2")
    with linked(one) as ours, watching(one.port, "status/+") as seen:
        for code in ("GW-1", "GW-2"):
            retain(one.port, (f"status/{code}", presence(code, online=False)))
        wait_online("GW-1", "GW-2", online=False)
        heard_all(one, ours)
        for gateway in (former, other):
            retired(gateway)
        seeding.gateway(tenant, "GW-1")
        wait_until(
            lambda: {topic for topic, payload, _ in seen if not payload} == {"status/GW-1", "status/GW-2"}, "both"
        )
    with linked(one) as ours:
        heard_all(one, ours)
        assert list(GatewayPresence.objects.values_list("gateway_id", flat=True)) == [former.pk, other.pk]


def test_what_was_retained_of_a_gateway_retired_while_nobody_listened_is_not_the_next_owners(
    one: RunningBroker, tenant: Tenant
) -> None:
    former = seeding.gateway(tenant, "GW-1")
    with linked(one) as ours:
        retain(one.port, ("status/GW-1", presence("GW-1")))
        wait_online("GW-1")
        heard_all(one, ours)
    retired(former)
    present = seeding.gateway(tenant, "GW-1")
    with watching(one.port, "status/+") as seen, linked(one) as ours:
        heard_all(one, ours)
        assert not GatewayPresence.objects.filter(gateway=present).exists()
        wait_until(lambda: any(not payload for _, payload, _ in seen), "the clearing")
    with ExitStack() as stack:
        with linked(one) as ours:
            stack.enter_context(boards(one.port, "GW-1"))
            wait_online("GW-1")
            heard_all(one, ours)
        # What is retained is its own word by now.
        with linked(one) as ours:
            heard_all(one, ours)
            assert GatewayPresence.objects.get(gateway=present).online
    assert not GatewayPresence.objects.get(gateway=former).online


def test_a_gateway_that_is_cut_off_without_a_will_is_not_connected_for_ever(one: RunningBroker, tenant: Tenant) -> None:
    gateway = seeding.gateway(tenant, "GW-1")
    with linked(one) as ours:
        retain(one.port, ("status/GW-1", presence("GW-1")))
        wait_online("GW-1")
        heard_all(one, ours)
        assert health("GW-1").session is Session.CONNECTED
        assert change(gateway, GatewayStatus.DISABLED, by="tests", now=timezone.now())
        [(_, walked)] = fleet_health.walk(Gateway.objects.all(), now=timezone.now())
        for found in (health("GW-1"), walked):
            assert (found.session, found.put_out, found.troubles) == (Session.UNCERTAIN, True, ())
        # It is let in again, and its session may have lasted.
        assert change(gateway, GatewayStatus.ACTIVE, by="tests", now=timezone.now())
        assert health("GW-1").session is Session.CONNECTED


def test_a_disabled_gateways_presence_is_kept_and_is_not_well(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1", status=GatewayStatus.DISABLED)
    with linked(one), boards(one.port, "GW-1"):
        wait_online("GW-1")
        assert health("GW-1").troubles == (Trouble.DISABLED_YET_CONNECTED,)


def test_a_gateway_that_is_registered_after_it_came_is_connected(one: RunningBroker, tenant: Tenant) -> None:
    with linked(one) as ours, boards(one.port, "GW-NEW"), watching(one.port, "status/+") as seen:
        heard_all(one, ours)
        seeding.gateway(tenant, "GW-NEW")
        wait_online("GW-NEW")
        assert health("GW-NEW").since_exact
        assert all(payload for _, payload, _ in seen)


def test_of_strangers_no_more_than_a_number_are_remembered(one: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "MAX_STRANGERS", 3)
    unheeded = Unheeded(FIRST)
    kept = Keeper(FIRST, unheeded)
    with seeding.own_connection() as connection:
        told = [Said(FIRST, f"GW-{n}", online=True, at=timezone.now(), how=events.How.LIVE) for n in range(9)]
        assert list(kept.said(connection, told)) == []
    assert len(kept._strangers) == 3
    assert unheeded.counts == {Ignored.UNKNOWN_GATEWAY: 9}


def test_the_status_says_when_the_last_stranger_came(one: RunningBroker, tenant: Tenant, tmp_path: Path) -> None:
    environment = replace(ENV, mqtt_urls=(one.url,))
    before = timezone.now()
    with managed(tmp_path, "worker", TDS_MQTT_URLS=one.service_url(DEVICELINK)), boards(one.port, "GW-NOBODYS"):
        wait_until(lambda: strangers() is not None, "the heartbeat that tells of the stranger")
        came = strangers()
        assert came is not None
        assert (came.messages, came.last_code) == (1, "GW-NOBODYS")
        assert before < came.last_at < timezone.now()
        assert (
            "1 presence message of codes that no gateway in use has since the worker's start, the last one "
            in examine_gateways(environment, database_there=True).detail
        )


def strangers() -> Strangers | None:
    told = Heartbeat.objects.filter(process="worker").first()
    return Strangers.of(told.facts["links"][FIRST]) if told else None


# Bad input


def test_junk_on_a_status_topic_is_counted_said_once_and_changes_nothing(
    one: RunningBroker, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    for code in ("GW-1", "GW-2"):
        seeding.gateway(tenant, code)
    with linked(one) as ours:
        with boards(one.port, "GW-1"):
            wait_online("GW-1")
            before = row("GW-1")
            junk = [b"\0" * 262_144, b"offline", b"\xff\xfe", b"null", b"[" * 900, presence("GW-2", online=False)]
            junk += [presence("GW-1", status=status) for status in ("", "OFFLINE", "on")]
            retain(one.port, *[("status/GW-1", payload) for payload in junk * 3], retain=False)
            heard_all(one, ours)
            after = row("GW-1")
            assert before is not None
            assert after is not None
            assert (after.online, after.changed_at, after.heard_at) == (True, before.changed_at, before.heard_at)
            assert row("GW-2") is None
        counts = ours.config.unheeded.counts
        assert counts == {
            Ignored.TOO_LARGE: 3,
            Ignored.NOT_JSON: 12 + 1,  # the last message is one as well
            Ignored.CODE_MISMATCH: 3,
            Ignored.BAD_STATUS: 9,
        }
        lines = [record.getMessage() for record in caplog.records if "changed nothing" in record.getMessage()]
        assert len(lines) == 4
        assert all("262144" not in line and len(line) < 250 for line in lines)


def test_an_event_that_the_database_refuses_takes_no_other_one_with_it(
    one: RunningBroker, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    for code in ("GW-1", "GW-2", "GW-3"):
        seeding.gateway(tenant, code)

    def refuses(_connection: psycopg.Connection[Any], told: Sequence[Said]) -> Iterable[events.Effect]:
        if any(said.code == "GW-2" for said in told):
            raise LookupError("a fault of ours, with this one")
        return ()

    retain(one.port, *[(f"status/{code}", presence(code)) for code in ("GW-1", "GW-2", "GW-3")])
    with linked(one, more={Said: (refuses,)}) as ours:
        wait_online("GW-1", "GW-3")
        assert (is_online("GW-2"), ours.failed) == (None, 1)
        assert "could not be handled and is left out" in caplog.text


# At least once


def test_what_is_not_committed_is_not_acknowledged_and_comes_again(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1")

    def fails(_connection: psycopg.Connection[Any], _told: Sequence[Any]) -> Iterable[events.Effect]:
        raise errors.AdminShutdown("terminating connection due to administrator command")

    with linked(one, more={Said: (fails,)}) as ours:
        retain(one.port, ("status/GW-1", presence("GW-1")), retain=False)
        wait_until(lambda: ours._batch is not None, "the batch")
        assert row("GW-1") is None
    with linked(one, caught=False):
        wait_online("GW-1")
        assert not health("GW-1").since_exact


def test_what_waits_in_this_process_did_not_happen_when_it_is_looked_at(
    one: RunningBroker, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "STALL_S", 2.0)
    seeding.gateway(tenant, "GW-1")
    seeding.gateway(tenant, "GW-2")
    with linked(one), seeding.own_connection() as other:
        with other.transaction():
            other.execute("LOCK TABLE tds_new_gatewaypresence IN EXCLUSIVE MODE")
            retain(one.port, ("status/GW-1", presence("GW-1")), retain=False)
            wait_until(lambda: waits(other), "the batch that waits")
            retain(one.port, ("status/GW-2", presence("GW-2")), retain=False)
            threading.Event().wait(2.5)
        wait_online("GW-1", "GW-2")
        assert [health(code).since_exact for code in ("GW-1", "GW-2")] == [True, False]


def test_a_gateway_that_never_stops_sending_does_not_stop_the_others_from_being_heard(
    one: RunningBroker, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "STALL_S", 2.0)
    monkeypatch.setattr(link, "BATCH_MESSAGES", 50)
    seeding.gateway(tenant, "GW-1")
    with linked(one) as ours:
        session = ours._session
        assert session is not None
        # Something always waits, less than a batch.
        monkeypatch.setattr(type(session.inbox), "__len__", lambda _inbox: 5)
        threading.Event().wait(2.5)
        assert ours.facts()["caught"]
        with boards(one.port, "GW-1"):
            wait_online("GW-1")
            assert health("GW-1").since_exact


def waits(connection: psycopg.Connection[Any]) -> bool:
    return bool(connection.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone())


# To whom it is told


def test_changes_are_told_in_the_transaction_that_keeps_them(one: RunningBroker, tenant: Tenant) -> None:
    gateway = seeding.gateway(tenant, "GW-1")
    changes: list[events.Event] = []
    with linked(one, more={Changed: (recorder(changes),)}):
        board = Board(one.port, "GW-1").connect()
        wait_until(lambda: len(changes) == 1, "the first change")
        board.say(presence("GW-1"))
        board.lose_power()
        wait_until(lambda: len(changes) == 2, "the second change")
    told = [(change.gateway_id, change.online, change.broker) for change in changes if isinstance(change, Changed)]
    assert told == [(gateway.pk, True, FIRST), (gateway.pk, False, FIRST)]


def test_reports_of_updates_are_told_to_who_handles_them(one: RunningBroker) -> None:
    reports: list[events.Event] = []
    with linked(one) as ours:
        # Of what nobody handles nothing would be kept: it is not asked for.
        assert ours.publish("ota/GW-1/status", b"x", timeout_s=5) == NO_SUBSCRIBER
    with linked(one, more={Report: (recorder(reports),)}):
        retain(one.port, ("ota/GW-1/status", b'{"phase": "downloading"}'), ("ota/GW-2/status", b""), retain=False)
        retain(one.port, ("ota/GW-1/status", b"x"), retain=False)
        wait_until(lambda: len(reports) == 2, "the reports")
    told = [(report.code, report.payload) for report in reports if isinstance(report, Report)]
    assert told == [("GW-1", b'{"phase": "downloading"}'), ("GW-1", b"x")]


def test_an_update_reaches_the_gateway_that_subscribed_and_nobody_else(
    one: RunningBroker, another: RunningBroker
) -> None:
    with linked(one, FIRST) as first, linked(another, SECOND) as second, boards(one.port, "GW-1") as present:
        board = present["GW-1"]
        board.subscribe("ota/GW-1/update")
        commands = Commands([first, second])
        outcomes = {sent.broker: sent.outcome for sent in commands.update("GW-1", b"{}", expiry_s=60)}
        assert outcomes == {FIRST: Outcome.TAKEN, SECOND: Outcome.NOBODY}
        [sent] = commands.update("GW-1", b'{"n": 2}', brokers=[FIRST], expiry_s=60)
        assert sent.outcome is Outcome.TAKEN
        wait_until(lambda: len(board.got) == 2, "the commands")
        assert board.got == [("ota/GW-1/update", b"{}"), ("ota/GW-1/update", b'{"n": 2}')]
        with ThreadPoolExecutor(50) as pool:
            for _ in range(50):
                pool.submit(commands.update, "GW-1", b"3", expiry_s=60)
        wait_until(lambda: len(board.got) == 52, "as many as were sent")
        board.subscribe("ota/update")
        assert {sent.broker: sent.outcome for sent in commands.check_now()} == {
            FIRST: Outcome.TAKEN,
            SECOND: Outcome.NOBODY,
        }
        for wrong in ("+", "#", "GW/1", ""):
            with pytest.raises(ValueError, match="wildcards"):
                commands.update(wrong, b"{}", expiry_s=60)
        with pytest.raises(ValueError, match="at most 3072"):
            commands.update("GW-1", b"x" * 3_073, expiry_s=60)
    [failed, _] = commands.update("GW-1", b"{}", expiry_s=60)
    assert (failed.outcome, failed.detail) == (Outcome.FAILED, "There is no session with broker.")


def test_who_is_away_is_not_told_to_ask_now_when_it_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    expiries: list[int | None] = []

    def publish(_topic: str, _payload: bytes, *, timeout_s: float, expiry_s: int | None = None) -> int:
        expiries.append(expiry_s)
        return 0

    made = DeviceLink(LinkConfig(FIRST, "mqtt://localhost:1883", {}, Unheeded(FIRST)), now=timezone.now)
    monkeypatch.setattr(made, "publish", publish)
    Commands([made]).check_now()
    assert expiries == [CHECK_NOW_EXPIRY_S]


# The process


def test_a_second_worker_waits_and_goes_on_when_the_first_one_ends(one: RunningBroker, tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1")
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        ours = first.enter_context(linked(one))
        theirs = stack.enter_context(linked(one, caught=False))
        heard_all(one, ours)
        assert theirs._session is None
        first.close()
        wait_until(lambda: theirs.facts()["caught"], "the second one's turn")
        stack.enter_context(boards(one.port, "GW-1"))
        wait_online("GW-1")


def test_without_the_right_to_its_marker_the_link_says_so_and_goes_on(
    one: RunningBroker, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (link, openings):
        monkeypatch.setattr(module, "MARKER_TOPIC", "forbidden/marker")
    monkeypatch.setattr(link, "SNAPSHOT_PATIENCE_S", 0.3)
    seeding.gateway(tenant, "GW-1")
    with linked(one):
        assert "our own message on forbidden/marker does not come back" in caplog.text
        with boards(one.port, "GW-1"):
            wait_online("GW-1")
            assert health("GW-1").since_exact


def test_the_worker_keeps_presence_and_the_command_line_shows_it(
    one: RunningBroker, tenant: Tenant, tmp_path: Path
) -> None:
    for code in ("GW-CLOCK", "GW-NEVER", "GW-SILENT", "GW-WELL"):
        seeding.gateway(tenant, code)
    wrong = timezone.now() + 3 * HOUR
    with managed(tmp_path, "worker", TDS_MQTT_URLS=one.service_url(DEVICELINK)) as process:
        wait_until(BrokerLink.objects.exists, "the link")
        wait_until(Heartbeat.objects.exists, "a sign of life")
        assert list(Heartbeat.objects.get().facts["links"]) == [FIRST]
        clock = Board(one.port, "GW-CLOCK", clock=wrong).connect()
        with boards(one.port, "GW-SILENT", "GW-WELL"):
            wait_online("GW-CLOCK", "GW-SILENT", "GW-WELL")
            now = timezone.now()
            GatewayPresence.objects.filter(gateway__code="GW-SILENT").update(changed_at=now - HOUR)
            for code, ago in (("GW-SILENT", 2 * HOUR), ("GW-WELL", timedelta(seconds=20))):
                at = now - ago
                Gateway.objects.filter(code=code).update(last_seen_at=at, last_reading_at=at, dated_at=at)
            listed = {found["code"]: found for found in json.loads(printed("list", "--json"))}
            assert {code: (found["session"], found["online"]) for code, found in listed.items()} == {
                "GW-CLOCK": ("connected", True),
                "GW-NEVER": ("never", None),
                "GW-SILENT": ("connected", True),
                "GW-WELL": ("connected", True),
            }
            assert {code: found["notes"] for code, found in listed.items()} == {
                "GW-CLOCK": ["its clock is 2 h ahead"],
                "GW-NEVER": [],
                "GW-SILENT": ["connected but silent for 1 h"],
                "GW-WELL": [],
            }
            assert listed["GW-SILENT"]["last_reading_at"] == (now - 2 * HOUR).isoformat()
            well = printed("show", "GW-WELL")
            assert f"Session:      Connected with {FIRST} since " in well
            assert "Last message: " in well
            assert json.loads(printed("show", "GW-SILENT", "--json")) == listed["GW-SILENT"]
            table = printed("list")
            assert all(code in table for code in listed)
            assert "never seen" in table
            assert table.endswith("GW-CLOCK: its clock is 2 h ahead.\nGW-SILENT: connected but silent for 1 h.\n")
            clock.lose_power()
        assert process.terminate() == 0
        assert process.errors == ""


def printed(*words: str) -> str:
    result = CliRunner().invoke(gateway_app, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_page_of_gateways_takes_two_statements(
    tenant: Tenant, django_assert_num_queries: Any, one: RunningBroker
) -> None:
    for n in range(50):
        seeding.gateway(tenant, f"GW-{n}")
    gateways = list(Gateway.objects.all())
    with django_assert_num_queries(2):
        assert len(fleet_health.of(gateways, now=datetime.now(UTC))) == 50
    with django_assert_num_queries(2):
        found = fleet_health.counts(Gateway.objects.all(), now=datetime.now(UTC))
    assert (found.gateways, found.sessions, found.silent, found.wrong_clock) == (50, {Session.NEVER: 50}, 0, 0)


def test_the_status_counts_gateways_and_says_when_nobody_hears_them(one: RunningBroker, tenant: Tenant) -> None:
    for code in ("GW-1", "GW-2"):
        seeding.gateway(tenant, code)
    environment = replace(ENV, mqtt_urls=(one.url,))
    with linked(one) as ours, boards(one.port, "GW-1"):
        wait_online("GW-1")
        heard_all(one, ours)
        part = examine_gateways(environment, database_there=True)
        assert (part.state, part.detail) == (State.HEALTHY, "2 in use: 1 connected, 1 never seen.")
    BrokerLink.objects.update(heard_until=timezone.now() - HOUR)
    part = examine_gateways(environment, database_there=True)
    assert (part.state, part.action) == (State.WARNING, "See worker and broker.")
    assert part.detail == ("2 in use: 1 uncertain, 1 never seen. Whether they come or go on broker is not heard.")
