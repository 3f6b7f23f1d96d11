"""The persistent session on a real mosquitto: what is received, acknowledged, and delivered again."""

import contextlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import mqtt5
import paho.mqtt.client as paho
import pytest
from paho.mqtt import publish as paho_publish
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tds.mqtt.packets import PacketReader
from tds.mqtt.session import Delivery, Session, SessionConfig, SharedSubscriptionsError
from tests.running import RunningBroker, free_port, wait_until

FILTER: Final = "telemetry/+/+/data"
TOPIC: Final = "telemetry/GW/D/data"
CLIENT_ID: Final = "tds-consumer"
SOON_S: Final = 10.0


@dataclass
class Heard:
    """What a session told its listener."""

    present: list[bool] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    expiries_s: list[int] = field(default_factory=list)

    def connected(self, *, session_present: bool) -> None:
        self.present.append(session_present)

    def expires(self, after_s: int) -> None:
        self.expiries_s.append(after_s)

    def subscribed(self, pattern: str) -> None:
        self.patterns.append(pattern)

    def disconnected(self, reason: str) -> None:
        self.reasons.append(reason)


@contextlib.contextmanager
def session(port: int, *, wait: bool = True, heard: Heard | None = None, **config: Any) -> Iterator[Session]:
    settings = {"host": "127.0.0.1", "client_id": CLIENT_ID, "filters": (FILTER,)} | config
    made = Session(SessionConfig(port=port, **settings), heard or Heard())
    made.start()
    try:
        if wait:
            assert made.up.wait(SOON_S), "no connection"
        yield made
    finally:
        made.stop()


def publish(port: int, *payloads: bytes, qos: int = 1, retain: bool = False, topic: str = TOPIC) -> None:
    """Returns when the broker has them all."""
    messages = [{"topic": topic, "payload": payload, "qos": qos, "retain": retain} for payload in payloads]
    paho_publish.multiple(messages, "127.0.0.1", port)  # type: ignore[arg-type]  # a TypedDict of all keys


def take(of: Session, count: int, within_s: float = SOON_S) -> list[Delivery]:
    """Deliveries that hold so many messages together. The wait is for the next one: all of them take their time."""
    deliveries: list[Delivery] = []
    deadline = monotonic() + within_s
    while sum(len(d.packets) for d in deliveries) < count and monotonic() < deadline:
        delivery = of.take(count, linger_s=0.0, timeout_s=0.1)
        if delivery.packets:
            deliveries.append(delivery)
            deadline = monotonic() + within_s
    return deliveries


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    return [packet.payload for delivery in deliveries for packet in delivery.packets]


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [str(n).encode() for n in range(start, start + count)]


# Receiving and acknowledging


def test_a_session_says_that_it_is_connected_and_subscribed_and_receives(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        publish(broker.port, b"a", b"b")

        assert payloads(take(ours, 2)) == [b"a", b"b"]
        assert (heard.present, heard.patterns) == ([False], [FILTER])


def test_what_was_not_acknowledged_comes_again_to_the_next_connection(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, *numbered(5))
        assert payloads(take(ours, 5)) == numbered(5)

    with session(broker.port) as ours:
        assert payloads(take(ours, 5)) == numbered(5)


def test_what_was_acknowledged_before_the_stop_does_not_come_again(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, *numbered(500))
        for delivery in take(ours, 500):
            assert ours.acknowledge(delivery)
        # No waiting: `stop` itself sends what is to be sent, then DISCONNECT.
    log = broker.broker.folder / "log"
    wait_until(lambda: f"Client {CLIENT_ID} disconnected." in log.read_text(), "a DISCONNECT")

    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        publish(broker.port, b"marker")

        assert payloads(take(ours, 1)) == [b"marker"]
        assert heard.present == [True]


def test_only_what_was_acknowledged_is_gone(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, b"first")
        [first] = take(ours, 1)
        publish(broker.port, b"second")
        assert payloads(take(ours, 1)) == [b"second"]
        ours.acknowledge(first)

    publish(broker.port, b"marker")
    with session(broker.port) as ours:
        assert payloads(take(ours, 2)) == [b"second", b"marker"]


def test_a_delivery_is_never_acknowledged_on_another_connection(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        publish(broker.port, b"kept")
        [old] = take(ours, 1)
        broker.restart()
        wait_until(lambda: len(heard.present) == 2 and ours.up.is_set(), "the second connection")
        [new] = take(ours, 1)

        assert (old.connection, new.connection) == (0, 1)
        assert old.packets[0].packet_id == new.packets[0].packet_id  # it would acknowledge the new one
        assert not ours.acknowledge(old)

    with session(broker.port) as ours:
        assert payloads(take(ours, 1)) == [b"kept"]


def test_what_waited_in_the_inbox_is_not_given_out_twice_after_a_reconnect(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        publish(broker.port, *numbered(10))
        wait_until(lambda: len(ours.inbox) == 10, "ten messages in the inbox")
        broker.restart()
        wait_until(lambda: len(heard.present) == 2 and ours.up.is_set(), "the second connection")
        publish(broker.port, b"marker")

        assert payloads(take(ours, 11)) == [*numbered(10), b"marker"]


def test_qos_0_has_nothing_to_acknowledge(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, b"a", qos=0)
        [delivery] = take(ours, 1)

        assert delivery.packets[0].packet_id is None
        assert ours.acknowledge(delivery)


def test_qos_2_is_delivered_as_qos_1(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, b"a", qos=2)
        [delivery] = take(ours, 1)
        assert delivery.packets[0].packet_id is not None
        assert ours.acknowledge(delivery)


def test_what_is_published_while_nobody_listens_waits_for_the_session(broker: RunningBroker) -> None:
    with session(broker.port):
        pass
    publish(broker.port, *numbered(100))

    with session(broker.port) as ours:
        assert payloads(take(ours, 100)) == numbered(100)


# The broker goes and comes back


def test_the_session_survives_a_restart_of_the_broker(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        broker.restart()
        wait_until(lambda: len(heard.present) == 2 and ours.up.is_set(), "the second connection")
        publish(broker.port, b"after")

        assert payloads(take(ours, 1)) == [b"after"]
        assert heard.present == [False, True]
        assert heard.reasons


def test_the_session_and_what_waits_in_it_survive_a_kill_9_after_a_save(broker: RunningBroker) -> None:
    with session(broker.port):
        pass
    publish(broker.port, *numbered(20))
    broker.save()
    broker.kill()
    broker.start()
    heard = Heard()

    with session(broker.port, heard=heard) as ours:
        assert payloads(take(ours, 20)) == numbered(20)
        assert heard.present == [True]


def test_a_broker_that_is_away_is_waited_for_with_growing_pauses(broker: RunningBroker) -> None:
    broker.stop()
    heard = Heard()
    with session(broker.port, wait=False, heard=heard) as ours:
        began = monotonic()
        wait_until(lambda: len(heard.reasons) >= 3, "three attempts")
        assert monotonic() - began > 0.2  # two pauses of 0.1 s at least
        broker.start()

        assert ours.up.wait(SOON_S)
        assert all("refused" in reason for reason in heard.reasons)


def test_a_stop_while_the_broker_is_away_is_at_once(broker: RunningBroker) -> None:
    broker.stop()
    heard = Heard()
    with session(broker.port, wait=False, heard=heard):
        wait_until(lambda: len(heard.reasons) >= 4, "four attempts")
        began = monotonic()

    assert monotonic() - began < 1


def test_a_session_that_was_taken_over_says_so_and_comes_back(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        thief = paho.Client(CallbackAPIVersion.VERSION2, CLIENT_ID, protocol=paho.MQTTv5)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = 0xFFFF_FFFF
        thief.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
        thief.loop_start()
        try:
            wait_until(lambda: heard.reasons, "the loss of the session")
            wait_until(lambda: len(heard.present) == 2 and ours.up.is_set(), "the second connection")
        finally:
            thief.disconnect()
            thief.loop_stop()

        # mosquitto does not always get its DISCONNECT out before it closes.
        assert heard.reasons[0] in {
            "the broker disconnected us: SESSION_TAKEN_OVER",
            "the broker closed the connection",
        }
        assert heard.present == [False, True]


# Retained messages


def retained_on(port: int, topic: str = TOPIC) -> list[bytes]:
    """What the broker keeps, as a stranger with a new session sees it."""
    came: list[bytes] = []
    done = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)

    def on_message(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic == "end":
            done.set()
        elif message.retain:
            came.append(bytes(message.payload))

    client.on_message = on_message

    def on_connect(*_: object) -> None:
        client.subscribe([("end", 1), (topic, 1)])

    def on_subscribe(*_: object) -> None:
        client.publish("end", b"", qos=1)

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert done.wait(SOON_S)
    finally:
        client.disconnect()
        client.loop_stop()
    return came


def test_a_retained_message_is_cleared_once_and_our_clearing_does_not_come_to_us(broker: RunningBroker) -> None:
    publish(broker.port, b"retained", retain=True)
    assert retained_on(broker.port) == [b"retained"]
    with session(broker.port) as ours:
        [delivery] = take(ours, 1)
        assert delivery.packets[0].retain
        ours.clear_retained(delivery, [TOPIC])
        ours.acknowledge(delivery)
        wait_until(lambda: not retained_on(broker.port), "the clearing", SOON_S)
        publish(broker.port, b"marker")

        assert payloads(take(ours, 1)) == [b"marker"]

    with session(broker.port) as ours:
        publish(broker.port, b"marker")
        assert payloads(take(ours, 1)) == [b"marker"]


def test_a_message_that_is_retained_while_we_listen_is_known_to_be(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, b"retained", retain=True)
        [delivery] = take(ours, 1)

        assert delivery.packets[0].retain


def test_the_clearing_for_a_connection_that_is_gone_is_not_sent(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        publish(broker.port, b"retained", retain=True)
        [delivery] = take(ours, 1)
        broker.restart()
        wait_until(lambda: len(heard.present) == 2 and ours.up.is_set(), "the second connection")

        ours.clear_retained(delivery, [TOPIC])
        publish(broker.port, b"marker", topic="telemetry/GW/other/data")
        take(ours, 2)

        assert retained_on(broker.port) == [b"retained"]


# Bounds


def test_the_broker_stops_at_5000_messages_that_are_not_acknowledged(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        publish(broker.port, *numbered(5_200))
        first = take(ours, 5_000)
        assert len(payloads(first)) == 5_000
        # The bound is not for QoS 0: what was published behind all of them comes, and nothing before it.
        publish(broker.port, b"behind", qos=0)
        assert payloads(take(ours, 1)) == [b"behind"]
        for delivery in first:
            ours.acknowledge(delivery)

        assert payloads(take(ours, 200)) == numbered(200, 5_000)


def test_what_mosquitto_sends_beyond_the_receive_maximum_is_bounded_by_the_inbox(broker: RunningBroker) -> None:
    # Each PUBACK lets mosquitto 2.0.11 send as many more as the whole receive maximum, and so without end.
    one_read = 262_144 // 10_000 + 1
    sent = [str(n).encode().ljust(10_000) for n in range(500)]
    with session(broker.port, receive_maximum=10, inbox_messages=20) as ours:
        publish(broker.port, *sent)
        came: list[bytes] = []
        while len(came) < 500:
            delivery = ours.take(7, linger_s=0.05, timeout_s=SOON_S)
            assert delivery.packets, f"nothing came behind {len(came)} messages"
            assert len(ours.inbox) <= 20 + one_read
            assert ours.acknowledge(delivery)
            came += payloads([delivery])
        assert came == sent

    with session(broker.port) as ours:
        publish(broker.port, b"marker")
        assert payloads(take(ours, 1)) == [b"marker"]


@pytest.mark.parametrize(
    "limit", [{"inbox_messages": 50, "inbox_bytes": 2**30}, {"inbox_messages": 10**6, "inbox_bytes": 500_000}]
)
def test_a_flood_of_qos_0_is_bounded_by_the_inbox_and_the_session_goes_on_after_it(
    broker: RunningBroker, limit: dict[str, Any]
) -> None:
    one_read = 262_144 // 10_000 + 1
    with session(broker.port, **limit) as ours:
        publish(broker.port, *[b"x" * 10_000] * 1_000, qos=0)
        wait_until(lambda: not ours.inbox.room, "a full inbox")
        # The broker still has more, and would have sent it long ago.
        threading.Event().wait(0.5)
        assert 50 <= len(ours.inbox) <= 50 + one_read
        publish(broker.port, b"marker")

        wait_until(lambda: b"marker" in payloads(take(ours, 100, within_s=0.2)), "the message behind the flood")
        assert ours.up.is_set()


def publish_with(port: int, *properties: tuple[str, str], topic: str = TOPIC, times: int = 1) -> list[str]:
    """What the broker says to messages of one byte with these user properties, over MQTT 5."""
    said: list[str] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_publish = lambda _client, _data, _id, reason, _properties: said.append(str(reason))
    client.on_disconnect = lambda _client, _data, _flags, reason, _properties: said.append(str(reason))
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected, "the connection")
    sent = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    if properties:
        sent.UserProperty = list(properties)
    for _ in range(times):
        client.publish(topic, b"x", qos=1, properties=sent)
    wait_until(lambda: len(said) >= times or "Packet too large" in said, "the broker's word")
    client.on_disconnect = None
    client.disconnect()
    client.loop_stop()
    return said


def test_a_flood_of_properties_takes_no_memory_of_the_inbox(broker: RunningBroker) -> None:
    with session(broker.port) as ours:
        assert publish_with(broker.port, *[("k", "v")] * 40_000, times=20) == ["Success"] * 20
        found = take(ours, 20)
    assert all(sys.getsizeof(p) + len(p.payload) + len(p.topic) < 500 for d in found for p in d.packets)


def test_a_flood_of_long_topics_is_bounded_by_the_inbox(broker: RunningBroker) -> None:
    topic = f"telemetry/GW/{'x' * 60_000}/data"
    with session(broker.port, inbox_bytes=600_000) as ours:
        publish(broker.port, *[b""] * 200, topic=topic)
        wait_until(lambda: not ours.inbox.room, "a full inbox")
        threading.Event().wait(0.3)
        assert len(ours.inbox) < 20
        publish(broker.port, b"marker")
        wait_until(lambda: b"marker" in payloads(take(ours, 100, within_s=0.2)), "the message behind the flood")


def test_a_packet_too_large_for_the_consumer_is_not_acknowledged_by_our_broker(broker: RunningBroker) -> None:
    """What it acknowledged and could not hand over would be gone without a trace."""
    with session(broker.port) as ours:
        assert publish_with(broker.port, ("k", "v" * 60_000), *[("k", "v" * 60_000)] * 6) == ["Packet too large"]
        # The largest that it takes comes.
        assert publish_with(broker.port, *[("k", "v" * 60_000)] * 6, topic=f"telemetry/GW/{'x' * 20_000}/data") == [
            "Success"
        ]
        publish(broker.port, b"marker")
        wait_until(lambda: payloads(take(ours, 2, within_s=0.5))[-1:] == [b"marker"], "both")


def test_a_full_inbox_does_not_count_as_a_silent_broker(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard, inbox_messages=1, keep_alive_s=1) as ours:
        publish(broker.port, b"a", b"b", b"c")
        wait_until(lambda: not ours.inbox.room, "a full inbox")
        threading.Event().wait(3.5)  # longer than the broker and we wait for each other

        assert heard.reasons == []
        assert payloads(take(ours, 3)) == [b"a", b"b", b"c"]


def test_an_idle_connection_is_kept_alive(broker: RunningBroker) -> None:
    heard = Heard()
    with session(broker.port, heard=heard, keep_alive_s=2) as ours:
        threading.Event().wait(5)

        assert heard.reasons == []
        publish(broker.port, b"a")
        assert payloads(take(ours, 1)) == [b"a"]


# TLS


@pytest.fixture
def tls_port(broker: RunningBroker) -> int:
    """Another listener of the broker, with a certificate that signed itself."""
    folder, port = broker.broker.folder, free_port()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "1",
            ),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o644)  # a throw-away key, read by the broker's account
    with broker.broker.configuration.open("a") as file:
        file.write(f"\nlistener {port} 127.0.0.1\nallow_anonymous true\ncertfile {certificate}\nkeyfile {key}\n")
    broker.restart()
    return port


def trusting(broker: RunningBroker) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(Path(broker.broker.folder) / "certificate.pem"))


def test_a_session_over_tls_receives_and_acknowledges(broker: RunningBroker, tls_port: int) -> None:
    tls = trusting(broker)
    with session(tls_port, host="localhost", tls=tls) as ours:
        publish(broker.port, *numbered(2_000))
        for delivery in take(ours, 2_000):
            assert ours.acknowledge(delivery)

    with session(tls_port, host="localhost", tls=tls) as ours:
        publish(broker.port, b"marker")
        assert payloads(take(ours, 1)) == [b"marker"]


def test_a_full_inbox_leaves_nothing_lying_in_tls(broker: RunningBroker, tls_port: int) -> None:
    with session(tls_port, host="localhost", tls=trusting(broker), inbox_messages=3) as ours:
        publish(broker.port, *numbered(200))

        assert payloads(take(ours, 200, within_s=8)) == numbered(200)


def test_a_certificate_that_nobody_vouches_for_is_refused_and_said(broker: RunningBroker, tls_port: int) -> None:
    heard = Heard()
    with session(tls_port, wait=False, host="localhost", tls=ssl.create_default_context(), heard=heard) as ours:
        wait_until(lambda: heard.reasons, "a refusal")

        assert "CERTIFICATE_VERIFY_FAILED" in heard.reasons[0]
        assert not ours.up.is_set()


# What a gateway may put around its payload, and what is no MQTT at all


def send_raw(port: int, *packets: bytes) -> bytes:
    """Over a connection of its own; what the broker answers until it is silent for a moment or hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as sock:
        sock.sendall(mqtt5.ConnectPacket("gateway", clean_start=True).write() + b"".join(packets))
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while data := sock.recv(65_536):
                answer += data
        return answer


def test_all_that_mqtt_5_lets_a_gateway_add_to_a_message_is_received(broker: RunningBroker) -> None:
    decorated = mqtt5.PublishPacket(
        TOPIC,
        b"\xff\x00 no text",
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        packet_id=1,
        payload_format_indicator=1,
        message_expiry_interval=1_000,
        content_type="é/°",
        response_topic="answer/here",
        correlation_data=bytes(range(256)),
        user_properties=[("k" * 1_000, "\N{GRINNING FACE}"), ("k", ""), ("", "v")],
    )
    plain = mqtt5.PublishPacket(TOPIC, b"", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=2)
    with session(broker.port) as ours:
        send_raw(broker.port, decorated.write(), plain.write())

        assert payloads(take(ours, 2)) == [b"\xff\x00 no text", b""]


def test_the_largest_payload_with_the_longest_topic_is_received(broker: RunningBroker) -> None:
    topic = f"telemetry/{'g' * 32_000}/{'d' * 33_000}/data"
    with session(broker.port) as ours:
        publish(broker.port, b"x" * 262_144, topic=topic)

        assert [len(payload) for payload in payloads(take(ours, 1))] == [262_144]


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize("place", ["topic", "user property", "content type"])
def test_a_text_that_is_no_utf_8_stops_nothing(broker: RunningBroker, text: bytes, place: str) -> None:
    def string(value: bytes) -> bytes:
        return struct.pack("!H", len(value)) + value

    properties = {
        "topic": b"",
        "user property": b"\x26" + string(b"k") + string(text),
        "content type": b"\x03" + string(text),
    }
    topic = b"telemetry/GW/" + text + b"/data" if place == "topic" else TOPIC.encode()
    body = string(topic) + b"\x00\x01" + bytes([len(properties[place])]) + properties[place] + b"poison"
    heard = Heard()
    with session(broker.port, heard=heard) as ours:
        send_raw(broker.port, b"\x32" + bytes([len(body)]) + body)
        publish(broker.port, b"marker")

        assert b"marker" in payloads(take(ours, 1))
        assert heard.reasons == []


class FakeBroker:
    """Answers each connection with the bytes of its script, then stays silent."""

    def __init__(self, *script: bytes) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.received: list[Any] = []
        self._script = script
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            for answer in self._script:
                connection, _ = self.server.accept()
                self._open.append(connection)
                self.received += PacketReader().feed(connection.recv(65_536))
                connection.sendall(answer)

    def close(self) -> None:
        self.server.close()
        for connection in self._open:
            connection.close()


WELCOME: Final = mqtt5.ConnAckPacket(session_present=True).write()
SUBSCRIBED: Final = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED).write(), "NOT_AUTHORIZED"),
        (WELCOME + mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write(), "NOT_AUTHORIZED"),
        (WELCOME + mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]).write(), "AT_MOST_ONCE"),
        (WELCOME + mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * 2).write(), "2 answers"),
        (WELCOME + b"\x15\x03\x03\x00\x02\x02\x28", "malformed packet"),
        pytest.param(
            WELCOME + SUBSCRIBED + b"\x30\x04\x00\x01\xff\x00",
            "no UTF-8",
            # The codec's panic leaves its cause behind.
            marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ),
    ],
)
def test_a_broker_that_refuses_or_talks_nonsense_is_left_and_tried_again(answer: bytes, reason: str) -> None:
    fake, heard = FakeBroker(answer, WELCOME + SUBSCRIBED), Heard()
    try:
        with session(fake.port, wait=False, heard=heard) as ours:
            wait_until(lambda: heard.reasons, "the end of the first connection")
            assert reason in heard.reasons[0]
            wait_until(lambda: len(heard.patterns) > 0 and ours.up.is_set(), "the second connection")
            ours.check()
    finally:
        fake.close()


def test_a_silent_broker_is_left_after_one_and_a_half_times_the_keep_alive() -> None:
    fake, heard = FakeBroker(b""), Heard()
    try:
        with session(fake.port, wait=False, heard=heard, keep_alive_s=1):
            wait_until(lambda: heard.reasons, "the end of the connection", 5)
        assert heard.reasons[0] == "the broker was silent for 2 s"
    finally:
        fake.close()


def test_every_connection_asks_for_the_session_that_is_there() -> None:
    fake = FakeBroker(WELCOME + SUBSCRIBED)
    try:
        with session(fake.port, username="u", password="p"):
            pass
        connect = fake.received[0]
        assert (connect.clean_start, connect.client_id, connect.receive_max) == (False, CLIENT_ID, 5_000)
        assert (connect.session_expiry_interval, connect.username, connect.password) == (0xFFFF_FFFF, "u", b"p")
    finally:
        fake.close()


@pytest.mark.parametrize(("granted_s", "told"), [(None, []), (0xFFFF_FFFF, []), (7_200, [7_200])])
def test_a_broker_that_lets_the_session_expire_is_said_to(granted_s: int | None, told: list[int]) -> None:
    welcome = mqtt5.ConnAckPacket(session_present=True, session_expiry_interval=granted_s).write()
    fake, heard = FakeBroker(welcome + SUBSCRIBED), Heard()
    try:
        with session(fake.port, heard=heard):
            assert heard.expiries_s == told
    finally:
        fake.close()


class Faulty(Heard):
    def subscribed(self, pattern: str) -> None:
        raise LookupError("a fault of ours")


def test_a_fault_of_ours_on_the_sessions_thread_is_raised_where_it_is_seen(broker: RunningBroker) -> None:
    with session(broker.port, wait=False, heard=Faulty()) as ours:
        assert ours.take(1, linger_s=0, timeout_s=SOON_S).packets == []
        with pytest.raises(RuntimeError, match="thread has ended"):
            ours.check()


# Shared subscriptions and drains, as a broker may answer them

SHARED_FILTER: Final = f"$share/some-secret/{FILTER}"


def test_a_broker_without_shared_subscriptions_ends_the_session_with_an_error_of_its_own() -> None:
    fake = FakeBroker(mqtt5.ConnAckPacket(shared_subscription_available=False).write())
    try:
        with session(fake.port, wait=False, filters=(SHARED_FILTER,)) as ours:
            wait_until(lambda: not ours._thread.is_alive(), "the end of the session's thread")
            with pytest.raises(SharedSubscriptionsError):
                ours.check()
    finally:
        fake.close()


def test_a_plain_subscription_does_not_mind_a_broker_without_shared_ones() -> None:
    fake = FakeBroker(mqtt5.ConnAckPacket(shared_subscription_available=False).write() + SUBSCRIBED)
    try:
        with session(fake.port) as ours:
            ours.check()
    finally:
        fake.close()


def test_the_name_of_the_group_is_in_no_word_of_a_session() -> None:
    refused = WELCOME + mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write()
    fake, heard = FakeBroker(refused, WELCOME + SUBSCRIBED), Heard()
    try:
        with session(fake.port, heard=heard, filters=(SHARED_FILTER,)):
            assert heard.reasons == [f"the broker refused the subscription to {FILTER}: NOT_AUTHORIZED"]
            assert heard.patterns == [FILTER]
    finally:
        fake.close()


@pytest.mark.parametrize(
    "answer",
    [
        mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write(),
        mqtt5.UnsubAckPacket(2, [mqtt5.UnsubAckReasonCode.NOT_AUTHORIZED]).write(),
        mqtt5.PubAckPacket(3, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED).write(),
        mqtt5.PubAckPacket(3, reason_code=mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS).write(),
    ],
)
def test_a_broker_that_does_not_let_a_session_be_drained_is_named_and_tried_again(answer: bytes) -> None:
    fake, heard = FakeBroker(WELCOME + answer, WELCOME), Heard()
    try:
        with session(fake.port, wait=False, heard=heard, drains=True) as ours:
            wait_until(lambda: heard.reasons, "a reason")
            assert heard.reasons[0].startswith("the broker does not let the session be drained: NO")
            assert not ours.drained
    finally:
        fake.close()
