"""One persistent MQTT 5 session. Knows nothing of what it carries.

One thread owns the socket: OpenSSL allows no read beside a write on one connection. Others hand it bytes and wake it.
The caller acknowledges; a message that is not acknowledged comes again on the next connection.
"""

from collections.abc import Sequence
from threading import Event, Thread
from time import monotonic
from typing import Final

import mqtt5

from tds.mqtt.backoff import Backoff
from tds.mqtt.connection import (
    CLEARING,
    Connection,
    Listener,
    SessionConfig,
    SharedSubscriptionsError,
    open_socket,
)
from tds.mqtt.inbox import Delivery, Inbox
from tds.mqtt.outbox import Outbox
from tds.mqtt.packets import ProtocolError, pubacks
from tds.mqtt.sending import SendError, Sending

__all__ = ["Delivery", "Listener", "SendError", "Session", "SessionConfig", "SharedSubscriptionsError"]

STOP_TIMEOUT_S: Final = 6.0
MARK_ID: Final = 4  # beside those of drain.py


class Session:
    """Connects, subscribes, receives, acknowledges; and connects again, for as long as it takes."""

    def __init__(self, config: SessionConfig, listener: Listener) -> None:
        self.config = config
        self.inbox = Inbox(config.inbox_messages, config.inbox_bytes)
        self.up = Event()  # connected and subscribed
        self._outbox = Outbox()
        self._sending = Sending()
        self._listener = listener
        self._stopping = Event()
        self._giving_up = Event()
        self.given_up = False
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the I/O thread, if anything did: without it nothing would ever come again."""
        if isinstance(self._failure, SharedSubscriptionsError):
            raise self._failure
        if self._failure is not None:
            raise RuntimeError("The MQTT session's thread has ended.") from self._failure

    def take(self, most: int, *, linger_s: float, timeout_s: float) -> Delivery:
        """The next messages, see `Inbox.take`."""
        return self.inbox.take(most, linger_s=linger_s, timeout_s=timeout_s)

    def acknowledge(self, delivery: Delivery) -> bool:
        """Tell the broker that these are safe. False when their connection is gone: they will come again."""
        ids = [packet.packet_id for packet in delivery.packets if packet.packet_id is not None]
        return not ids or self._outbox.put(pubacks(ids), delivery.connection)

    def clear_retained(self, delivery: Delivery, topics: Sequence[str]) -> None:
        """Make the broker forget the retained messages of some topics. If it can't hear it, they come and go again."""
        for topic in topics:
            self._outbox.put(
                mqtt5.PublishPacket(topic, b"", retain=True, user_properties=[CLEARING]).write(), delivery.connection
            )

    def publish(self, topic: str, payload: bytes, *, timeout_s: float, expiry_s: int | None = None) -> int:
        """With QoS 1, not retained; from any thread but the session's own. The PUBACK's reason code: from 0x80 on the
        broker refused it, 0x10 is that nobody had subscribed. Raises SendError.

        `expiry_s`: for so long the broker keeps it for a subscriber that is away; None: for ever.
        """
        deadline = monotonic() + timeout_s
        packet_id, connection = self._sending.begin(deadline)
        if not self._outbox.put(_publish(topic, payload, packet_id, expiry_s), connection):
            self._sending.abandon(packet_id)
            raise SendError("The connection was lost before the message was sent.")
        return self._sending.result(packet_id, deadline)

    def mark(self, topic: str, payload: bytes) -> None:
        """`publish` without a wait, for a message that comes back to ourselves; also from the session's own thread."""
        self._outbox.put(_publish(topic, payload, MARK_ID, None), self.inbox.connection)

    @property
    def drained(self) -> bool:
        """Of a session that drains: all that waited on the broker was taken. What is not acknowledged comes again."""
        return self.inbox.drained.is_set() and not len(self.inbox)

    def give_up(self) -> bool:
        """`stop`, and the session ends on the broker; call it when all is acknowledged. False: the broker did not hear.

        Then the session is still there, with nothing subscribed.
        """
        self._giving_up.set()
        self.stop()
        return self.given_up

    def stop(self) -> None:
        """Send what is to be sent, disconnect and end the thread. The session stays on the broker. Twice is once."""
        if self._stopping.is_set() and not self._thread.is_alive():
            return
        self._stopping.set()
        self.inbox.close()
        self._outbox.wake()
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        if not self._thread.is_alive():
            self._outbox.dispose()

    def _run(self) -> None:
        try:
            self._keep_connected()
        except BaseException as error:  # noqa: BLE001  # a fault of ours: `check` raises it where it is seen
            self._failure = error
            self.inbox.close()

    def _keep_connected(self) -> None:
        backoff = Backoff(first_s=0.2, max_s=5.0)
        while not self._stopping.is_set():
            reason = "stopped"
            try:
                with open_socket(self.config) as sock:
                    Connection(self.config, sock, self.inbox, self._outbox, self._sending).serve(
                        self._listener, self.up, self._stopping, self._giving_up
                    )
                self.given_up = self._giving_up.is_set()
            except (OSError, ProtocolError) as error:
                reason = str(error) or type(error).__name__
            if self.up.is_set():
                backoff.reset()
            self.up.clear()
            self._outbox.close()
            self._sending.closed()
            self.inbox.next_connection()
            self._listener.disconnected(reason)
            if not self._stopping.is_set():
                self._stopping.wait(backoff.next_s())


def _publish(topic: str, payload: bytes, packet_id: int, expiry_s: int | None) -> bytes:
    packet: bytes = mqtt5.PublishPacket(
        topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id, message_expiry_interval=expiry_s
    ).write()
    return packet
