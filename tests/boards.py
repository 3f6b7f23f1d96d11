"""Gateways as far as a broker sees them: a session, a last will, a retained word that they are there."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Event, Thread
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.running import wait_until

QOS: Final = 1
TURN_S: Final = 0.02
STOP_LIMIT_S: Final = 5.0


def presence(code: str, *, online: bool = True, **fields: Any) -> bytes:
    return json.dumps({"gateway_code": code, "status": "online" if online else "offline"} | fields).encode()


class Board:
    """One connection of one gateway, over MQTT 5 with a clean start."""

    def __init__(self, port: int, code: str, *, clock: datetime | None = None, **fields: Any) -> None:
        self.code = code
        self._fields = fields | ({"timestamp": clock.isoformat()} if clock else {})
        self._port = port
        self.got: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=code, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.will_set(f"status/{code}", presence(code, online=False), QOS, retain=True)
        self._client.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, bytes(message.payload))
        )
        self._gone = Event()
        self._thread = Thread(target=self._loop, daemon=True)
        self._subscribed: list[int] = []
        self._client.on_subscribe = lambda *_: self._subscribed.append(1)

    def connect(self) -> "Board":
        """Returns when the broker has its word."""
        self._client.connect("127.0.0.1", self._port, keepalive=60)
        # Not paho's own thread, which would connect again when the broker goes.
        self._thread.start()
        self.say(presence(self.code, **self._fields))
        return self

    def say(self, payload: bytes) -> None:
        info = self._client.publish(f"status/{self.code}", payload, QOS, retain=True)
        info.wait_for_publish(10)
        assert info.is_published()

    def subscribe(self, topic: str) -> None:
        before = len(self._subscribed)
        self._client.subscribe(topic, QOS)
        wait_until(lambda: len(self._subscribed) > before, "the subscription")

    def leave(self) -> None:
        """In good order: it says that it goes."""
        self.say(presence(self.code, online=False))
        self._client.disconnect()
        self._thread.join(STOP_LIMIT_S)

    def lose_power(self) -> None:
        """Without a word: the broker publishes the will."""
        self._gone.set()
        self._thread.join(STOP_LIMIT_S)
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _loop(self) -> None:
        while not self._gone.is_set() and self._client.loop(TURN_S) == paho.MQTT_ERR_SUCCESS:
            pass


@contextmanager
def boards(port: int, *codes: str) -> Iterator[dict[str, Board]]:
    connected = {code: Board(port, code).connect() for code in codes}
    try:
        yield connected
    finally:
        for board in connected.values():
            with suppress(OSError):
                board.lose_power()


_PROCESS: Final = """
import json, sys
import paho.mqtt.client as paho
port, code = int(sys.argv[1]), sys.argv[2]
client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=code, protocol=paho.MQTTv5)
client.will_set(f"status/{code}", json.dumps({"gateway_code": code, "status": "offline"}), 1, retain=True)
client.connect("127.0.0.1", port)
client.loop_start()
word = json.dumps({"gateway_code": code, "status": "online"})
client.publish(f"status/{code}", word, 1, retain=True).wait_for_publish(10)
print("connected", flush=True)
sys.stdin.read()
"""


class BoardProcess:
    """A gateway as a process of its own, which can be killed."""

    def __init__(self, port: int, code: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(port), code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "connected\n"

    def kill(self) -> None:
        """kill -9."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


def retain(port: int, *messages: tuple[str, bytes], retain: bool = True) -> None:
    """Publish, as fast as one connection goes; returns when the broker has them all."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(topic, payload, QOS, retain=retain) for topic, payload in messages]
    for info in sent:
        info.wait_for_publish(30)
        assert info.is_published()
    client.disconnect()
    client.loop_stop()


@contextmanager
def watching(port: int, *filters: str, client_id: str = "") -> Iterator[list[tuple[str, bytes, bool]]]:
    """What passes on the broker from now on, and first what is retained: topic, payload, whether it was retained."""
    seen: list[tuple[str, bytes, bool]] = []
    ready: list[int] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _client, _data, message: seen.append(
        (message.topic, bytes(message.payload), message.retain)
    )

    def on_connect(*_: object) -> None:
        client.subscribe([(pattern, QOS) for pattern in filters])

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: ready.append(1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        wait_until(lambda: ready, "the subscription")
        yield seen
    finally:
        client.disconnect()
        client.loop_stop()


def forget(port: int, client_id: str) -> None:
    """End a session, with all that waits in it, and clear what is retained of gateways."""
    with watching(port, "status/+", client_id=client_id) as retained:
        retain(port, ("status/last", b"?"), retain=False)
        wait_until(lambda: ("status/last", b"?", False) in retained, "all that is retained")
        retain(port, *[(topic, b"") for topic, _, is_retained in retained if is_retained])
