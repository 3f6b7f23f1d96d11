"""One MQTT 5 connection of one gateway, on paho-mqtt without its threads: the caller's loop drives the socket.

A link lives as long as its TCP connection. What has to be sent again is the outbox's business, so nothing of
paho's own message store is carried over to the next one.
"""

import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tds.simulator.broker import Broker
from tds.simulator.message import encode, timestamp
from tds.simulator.opening import Opening, in_words, reason, refuses_certificate

KEEPALIVE_S: Final = 30
MAX_IN_FLIGHT: Final = 100  # unacknowledged publishes a connection; the broker may ask for fewer

_QOS: Final = 1
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_OPENSSL_REASON: Final = re.compile(r"\[SSL: (\w+)\]")
# With TLS 1.3 the server looks at our certificate when we have long sent CONNECT, and its word on it is easily lost: it
# hangs up with CONNECT unread, and the reset overtakes the alert.
_HUNG_UP: Final = "it hung up before it answered, as when it refuses a certificate"


class LinkEvents(Protocol):
    """What a link tells its gateway."""

    def on_connected(self, max_in_flight: int) -> None: ...
    def on_turned_away(self, why: str) -> None: ...
    def on_untrusted(self, why: str) -> None: ...
    def on_puback(self, packet_id: int, reason_code: int, reason: str) -> None: ...
    def on_lost(self, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Presence:
    """The retained message on `status/<code>`."""

    gateway: str

    @property
    def topic(self) -> str:
        return f"status/{self.gateway}"

    @property
    def will(self) -> bytes:
        """Without a time: it is written now, and published who knows when."""
        return encode({"gateway_code": self.gateway, "status": "offline"})

    def said(self, *, online: bool, at_ms: int, interval_s: int) -> bytes:
        """With the time of the gateway's own clock, so that one that is wrong shows at once."""
        status = "online" if online else "offline"
        said = {"gateway_code": self.gateway, "status": status, "timestamp": timestamp(at_ms)}
        return encode(said | {"interval_s": interval_s})


class _Client(paho.Client):
    """Goes on with a socket that is open: to open one, paho would wait."""

    opened: socket.socket

    def _create_socket(self) -> socket.socket:
        return self.opened


class Link:
    def __init__(
        self, gateway: str, broker: Broker, events: LinkEvents, context: ssl.SSLContext | None = None, turn: int = 0
    ) -> None:
        """`context` is for TLS. `turn` counts the tries, as `Opening` says. OSError: nobody listens there."""
        self._events = events
        self._broker = broker
        self._presence = Presence(gateway)
        self._closed = False
        self._refusal = ""  # OpenSSL's reason, when the broker said before CONNACK what it does not like
        client = _Client(CallbackAPIVersion.VERSION2, client_id=gateway, protocol=paho.MQTTv5)
        # The window is ours (the broker's receive maximum and the outbox); paho must not queue on its own.
        client.max_inflight_messages_set(0)
        client.will_set(self._presence.topic, self._presence.will, qos=_QOS, retain=True)
        if (user := broker.user_of(gateway)) is not None:
            client.username_pw_set(user, broker.password)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        self._client = client
        self._is_connected = False  # at the level of MQTT
        self._opening: Opening | None = Opening(broker.host, broker.port, context, turn)

    @property
    def socket(self) -> socket.socket | None:
        if self._opening is not None:
            return self._opening.socket
        sock = self._client.socket()
        return sock if isinstance(sock, socket.socket) else None

    @property
    def wants_write(self) -> bool:
        if self._closed:
            return False
        return self._opening.wants_write if self._opening is not None else self._client.want_write()

    @property
    def waits_for(self) -> str:
        """What a link that does not get on has not seen."""
        return self._opening.waits_for if self._opening is not None else "no answer to CONNECT"

    def publish(self, topic: str, payload: bytes) -> int | None:
        """The packet id, or None when the connection is gone (which is then also reported)."""
        if self._closed:
            return None
        info = self._client.publish(topic, payload, qos=_QOS)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def publish_presence(self, *, online: bool, at_ms: int, interval_s: int) -> int | None:
        """`at_ms`: what the gateway's clock says, since 1970. `interval_s`: how often it sends."""
        payload = self._presence.said(online=online, at_ms=at_ms, interval_s=interval_s)
        info = self._client.publish(self._presence.topic, payload, qos=_QOS, retain=True)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def read(self) -> None:
        if self._opening is not None:
            self._guarded(self._open)
            return
        self._guarded(self._client.loop_read)
        # TLS hands out whole records: what is already decrypted makes no socket readable again, so that a
        # PUBACK, or the PINGRESP that keeps the connection, would lie there until something else comes.
        while self._has_decrypted():
            self._guarded(self._client.loop_read)

    def write(self) -> None:
        self._guarded(self._open if self._opening is not None else self._client.loop_write)

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
        if (sock := self.socket) is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self._close_socket()

    def _open(self) -> None:
        if self._opening is None or (sock := self._opening.step()) is None:
            return
        self._opening = None
        self._client.opened = sock
        # Clean start: the gateway keeps its own account of what to resend.
        self._client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S, clean_start=True)

    def _has_decrypted(self) -> bool:
        sock = None if self._closed else self._client.socket()
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

    def _guarded(self, step: Callable[[], object]) -> None:
        if self._closed:
            return
        try:
            step()
        except ssl.SSLCertVerificationError as error:
            self._end()
            self._events.on_untrusted(reason(error))
        except ssl.SSLError as error:
            self._refusal = self._refusal or error.reason or ""
            self._lost(reason(error))
        except OSError as error:
            self._lost(reason(error))
        except (ValueError, struct.error) as error:  # a torn or malformed packet: a new connection heals it
            self._lost(str(error))

    def _close_socket(self) -> None:
        if self._opening is not None:
            self._opening.close()
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _end(self) -> None:
        self._closed = True
        self._close_socket()

    def _lost(self, why: str) -> None:
        if self._closed:
            return
        opened = self._opening is None
        self._end()
        if refuses_certificate(self._refusal):
            self._events.on_turned_away(in_words(self._refusal))
        elif self._broker.tls and opened and not self._is_connected:
            self._events.on_turned_away(_HUNG_UP)
        else:
            self._events.on_lost(why)

    def _on_log(self, _client: paho.Client, _data: Any, _level: int, line: str) -> None:
        """paho keeps the error of a socket to itself, but for this line."""
        if found := _OPENSSL_REASON.search(line):
            self._refusal = found[1]

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: paho.ConnectFlags, reason: ReasonCode, props: Properties | None
    ) -> None:
        if self._closed:
            return
        if reason.is_failure:
            self._closed = True
            self._events.on_turned_away(str(reason))
            return
        self._is_connected = True
        _client.on_log = None  # it would make a line of text of every packet
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
