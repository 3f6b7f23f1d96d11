"""A private mosquitto: its configuration, and the consumer's session in it before the first gateway comes."""

import contextlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tds.local.accounts import Account, give
from tds.local.processes import write_whole
from tds.local.refusal import CannotStartError

AUTOSAVE_S: Final = 15  # what a kill -9 of the broker can lose, well within the 90 s that gateways send again
MAX_PAYLOAD_BYTES: Final = 262_144
MAX_PACKET_BYTES: Final = 393_216  # a payload with a topic and properties of 64 KiB each; the sender is told or cut off
CONSUMER_CLIENT_ID: Final = "tds-consumer"
TELEMETRY_TOPIC: Final = "telemetry/+/+/data"
NEVER_EXPIRES: Final = 0xFFFFFFFF
LOOPBACK: Final = "127.0.0.1"
PROVISIONED: Final = "session-provisioned"


def find_program() -> str:
    # Debian keeps it in /usr/sbin, which is not on an ordinary user's PATH.
    if program := which("mosquitto") or which("mosquitto", path="/usr/sbin:/usr/local/sbin"):
        return program
    raise CannotStartError("mosquitto is not installed; run `make setup`.")


@dataclass(frozen=True, slots=True)
class Broker:
    """One folder and how to run the broker in it. Both listeners are anonymous: on loopback, whatever TDS_BIND says."""

    folder: Path
    port: int
    websocket_port: int
    account: Account | None = None
    autosave_s: int = AUTOSAVE_S

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def database(self) -> Path:
        return self.data / "mosquitto.db"

    @property
    def provisioned(self) -> Path:
        """There once the consumer's session is in the saved database."""
        return self.folder / PROVISIONED

    @property
    def configuration(self) -> Path:
        return self.folder / "mosquitto.conf"

    def create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        give(self.data, self.account)
        write_whole(self.configuration, self.configuration_text(), mode=0o644)

    def configuration_text(self) -> str:
        return f"""\
# Written at each start of `tds up`.
per_listener_settings false
allow_anonymous true
log_dest stderr
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
connection_messages true

persistence true
persistence_location {self.data}/
persistence_file {self.database.name}
autosave_interval {self.autosave_s}
autosave_on_changes false

# 0: no limit. The broker holds what the consumer has not fetched yet; to drop it would lose readings.
max_queued_messages 0
max_inflight_messages 0
message_size_limit {MAX_PAYLOAD_BYTES}
max_packet_size {MAX_PACKET_BYTES}
retain_available true
set_tcp_nodelay true

listener {self.port} {LOOPBACK}

# Without socket_domain a websockets listener ignores its address and opens to everybody.
listener {self.websocket_port} {LOOPBACK}
protocol websockets
socket_domain ipv4
"""

    def command(self) -> list[str]:
        return [find_program(), "-c", str(self.configuration)]

    def saved_at(self) -> int:
        """When it last wrote its database, in nanoseconds; 0 when it never did."""
        return self.database.stat().st_mtime_ns if self.database.exists() else 0

    def needs_session(self) -> bool:
        return not (self.database.exists() and self.provisioned.exists())

    def answers(self, wait_s: float = 1.0) -> bool:
        """A real round trip: a message that we publish comes back to us."""
        topic = f"tds/health/{uuid.uuid4().hex}"
        came_back = threading.Event()
        client = _client(f"tds-health-{uuid.uuid4().hex[:12]}")

        def on_subscribe(*_: object) -> None:
            client.publish(topic, b"?", qos=1)

        def on_connect(*_: object) -> None:
            client.subscribe(topic, qos=1)

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_message = lambda *_: came_back.set()
        with contextlib.suppress(OSError), _connected(client, self.port):
            return came_back.wait(wait_s)
        return False

    def open_session(self, wait_s: float = 5.0) -> bool:
        """Make the consumer's persistent session, so that nothing is acknowledged into nothing before it runs.

        Never a clean start: sessions that began so were not restored after a kill -9 of the broker. Nothing is
        acknowledged here, so messages that already wait in the session stay there.
        """
        client = _client(CONSUMER_CLIENT_ID, manual_ack=True)
        subscribed = threading.Event()
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)

        def on_connect(*_: object) -> None:
            client.subscribe(TELEMETRY_TOPIC, options=options)

        client.on_connect = on_connect
        client.on_subscribe = lambda *_: subscribed.set()
        expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        expiry.SessionExpiryInterval = NEVER_EXPIRES
        with contextlib.suppress(OSError), _connected(client, self.port, clean_start=False, properties=expiry):
            return subscribed.wait(wait_s)
        return False


def _client(client_id: str, *, manual_ack: bool = False) -> mqtt.Client:
    return mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5, manual_ack=manual_ack)


@contextlib.contextmanager
def _connected(
    client: mqtt.Client, port: int, *, clean_start: bool = True, properties: Properties | None = None
) -> Iterator[None]:
    client.connect(LOOPBACK, port, keepalive=10, clean_start=clean_start, properties=properties)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()
