"""The consumer on a real broker and database: what it takes, and that nothing stops what follows."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import mqtt5
import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tds.fleet.models import Gateway
from tds.ingest.consumer import CLIENT_ID
from tds.ingest.models import QuarantinedMessage
from tests import seeding
from tests.consuming import (
    STOP_LIMIT_S,
    TOPIC,
    commits_held_up,
    consumer_thread,
    expected,
    in_commit,
    ledger,
    message,
    prepared_connection,
    publish,
    readings,
    unacknowledged,
    wait_for,
)
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@pytest.fixture(autouse=True)
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-001")


# What it takes


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_quality_of_service_is_stored(broker: RunningBroker, connection: Connection, qos: int) -> None:
    with consumer_thread(broker.url):
        publish(broker, *(message(n) for n in range(100)), qos=qos)
        wait_for(connection, *range(100))
    assert unacknowledged(broker) == []


def test_what_came_before_the_consumer_started_is_stored(broker: RunningBroker, connection: Connection) -> None:
    with consumer_thread(broker.url):
        pass
    publish(broker, *(message(n) for n in range(100)))
    with consumer_thread(broker.url):
        wait_for(connection, *range(100))


def test_a_bad_message_is_kept_aside_and_holds_up_nothing(broker: RunningBroker, connection: Connection) -> None:
    with consumer_thread(broker.url):
        publish(broker, message(0), (TOPIC, b'{"half": '), message(1), (TOPIC, b""), message(2))
        wait_for(connection, 0, 1, 2)
    kept = [(message.reason, bytes(message.payload)) for message in QuarantinedMessage.objects.order_by("id")]
    assert kept == [("not_json", b'{"half": '), ("not_json", b"")]
    assert unacknowledged(broker) == []
    assert ledger(connection) == {
        "received": 5,
        "accepted": 3,
        "quarantined": 2,
        "readings": 3,
        "stored": 3,
        "duplicate": 0,
    }


def test_a_topic_of_any_text_is_kept_aside(broker: RunningBroker, connection: Connection) -> None:
    codes = ["", " ", "☃", "\u202e", "GW 001", "x" * 1_000, "GW-001\\", "$SYS", "'; --"]
    topics = [f"telemetry/GW-001/{code}/data" for code in codes]
    payload = bytes(range(256))
    with consumer_thread(broker.url):
        publish(broker, *((topic, payload) for topic in topics), message(1))
        wait_for(connection, 1)
    kept = [(m.reason, m.gateway_code, m.topic, bytes(m.payload)) for m in QuarantinedMessage.objects.order_by("id")]
    assert kept == [("bad_topic", "GW-001", topic, payload) for topic in topics]


def test_the_largest_payload_that_the_broker_lets_through_is_kept_whole(
    broker: RunningBroker, connection: Connection
) -> None:
    largest = os.urandom(262_144)
    with consumer_thread(broker.url):
        publish(broker, (TOPIC, largest), message(1))
        wait_for(connection, 1)
    kept = QuarantinedMessage.objects.get()
    assert (kept.reason, bytes(kept.payload)) == ("too_large", largest)


def test_a_megabyte_is_the_brokers_to_refuse_and_the_consumer_does_not_notice(
    broker: RunningBroker, connection: Connection
) -> None:
    with consumer_thread(broker.url):
        vandal = paho.Client(CallbackAPIVersion.VERSION2)
        cut = threading.Event()
        vandal.on_disconnect = lambda *_: cut.set()
        vandal.connect("127.0.0.1", broker.port)
        vandal.loop_start()
        vandal.publish(TOPIC, os.urandom(1_000_000), qos=1)
        assert cut.wait(STOP_LIMIT_S)
        vandal.loop_stop()
        publish(broker, message(1))
        wait_for(connection, 1)
    assert ledger(connection)["received"] == 1


def test_a_topic_that_is_no_text_is_the_brokers_to_refuse(broker: RunningBroker, connection: Connection) -> None:
    with consumer_thread(broker.url):
        for junk in (b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\x1b[2J"):
            publish_raw(broker, b"telemetry/GW-001/" + junk + b"/data")
        publish(broker, message(1))
        wait_for(connection, 1)
    assert ledger(connection)["received"] == 1


def publish_raw(broker: RunningBroker, topic: bytes) -> None:
    """Bytes that no library would send. Returns when the broker has closed the connection."""
    packet = len(topic).to_bytes(2, "big") + topic + b"\x00" + b"payload"  # no properties
    with socket.create_connection(("127.0.0.1", broker.port), STOP_LIMIT_S) as raw:
        raw.sendall(mqtt5.ConnectPacket("vandal").write())
        assert raw.recv(1_024)
        raw.sendall(bytes([0x30, len(packet)]) + packet)
        with suppress(ConnectionResetError):
            while raw.recv(1_024):
                pass


# When it acknowledges


def test_what_was_committed_and_not_acknowledged_is_stored_once(broker: RunningBroker, connection: Connection) -> None:
    with deaf(broker) as port:
        with consumer_thread(f"mqtt://127.0.0.1:{port}"):
            publish(broker, *(message(n) for n in range(50)))
            wait_for(connection, *range(50))
        assert unacknowledged(broker) == list(range(50))
    with consumer_thread(broker.url):
        wait_until(lambda: ledger(connection)["duplicate"] == 50, "the copies")
    assert readings(connection) == expected(*range(50))
    assert unacknowledged(broker) == []


@contextmanager
def deaf(broker: RunningBroker) -> Iterator[int]:
    """A port from which the broker hears CONNECT and SUBSCRIBE and nothing after, as when a line is cut one way."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def carry() -> None:
            client, _ = server.accept()
            with client, socket.create_connection(("127.0.0.1", broker.port)) as upstream:
                for _ in ("CONNECT", "SUBSCRIBE"):
                    upstream.sendall(client.recv(65_536))
                    client.sendall(upstream.recv(65_536))
                down = threading.Thread(target=pump, args=[upstream, client], daemon=True)
                down.start()
                while client.recv(65_536):
                    pass
                upstream.shutdown(socket.SHUT_RDWR)
                down.join(STOP_LIMIT_S)

        thread = threading.Thread(target=carry, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(STOP_LIMIT_S)


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


# What goes away


def test_a_batch_whose_connection_is_cut_in_its_commit_is_written_again(
    broker: RunningBroker, connection: Connection
) -> None:
    with consumer_thread(broker.url):
        with commits_held_up(connection):
            publish(broker, *(message(n) for n in range(50)))
            wait_until(lambda: in_commit(connection), "a batch in its COMMIT")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (CLIENT_ID,)
            )
        wait_for(connection, *range(50))
    assert unacknowledged(broker) == []
    assert ledger(connection)["stored"] == 50


def test_a_broker_that_is_killed_and_comes_back_goes_on_with_the_same_consumer(
    broker: RunningBroker, connection: Connection
) -> None:
    with consumer_thread(broker.url) as consumer:
        broker.save()
        broker.kill()
        wait_until(lambda: not consumer.session.up.is_set(), "the loss of the broker")
        broker.start()
        wait_until(consumer.session.up.is_set, "the second connection")
        publish(broker, message(1))
        wait_for(connection, 1)


def test_what_a_killed_broker_acknowledged_and_had_not_saved_is_sent_again_and_stored_once(
    broker: RunningBroker, connection: Connection
) -> None:
    with consumer_thread(broker.url):
        publish(broker, message(0))
        wait_for(connection, 0)
    broker.save()
    publish(broker, *(message(n) for n in range(1, 50)))  # acknowledged; the consumer is away
    broker.kill()
    broker.start()
    with consumer_thread(broker.url):
        publish(broker, message(50))
        wait_for(connection, 0, 50)  # the rest really was lost
        publish(broker, *(message(n) for n in range(51)))  # a gateway's resend window
        wait_for(connection, *range(51))
        wait_until(lambda: ledger(connection)["duplicate"] == 2, "both copies being counted")
    assert ledger(connection)["stored"] == 51
