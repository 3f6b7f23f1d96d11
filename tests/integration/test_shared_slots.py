"""Consumers that share a broker by slots: what every broker must do, and where mosquitto 2.0.11 does not.

The mode is for a clustered broker. What is shown of mosquitto here is why it is refused on the private one.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import mqtt5
import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tds.heartbeat import Heartbeat
from tds.ingest.consumer import CLIENT_ID
from tds.ingest.topics import TELEMETRY_FILTER
from tds.mqtt.session import Session, SessionConfig
from tests import seeding
from tests.consuming import (
    STOP_LIMIT_S,
    SUBSCRIBED,
    Managed,
    Silent,
    consumer_process,
    consumer_thread,
    ledger,
    managed,
    message,
    prepared_connection,
    publish,
    wait_for,
)
from tests.running import RunningBroker, wait_until

GROUP: Final = "a-group-of-this-test"
TOPIC: Final = "telemetry/GW/D/data"
MESSAGES: Final = 40


@contextlib.contextmanager
def member(broker: RunningBroker, slot: int, group: str = GROUP, **changes: Any) -> Iterator[Session]:
    """A session as that of a consumer of one slot."""
    config: dict[str, Any] = {
        "client_id": f"{CLIENT_ID}-s{slot}",
        "filters": (f"$share/{group}/{TELEMETRY_FILTER}",),
        "username": "_consumer",
        "password": "",
    } | changes
    made = Session(SessionConfig("127.0.0.1", broker.port, **config), Silent())
    made.start()
    try:
        assert config.get("drains") or made.up.wait(STOP_LIMIT_S)
        yield made
    finally:
        made.stop()


def numbered(start: int, count: int = MESSAGES) -> list[tuple[str, bytes]]:
    return [(TOPIC, str(n).encode()) for n in range(start, start + count)]


def taken(ours: Session, quiet_s: float = 2.0) -> list[bytes]:
    """What comes until nothing more does; acknowledged."""
    found: list[bytes] = []
    while (delivery := ours.take(500, linger_s=0.05, timeout_s=quiet_s)).packets:
        found += [packet.payload for packet in delivery.packets]
        ours.acknowledge(delivery)
    return found


# What every broker must do


def test_a_message_goes_to_one_member_of_the_group(broker: RunningBroker) -> None:
    with member(broker, 1) as first, member(broker, 2) as second:
        publish(broker, *numbered(0))
        ours, theirs = taken(first), taken(second)
    assert ours
    assert theirs
    assert sorted(ours + theirs, key=int) == [str(n).encode() for n in range(MESSAGES)]


def test_a_member_that_comes_back_gets_what_waited_for_its_slot(broker: RunningBroker) -> None:
    with member(broker, 1) as first:
        with member(broker, 2):
            pass
        publish(broker, *numbered(0))
        ours = taken(first)
        with member(broker, 2) as second:
            theirs = taken(second)
    assert sorted(ours + theirs, key=int) == [str(n).encode() for n in range(MESSAGES)]


def test_scaling_in_drains_a_slot_and_the_others_get_everything_from_then_on(broker: RunningBroker) -> None:
    with member(broker, 1) as first:
        with member(broker, 2):
            pass
        publish(broker, *numbered(0))
        ours = taken(first)
        with member(broker, 2, drains=True) as leaving:
            theirs: list[bytes] = []

            def drained() -> bool:
                theirs.extend(taken(leaving, 0.1))
                return leaving.drained

            wait_until(drained, "the end of what waits")
            assert leaving.give_up()
        assert sorted(ours + theirs, key=int) == [str(n).encode() for n in range(MESSAGES)]

        publish(broker, *numbered(MESSAGES))
        assert taken(first) == [payload for _, payload in numbered(MESSAGES)]


def test_our_own_clearing_of_a_retained_message_is_not_taken_for_one(broker: RunningBroker) -> None:
    # A shared subscription has no "no local": the broker hands the clearing to a member of the group.
    with member(broker, 1) as first:
        publish(broker, (TOPIC, b"kept"), retain=True)
        delivery = first.take(1, linger_s=0, timeout_s=STOP_LIMIT_S)
        first.clear_retained(delivery, [TOPIC])
        first.acknowledge(delivery)
        publish(broker, (TOPIC, b""), retain=True)  # somebody else's is a message as any other
        publish(broker, (TOPIC, b"next"))
        assert taken(first) == [b"", b"next"]


# Where mosquitto 2.0.11 does not keep its word


def test_mosquitto_does_not_restore_a_shared_subscription_when_it_restarts(broker: RunningBroker) -> None:
    with member(broker, 1):
        pass
    publish(broker, *numbered(0))
    broker.restart()  # a clean one
    publish(broker, *numbered(MESSAGES))  # acknowledged (over MQTT 3.1.1 nothing else can be said), and gone
    with member(broker, 1) as first:
        # Our session subscribes on every connection: what comes from then on is delivered again.
        publish(broker, (TOPIC, b"after"))
        assert taken(first) == [*(payload for _, payload in numbered(0)), b"after"]


def test_mosquitto_restores_a_plain_subscription_when_it_restarts(broker: RunningBroker) -> None:
    with member(broker, 1, filters=(TELEMETRY_FILTER,)):
        pass
    broker.restart()
    publish(broker, *numbered(0))
    with member(broker, 1, filters=(TELEMETRY_FILTER,)) as first:
        assert taken(first) == [payload for _, payload in numbered(0)]


def test_on_mosquitto_a_member_that_is_away_keeps_its_share_and_its_expiry_throws_it_away(
    broker: RunningBroker,
) -> None:
    with member(broker, 1) as first:
        with member(broker, 2):
            pass
        publish(broker, *numbered(0))
        ours = taken(first)
        assert 0 < len(ours) < MESSAGES  # nobody takes over
        # What an expiry does to a session, at once: a clean start.
        forgetful = paho.Client(CallbackAPIVersion.VERSION2, f"{CLIENT_ID}-s2", protocol=paho.MQTTv5)
        forgetful.connect("127.0.0.1", broker.port, clean_start=True)
        forgetful.loop_start()
        wait_until(forgetful.is_connected, "the clean start")
        forgetful.disconnect()
        forgetful.loop_stop()
        assert taken(first) == []
        with member(broker, 2) as second:
            assert taken(second) == []


ACCESS: Final = f"""
topic readwrite tds/#
topic write telemetry/#

user _consumer
topic read {TELEMETRY_FILTER}
topic readwrite tds/#
"""


def test_on_mosquitto_a_gateway_that_knows_the_group_swallows_a_share_that_it_may_not_even_read(
    broker: RunningBroker,
) -> None:
    rules = broker.broker.folder / "acl"
    rules.write_text(ACCESS)
    rules.chmod(0o644)
    configuration, listener = broker.broker.configuration, f"listener {broker.port} 127.0.0.1\n"
    configuration.write_text(configuration.read_text().replace(listener, f"{listener}acl_file {rules}\n"))
    broker.restart()
    swallowed: list[bytes] = []
    granted: list[Any] = []
    thief = paho.Client(CallbackAPIVersion.VERSION2, "GW-THIEF", protocol=paho.MQTTv5)
    thief.on_message = lambda _client, _data, came: swallowed.append(bytes(came.payload))
    thief.on_subscribe = lambda _client, _data, _mid, codes, _properties: granted.extend(codes)
    thief.connect("127.0.0.1", broker.port)
    thief.loop_start()
    try:
        with member(broker, 1) as first:
            thief.subscribe(f"$share/another-group/{TELEMETRY_FILTER}", qos=1)
            wait_until(lambda: granted, "the answer to SUBSCRIBE")
            publish(broker, *numbered(0))
            assert taken(first) == [payload for _, payload in numbered(0)]  # a wrong guess harms nobody

            thief.subscribe(f"$share/{GROUP}/{TELEMETRY_FILTER}", qos=1)
            wait_until(lambda: len(granted) == 2, "the answer to SUBSCRIBE")
            publish(broker, *numbered(MESSAGES))
            assert len(taken(first)) < MESSAGES
            assert swallowed == []  # the rules are asked at the delivery, and the message is dropped there
            assert not any(code.is_failure for code in granted)
    finally:
        thief.disconnect()
        thief.loop_stop()


# The processes


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@contextlib.contextmanager
def slot_process(
    broker: RunningBroker, folder: Path, slot: int, *words: str, slots: int = 2, subscribed: bool = True
) -> Iterator[Managed]:
    variables = {
        "TDS_HOME": str(folder / "home"),  # one home: the name of the group is kept there
        "TDS_MQTT_URLS": f"mqtt://localhost:{broker.port}",
        "TDS_MQTT_SHARED_SLOTS": str(slots),
    }
    own = folder / f"slot-{slot}-{'-'.join(words)}-{subscribed}"
    with managed(own, "mqtt_consumer", "--verbosity", "2", "--slot", str(slot), *words, **variables) as process:
        if subscribed:
            wait_until(lambda: process.says(SUBSCRIBED), "the subscription")
        yield process


@pytest.mark.django_db(transaction=True)
def test_two_slots_share_the_work_and_a_slot_that_is_drained_leaves_nothing_behind(
    broker: RunningBroker, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    seeding.gateway(seeding.tenant("acme"), "GW-001")
    with slot_process(broker, tmp_path, 1) as first, slot_process(broker, tmp_path, 2) as second:
        publish(broker, *(message(n) for n in range(100)))
        wait_for(connection, *range(100))
        # It is said after it is stored.
        wait_until(lambda: first.says("Leitura salva") and second.says("Leitura salva"), "a line of each")
        assert f"[INFO] Conectado ao MQTT broker em localhost:{broker.port} (slot 2)" in second.lines
        secret = (tmp_path / "home/secrets/mqtt_shared_group").read_text()
        assert len(secret) >= 16
        assert secret not in "\n".join([*first.lines, first.errors, *second.lines, second.errors])
        names = Heartbeat.objects.filter(process__in=["consumer-s1", "consumer-s2"])
        wait_until(lambda: names.count() == 2, "both signs of life")
        second.kill()
        publish(broker, *(message(n) for n in range(100, 200)))  # some of them for the one that is dead
        with slot_process(broker, tmp_path, 2, "--drain", slots=1, subscribed=False) as draining:
            assert draining.wait(30) == 0, draining.errors
        publish(broker, *(message(n) for n in range(200, 300)))
        wait_for(connection, *range(300))
        assert list(names.values_list("process", flat=True)) == ["consumer-s1"]
    assert ledger(connection)["stored"] == 300


@pytest.mark.django_db(transaction=True)
def test_a_slot_has_one_consumer(broker: RunningBroker, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    with (
        slot_process(broker, tmp_path, 1) as first,
        slot_process(broker, tmp_path / "another", 1, subscribed=False) as second,
    ):
        assert second.wait(30) == 1
        assert second.errors == (
            f"CommandError: Slot 1 of the broker at localhost:{broker.port} has a consumer already; "
            "one is enough, and two would share nothing.\n"
        )
        assert first.terminate() == 0


@pytest.mark.django_db(transaction=True)
def test_a_broker_has_one_consumer_however_its_address_is_written(
    broker: RunningBroker, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    with (
        consumer_thread(broker.url),  # mqtt://127.0.0.1
        consumer_process(broker, tmp_path, subscribed=False) as second,  # mqtt://localhost
    ):
        assert second.wait(30) == 1
        assert f"The broker at localhost:{broker.port} has a consumer already" in second.errors


@contextlib.contextmanager
def broker_without_shared_subscriptions() -> Iterator[int]:
    """Its port. It says in its CONNACK what it does not have."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4_096)
                    connection.sendall(mqtt5.ConnAckPacket(shared_subscription_available=False).write())
                    connection.recv(4_096)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.django_db(transaction=True)
def test_a_broker_without_shared_subscriptions_is_a_sentence(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    with broker_without_shared_subscriptions() as port:
        variables = {"TDS_MQTT_URLS": f"mqtt://127.0.0.1:{port}", "TDS_MQTT_SHARED_SLOTS": "2"}
        with managed(tmp_path, "mqtt_consumer", "--slot", "1", **variables) as process:
            assert process.wait(30) == 1
            assert process.errors == (
                f"CommandError: The broker at 127.0.0.1:{port} has no shared subscriptions; "
                "set TDS_MQTT_SHARED_SLOTS to 0 for a plain one.\n"
            )


@pytest.mark.parametrize(
    ("slots", "words", "sentence"),
    [
        ("2", [], "TDS_MQTT_SHARED_SLOTS is 2; say which of them this is with --slot 1 to 2."),
        ("2", ["--slot", "3"], "TDS_MQTT_SHARED_SLOTS is 2; say which of them this is with --slot 1 to 2."),
        ("0", ["--slot", "1"], "--slot is 1, but TDS_MQTT_SHARED_SLOTS is 0: this broker has one consumer"),
        ("2", ["--slot", "17", "--drain"], "--slot is 17; slots go from 1 to 16."),
        ("2", ["--slot", "-1"], "--slot is -1; slots go from 1 to 16."),
    ],
)
@pytest.mark.django_db
def test_a_slot_that_there_is_not_is_a_sentence(slots: str, words: list[str], sentence: str, tmp_path: Path) -> None:
    variables = {"TDS_MQTT_URLS": "mqtt://127.0.0.1", "TDS_MQTT_SHARED_SLOTS": slots}
    with managed(tmp_path, "mqtt_consumer", *words, **variables) as process:
        assert process.wait(30) == 1
        assert process.errors.startswith(f"CommandError: {sentence}")
