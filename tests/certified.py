"""Gateways with certificates on a real broker, as themselves. Without Django: the benchmarks use it too."""

import json
import os
import secrets
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import mqtt5
import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tds.identity.access import broker_rules
from tests.running import RunningBroker, wait_until

ANSWER_S: Final = 5.0
EXPIRY_S: Final = 3_600


class Unit:
    """What a gateway holds: its code; with a certificate also a file with that and its key, and whom it trusts."""

    def __init__(self, code: str, path: Path | None = None, trust: Path | None = None) -> None:
        self.code = code
        self._path = path
        self._trust = trust

    @classmethod
    def write(cls, folder: Path, code: str, pem: bytes, trust: Path) -> "Unit":
        path = folder / f"{code}-{secrets.token_hex(4)}.pem"
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(pem)
        return cls(code, path, trust)

    def context(self) -> ssl.SSLContext:
        assert self._path
        context = ssl.create_default_context(cafile=self._trust)
        context.load_cert_chain(self._path)
        return context


class Session:
    """A gateway's connection with MQTT 5: one thread owns the socket, and says what happened to it."""

    def __init__(self, unit: Unit, port: int, *, subscribe: str = "", retry_s: float = 0, password: str = "") -> None:
        self.unit = unit
        self.up, self.ended, self.refused = threading.Event(), threading.Event(), threading.Event()
        self.ended_at = 0.0
        self.ups = 0
        self.tries = 0
        self.present = False  # a session of before, at the last CONNECT
        self._port, self._subscribe, self._retry_s, self._password = port, subscribe, retry_s, password
        self._context = None if password else unit.context()
        self._out: deque[bytes] = deque()
        self._awake, self._wake = socket.socketpair()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def publish(self, number: int) -> None:
        topic = f"telemetry/{self.unit.code}/D01/data"
        payload = f"{self.unit.code} {number}".encode()
        self._put(mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number % 65_535 + 1))

    def start(self) -> "Session":
        """It is in, or turned away, when `up` or `refused` is set."""
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._wake.send(b"x")
        self._thread.join(ANSWER_S)
        assert not self._thread.is_alive()
        self._awake.close()
        self._wake.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.tries += 1
            try:
                with self._connect() as sock:
                    self._serve(sock)
            except (OSError, ValueError):
                pass
            if self.up.is_set():
                self.ended_at = monotonic()
                self.up.clear()
                if not self._stopping.is_set():
                    self.ended.set()
            self.refused.set()
            if not self._retry_s:
                return
            self._stopping.wait(self._retry_s)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(("localhost", self._port), timeout=ANSWER_S)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def _serve(self, sock: socket.socket) -> None:
        topic, payload = f"status/{self.unit.code}", b'{"status":"offline"}'
        will = mqtt5.Will(topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)
        self._out.clear()
        self._put(
            mqtt5.ConnectPacket(
                self.unit.code,
                username=self.unit.code if self._password else None,
                password=self._password.encode() if self._password else None,
                will=will,
                keep_alive=0,  # nobody here sends a ping
                # One that ends by itself, which a reload of the broker as such does not survive.
                session_expiry_interval=EXPIRY_S,
            )
        )
        rest = b""
        while not self._stopping.is_set():
            while self._out:
                sock.sendall(self._out.popleft())
            if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
                readable = select.select([sock, self._awake], [], [])[0]
                if self._awake in readable:
                    self._awake.recv(4_096)
                if sock not in readable:
                    continue
            data = sock.recv(65_536)
            if not data:
                return
            rest = self._take(rest + data)
        sock.sendall(mqtt5.DisconnectPacket().write())

    def _take(self, data: bytes) -> bytes:
        while True:
            try:
                packet, size = mqtt5.read(memoryview(data))
            except IndexError:
                return data
            data = data[size:]
            if isinstance(packet, mqtt5.ConnAckPacket):
                if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                    raise ConnectionRefusedError(packet.reason_code.name)
                self.present = packet.session_present
                self.ups += 1
                self.up.set()
                if self._subscribe:
                    self._put(
                        mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(self._subscribe, max_qos=mqtt5.QoS.AT_LEAST_ONCE)])
                    )

    def _put(self, packet: Any) -> None:
        self._out.append(packet.write())
        if threading.current_thread() is not self._thread:
            self._wake.send(b"x")


@contextmanager
def session(unit: Unit, broker: RunningBroker, **options: Any) -> Iterator[Session]:
    """One that got in."""
    with let_in(Session(unit, broker.broker.listeners.tls, **options)) as found:
        yield found


@contextmanager
def with_password(code: str, password: str, broker: RunningBroker) -> Iterator[Session]:
    """The same without a certificate."""
    with let_in(Session(Unit(code), broker.port, password=password)) as found:
        yield found


@contextmanager
def let_in(started: Session) -> Iterator[Session]:
    started.start()
    try:
        assert started.up.wait(ANSWER_S), f"{started.unit.code} was not let in"
        yield started
    finally:
        started.stop()


def gets_in(unit: Unit, broker: RunningBroker) -> bool:
    """Whether one try to connect does."""
    return gets_in_at(unit, broker.broker.listeners.tls)


def gets_in_at(unit: Unit, port: int) -> bool:
    tried = Session(unit, port).start()
    try:
        wait_until(lambda: tried.up.is_set() or tried.refused.is_set(), "an answer to CONNECT", ANSWER_S)
        return tried.ups > 0
    finally:
        tried.stop()


@contextmanager
def opened(
    unit: Unit, broker: RunningBroker, context: ssl.SSLContext | None = None, resumed: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    """A connection on which TLS is done, and nothing was said."""
    with opened_at(unit, broker.broker.listeners.tls, context, resumed) as connection:
        yield connection


@contextmanager
def opened_at(
    unit: Unit, port: int, context: ssl.SSLContext | None = None, resumed: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("localhost", port), timeout=ANSWER_S) as plain,
        (context or unit.context()).wrap_socket(plain, server_hostname="localhost", session=resumed) as connection,
    ):
        yield connection


@contextmanager
def presence(broker: RunningBroker) -> Iterator[list[str]]:
    """What gateways' topics say of them, as it is said: nothing that a broker retained."""
    came: list[str] = []

    def note(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if not message.retain:
            came.append(f"{message.topic} {json.loads(message.payload)['status']}")

    with _service(broker, broker_rules.DEVICELINK, "status/+", note):
        yield came


@contextmanager
def consumer(broker: RunningBroker) -> Iterator[list[str]]:
    """What comes to the consumer's place, as it comes."""
    came: list[str] = []

    def note(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        came.append(message.payload.decode())

    with _service(broker, broker_rules.CONSUMER, "telemetry/+/+/data", note):
        yield came


@contextmanager
def _service(broker: RunningBroker, name: str, topics: str, note: Any) -> Iterator[None]:
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, f"tds-tests{name}", protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(name, broker.broker.passwords[name])

    def subscribe(*_: object) -> None:
        client.subscribe(topics, qos=1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = note
    client.connect("127.0.0.1", broker.broker.listeners.services)
    client.loop_start()
    try:
        assert ready.wait(ANSWER_S)
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def register(connection: psycopg.Connection[Any], tenant_id: int, count: int, *, refused: int) -> None:
    """So many gateways with a certificate each that nobody holds; the first `refused` of them are disabled."""
    with connection.transaction():
        connection.execute(
            """INSERT INTO tds_new_gateway (tenant_id, code, name, status, auto_devices, created_at, family, hardware)
               SELECT %s, 'BULK-' || n, '', CASE WHEN n <= %s THEN 'disabled' ELSE 'active' END, true, now(), '', ''
               FROM generate_series(1, %s) AS n""",
            (tenant_id, refused, count),
        )
        connection.execute(
            """INSERT INTO tds_new_certificate (gateway_id, serial, issuer, fingerprint, how, not_before, not_after,
                                                issued_at, revocation_reason)
               SELECT id, '00000000' || md5(code), 'device-1', '', 'factory', now(), now() + interval '700 days',
                      now(), ''
               FROM tds_new_gateway WHERE code LIKE 'BULK-%'"""
        )


def resident_mib(pid: int) -> float:
    """Of a process that shares nothing with others."""
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) / 1_024
