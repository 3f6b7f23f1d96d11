"""One MQTT 5 connection of one gateway, on paho-mqtt without its threads: the caller's loop drives the socket.

A link lives as long as its TCP connection. What has to be sent again is the outbox's business, so nothing of
paho's own message store is carried over to the next one.
"""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tds.simulator.broker import Broker
from tds.simulator.message import encode

KEEPALIVE_S: Final = 30
CONNECT_TIMEOUT_S: Final = 3.0  # TCP; the loop stands still meanwhile
MAX_IN_FLIGHT: Final = 100  # unacknowledged publishes a connection; the broker may ask for fewer

_QOS: Final = 1
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class LinkEvents(Protocol):
    """What a link tells its gateway."""

    def on_connected(self, max_in_flight: int) -> None: ...
    def on_turned_away(self, why: str) -> None: ...
    def on_puback(self, packet_id: int, reason_code: int, reason: str) -> None: ...
    def on_lost(self, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Presence:
    """The retained message on `status/<code>`."""

    topic: str
    online: bytes
    offline: bytes

    @classmethod
    def of(cls, gateway: str) -> "Presence":
        return cls(
            topic=f"status/{gateway}",
            online=encode({"gateway_code": gateway, "status": "online"}),
            offline=encode({"gateway_code": gateway, "status": "offline"}),
        )


class Link:
    def __init__(self, gateway: str, broker: Broker, events: LinkEvents) -> None:
        self._events = events
        self._presence = Presence.of(gateway)
        self._closed = False
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=gateway, protocol=paho.MQTTv5)
        client.connect_timeout = CONNECT_TIMEOUT_S
        # The window is ours (the broker's receive maximum and the outbox); paho must not queue on its own.
        client.max_inflight_messages_set(0)
        client.will_set(self._presence.topic, self._presence.offline, qos=_QOS, retain=True)
        if (user := broker.user_of(gateway)) is not None:
            client.username_pw_set(user, broker.password)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        self._client = client
        # Raises OSError when nobody listens. Clean start: the gateway keeps its own account of what to resend.
        client.connect(broker.host, broker.port, keepalive=KEEPALIVE_S, clean_start=True)

    @property
    def socket(self) -> socket.socket | None:
        sock = self._client.socket()
        return sock if isinstance(sock, socket.socket) else None

    @property
    def wants_write(self) -> bool:
        return not self._closed and self._client.want_write()

    def publish(self, topic: str, payload: bytes) -> int | None:
        """The packet id, or None when the connection is gone (which is then also reported)."""
        if self._closed:
            return None
        info = self._client.publish(topic, payload, qos=_QOS)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def publish_presence(self, *, online: bool) -> int | None:
        payload = self._presence.online if online else self._presence.offline
        info = self._client.publish(self._presence.topic, payload, qos=_QOS, retain=True)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def read(self) -> None:
        self._guarded(self._client.loop_read)

    def write(self) -> None:
        self._guarded(self._client.loop_write)

    def keep_alive(self) -> None:
        self._guarded(self._client.loop_misc)

    def disconnect(self) -> None:
        """In good order: the broker forgets the will."""
        if not self._closed:
            self._closed = True
            self._client.disconnect()
        self._close_socket()

    def drop(self) -> None:
        """As when the power fails: no DISCONNECT, a reset on the wire, and the broker publishes the will."""
        self._closed = True
        if (sock := self.socket) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self._close_socket()

    def _guarded(self, step: Callable[[], object]) -> None:
        if self._closed:
            return
        try:
            step()
        except (OSError, ValueError, struct.error) as error:  # a torn or malformed packet: a new connection heals it
            self._lost(str(error))

    def _close_socket(self) -> None:
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _lost(self, why: str) -> None:
        if not self._closed:
            self._closed = True
            self._close_socket()
            self._events.on_lost(why)

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: paho.ConnectFlags, reason: ReasonCode, props: Properties | None
    ) -> None:
        if self._closed:
            return
        if reason.is_failure:
            self._closed = True
            self._events.on_turned_away(str(reason))
            return
        receive_maximum = getattr(props, "ReceiveMaximum", MAX_IN_FLIGHT)
        # One of the broker's places is for presence, which takes no part in the outbox.
        self._events.on_connected(max(1, min(MAX_IN_FLIGHT, int(receive_maximum) - 1)))

    def _on_publish(
        self, _client: paho.Client, _data: Any, packet_id: int, reason: ReasonCode, _props: Properties | None
    ) -> None:
        if not self._closed:
            self._events.on_puback(packet_id, reason.value, str(reason))

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: Any,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        self._lost(str(reason))
