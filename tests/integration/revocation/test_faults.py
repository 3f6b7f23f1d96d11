"""Putting gateways out while something breaks: broker, agent, database, files, clocks; and when a trust ends."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from tds.environment import Plain
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.identity.access import agent, broker_files, broker_process, broker_rules, reached, reloading
from tds.identity.access.broker_files import Passwords
from tds.identity.access.services_listener import ServicesListener
from tds.identity.authorities import tls_files
from tds.identity.authorities.authority import Authority, Kind
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.models import BrokerAccess, GatewayPassword, RevocationList
from tds.identity.revocation import in_force, signing
from tds.identity.revocation.signing import Revoking
from tds.local import certificates
from tests import certified, connecting, seeding
from tests import revoking as revoking_parts
from tests.certified import Unit, gets_in, session
from tests.consuming import managed
from tests.revoking import PROMISE_S, give, guarded, keeper, newest_list, provision, running, up_to_date, wait_cut
from tests.running import RunningBroker, RunningCluster, running_broker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


# What breaks meanwhile


def test_a_broker_that_was_killed_refuses_from_its_start_on_what_was_put_out_meanwhile(
    authorities: AuthorityFolder, device: Authority, acme: Tenant, tmp_path: Path
) -> None:
    first, second = [seeding.gateway(acme, code) for code in ("GW-1", "GW-2")]
    with running_broker(authorities=authorities) as mortal, guarded(mortal, authorities):
        one, two = [provision(tmp_path, device, each, mortal) for each in (first, second)]
        assert gets_in(one, mortal)
        mortal.kill()
        before = newest_list()
        give(first, GatewayStatus.DISABLED)
        wait_until(lambda: newest_list() > before, "the list", PROMISE_S)
        wait_until(lambda: "does not run" in BrokerAccess.objects.get().detail, "the trouble", PROMISE_S)
        outcome = in_force.follow(first).wait(limit_s=1.0)
        assert outcome.in_force is False
        assert "broker: The broker does not run" in outcome.told("cut off")
        mortal.start()
        wait_until(up_to_date, "the broker's being up to date", PROMISE_S)
        assert not gets_in(one, mortal)
        assert gets_in(two, mortal)
        mortal.restart()
        assert not gets_in(one, mortal)
        with session(two, mortal) as cut:
            wait_cut(cut, give(second, GatewayStatus.DISABLED))


def steps() -> list[tuple[str, object, str]]:
    """All that the agent does one after the other to put a list in force."""
    return [
        ("the mark of a beginning", broker_files, "mark_begun"),
        ("the files", broker_files, "put"),
        ("SIGHUP", broker_process, "reload"),
        ("the cut", ServicesListener, "take_over"),
        ("the row", reached, "write"),
        ("the mark of the end", broker_files, "mark"),
    ]


class KilledError(BaseException):
    """What kill -9 is to a process."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("what", "where", "name"), steps(), ids=[what for what, _, _ in steps()])
def test_an_agent_that_is_killed_at_any_step_leaves_nobody_uncut_to_the_next_one(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    where: Any,
    name: str,
    after: bool,
) -> None:
    with revoking_parts.connect() as connection:
        signing.sign_due(connection, authorities.devices(timezone.now()), now=timezone.now())
        keeper(broker).turn(connection)
        assert up_to_date()
        with session(unit, broker) as cut:
            give(gateway, GatewayStatus.DISABLED)
            signing.sign_due(connection, authorities.devices(timezone.now()), now=timezone.now())
            with monkeypatch.context() as patched:
                patched.setattr(where, name, killed(getattr(where, name), after=after))
                with pytest.raises(KilledError):
                    keeper(broker).turn(connection)
            keeper(broker).turn(connection)
            wait_cut(cut, monotonic())
            assert up_to_date()
            assert not gets_in(unit, broker)


def killed(call: Callable[..., object], *, after: bool) -> Callable[..., object]:
    def killing(*arguments: object, **options: object) -> object:
        if after:
            call(*arguments, **options)
        raise KilledError

    return killing


def test_the_agents_process_needs_no_authority_and_goes_on_after_kill_9(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, tmp_path: Path
) -> None:
    home = tmp_path / "agent/home"
    (home / "secrets").mkdir(parents=True, mode=0o700)
    (home / "secrets/mqtt_agent").write_text(broker.broker.passwords[broker_rules.AGENT])
    (home / "broker").symlink_to(broker.broker.folder)
    variables = {"TDS_MQTT_TLS_PORT": str(broker.broker.listeners.tls), "TDS_CA_DIR": "/nonexistent"}
    with running([Revoking(authorities, timezone.now).turn]), session(unit, broker) as cut:
        with managed(tmp_path / "agent", "broker_agent", **variables) as process:
            wait_until(up_to_date, "the broker's being up to date")
            process.kill()
        began = give(gateway, GatewayStatus.DISABLED)
        with managed(tmp_path / "agent", "broker_agent", **variables) as process:
            wait_cut(cut, began, limit_s=20)
            assert not gets_in(unit, broker)
            assert process.terminate() == 0
            assert process.errors == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account; else agent and broker are one")
def test_as_the_brokers_own_account_the_agent_can_do_all_that_it_has_to(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    account = broker.broker.account
    assert account
    kept = keeper(broker)
    with revoking_parts.connect() as connection, session(unit, broker) as cut:
        for status in (GatewayStatus.ACTIVE, GatewayStatus.DISABLED):
            began = give(gateway, status)
            signing.sign_due(connection, authorities.devices(timezone.now()), now=timezone.now())
            os.setegid(account.gid)
            os.seteuid(account.uid)
            try:
                kept.turn(connection)
            finally:
                os.seteuid(0)
                os.setegid(0)
            assert kept.trouble == ""
            assert up_to_date()
        wait_cut(cut, began)
        assert not gets_in(unit, broker)


def test_while_the_database_is_away_it_is_said_and_goes_on_after_it(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    cluster: RunningCluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with guarded(broker, authorities), session(unit, broker) as cut:
        connections.close_all()
        cluster.stop()
        try:
            wait_until(lambda: caplog.text.count("Database unavailable") >= 2, "a word of it")
            assert not cut.ended.is_set()
        finally:
            cluster.start()
        began = give(gateway, GatewayStatus.DISABLED)
        wait_cut(cut, began)
        assert not gets_in(unit, broker)
    assert "Traceback" not in caplog.text


def test_files_that_somebody_changed_are_put_right(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "LOOK_EVERY_S", 0.2)
    with guarded(broker, authorities):
        give(gateway, GatewayStatus.DISABLED)
        assert in_force.follow(gateway).wait().in_force
        listed = (broker.broker.tls / tls_files.REVOKED).read_bytes()
        (broker.broker.tls / tls_files.REVOKED).unlink()
        broker.reload()  # which lets everybody in: mosquitto has no list to look at
        wait_until((broker.broker.tls / tls_files.REVOKED).exists, "the list", PROMISE_S)
        wait_until(lambda: not gets_in(unit, broker), "the refusal", PROMISE_S)
        assert (broker.broker.tls / tls_files.REVOKED).read_bytes() == listed


def test_a_list_that_the_broker_can_not_read_is_found_and_nothing_counts_as_done(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mosquitto then lets everybody in, and says so in its log alone."""
    with guarded(broker, authorities):
        before = BrokerAccess.objects.get().revision
        monkeypatch.setitem(broker_files.MODES, tls_files.REVOKED, 0o000)
        give(gateway, GatewayStatus.DISABLED)
        wait_until(lambda: "could not read" in BrokerAccess.objects.get().detail, "the trouble", PROMISE_S)
        assert BrokerAccess.objects.get().revision == before
        monkeypatch.undo()
        (broker.broker.tls / tls_files.REVOKED).unlink()
        wait_until(up_to_date, "the broker's being up to date", PROMISE_S)
        assert not gets_in(unit, broker)


def test_a_clock_that_is_set_back_turns_nobody_away_for_long(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit
) -> None:
    """The lists were signed in what is the future now, and servers refuse everybody for such a list."""
    with revoking_parts.connect() as connection:
        ahead = timezone.now() + timedelta(hours=2)
        signing.sign_due(connection, authorities.devices(ahead), now=ahead)
        tried = keeper(broker)
        tried.turn(connection)
        assert (
            "turns every gateway away: for it the certificate or the revocation list is not valid yet" in tried.trouble
        )
        assert not gets_in(unit, broker)
        before = RevocationList.objects.get().this_update
        signed = signing.sign_due(connection, authorities.devices(timezone.now()), now=timezone.now())
        assert signed.issuers == ("device-1",)
        assert RevocationList.objects.get().this_update < before
        keeper(broker).turn(connection)
        assert up_to_date()
        assert gets_in(unit, broker)


def test_a_database_that_was_put_back_has_everybody_cut_off_whom_it_refuses(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    """Its revisions begin again lower than those that the broker's folder knows of."""
    with revoking_parts.connect() as connection:
        now = timezone.now()
        signing.sign_due(connection, authorities.devices(now), now=now)
        keeper(broker).turn(connection)
        with session(unit, broker) as cut:
            give(gateway, GatewayStatus.DISABLED)
            signing.sign_due(connection, authorities.devices(now), now=now + timedelta(seconds=2))
            # As if the broker's row had been that far when the backup was made.
            BrokerAccess.objects.update(revision=RevocationList.objects.get().revision)
            keeper(broker).turn(connection)
            wait_cut(cut, monotonic())


# What a reload of mosquitto 2.0 does besides


def test_gateways_that_are_away_with_sessions_that_end_by_themselves_are_no_harm_to_the_broker(
    broker: RunningBroker, authorities: AuthorityFolder, device: Authority, acme: Tenant, tmp_path: Path
) -> None:
    """A reload as such notes their end twice, and the broker dies of it within some rounds: see reloading.py."""
    gateways = [seeding.gateway(acme, f"GW-{n}") for n in range(5)]
    victim, *away = [provision(tmp_path, device, each, broker) for each in gateways]
    assert broker.process
    with revoking_parts.connect() as connection:
        kept = keeper(broker)
        for number in range(16):
            for each in away:
                with session(each, broker) as there:
                    assert there.present is (number > 0)
            give(gateways[0], GatewayStatus.ACTIVE if number % 2 else GatewayStatus.DISABLED)
            signing.sign_due(connection, authorities.devices(timezone.now()), now=timezone.now())
            kept.turn(connection)
            assert up_to_date()
    assert broker.process.poll() is None
    assert gets_in(victim, broker)


def test_services_that_are_connected_meanwhile_keep_the_rights_that_they_need(
    broker: RunningBroker, authorities: AuthorityFolder, gateway: Gateway, unit: Unit
) -> None:
    """mosquitto forgets the rules for users of who is connected; the rules for the listener stay."""
    with (
        guarded(broker, authorities),
        connecting.service(broker, broker_rules.CONSUMER) as consumer,
        connecting.service(broker, broker_rules.DEVICELINK) as link,
    ):
        consumer.subscribe("telemetry/+/+/data")
        link.subscribe("status/+", "ota/+/status")
        give(gateway, GatewayStatus.DISABLED)
        assert in_force.follow(gateway).wait().in_force
        for service, topic in (
            (consumer, "telemetry/GW-9/D01/data"),
            (link, "status/GW-9"),
            (link, "ota/GW-9/update"),
            (link, "ota/update"),
        ):
            assert service.publish(topic) in {0, connecting.NOBODY}
        consumer.got("telemetry/GW-9/D01/data")
        link.got("status/GW-9")
        assert link.publish("telemetry/GW-9/D01/data") in {0, connecting.REFUSED}
        with connecting.service(broker, broker_rules.STATUS) as status:
            assert status.publish("telemetry/GW-9/D01/data") == connecting.REFUSED


def test_an_agent_that_was_killed_while_the_broker_read_leaves_no_broker_that_can_not_start(
    authorities: AuthorityFolder, device: Authority
) -> None:
    with running_broker(authorities=authorities) as other, revoking_parts.connect() as connection:
        (other.broker.tls / reloading.RELOAD_END).rename(other.broker.tls / reloading.AWAY)
        signing.sign_due(connection, [device], now=timezone.now())
        keeper(other).turn(connection)
        assert up_to_date()
        assert not (other.broker.tls / reloading.AWAY).is_symlink()
        other.restart()
        # Nor does one that nobody mended: a start makes what is missing.
        (other.broker.tls / reloading.RELOAD_END).rename(other.broker.tls / reloading.AWAY)
        other.broker.create()
        other.restart()
        keeper(other).turn(connection)
        assert not (other.broker.tls / reloading.AWAY).is_symlink()
        assert (other.broker.tls / reloading.RELOAD_END).is_symlink()


# Authorities


def test_two_authorities_have_a_list_each_and_the_old_one_is_out_when_its_overlap_ends(
    broker: RunningBroker, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "UNASKED_EVERY_S", 0.2)
    folder = AuthorityFolder(tmp_path / "ca")
    folder.init(timezone.now())
    (tmp_path / "units").mkdir()
    gateways = {code: seeding.gateway(acme, code) for code in ("OLD-1", "OLD-2", "NEW-1", "NEW-2")}
    former = {
        code: provision(tmp_path / "units", folder.device(), gateways[code], broker) for code in ("OLD-1", "OLD-2")
    }
    later: list[timedelta] = []
    with guarded(broker, folder, lambda: timezone.now() + sum(later, timedelta(0))):
        folder.rotate(Kind.DEVICE, timezone.now(), overlap_days=2 / 1_440)
        newer = {
            code: provision(tmp_path / "units", folder.device(), gateways[code], broker) for code in ("NEW-1", "NEW-2")
        }
        wait_until(lambda: RevocationList.objects.count() == 2 and up_to_date(), "both lists", PROMISE_S)
        with session(former["OLD-1"], broker) as old, session(newer["NEW-1"], broker) as new:
            for code in ("OLD-2", "NEW-2"):
                give(gateways[code], GatewayStatus.DISABLED)
                assert in_force.follow(gateways[code]).wait().in_force
            assert not gets_in(former["OLD-2"], broker)
            assert not gets_in(newer["NEW-2"], broker)
            assert not old.ended.is_set()
            later.append(timedelta(minutes=3))
            # Not the old authority's list any more, nor its trust: who has not renewed by now is out.
            assert old.ended.wait(PROMISE_S)
            assert not gets_in(former["OLD-1"], broker)
            assert not new.ended.is_set()
            assert RevocationList.objects.get().issuer == "device-2"


def test_without_the_authorities_keys_the_worker_says_what_to_do_and_signs_when_they_are_back(
    unit: Unit, authorities: AuthorityFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = AuthorityFolder(tmp_path / "none")
    lane = Revoking(missing, timezone.now)
    with revoking_parts.connect() as connection:
        lane.turn(connection)
        assert "./tds ca init" in lane.trouble
        assert lane.trouble in caplog.text
        assert not RevocationList.objects.exists()
        missing.init(timezone.now())
        lane._changed = True
        lane.turn(connection)
        assert lane.trouble == ""
        assert RevocationList.objects.get().issuer == "device-1"


# Passwords


@pytest.fixture
def open_broker(authorities: AuthorityFolder) -> Iterator[RunningBroker]:
    """One where gateways come in with passwords as well."""
    with running_broker(authorities=authorities, access=Plain.PASSWORD) as running_one:
        yield running_one


def test_a_password_that_is_taken_away_and_one_whose_last_day_is_over_end_the_session(
    open_broker: RunningBroker, authorities: AuthorityFolder, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "LOOK_EVERY_S", 0.2)
    gateways = [seeding.gateway(acme, f"GW-{n}") for n in range(3)]
    for each in gateways:
        GatewayPassword.objects.create(gateway=each, hash=broker_rules.hashed(f"secret of {each.code}"))
    over: list[bool] = []
    kept = keeper(open_broker, passwords=lambda _now: Passwords.OVER if over else Passwords.TAKEN)
    with running([Revoking(authorities, timezone.now).turn, kept.turn]), ExitStack() as stack:
        wait_until(up_to_date, "the broker's being up to date")
        first, second, third = [
            stack.enter_context(certified.with_password(each.code, f"secret of {each.code}", open_broker))
            for each in gateways
        ]
        GatewayPassword.objects.filter(gateway=gateways[0]).delete()
        assert first.ended.wait(PROMISE_S)
        following = in_force.follow(gateways[1])
        give(gateways[1], GatewayStatus.DISABLED)
        assert following.wait().in_force
        assert second.ended.wait(PROMISE_S)
        assert not third.ended.is_set()
        over.append(True)
        assert third.ended.wait(PROMISE_S)


def test_whoever_came_in_while_the_list_was_not_in_force_is_cut_off_when_it_is(
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that was refused long before, by a list that was in force then."""
    other = seeding.gateway(gateway.tenant, "GW-OTHER")
    provision(broker.broker.folder, authorities.device(), other, broker)
    give(gateway, GatewayStatus.DISABLED)
    with running([signing.Revoking(authorities, timezone.now).turn]):
        with running([keeper(broker).turn]):
            wait_until(up_to_date, "the list in force")
        BrokerAccess.objects.update(settled=BrokerAccess.objects.get().revision)  # nobody is waited for any more
        with running([keeper(broker).turn]):
            monkeypatch.setitem(broker_files.MODES, tls_files.REVOKED, 0o000)
            give(other, GatewayStatus.DISABLED)
            wait_until(lambda: "could not read" in BrokerAccess.objects.get().detail, "the trouble", PROMISE_S)
            with session(unit, broker) as slipped_in:
                monkeypatch.setitem(broker_files.MODES, tls_files.REVOKED, 0o644)
                (broker.broker.tls / tls_files.REVOKED).unlink()
                wait_cut(slipped_in, monotonic(), 4 * PROMISE_S)
    assert not gets_in(unit, broker)


def test_whoever_came_in_over_a_list_that_was_lost_is_cut_off_when_it_is_back(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    give(gateway, GatewayStatus.DISABLED)
    with running([signing.Revoking(authorities, timezone.now).turn]):
        with running([keeper(broker).turn]):
            wait_until(up_to_date, "the list in force")
        BrokerAccess.objects.update(settled=BrokerAccess.objects.get().revision)
        broker.stop()
        (broker.broker.tls / tls_files.REVOKED).unlink()
        certificates.make(broker.broker.tls, authorities, ["localhost", "127.0.0.1"], timezone.now())  # as a start does
        broker.broker.create()
        broker.start()
        with session(unit, broker) as slipped_in, running([keeper(broker).turn]):
            wait_cut(slipped_in, monotonic(), 4 * PROMISE_S)
    assert not gets_in(unit, broker)
