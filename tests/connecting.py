"""MQTT clients with certificates or passwords, and certificates as nobody should have made them."""

import secrets
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tds.identity.authorities import keys
from tds.identity.authorities.authority import Authority
from tests.running import RunningBroker, wait_until

LIMIT_S: Final = 10.0
REFUSED: Final = 0x87  # MQTT 5, 3.4.2.1: not authorized
NOBODY: Final = 0x10  # and nobody subscribed
CONNECT: Final = bytes.fromhex("100c00044d5154540402003c0000")  # MQTT 3.1.1, a clean session without a name
NEVER_EXPIRES: Final = 0xFFFFFFFF
DAY: Final = timedelta(days=1)

A: Final = "GW-A"  # two gateways of one broker
B: Final = "GW-B"


@dataclass(frozen=True)
class Credential:
    """Files for a TLS client: its certificate with what is to be sent along, and its key."""

    chain: Path
    key: Path

    @classmethod
    def write(cls, folder: Path, key: ec.EllipticCurvePrivateKey, *certificates: x509.Certificate) -> Self:
        name = secrets.token_hex(4)
        found = cls(folder / f"{name}.crt", folder / f"{name}.key")
        found.chain.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates))
        found.key.write_bytes(keys.pem(key))
        return found


def device(
    folder: Path, authority: Authority, code: str, *, now: datetime | None = None, days: float = 30
) -> Credential:
    """Of a gateway, as it is issued."""
    key = keys.new_key()
    certificate = authority.issue_device(key.public_key(), code, now or datetime.now(UTC), days=days)
    return Credential.write(folder, key, certificate)


def raw(
    folder: Path,
    authority: Authority,
    *names: str,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    along: Sequence[x509.Certificate] = (),
) -> Credential:
    """A certificate with any common names, signed past all that would refuse them."""
    key, now = keys.new_key(), datetime.now(UTC)
    with warnings.catch_warnings(action="ignore"):  # of names that are too short or too long
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False) for name in names])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Credential.write(folder, key, certificate, *along)


def context_for(broker: RunningBroker, credential: Credential | None) -> ssl.SSLContext:
    """As a gateway has it: it pins what its box came with."""
    context = ssl.create_default_context(cafile=broker.broker.tls / "server-ca.pem")
    if credential:
        context.load_cert_chain(credential.chain, credential.key)
    return context


def served(port: int) -> bytes:
    """The certificate that a broker shows, which may be of a time to come."""
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
        looking.wrap_socket(plain) as sock,
    ):
        found = sock.getpeercert(binary_form=True)
        assert found
        return found


def tls_alert(broker: RunningBroker, credential: Credential | None) -> str:
    """Why the broker turns this certificate away, by the TLS alert that it sends; empty when it lets it in.

    With TLS 1.3 the client's handshake is over before the server has looked at its certificate.
    """
    context = context_for(broker, credential)
    port = broker.broker.listeners.tls
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
                sock.settimeout(1.0)
                with suppress(TimeoutError):
                    return "" if sock.recv(1) else "closed without an alert"
                # Let in, or slow to say no: whom it let in it answers, and ends another session of that gateway.
                sock.settimeout(LIMIT_S)
                with suppress(ConnectionError):
                    sock.sendall(CONNECT)
                return "" if sock.recv(1) else "closed without an alert"
        except ssl.SSLError as error:
            return str(error.reason)


@dataclass
class Client:
    """A connected client; `came` is all that was delivered to it."""

    paho: paho.Client
    came: list[tuple[str, bytes]] = field(default_factory=list)
    retained: list[str] = field(default_factory=list)
    _answers: dict[int, int] = field(default_factory=dict)
    _answered: threading.Condition = field(default_factory=threading.Condition)
    connected: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    session_present: bool = False
    refusal: str = ""

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        """The reason code of the acknowledgement: 0, or `NOBODY`, or `REFUSED`."""
        return self._answer(self.paho.publish(topic, payload, qos=1, retain=retain).mid)

    def subscribe(self, *filters: str) -> None:
        mid = self.paho.subscribe([(pattern, 1) for pattern in filters])[1]
        assert mid is not None
        self._answer(mid)

    def _answer(self, mid: int) -> int:
        with self._answered:
            assert self._answered.wait_for(lambda: mid in self._answers, LIMIT_S), "no acknowledgement"
            return self._answers.pop(mid)

    def told(self, mid: int, code: int) -> None:
        with self._answered:
            self._answers[mid] = code
            self._answered.notify_all()

    def got(self, topic: str, payload: bytes = b"x") -> None:
        """Wait for this one."""
        wait_until(lambda: (topic, payload) in self.came, f"{payload!r} on {topic}", LIMIT_S)

    def cut(self) -> None:
        """As a power cut does: no DISCONNECT, so that the will is published."""
        sock = self.paho.socket()
        assert sock
        sock.close()


@contextmanager
def client(
    port: int,
    *,
    user: str | None = None,
    password: str | None = None,
    client_id: str = "",
    context: ssl.SSLContext | None = None,
    will: str = "",
    keeps: bool = False,
    acknowledges: bool = True,
    transport: str = "tcp",
) -> Iterator[Client]:
    """Connected, or refused: then `refusal` says why. With `keeps` the session never expires, and is not begun anew."""
    made = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        transport=transport,  # type: ignore[arg-type]  # a literal of paho's
        manual_ack=not acknowledges,
        reconnect_on_failure=False,
    )
    found = Client(made)

    def on_connect(_client: Any, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        found.refusal = str(code) if code.is_failure else ""
        found.session_present = flags.session_present
        found.connected.set()

    def on_disconnect(_client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        found.refusal = found.refusal or str(code)
        found.gone.set()
        found.connected.set()

    def on_message(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        found.came.append((message.topic, bytes(message.payload)))
        if message.retain:
            found.retained.append(message.topic)

    made.on_connect, made.on_disconnect, made.on_message = on_connect, on_disconnect, on_message
    made.on_publish = lambda _client, _data, mid, code, _properties: found.told(mid, code.value)
    made.on_subscribe = lambda _client, _data, mid, codes, _properties: found.told(mid, codes[0].value)
    if user is not None:
        made.username_pw_set(user, password)
    if context:
        made.tls_set_context(context)
    if will:
        made.will_set(will, b"will", qos=1)
    expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
    if keeps:
        expiry.SessionExpiryInterval = NEVER_EXPIRES
    made.connect("127.0.0.1", port, clean_start=not keeps, properties=expiry)
    made.loop_start()
    try:
        assert found.connected.wait(LIMIT_S), "neither connected nor refused"
        yield found
    finally:
        made.disconnect()
        made.loop_stop()
        # They know the client, and in a circle its sockets would be left to whenever the collector comes.
        made.on_connect = made.on_disconnect = made.on_message = made.on_publish = made.on_subscribe = None


@contextmanager
def gateway(broker: RunningBroker, credential: Credential, **options: Any) -> Iterator[Client]:
    """By TLS with a certificate."""
    with client(broker.broker.listeners.tls, context=context_for(broker, credential), **options) as found:
        yield found


@contextmanager
def service(broker: RunningBroker, name: str, **options: Any) -> Iterator[Client]:
    """One of the platform's own."""
    password = options.pop("password", broker.broker.passwords.get(name))
    with client(broker.broker.listeners.services, user=name, password=password, **options) as found:
        yield found
