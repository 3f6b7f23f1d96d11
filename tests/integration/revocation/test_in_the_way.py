"""Sessions are ended whatever keeps the rest from being done: a port that is full, no files, a clock, a busy broker."""

import errno
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import mqtt5
import psycopg
import pytest
from django.conf import settings
from django.utils import timezone

from tds.fleet import audit
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.identity.access import (
    agent,
    broker_files,
    broker_process,
    broker_rules,
    canary,
    passwords,
    reached,
    reloading,
    services_listener,
)
from tds.identity.access.broker_files import Passwords
from tds.identity.access.broker_process import BrokerProcess
from tds.identity.authorities.authority import Kind
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.models import BrokerAccess, GatewayPassword, RevocationList
from tds.identity.revocation import in_force, signing
from tds.identity.revocation.signing import Revoking
from tds.local import prepare
from tds.local.broker import CONSUMER_CLIENT_ID
from tests import connecting, seeding
from tests import revoking as revoking_parts
from tests.certified import Unit, gets_in, opened, session
from tests.revoking import NAME, PROMISE_S, give, guarded, keeper, newest_list, up_to_date
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(authorities: AuthorityFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """With a first list signed."""
    monkeypatch.setattr(agent, "WAIT_S", 0.0)
    with revoking_parts.connect() as found:
        sign(found, authorities)
        yield found


@pytest.fixture
def reloads(monkeypatch: pytest.MonkeyPatch) -> list[BrokerProcess]:
    """Each costs the broker memory."""
    found: list[BrokerProcess] = []
    reload = broker_process.reload

    def counted(process: BrokerProcess) -> bool:
        found.append(process)
        return reload(process)

    monkeypatch.setattr(broker_process, "reload", counted)
    return found


def sign(connection: psycopg.Connection[Any], authorities: AuthorityFolder, ahead: timedelta = timedelta(0)) -> None:
    now = timezone.now() + ahead
    signing.sign_due(connection, authorities.devices(now), now=now)


# What the agent asks the broker


def test_a_port_for_gateways_that_answers_nobody_puts_no_cut_off(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    connection: psycopg.Connection[Any],
    reloads: list[BrokerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when somebody took all of its connections. That the list is in force is said when it is seen."""
    kept = keeper(broker)
    kept.turn(connection)
    port = kept.broker.port
    with session(unit, broker) as cut, socket.socket() as full, monkeypatch.context() as impatient:
        impatient.setattr(canary, "ANSWER_S", 0.2)
        full.bind(("127.0.0.1", 0))
        full.listen()
        kept.broker = replace(kept.broker, port=full.getsockname()[1])
        give(gateway, GatewayStatus.DISABLED)
        sign(connection, authorities)
        kept.turn(connection)
        assert cut.ended.wait(PROMISE_S)
        assert "does not answer on its port for gateways" in kept.trouble
        assert not up_to_date()
        for _ in range(2):
            kept._due_at = 0.0
            kept.turn(connection)
        assert len(reloads) == 2
    kept.broker = replace(kept.broker, port=port)
    kept._due_at = 0.0
    kept.turn(connection)
    assert kept.trouble == ""
    assert up_to_date()
    assert len(reloads) == 2
    assert not gets_in(unit, broker)


def test_a_connection_held_back_is_cut_also_while_the_port_for_gateways_answers_nobody(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    connection: psycopg.Connection[Any],
) -> None:
    kept = keeper(broker)
    kept.turn(connection)
    with opened(unit, broker) as held:
        kept.broker = replace(kept.broker, port=1)
        give(gateway, GatewayStatus.DISABLED)
        sign(connection, authorities)
        kept.turn(connection)
        held.sendall(mqtt5.ConnectPacket("GW-1", clean_start=True, keep_alive=0).write())
        held.settimeout(PROMISE_S)
        assert held.recv(1_024)
        kept._held_back.next_at = 0.0
        kept.turn(connection)
        assert kept.trouble
        while held.recv(1_024):
            pass


def test_whoever_makes_certificates_anew_while_the_port_answers_nobody_has_the_broker_read_them(
    broker: RunningBroker, connection: psycopg.Connection[Any], reloads: list[BrokerProcess]
) -> None:
    kept = keeper(broker)
    port = kept.broker.port
    kept.broker = replace(kept.broker, port=1)
    kept.turn(connection)
    broker_files.mark_begun(broker.broker.tls)
    kept.broker = replace(kept.broker, port=port)
    kept._due_at = 0.0
    kept.turn(connection)
    assert up_to_date()
    assert len(reloads) == 2


def test_a_clock_that_is_wrong_puts_no_cut_off(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    connection: psycopg.Connection[Any],
) -> None:
    """For the broker the list is not valid yet, and it turns everybody away: not who is in."""
    kept = keeper(broker)
    kept.turn(connection)
    with session(unit, broker) as cut:
        give(gateway, GatewayStatus.DISABLED)
        sign(connection, authorities, timedelta(hours=2))
        kept.turn(connection)
        assert cut.ended.wait(PROMISE_S)
        assert "compare the clocks" in kept.trouble


def test_an_agent_that_can_not_ask_says_so_of_itself_and_has_cut_off_before(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = keeper(broker)
    kept.turn(connection)

    def no_file(*_arguments: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "memfd_create", no_file)
    with session(unit, broker) as cut:
        give(gateway, GatewayStatus.DISABLED)
        sign(connection, authorities)
        kept.turn(connection)
        assert cut.ended.wait(PROMISE_S)
    assert kept.trouble.startswith("The agent can't make ready the certificate by which it asks the broker")
    assert "Too many open files" in kept.trouble


def test_the_key_with_which_the_broker_is_asked_is_never_on_a_disk(
    connection: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a full one taken for a broker that does not answer."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    made = RevocationList.objects.get().canary
    opened = len(list(Path("/proc/self/fd").iterdir()))
    canary.client(made)
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


# A broker that is busy


def test_a_broker_that_stands_still_for_long_at_the_signal_still_reads_no_more_than_it_should(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    gateway: Gateway,
    unit: Unit,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As while it saves its database. What ends the reload early must be there until it comes to it."""
    monkeypatch.setattr(services_listener, "ANSWER_S", 1.0)
    kept = keeper(broker)
    kept.turn(connection)
    reload, waited_with = broker_process.reload, list[bool]()

    def goes_on(pid: int) -> None:
        waited_with.append((broker.broker.tls / reloading.AWAY).is_symlink())
        os.kill(pid, signal.SIGCONT)

    def stands_still(process: BrokerProcess) -> bool:
        os.kill(process.pid, signal.SIGSTOP)
        threading.Timer(3.0, goes_on, [process.pid]).start()
        return reload(process)

    monkeypatch.setattr(broker_process, "reload", stands_still)
    with session(unit, broker) as cut:
        give(gateway, GatewayStatus.DISABLED)
        sign(connection, authorities)
        kept.turn(connection)
        assert kept.trouble == ""
        assert cut.ended.wait(PROMISE_S)
    assert waited_with == [True]
    assert (broker.broker.tls / reloading.RELOAD_END).is_symlink()
    assert up_to_date()


# Brokers of which nothing is known yet


def test_a_broker_whose_agent_has_not_said_a_word_is_waited_for(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway
) -> None:
    with guarded(broker, authorities):
        with revoking_parts.connect() as connection:
            reached.expect(connection, [NAME, "broker-2"])
        assert BrokerAccess.objects.get(broker=NAME).revision > 0  # what is known of it stays
        before = newest_list()
        give(gateway, GatewayStatus.DISABLED)
        wait_until(lambda: newest_list() > before and up_to_date(), "the first broker's being up to date", PROMISE_S)
        outcome = in_force.follow(gateway).wait(limit_s=1.0)
        assert outcome.in_force is False
        assert outcome.trouble.startswith("broker-2: it has not said why")
        with revoking_parts.connect() as connection:
            reached.forget_others(connection, [NAME])
        assert in_force.follow(gateway).wait().in_force


def test_a_start_makes_its_private_brokers_known_before_any_agent_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker").mkdir()
    here = replace(settings.ENV, home=tmp_path, mqtt_urls=("mqtt://localhost", "mqtt://localhost:2"))
    monkeypatch.setattr(settings, "ENV", replace(here, mqtt_urls_given=True))
    prepare.expect_brokers()
    assert not BrokerAccess.objects.exists()
    monkeypatch.setattr(settings, "ENV", replace(here, mqtt_urls_given=False))
    prepare.expect_brokers()
    assert [(row.broker, row.revision) for row in BrokerAccess.objects.all()] == [("broker", 0)]


# Authorities, as of now


def test_an_authority_that_a_wrong_clock_held_for_outdated_signs_again_when_the_clock_is_right(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Nothing changed in its folder, and yet others are trusted."""
    folder = AuthorityFolder(tmp_path / "ca")
    folder.init(timezone.now())
    folder.rotate(Kind.DEVICE, timezone.now(), overlap_days=1)
    ahead = [timedelta(days=2)]
    lane = Revoking(folder, lambda: timezone.now() + ahead[0])
    for moment, names in (
        (timedelta(days=2), ["device-2"]),
        (timedelta(0), ["device-1", "device-2"]),
        (timedelta(days=2), ["device-2"]),
    ):
        ahead[0], lane._changed, lane._signed_at = moment, True, float("-inf")
        lane.turn(connection)
        assert list(RevocationList.objects.values_list("issuer", flat=True)) == names


# Codes that the platform keeps


def test_a_reserved_code_gets_no_password_and_one_that_it_has_counts_for_nothing(
    acme: Tenant, connection: psycopg.Connection[Any]
) -> None:
    """By the plain port the consumer's name would be handed what waits for the consumer."""
    older = seeding.gateway(acme, "TDS-consumer")
    with pytest.raises(passwords.PasswordRefusedError, match="begin with tds- are the platform's"):
        passwords.make(older, by=audit.COMMAND_LINE)
    GatewayPassword.objects.create(gateway=older, hash=broker_rules.hashed("secret"))
    access = broker_files.read_access(connection, Passwords.TAKEN)
    assert access
    assert access.files[broker_rules.GATEWAY_PASSWORDS] == b""


def test_the_agent_takes_over_no_session_of_the_platforms_own_and_nothing_that_is_no_code(
    broker: RunningBroker, unit: Unit
) -> None:
    services = keeper(broker).broker.services
    with (
        connecting.service(broker, broker_rules.CONSUMER, client_id=CONSUMER_CLIENT_ID) as consumer,
        session(unit, broker) as cut,
    ):
        services.take_over([CONSUMER_CLIENT_ID, "TDS-consumer", "", "#", "GW-1"])
        assert cut.ended.wait(PROMISE_S)
        consumer.subscribe("telemetry/+/+/data")
