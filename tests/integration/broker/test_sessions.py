"""While its owner is away a session of ours loses nothing, whatever happens to the broker, and however old its home."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from tds.environment import Plain
from tds.identity.access.broker_rules import CONSUMER, DEVICELINK
from tds.identity.authorities.folder import AuthorityFolder
from tds.local import brokers, certificates, processes
from tds.local.accounts import service_account
from tds.local.apart import shared_folder
from tds.local.broker import CONSUMER_CLIENT_ID, DEVICELINK_CLIENT_ID, PROVISIONED, TELEMETRY_TOPIC, Broker
from tds.local.broker_config import Listeners
from tds.local.supervisor import Supervisor
from tests.connecting import Credential, client, device, gateway, service
from tests.running import (
    SERVICE_PASSWORDS,
    RunningBroker,
    free_port,
    running_broker,
    wait_until,
)

CODE: Final = "GW-A"
TOPIC: Final = f"telemetry/{CODE}/D01/data"

# As `tds up` wrote it before gateways had certificates: everybody came in by one listener, the consumer too.
OLD_CONFIGURATION: Final = """\
per_listener_settings false
allow_anonymous true
log_dest stderr
persistence true
persistence_location {data}/
persistence_file mosquitto.db
autosave_interval 15
autosave_on_changes false
max_queued_messages 0
max_inflight_messages 0
listener {port} 127.0.0.1
"""


@pytest.fixture(scope="module")
def credential(authorities: AuthorityFolder) -> Credential:
    return device(authorities.path.parent, authorities.device(), CODE)


class Sender:
    """A gateway that connects anew for each message, and counts them."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.sent: list[bytes] = []
        self.numbers = count()

    def send(self, broker: RunningBroker) -> None:
        payload = str(next(self.numbers)).encode()
        with gateway(broker, self.credential) as found:
            assert found.publish(TOPIC, payload) == 0  # so somebody is subscribed who will get it
        self.sent.append(payload)


def what_waits(broker: RunningBroker) -> list[bytes]:
    """For the consumer, when it is back; it acknowledges."""
    with service(broker, CONSUMER, client_id=CONSUMER_CLIENT_ID, keeps=True) as consumer:
        assert consumer.session_present
        with service(broker, CONSUMER) as marker:
            marker.publish("telemetry/GW-B/D01/data", b"marker")
        consumer.got("telemetry/GW-B/D01/data", b"marker")
    return [payload for topic, payload in consumer.came if topic == TOPIC]


def killed(broker: RunningBroker) -> None:
    """What it acknowledged after its last save is the gateways' to send again."""
    broker.save()
    broker.kill()
    broker.start()


EVENTS: Final[dict[str, Callable[[RunningBroker], None]]] = {
    "kill": killed,
    "restart": RunningBroker.restart,
    "reload": RunningBroker.reload,
}


@pytest.mark.parametrize(
    "events",
    [
        ("kill",),
        ("restart",),
        ("reload",),
        ("kill", "reload", "kill"),
        ("restart", "reload", "restart", "kill"),
        ("reload", "restart", "kill", "reload"),
    ],
    ids="-".join,
)
def test_nothing_is_lost_for_a_consumer_that_is_away_over(
    authorities: AuthorityFolder, credential: Credential, events: tuple[str, ...]
) -> None:
    sender = Sender(credential)
    with running_broker(authorities=authorities, access=Plain.OFF) as broker:
        assert broker.broker.open_session()
        sender.send(broker)
        for event in events:
            EVENTS[event](broker)
            sender.send(broker)
        assert what_waits(broker) == sender.sent


@contextmanager
def supervised(broker: Broker) -> Iterator[RunningBroker]:
    """As `tds up` starts it."""
    supervisor = Supervisor(broker.folder.parent)
    try:
        brokers.start(supervisor, 1, broker)
        yield RunningBroker(broker)
    finally:
        supervisor.stop_all()


@pytest.fixture
def new(authorities: AuthorityFolder) -> Iterator[Broker]:
    """Of a home where no broker ever ran."""
    with shared_folder("home") as home:
        ports = Listeners(free_port(), free_port(), free_port(), free_port())
        broker = Broker(home / "broker", ports, SERVICE_PASSWORDS, service_account("mosquitto"))
        broker.create()
        certificates.make(broker.tls, authorities, ["127.0.0.1"], datetime.now(UTC))
        yield broker


def test_what_a_gateway_sends_at_the_first_moment_is_kept_for_the_consumer(new: Broker, credential: Credential) -> None:
    sender = Sender(credential)
    assert new.needs_session()
    with supervised(new) as broker:
        assert not new.needs_session()
        sender.send(broker)
        assert what_waits(broker) == sender.sent


@pytest.mark.parametrize("access", [Plain.LOOPBACK, Plain.OFF])
def test_an_existing_home_comes_up_with_all_that_waited_in_it(
    new: Broker, credential: Credential, access: Plain
) -> None:
    """Its session is of the listener without names: there is none any more, or one by which the consumer won't come."""
    old = new.folder / "old.conf"
    old.write_text(OLD_CONFIGURATION.format(data=new.data, port=new.listeners.plain))
    (new.folder / PROVISIONED).touch()
    with (new.folder / "old.log").open("wb") as log:
        process = processes.start([new.command()[0], "-c", old], log=log, account=new.account)
    wait_until(lambda: answers(new.listeners.plain), "the old broker")
    with client(new.listeners.plain, client_id=CONSUMER_CLIENT_ID, keeps=True) as consumer:
        consumer.subscribe(TELEMETRY_TOPIC)
    with client(new.listeners.plain) as sender_of_old:
        assert sender_of_old.publish(TOPIC, b"old") == 0
    process.terminate()
    process.wait()

    sender = Sender(credential)
    with supervised(replace(new, listeners=replace(new.listeners, access=access))) as broker:
        sender.send(broker)
        assert what_waits(broker) == [b"old", *sender.sent]


def answers(port: int) -> bool:
    try:
        with client(port) as found:
            return not found.refusal
    except OSError:
        return False


def test_sessions_follow_the_port_of_our_own_processes_when_it_changes(new: Broker, credential: Credential) -> None:
    sender = Sender(credential)
    with supervised(new) as broker:
        with service(broker, DEVICELINK, client_id=DEVICELINK_CLIENT_ID, keeps=True) as link:
            link.subscribe("ota/+/status")
        sender.send(broker)
    moved = replace(new, listeners=replace(new.listeners, services=free_port()))
    assert moved.needs_session()
    with supervised(moved) as broker:
        sender.send(broker)
        with gateway(broker, credential) as found:
            assert found.publish(f"ota/{CODE}/status", b"report") == 0
        with service(broker, DEVICELINK, client_id=DEVICELINK_CLIENT_ID, keeps=True) as link:
            link.got(f"ota/{CODE}/status", b"report")
        assert what_waits(broker) == sender.sent


def test_no_session_is_made_for_who_may_never_come(new: Broker) -> None:
    with supervised(new) as broker, service(broker, DEVICELINK, client_id=DEVICELINK_CLIENT_ID, keeps=True) as link:
        assert not link.session_present


def test_a_consumer_that_a_person_sends_by_the_port_without_names_finds_its_session_there(new: Broker) -> None:
    with supervised(replace(new, consumer_port=new.listeners.plain)) as broker:
        with client(broker.port) as anybody:
            assert anybody.publish(TOPIC, b"kept") == 0
        with client(broker.port, client_id=CONSUMER_CLIENT_ID, keeps=True) as consumer:
            assert consumer.session_present
            consumer.got(TOPIC, b"kept")
    # And the next start without it brings the session back.
    assert new.needs_session()


def test_a_broker_whose_database_is_gone_gets_its_session_anew(new: Broker, credential: Credential) -> None:
    with supervised(new):
        pass
    new.database.unlink()
    assert new.needs_session()
    sender = Sender(credential)
    with supervised(new) as broker:
        sender.send(broker)
        assert what_waits(broker) == sender.sent


def test_what_tells_the_port_of_the_session_may_be_damaged(new: Broker) -> None:
    with supervised(new):
        pass
    for damage in (b"", b"x", b"\xff\xfe"):
        Path(new.provisioned).write_bytes(damage)
        assert new.needs_session()
