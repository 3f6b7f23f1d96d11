"""Who listens to simulated gateways: a subscriber that counts, and a witness inside the fleet."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tds.simulator import Fleet, Summary
from tds.simulator.fleet import Silent
from tds.simulator.message import Message, timestamp
from tests.running import wait_until

Key = tuple[str, str, str]  # gateway, device, timestamp as sent


class Listening(Protocol):
    """A broker with a port that asks for nothing."""

    @property
    def port(self) -> int: ...


@dataclass
class Heard:
    """What a subscriber with a lasting session was given."""

    telemetry: Counter[Key] = field(default_factory=Counter)
    broken: int = 0
    presence: list[tuple[str, str, bool]] = field(default_factory=list)
    connects: int = 0

    def on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            contents = json.loads(message.payload)
            if message.topic.startswith("status/"):
                self.presence.append((contents["gateway_code"], contents["status"], message.retain))
                return
            self.telemetry[contents["gateway_code"], contents["device_code"], contents["timestamp"]] += 1
        except (ValueError, KeyError, TypeError):
            self.broken += 1


@contextmanager
def subscriber(
    broker: Listening | Path, name: str = "listener", topics: tuple[str, ...] = ("telemetry/+/+/data", "status/+")
) -> Iterator[Heard]:
    """`broker` as a path: the socket of one in another network."""
    heard = Heard()
    if isinstance(broker, Path):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5, transport="unix")
        host, port = str(broker), 1  # it takes no 0
    else:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        host, port = "127.0.0.1", broker.port
    client.reconnect_delay_set(1, 1)

    def on_connect(*_: Any) -> None:
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in topics])

    def on_subscribe(*_: Any) -> None:
        heard.connects += 1

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = heard.on_message
    lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    lasting.SessionExpiryInterval = 3_600
    client.connect(host, port, clean_start=False, properties=lasting)
    client.loop_start()
    try:
        wait_until(lambda: heard.connects, "the subscription")
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


class Witness(Silent):
    def __init__(self) -> None:
        self.acknowledgements: list[Key] = []
        self.notices: list[tuple[str, str]] = []

    def acknowledged(self, gateway: str, message: Message) -> None:
        self.acknowledgements.append((gateway, message.device, timestamp(message.at_ms)))

    def notice(self, gateway: str, text: str) -> None:
        self.notices.append((gateway, text))


@contextmanager
def running_fleet(fleet: Fleet, limit_s: float = 60) -> Iterator[list[Summary]]:
    """In a thread of its own; the list has the summary once the block is left."""
    stop = threading.Event()
    summaries: list[Summary] = []
    thread = threading.Thread(target=lambda: summaries.append(fleet.run(stop)))
    thread.start()
    try:
        yield summaries
    finally:
        stop.set()
        thread.join(limit_s)
        assert not thread.is_alive()
