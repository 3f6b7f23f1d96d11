"""Gateways that are put out: on a real broker and database, with others beside them that notice nothing."""

import ssl
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import mqtt5
import pytest
from django.utils import timezone

from tds.fleet import audit
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.identity.access import broker_rules, held_back
from tds.identity.access.services_listener import BrokerSilentError, ServicesListener
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.enrolment import claims
from tds.identity.issued import certificates
from tds.identity.models import Certificate, ClaimCode, GatewayPassword
from tds.identity.revocation import in_force
from tests import certified, seeding
from tests.certified import Unit, consumer, gets_in, opened, session
from tests.revoking import PROMISE_S, give, guarded, keeper, provision, running, up_to_date, wait_cut
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

REGISTERED = 10_000
AT_ONCE = 20


# Cut off, let in again


def test_a_disabled_gateway_is_cut_off_while_others_notice_nothing_and_enabled_it_is_let_in(
    broker: RunningBroker, authorities: AuthorityFolder, acme: Tenant, tmp_path: Path
) -> None:
    gateways = [seeding.gateway(acme, f"GW-{n}") for n in range(4)]
    victim, *units_of_others = [provision(tmp_path, authorities.device(), each, broker) for each in gateways]
    with guarded(broker, authorities), consumer(broker) as came, session(victim, broker) as cut, ExitStack() as stack:
        others = [stack.enter_context(session(each, broker)) for each in units_of_others]
        began, number = give(gateways[0], GatewayStatus.DISABLED), 0
        while not cut.ended.is_set():
            for other in others:
                other.publish(number)
            number += 1
            cut.ended.wait(0.005)
            assert monotonic() - began < PROMISE_S
        assert not gets_in(victim, broker)
        sent = [f"{other.unit.code} {n}" for other in others for n in range(number)]
        wait_until(lambda: sorted(came) == sorted(sent), "the others' messages", PROMISE_S)
        give(gateways[0], GatewayStatus.ACTIVE)
        wait_until(lambda: gets_in(victim, broker), "the enabled gateway's session", PROMISE_S)
        assert not any(other.ended.is_set() for other in others)
        assert [other.ups for other in others] == [1, 1, 1]


def test_a_gateway_that_never_gives_up_stays_out_for_as_long_as_it_is_disabled(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    with guarded(broker, authorities), session(unit, broker, retry_s=0.05) as stubborn:
        wait_cut(stubborn, give(gateway, GatewayStatus.DISABLED))
        ups = stubborn.ups
        tries = stubborn.tries
        assert not stubborn.up.wait(1)
        assert stubborn.tries > tries + 5
        assert stubborn.ups == ups == 1
        give(gateway, GatewayStatus.ACTIVE)
        assert stubborn.up.wait(PROMISE_S)


def test_the_session_that_the_broker_keeps_for_a_refused_gateway_goes_too(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    with guarded(broker, authorities):
        with session(unit, broker, subscribe="ota/GW-1/update"):
            pass
        give(gateway, GatewayStatus.DISABLED)
        wait_until(up_to_date, "the cut", PROMISE_S)
        assert in_force.follow(gateway).wait().in_force
        give(gateway, GatewayStatus.ACTIVE)
        assert in_force.follow(gateway).wait().in_force
        with session(unit, broker) as again:
            assert not again.present


def test_of_a_cut_session_the_will_is_published(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    with guarded(broker, authorities), certified.presence(broker) as said, session(unit, broker):
        give(gateway, GatewayStatus.DISABLED)
        wait_until(lambda: said == ["status/GW-1 offline"], "the will", PROMISE_S)


# Retired, and a new owner


def test_a_retired_gateway_is_out_by_serial_number_and_its_claim_code_and_password_are_void(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    claims.make(gateway, now=timezone.now(), by=audit.COMMAND_LINE)
    GatewayPassword.objects.create(gateway=gateway, hash=broker_rules.hashed("x"))
    with guarded(broker, authorities), session(unit, broker) as cut:
        wait_cut(cut, give(gateway, GatewayStatus.RETIRED))
    certificate, claim = Certificate.objects.get(), ClaimCode.objects.get()
    assert certificate.revoked_at == claim.revoked_at == Gateway.objects.get().retired_at
    assert certificate.revocation_reason == "cessationOfOperation"
    assert not GatewayPassword.objects.exists()


def test_after_a_change_of_owner_the_former_certificate_is_refused_and_the_new_one_of_the_same_code_works(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_back, "EVERY_S", 0.2)
    with guarded(broker, authorities):
        give(gateway, GatewayStatus.RETIRED)
        assert in_force.follow(gateway).wait().in_force
        successor = seeding.gateway(seeding.tenant("outra"), gateway.code)
        new = provision(tmp_path, authorities.device(), successor, broker)
        with session(new, broker) as theirs:
            assert not gets_in(unit, broker)
            # Nor does what the agent does about connections that the former owner may have held back.
            assert not theirs.ended.wait(1.0)
            assert not gets_in(unit, broker)


def test_a_certificate_that_was_issued_while_its_gateway_was_retired_is_refused(
    broker: RunningBroker, authorities: AuthorityFolder, gateway: Gateway, tmp_path: Path
) -> None:
    with guarded(broker, authorities):
        give(gateway, GatewayStatus.RETIRED)
        late = provision(tmp_path, authorities.device(), gateway, broker)
        assert in_force.follow(gateway).wait().in_force
        assert not gets_in(late, broker)


def test_one_certificate_is_revoked_and_another_of_the_same_gateway_stays_good(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, tmp_path: Path
) -> None:
    stolen = Certificate.objects.get()
    renewed = provision(tmp_path, authorities.device(), gateway, broker)
    with guarded(broker, authorities), session(unit, broker) as cut:
        began = monotonic()
        certificates.revoke(stolen, "keyCompromise", by=audit.COMMAND_LINE, now=timezone.now())
        wait_cut(cut, began)
        assert not gets_in(unit, broker)
        assert gets_in(renewed, broker)


# Attacks


def test_a_connection_held_back_from_before_the_revocation_does_not_become_a_session(
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TLS is done, CONNECT is not: the broker looks at the certificate no second time."""
    monkeypatch.setattr(held_back, "EVERY_S", 0.5)
    with guarded(broker, authorities), opened(unit, broker) as held:
        give(gateway, GatewayStatus.DISABLED)
        assert in_force.follow(gateway).wait().in_force
        held.sendall(mqtt5.ConnectPacket("GW-1", clean_start=True, keep_alive=0).write())
        held.settimeout(PROMISE_S)
        while held.recv(1_024):  # CONNACK, DISCONNECT, the end
            pass


def test_held_back_connections_are_looked_for_by_the_agent_that_comes_after_a_killed_one(
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_back, "EVERY_S", 0.5)
    with opened(unit, broker) as held:
        with guarded(broker, authorities):
            give(gateway, GatewayStatus.DISABLED)
            assert in_force.follow(gateway).wait().in_force
        with running([keeper(broker).turn]):
            held.sendall(mqtt5.ConnectPacket("GW-1", clean_start=True, keep_alive=0).write())
            held.settimeout(PROMISE_S)
            while held.recv(1_024):
                pass


def answered(unit: Unit, broker: RunningBroker, context: ssl.SSLContext, tls_session: ssl.SSLSession | None) -> bool:
    """Whether the broker has an answer to CONNECT. How it says no depends on who is faster."""
    try:
        with opened(unit, broker, context, tls_session) as connection:
            connection.sendall(mqtt5.ConnectPacket("GW-1").write())
            return bool(connection.recv(1_024))
    except OSError:
        return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_tls_session_from_before_the_revocation_is_not_resumed(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, version: ssl.TLSVersion
) -> None:
    """A ticket stands for a certificate that was looked at once."""
    context = unit.context()
    context.minimum_version = context.maximum_version = version
    with guarded(broker, authorities):
        tls_session = None
        for resumed in (False, True):
            with opened(unit, broker, context, tls_session) as connection:
                connection.sendall(mqtt5.ConnectPacket("GW-1").write())
                assert connection.recv(1_024)
                assert connection.session_reused is resumed
                tls_session = connection.session
        give(gateway, GatewayStatus.DISABLED)
        assert in_force.follow(gateway).wait().in_force
        assert not answered(unit, broker, context, tls_session)


def test_the_services_listener_ends_no_session_without_the_agents_password(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit
) -> None:
    listener = ServicesListener("127.0.0.1", broker.broker.listeners.services, broker_rules.AGENT, "guessed")
    with guarded(broker, authorities), session(unit, broker) as untouched:
        with pytest.raises(BrokerSilentError, match="does not know the agent's password"):
            listener.take_over(["GW-1"])
        assert not untouched.ended.wait(0.3)


# Many


def test_twenty_of_ten_thousand_are_cut_off_at_once(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    acme: Tenant,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()  # a list a second, as it is
    with seeding.own_connection() as connection:
        certified.register(connection, acme.pk, REGISTERED, refused=REGISTERED // 2)
    gateways = [seeding.gateway(acme, f"GW-{n}") for n in range(AT_ONCE + 1)]
    *victims, bystander = [provision(tmp_path, authorities.device(), each, broker) for each in gateways]
    assert broker.process
    with guarded(broker, authorities), ExitStack() as stack:
        cut = [stack.enter_context(session(victim, broker)) for victim in victims]
        other = stack.enter_context(session(bystander, broker))
        before = certified.resident_mib(broker.process.pid)
        began = monotonic()
        for each in gateways[:AT_ONCE]:
            give(each, GatewayStatus.DISABLED)
        for ended in cut:
            wait_cut(ended, began)
        assert not any(gets_in(victim, broker) for victim in victims[:3])
        assert not other.ended.is_set()
        after = certified.resident_mib(broker.process.pid)
    took = max(ended.ended_at for ended in cut) - began
    with capsys.disabled():
        print(f"\n{AT_ONCE} of {REGISTERED:,} cut off in {took:.2f} s; broker {before:.0f} → {after:.0f} MiB")
    assert after < 100
    assert Certificate.objects.filter(listed_in__isnull=False).count() == REGISTERED // 2 + AT_ONCE
