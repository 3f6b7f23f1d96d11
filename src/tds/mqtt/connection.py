"""One TCP connection of a session, from CONNECT to its end (OASIS MQTT 5.0). Lives on the session's I/O thread."""

import secrets
import selectors
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import Any, Final, Protocol

import mqtt5

from tds.mqtt import drain
from tds.mqtt.inbox import Inbox, Received
from tds.mqtt.outbox import Outbox
from tds.mqtt.packets import MAX_PACKET_BYTES, PacketReader, ProtocolError, pubacks
from tds.mqtt.sending import Sending

NEVER_EXPIRES: Final = 0xFFFF_FFFF
CONNECT_TIMEOUT_S: Final = 5.0
DISCONNECT_TIMEOUT_S: Final = 5.0
READ_BYTES: Final = 262_144
WRITE_BYTES: Final = 65_536
FULL_INBOX_PAUSE_S: Final = 0.02
GRANTED: Final = (mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE, mqtt5.SubAckReasonCode.GRANTED_QOS_EXACTLY_ONCE)
SILENCE_FACTOR: Final = 1.5  # of the keep-alive, MQTT 5, 3.1.2.10
SHARED: Final = "$share/"
CLEARING: Final = ("tds", "clearing")  # a user property: our own clearing comes back to a shared subscription


class SharedSubscriptionsError(Exception):
    """The broker says that it has no shared subscriptions."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Where to connect, as whom, and what to subscribe."""

    host: str
    port: int
    client_id: str
    filters: tuple[str, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    drains: bool = False  # subscribe no more, but take what waits; see drain.py
    # Every connection begins with all that is retained, and the retain flag marks that and nothing else; what we
    # publish ourselves comes back, so that a message of ours can mark the end of it.
    snapshots: bool = False
    # With QoS 0: the broker keeps none of these for us while we are away, and may refuse them.
    passing: tuple[str, ...] = ()
    expiry_s: int = NEVER_EXPIRES  # after the end of a connection the broker keeps the session for so long
    keep_alive_s: int = 30
    receive_maximum: int = 5_000  # messages of QoS 1 under way at once; the broker keeps the rest
    # More come with QoS 0, and from mosquitto 2.0.11, which sends on after the first PUBACK as if there were no receive
    # maximum. At one of these limits the socket is not read until there is room.
    inbox_messages: int = 20_000
    inbox_bytes: int = 67_108_864  # of payload and topics: 5,000 messages of 256 KiB would be 1.3 GB

    @property
    def shared(self) -> bool:
        return any(pattern.startswith(SHARED) for pattern in self.filters)


def without_group(pattern: str) -> str:
    """For people: the name of a shared subscription's group is a secret."""
    return pattern.split("/", 2)[2] if pattern.startswith(SHARED) else pattern


class Listener(Protocol):
    """Is told what happens to the connection, on the session's thread."""

    def connected(self, *, session_present: bool) -> None: ...
    def expires(self, after_s: int) -> None: ...
    def subscribed(self, pattern: str) -> None: ...
    def disconnected(self, reason: str) -> None: ...


@contextmanager
def open_socket(config: SessionConfig) -> Iterator[socket.socket]:
    """A connected non-blocking socket, over TLS where the configuration has a context. Raises OSError."""
    sock = socket.create_connection((config.host, config.port), timeout=CONNECT_TIMEOUT_S)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if config.tls is not None:
            sock = config.tls.wrap_socket(sock, server_hostname=config.host)
        sock.setblocking(False)
        yield sock
    finally:
        sock.close()


class Connection:
    def __init__(
        self, config: SessionConfig, sock: socket.socket, inbox: Inbox, outbox: Outbox, sending: Sending
    ) -> None:
        self.config = config
        self.sock = sock
        self.inbox = inbox
        self.outbox = outbox
        self.sending = sending
        self.reader = PacketReader()
        self.number = inbox.connection
        self.keep_alive_s = float(config.keep_alive_s)
        self.sent_at = self.heard_at = monotonic()
        self.nonce = secrets.token_bytes(16)  # of this connection's marker
        self.marker = drain.marker_topic(config.client_id)
        self.shared = config.shared

    def serve(self, listener: Listener, up: Event, stopping: Event, giving_up: Event) -> None:
        """Run until told to stop; raises OSError or ProtocolError with the reason when the connection ends before.

        With `giving_up` set the session ends with the connection: it must hold nothing any more.
        """
        self.outbox.open(self.number)
        self._put(self._connect_packet())
        with selectors.DefaultSelector() as selector:
            selector.register(self.outbox.wake_fd, selectors.EVENT_READ)
            selector.register(self.sock, selectors.EVENT_READ)
            watching = True
            while not stopping.is_set():
                self._write()
                interest = self._interest()
                if interest and watching:
                    selector.modify(self.sock, interest)
                elif interest:
                    selector.register(self.sock, interest)
                elif watching:
                    selector.unregister(self.sock)
                watching = bool(interest)
                for key, events in selector.select(1.0 if interest & selectors.EVENT_READ else FULL_INBOX_PAUSE_S):
                    if key.fileobj is not self.sock:
                        self.outbox.drain_wake()
                    elif events & selectors.EVENT_READ:
                        self._read(listener, up)
                # Left there by a full inbox; no more bytes may ever come to tell of it.
                if self._decrypted() and self.inbox.room:
                    self._read(listener, up)
                self._keep_alive()
        self._disconnect(giving_up=giving_up.is_set())

    def _put(self, data: bytes) -> None:
        self.outbox.put(data, self.number)

    def _connect_packet(self) -> bytes:
        config = self.config
        return mqtt5.ConnectPacket(
            config.client_id,
            username=config.username,
            password=config.password.encode() if config.password is not None else None,
            # Never True: mosquitto did not restore sessions that began so after it was killed.
            clean_start=False,
            keep_alive=config.keep_alive_s,
            session_expiry_interval=config.expiry_s,
            receive_max=config.receive_maximum,
            max_packet_size=MAX_PACKET_BYTES,
        ).write()

    def _interest(self) -> int:
        interest = selectors.EVENT_READ if self.inbox.room else 0
        return interest | (selectors.EVENT_WRITE if len(self.outbox) else 0)

    def _write(self) -> None:
        data = self.outbox.peek(WRITE_BYTES)
        if not data:
            return
        try:
            self.outbox.sent(self.sock.send(data))
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        self.sent_at = monotonic()

    def _read(self, listener: Listener, up: Event) -> None:
        while True:
            try:
                data = self.sock.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not data:
                raise ConnectionResetError("the broker closed the connection")
            self.heard_at = monotonic()
            messages: list[Received] = []
            drained = False
            for packet in self.reader.feed(data):
                if not isinstance(packet, mqtt5.PublishPacket):
                    self._control(packet, listener, up)
                elif self._is_ours(packet):
                    drained = drained or packet.payload == self.nonce
                    self._put(pubacks([packet.packet_id] if packet.packet_id is not None else []))
                else:
                    messages.append(Received(packet.topic, packet.payload, packet.retain, packet.packet_id))
            if messages:
                self.inbox.put(messages)
            if drained:  # after what came before it
                self.inbox.drained.set()
            if not (self._decrypted() and self.inbox.room):
                return

    def _is_ours(self, packet: Any) -> bool:
        """The marker of a drain, perhaps of one that was broken off; or our own clearing of a retained message."""
        if packet.topic == self.marker:
            return True
        return self.shared and not packet.payload and packet.retain and CLEARING in packet.user_properties

    def _decrypted(self) -> bool:
        """Whether TLS holds bytes that it has decrypted already: no selector sees them."""
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def _control(self, packet: Any, listener: Listener, up: Event) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket):
            self._connected(packet, listener)
        elif self.config.drains and isinstance(packet, (mqtt5.SubAckPacket, mqtt5.UnsubAckPacket, mqtt5.PubAckPacket)):
            if why := drain.refusal(packet):
                raise ConnectionRefusedError(f"the broker does not let the session be drained: {why}")
            up.set()
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._subscribed(packet, listener)
            up.set()
        elif isinstance(packet, mqtt5.PubAckPacket):
            self.sending.answered(packet.packet_id, int(packet.reason_code))
        elif isinstance(packet, mqtt5.DisconnectPacket):
            raise ConnectionResetError(f"the broker disconnected us: {packet.reason_code.name}")

    def _connected(self, packet: Any, listener: Listener) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise ConnectionRefusedError(f"the broker refused the connection: {packet.reason_code.name}")
        if packet.server_keep_alive is not None:
            self.keep_alive_s = float(packet.server_keep_alive)
        if self.config.shared and not packet.shared_subscription_available:
            raise SharedSubscriptionsError
        self.sending.opened(self.number, packet.receive_max)
        listener.connected(session_present=packet.session_present)
        if packet.session_expiry_interval not in (None, self.config.expiry_s):
            listener.expires(packet.session_expiry_interval)
        if self.config.drains:
            self._put(drain.beginning(self.config.client_id, self.config.filters, self.nonce))
            return
        filters = [
            mqtt5.TopicFilter(
                pattern,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                # Our clearing of a retained message is not to come back to us. MQTT 5, 3.8.3.1: not on a shared one.
                no_local=not pattern.startswith(SHARED) and not self.config.snapshots,
                retain_as_published=not self.config.snapshots,  # to see which are retained
                # What was retained while we were away is in the session's queue already: once is enough.
                retain_handling=mqtt5.RetainHandling.SEND_ALWAYS
                if self.config.snapshots
                else mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
            )
            for pattern in self.config.filters
        ]
        passing = [
            mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS.AT_MOST_ONCE, retain_handling=mqtt5.RetainHandling.SEND_ALWAYS)
            for pattern in self.config.passing
        ]
        # The passing ones first: what is retained of them comes before what is retained of the others.
        self._put(mqtt5.SubscribePacket(1, passing + filters).write())

    def _subscribed(self, packet: Any, listener: Listener) -> None:
        passing, filters = self.config.passing, self.config.filters
        if len(packet.reason_codes) != len(passing) + len(filters):
            asked = len(passing) + len(filters)
            raise ProtocolError(f"{len(packet.reason_codes)} answers to {asked} subscriptions")
        for pattern, code in zip(filters, packet.reason_codes[len(passing) :], strict=True):
            if code not in GRANTED:
                raise ConnectionRefusedError(
                    f"the broker refused the subscription to {without_group(pattern)}: {code.name}"
                )
            listener.subscribed(without_group(pattern))

    def _keep_alive(self) -> None:
        if not self.keep_alive_s:
            return
        now = monotonic()
        if now - self.sent_at > self.keep_alive_s / 2:
            self.sent_at = now
            self._put(mqtt5.PingReqPacket().write())
        # While the inbox is full nothing is read, and silence says nothing of the broker.
        if not self.inbox.room:
            self.heard_at = now
        if now - self.heard_at > self.keep_alive_s * SILENCE_FACTOR:
            raise TimeoutError(f"the broker was silent for {self.keep_alive_s * SILENCE_FACTOR:.0f} s")

    def _disconnect(self, *, giving_up: bool) -> None:
        """The last acknowledgements, then DISCONNECT. The session stays on the broker, unless it is given up.

        Then until the broker has closed the connection, which it does when it has read that (MQTT 5, 3.14.4).
        """
        self._put(mqtt5.DisconnectPacket(session_expiry_interval=0 if giving_up else None).write())
        self.sock.settimeout(DISCONNECT_TIMEOUT_S)
        self.sock.sendall(self.outbox.peek(len(self.outbox)))
        while giving_up and self.sock.recv(READ_BYTES):
            pass
