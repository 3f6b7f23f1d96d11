"""Who may have no session loses it, however late it began: the round that never ends, and certificates that end."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import mqtt5
import psycopg
import pytest
from django.utils import timezone

from tds.environment import Plain
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.identity.access import agent, broker_files, broker_rules, canary, held_back, refused, slow_round
from tds.identity.access.agent import Keeper
from tds.identity.access.broker_files import Passwords
from tds.identity.access.slow_round import Kept, SlowRound
from tds.identity.authorities.authority import DEVICE_DAYS, Authority, Kind
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.models import BrokerAccess, Certificate, GatewayPassword, RevocationList
from tds.identity.revocation import in_force, signing
from tds.local import broker_config
from tests import certified, seeding
from tests import revoking as revoking_parts
from tests.certified import Unit, gets_in, opened, session
from tests.revoking import PROMISE_S, give, guarded, keeper, provision, up_to_date
from tests.running import RunningBroker, running_broker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
LATER = timedelta(minutes=2)  # than an overlap of one; lists are dated five back
LONG_WILL = mqtt5.Will("status/GW-1", payload=b" " * 2_000)  # with 1,000 bytes to come the broker waits anew at each


class Guard:
    """Worker and agent of one broker, each of whose looks the test orders; the agent's clock is its own."""

    def __init__(
        self, broker: RunningBroker, authorities: AuthorityFolder, connection: psycopg.Connection[Any]
    ) -> None:
        self.clock_s = 1_000.0
        self.keeper: Keeper = keeper(broker, clock=lambda: self.clock_s)
        self._authorities = authorities
        self._connection = connection

    def look(self, *, after_s: float = agent.LOOK_EVERY_S, worker_ahead: timedelta = timedelta(0)) -> None:
        now = timezone.now() + worker_ahead
        signing.sign_due(self._connection, self._authorities.devices(now), now=now)
        self.clock_s += after_s
        self.keeper.turn(self._connection)
        assert self.keeper.trouble == ""
        assert up_to_date()


@pytest.fixture
def guard(broker: RunningBroker, authorities: AuthorityFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    monkeypatch.setattr(agent, "WAIT_S", 0.0)
    with revoking_parts.connect() as connection:
        made = Guard(broker, authorities, connection)
        made.look()
        yield made


class Dripping:
    """A CONNECT on its way, of which the last byte is missing: one a minute would hold it for months."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        packet = mqtt5.ConnectPacket("GW-1", clean_start=True, keep_alive=0, will=LONG_WILL).write()
        self._rest = packet[-1:]
        connection.sendall(packet[:-1])

    def comes_in(self) -> None:
        self._connection.sendall(self._rest)
        self._connection.settimeout(PROMISE_S)
        packet, _size = mqtt5.read(memoryview(self._connection.recv(1_024)))
        assert isinstance(packet, mqtt5.ConnAckPacket)
        assert packet.reason_code == mqtt5.ConnAckReasonCode.SUCCESS

    def is_cut(self) -> None:
        while self._connection.recv(1_024):
            pass

    def is_in(self) -> None:
        self._connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            self._connection.recv(1_024)
        self._connection.settimeout(PROMISE_S)


# Dripped


def test_a_connect_dripped_since_before_the_revocation_does_not_keep_a_session(
    broker: RunningBroker, guard: Guard, unit: Unit, gateway: Gateway
) -> None:
    with opened(unit, broker) as connection:
        dripping = Dripping(connection)
        give(gateway, GatewayStatus.DISABLED)
        guard.look()
        guard.look(after_s=held_back.HELD_S)
        assert not guard.keeper._held_back.waiting
        dripping.comes_in()
        guard.look(after_s=slow_round.ROUND_S)
        dripping.is_cut()
    assert not gets_in(unit, broker)


def test_a_connect_dripped_since_before_the_end_of_an_overlap_does_not_keep_a_session(
    broker: RunningBroker, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No list has the certificates of an authority that is trusted no more."""
    monkeypatch.setattr(agent, "WAIT_S", 0.0)
    folder = AuthorityFolder(tmp_path / "ca")
    folder.init(timezone.now())
    unit = provision(tmp_path, folder.device(), gateway, broker)
    with revoking_parts.connect() as connection:
        guard = Guard(broker, folder, connection)
        guard.look()
        with opened(unit, broker) as held:
            dripping = Dripping(held)
            folder.rotate(Kind.DEVICE, timezone.now(), overlap_days=1 / 1_440)
            guard.look(worker_ahead=LATER)
            assert RevocationList.objects.get().issuer == "device-2"
            guard.look(after_s=held_back.HELD_S, worker_ahead=LATER)
            dripping.comes_in()
            guard.look(after_s=slow_round.ROUND_S, worker_ahead=LATER)
            dripping.is_cut()


def test_a_connect_that_a_former_owner_drips_keeps_no_session_beside_the_new_ones(
    *, broker: RunningBroker, guard: Guard, unit: Unit, gateway: Gateway, authorities: AuthorityFolder, tmp_path: Path
) -> None:
    with opened(unit, broker) as connection:
        dripping = Dripping(connection)
        give(gateway, GatewayStatus.RETIRED)
        guard.look()
        successor = seeding.gateway(seeding.tenant("outra"), gateway.code)
        new = provision(tmp_path, authorities.device(), successor, broker)
        guard.look(after_s=held_back.HELD_S)
        dripping.comes_in()
        guard.look(after_s=slow_round.ROUND_S)
        dripping.is_in()  # too short a time since the revocation for one more cut of who may come in
        Certificate.objects.filter(gateway=gateway).update(revoked_at=timezone.now() - DAY)
        guard.look(after_s=slow_round.ROUND_S)
        dripping.is_cut()
    with session(new, broker) as theirs:
        guard.look(after_s=slow_round.ROUND_S)
        assert not theirs.ended.wait(0.3)


def test_a_connect_that_a_former_owner_drips_beyond_the_end_of_his_certificate_keeps_no_session(
    *, broker: RunningBroker, guard: Guard, unit: Unit, gateway: Gateway, authorities: AuthorityFolder, tmp_path: Path
) -> None:
    with opened(unit, broker) as connection:
        dripping = Dripping(connection)
        give(gateway, GatewayStatus.RETIRED)
        guard.look()
        successor = seeding.gateway(seeding.tenant("outra"), gateway.code)
        provision(tmp_path, authorities.device(), successor, broker)
        guard.look(after_s=held_back.HELD_S)
        former = Certificate.objects.filter(gateway=gateway)
        former.update(revoked_at=timezone.now() - 30 * DAY, not_after=timezone.now() - 20 * DAY)
        dripping.comes_in()
        guard.look(after_s=slow_round.ROUND_S)
        dripping.is_cut()


def test_a_connect_can_be_dripped_for_no_longer_than_it_is_looked_for() -> None:
    assert slow_round.MAX_CONNECT_BYTES == broker_config.MAX_PACKET_BYTES
    assert timedelta(seconds=96 * broker_config.MAX_PACKET_BYTES) < slow_round.DRIPS_FOR  # 90 s, seen every 6 s


def test_who_was_to_be_cut_again_when_the_agent_was_killed_is_cut_by_the_one_that_comes_after(
    *, broker: RunningBroker, guard: Guard, unit: Unit, gateway: Gateway, authorities: AuthorityFolder, tmp_path: Path
) -> None:
    with opened(unit, broker) as connection, revoking_parts.connect() as other:
        dripping = Dripping(connection)
        give(gateway, GatewayStatus.RETIRED)
        guard.look()
        successor = seeding.gateway(seeding.tenant("outra"), gateway.code)
        provision(tmp_path, authorities.device(), successor, broker)
        guard.look(after_s=held_back.HELD_S)
        guard.look(after_s=slow_round.ROUND_S)
        dripping.comes_in()
        Certificate.objects.filter(gateway=gateway).update(revoked_at=timezone.now() - DAY)
        guard.look()  # the moment is over for all else that the agent does; and before its round it is killed
        dripping.is_in()
        Guard(broker, authorities, other).look()
        dripping.is_cut()


def test_whoever_waits_for_another_cut_is_known_to_the_next_agent() -> None:
    moment, later = timezone.now(), timezone.now() + DAY
    here = SlowRound()
    here.go_on(Kept(moment, "GW-5"), later)
    here.note(["GW-1", "GW-2"], later)
    assert here.cut_again(["GW-1"], 0.0) == Kept(moment, "GW-5")
    assert here.cut_again(["GW-2"], 0.0) == Kept(later, "GW-5")
    assert SlowRound().go_on(None, later) == later - DAY  # in a day each has a moment


def test_what_is_kept_of_the_round_is_read_again_and_nonsense_counts_for_nothing(tmp_path: Path) -> None:
    kept = Kept(timezone.now(), "GW-1")
    broker_files.keep_round(tmp_path, kept)
    assert broker_files.kept_round(tmp_path) == kept
    for nonsense in ("", "[]", '{"again_up_to": "2026-01-01T00:00:00", "after": ""}', '{"again_up_to": 1}'):
        (tmp_path / broker_files.ROUND).write_text(nonsense)
        assert broker_files.kept_round(tmp_path) is None


def test_who_is_cut_again_beside_a_good_certificate_is_cut_at_growing_intervals() -> None:
    hours = [n / 100 for n in range(100 * 24 * 10)]
    with revoking_parts.connect() as connection:
        counted = connection.execute(
            f"SELECT {refused.moments('age')} FROM unnest(%s::float8[]) WITH ORDINALITY AS of (age, n) ORDER BY n",
            ([hour * 3_600 for hour in hours],),
        ).fetchall()
    cuts = [hour for hour, (before, now) in zip(hours[1:], pairwise(counted), strict=True) if now > before]
    lengths = [later - earlier for earlier, later in pairwise(cuts)]
    assert lengths[0] < 0.1
    assert max(lengths) <= 24.01
    assert lengths[-3:] == pytest.approx([24, 24, 24], abs=0.02)
    assert len(cuts) < 24


# The round


def test_before_any_list_is_signed_the_round_cuts_no_good_gateway_off(
    broker: RunningBroker, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the worker can't read the authorities: then nobody knows which are trusted, and none is missed."""
    monkeypatch.setattr(agent, "WAIT_S", 0.0)
    RevocationList.objects.all().delete()
    clock_s = [1_000.0]
    kept = keeper(broker, clock=lambda: clock_s[0])
    with revoking_parts.connect() as connection, session(unit, broker) as good:
        for _ in range(3):
            clock_s[0] += slow_round.ROUND_S
            kept.turn(connection)
        assert kept.trouble.startswith("No revocation list was signed yet")
        assert not good.ended.wait(0.3)


def test_a_round_that_is_too_much_for_the_database_is_not_asked_for_again_at_once(
    broker: RunningBroker, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(*_arguments: object, **_values: object) -> list[str]:
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    monkeypatch.setattr(refused, "beside_good", too_slow)
    with pytest.raises(psycopg.errors.QueryCanceled):
        guard.look(after_s=slow_round.ROUND_S)
    assert not guard.keeper._round.is_due(guard.clock_s)
    guard.look()  # and all else goes on


def test_with_more_to_be_cut_again_than_have_a_turn_at_once_the_round_does_not_rest() -> None:
    here, now = SlowRound(), timezone.now()
    here.go_on(None, now)
    here.begin(0.0)
    here.stepped([], 0.0)
    here.note([f"GW-{n}" for n in range(2 * slow_round.MAX_AT_ONCE)], now)
    here.cut_again(list(here.again)[: slow_round.MAX_AT_ONCE], 0.0)
    assert here.is_due(slow_round.EVERY_S)
    assert here.rests(slow_round.EVERY_S)  # for all who may not come in: they had their turn
    here.cut_again(list(here.again), 0.0)
    assert not here.is_due(slow_round.EVERY_S)


# Settled


def test_a_tenant_that_puts_its_own_gateway_out_again_and_again_holds_nobody_elses_code_up(
    *, broker: RunningBroker, guard: Guard, unit: Unit, gateway: Gateway, authorities: AuthorityFolder, tmp_path: Path
) -> None:
    toggled = seeding.gateway(seeding.tenant("evil"), "EVIL-1")
    provision(tmp_path, authorities.device(), toggled, broker)
    give(gateway, GatewayStatus.RETIRED)
    guard.look()
    for _ in range(2):
        give(toggled, GatewayStatus.DISABLED)
        guard.look()
        guard.look(after_s=held_back.HELD_S / 2)
        give(toggled, GatewayStatus.ACTIVE)
        guard.look()
    give(toggled, GatewayStatus.DISABLED)
    guard.look()
    assert list(guard.keeper._held_back.waiting) == ["EVIL-1"]
    row, listed_in = BrokerAccess.objects.get(), Certificate.objects.get(gateway=gateway).listed_in
    assert listed_in is not None
    assert listed_in <= row.settled < row.revision


def test_an_agent_that_comes_after_a_killed_one_settles_nothing_that_it_did_not_wait_out(
    *,
    broker: RunningBroker,
    guard: Guard,
    unit: Unit,
    gateway: Gateway,
    authorities: AuthorityFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another certificate ends meanwhile, and the port for gateways answers nobody: the wait for that one is over."""
    other = seeding.gateway(seeding.tenant("outra"), "GW-9")
    provision(tmp_path, authorities.device(), other, broker)
    with opened(unit, broker) as connection, revoking_parts.connect() as database:
        dripping = Dripping(connection)
        give(gateway, GatewayStatus.RETIRED)
        guard.look()
        before = BrokerAccess.objects.get()
        assert before.settled < before.revision
        dripping.comes_in()
        Certificate.objects.filter(gateway=other).update(not_after=timezone.now())

        def full(*_arguments: object) -> None:
            raise OSError("full")

        monkeypatch.setattr(canary, "ask", full)
        clock_s = [5_000.0]
        successor = keeper(broker, clock=lambda: clock_s[0])
        successor._round.next_at = float("inf")
        for after_s in (0, held_back.EVERY_S, held_back.HELD_S, held_back.EVERY_S):
            clock_s[0] += after_s
            successor.turn(database)
        dripping.is_cut()
        assert BrokerAccess.objects.get().settled == before.settled
        monkeypatch.undo()
        monkeypatch.setattr(agent, "WAIT_S", 0.0)
        clock_s[0] += agent.RETRY_MAX_S
        successor.turn(database)
    after = BrokerAccess.objects.get()
    assert (after.settled, after.detail) == (after.revision, "")


def test_a_broker_that_lets_in_whom_its_list_names_has_settled_nothing_until_all_of_it_was_waited_out(
    *,
    broker: RunningBroker,
    guard: Guard,
    unit: Unit,
    gateway: Gateway,
    authorities: AuthorityFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    another = seeding.gateway(gateway.tenant, "GW-2")
    provision(tmp_path, authorities.device(), another, broker)
    give(gateway, GatewayStatus.RETIRED)
    guard.look()
    guard.look(after_s=held_back.HELD_S)
    row = BrokerAccess.objects.get()
    assert row.settled == row.revision

    def lets_in(*_arguments: object) -> None:
        raise canary.NotEnforcedError("The broker lets in whom its revocation list names.")

    with monkeypatch.context() as patched:
        patched.setattr(canary, "ask", lets_in)
        give(another, GatewayStatus.DISABLED)  # that somebody's time is over says nothing either
        for _ in range(2):
            with pytest.raises(AssertionError, match="lets in whom"):
                guard.look(after_s=agent.ASK_EVERY_S)
            assert BrokerAccess.objects.get().settled == 0
    guard.look(after_s=agent.RETRY_RELOAD_MAX_S)
    assert BrokerAccess.objects.get().settled == 0
    guard.look(after_s=held_back.HELD_S)
    row = BrokerAccess.objects.get()
    assert row.settled == row.revision


# Who may not come in


def test_a_gateway_that_comes_in_by_password_is_left_alone_by_the_round_and_without_one_it_is_not(
    authorities: AuthorityFolder, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "WAIT_S", 0.0)
    gateway = seeding.gateway(acme, "GW-1")
    GatewayPassword.objects.create(gateway=gateway, hash=broker_rules.hashed("secret"))
    with (
        running_broker(authorities=authorities, access=Plain.PASSWORD) as broker,
        revoking_parts.connect() as connection,
    ):
        provision(tmp_path, authorities.device(), gateway, broker)
        Certificate.objects.update(not_after=timezone.now() - DAY)
        guard = Guard(broker, authorities, connection)
        guard.keeper.passwords = lambda _now: Passwords.TAKEN
        guard.look()
        with certified.with_password("GW-1", "secret", broker) as mine:
            guard.look(after_s=slow_round.ROUND_S)
            assert not mine.ended.wait(0.3)
            guard.keeper.passwords = lambda _now: Passwords.NONE  # as if the file were not the agent's
            guard.look(after_s=slow_round.ROUND_S)
            assert mine.ended.wait(PROMISE_S)


def test_of_very_many_who_may_not_come_in_each_has_its_turn_in_the_round_and_nobody_else(
    guard: Guard, unit: Unit, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seeding.own_connection() as connection:
        certified.register(connection, acme.pk, 3 * slow_round.MAX_AT_ONCE, refused=2 * slow_round.MAX_AT_ONCE)
    guard.look()
    guard.look(after_s=held_back.HELD_S)
    cut: list[list[str]] = []
    monkeypatch.setattr(type(guard.keeper.broker.services), "take_over", lambda _self, codes: cut.append(list(codes)))
    guard.keeper._round.after, guard.keeper._round.next_at, guard.keeper._round.begun_at = "", 0.0, 0.0
    for _ in range(3):
        guard.look(after_s=slow_round.EVERY_S)
    taken = [code for codes in cut for code in codes]
    assert len(taken) == len(set(taken)) == 2 * slow_round.MAX_AT_ONCE
    assert max(map(len, cut)) == slow_round.MAX_AT_ONCE
    assert not guard.keeper._round.is_due(guard.clock_s + slow_round.EVERY_S)
    assert unit.code not in taken


# What ends by itself


def test_a_session_ends_with_its_certificate(
    broker: RunningBroker, guard: Guard, device: Authority, gateway: Gateway, tmp_path: Path
) -> None:
    nearly_over = timezone.now() - DEVICE_DAYS * DAY + timedelta(seconds=8)
    unit = provision(tmp_path, device, gateway, broker, now=nearly_over)
    with session(unit, broker) as outliving:
        guard.look()
        assert not outliving.ended.is_set()
        wait_until(lambda: Certificate.objects.get().not_after < timezone.now(), "the end")
        guard.look()
        assert outliving.ended.wait(PROMISE_S)
    assert not gets_in(unit, broker)


def test_a_session_whose_certificate_ended_while_no_agent_ran_is_cut_by_the_next_one(
    *, broker: RunningBroker, authorities: AuthorityFolder, guard: Guard, unit: Unit
) -> None:
    with session(unit, broker) as outliving, revoking_parts.connect() as connection:
        BrokerAccess.objects.update(as_of=timezone.now() - 60 * DAY)
        Certificate.objects.update(not_after=timezone.now() - 50 * DAY)
        Guard(broker, authorities, connection).look()
        assert outliving.ended.wait(PROMISE_S)


def test_a_session_whose_certificate_ended_long_ago_is_found_by_the_round(
    broker: RunningBroker, guard: Guard, unit: Unit
) -> None:
    with session(unit, broker) as outliving:
        Certificate.objects.update(not_after=timezone.now() - 50 * DAY)  # before the last look
        guard.look()
        assert not outliving.ended.wait(0.3)
        guard.look(after_s=slow_round.ROUND_S)
        assert outliving.ended.wait(PROMISE_S)


def test_a_session_by_a_certificate_that_was_refused_and_ended_long_ago_is_cut_with_a_lost_list(
    guard: Guard, gateway: Gateway, unit: Unit
) -> None:
    give(gateway, GatewayStatus.DISABLED)
    guard.look()
    Certificate.objects.update(not_after=timezone.now() - slow_round.DRIPS_FOR - DAY)
    with revoking_parts.connect() as connection:
        assert refused.listed(connection, after=0, up_to=RevocationList.objects.get().revision) == [unit.code]
        [held] = refused.held(connection, [unit.code], passwords=False)
        assert (held.refused, held.good) == (False, False)


@pytest.mark.parametrize("days", [1, 50])
def test_disabling_a_gateway_whose_certificate_ended_waits_for_the_brokers_all_the_same(
    broker: RunningBroker, authorities: AuthorityFolder, gateway: Gateway, unit: Unit, days: int
) -> None:
    with guarded(broker, authorities):
        Certificate.objects.update(not_after=timezone.now() - days * DAY)
        give(gateway, GatewayStatus.DISABLED)
        assert in_force.follow(gateway).wait().in_force
    give(gateway, GatewayStatus.ACTIVE)
    assert in_force.follow(gateway).wait().in_force is None  # nothing lets it in, and nobody has to do anything
    Certificate.objects.update(listed_in=None)
    give(gateway, GatewayStatus.DISABLED)
    outcome = in_force.follow(gateway).wait(limit_s=0.1)  # without worker and agent
    assert outcome.in_force is False
    assert outcome.trouble


def test_one_of_two_certificates_that_ends_cuts_nobody_off(
    *, broker: RunningBroker, guard: Guard, device: Authority, gateway: Gateway, unit: Unit, tmp_path: Path
) -> None:
    former = Certificate.objects.get()
    renewed = provision(tmp_path, device, gateway, broker)
    with session(renewed, broker) as theirs:
        BrokerAccess.objects.update(as_of=timezone.now() - 2 * DAY)
        Certificate.objects.filter(pk=former.pk).update(not_after=timezone.now() - DAY)
        guard.keeper._ended_by = timezone.now() - 2 * DAY
        guard.look()
        guard.look(after_s=slow_round.ROUND_S)
        assert not theirs.ended.wait(0.3)
