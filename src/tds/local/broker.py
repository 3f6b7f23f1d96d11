"""A private mosquitto: its files, and the consumer's session in it before the first gateway comes."""

import contextlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tds.environment import Plain
from tds.identity.access import broker_rules
from tds.identity.authorities import tls_files
from tds.local.accounts import Account, give
from tds.local.broker_config import AUTOSAVE_S, LOOPBACK, RELOAD_END, Listeners, configuration, socket_path
from tds.local.broker_tls import TLS
from tds.local.processes import write_whole
from tds.local.refusal import CannotStartError
from tds.service_access import SERVICES_PORT

CONSUMER_CLIENT_ID: Final = "tds-consumer"
DEVICELINK_CLIENT_ID: Final = "tds-devicelink"
TELEMETRY_TOPIC: Final = "telemetry/+/+/data"
NEVER_EXPIRES: Final = 0xFFFFFFFF
PROVISIONED: Final = "session-provisioned"
PRIVATE_MODE: Final = 0o600


def find_program() -> str:
    # Debian keeps it in /usr/sbin, which is not on an ordinary user's PATH.
    if program := which("mosquitto") or which("mosquitto", path="/usr/sbin:/usr/local/sbin"):
        return program
    raise CannotStartError("mosquitto is not installed; run `make setup`.")


@dataclass(frozen=True, slots=True)
class Broker:
    """One folder and how to run the broker in it. `passwords` are of `broker_rules.SERVICES`, by name.

    `consumer_port` is that of the listener by which the consumer comes in; 0: the services' one.
    """

    folder: Path
    listeners: Listeners
    passwords: Mapping[str, str]
    account: Account | None = None
    autosave_s: int = AUTOSAVE_S
    consumer_port: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tls(self) -> Path:
        """Keys, certificates and rules; of the broker's account alone, which replaces some of them while it runs."""
        return self.folder / TLS

    @property
    def database(self) -> Path:
        return self.data / "mosquitto.db"

    @property
    def provisioned(self) -> Path:
        """There once the consumer's session is in the saved database; holds the port by which it was made."""
        return self.folder / PROVISIONED

    @property
    def configuration(self) -> Path:
        return self.folder / "mosquitto.conf"

    @property
    def session_port(self) -> int:
        return self.consumer_port or self.listeners.services

    @property
    def alone(self) -> "Broker":
        """The same for ourselves only: no gateway can reach it."""
        plain = self.consumer_port if self.consumer_port == self.listeners.plain else 0
        return replace(self, listeners=replace(self.listeners, tls=0, plain=plain, websocket=0))

    def create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.data, self.tls):
            folder.mkdir(mode=0o700, exist_ok=True)
            give(folder, self.account)
        self._write_rules()
        if not (self.tls / RELOAD_END).is_symlink():  # an agent that was killed may have moved it away
            (self.tls / RELOAD_END).symlink_to(tls_files.CHAIN)
        write_whole(self.configuration, self.configuration_text(), mode=0o644)
        write_whole(self.folder / SERVICES_PORT, f"{self.listeners.services}\n", mode=0o644)

    def _write_rules(self) -> None:
        hashes = {name: broker_rules.hashed(password) for name, password in self.passwords.items()}
        files = {
            broker_rules.SERVICE_PASSWORDS: broker_rules.password_file(hashes),
            broker_rules.SERVICES_ACL: broker_rules.services_acl(),
            broker_rules.GATEWAYS_ACL: broker_rules.gateways_acl(),
        }
        kept = self.tls / broker_rules.GATEWAY_PASSWORDS
        if self.listeners.access is not Plain.PASSWORD:
            kept.unlink(missing_ok=True)
        elif not kept.exists():
            files[kept.name] = ""  # whose passwords hold is in the database, which is not there yet
        for name, text in files.items():
            write_whole(self.tls / name, text, mode=PRIVATE_MODE)
            give(self.tls / name, self.account)

    def configuration_text(self) -> str:
        return configuration(
            self.listeners, data=self.data, database=self.database.name, tls=self.tls, autosave_s=self.autosave_s
        )

    def command(self) -> list[str]:
        words = [find_program(), "-c", str(self.configuration)]
        if socket_path(self.tls).is_absolute():
            return words
        return ["env", f"--chdir={self.tls}", *words]

    def saved_at(self) -> int:
        """When it last wrote its database, in nanoseconds; 0 when it never did."""
        return self.database.stat().st_mtime_ns if self.database.exists() else 0

    def needs_session(self) -> bool:
        """Also when the session is of another listener: the broker would drop what comes before its owner is back."""
        try:
            return not self.database.exists() or self.provisioned.read_text(encoding="ascii") != self._provision
        except (OSError, UnicodeDecodeError):
            return True

    def session_is_kept(self) -> None:
        """Write down that the saved database has the consumer's session, and of which listener."""
        write_whole(self.provisioned, self._provision, mode=0o644)

    @property
    def _provision(self) -> str:
        return f"{self.session_port}\n"

    def answers(self, wait_s: float = 1.0) -> bool:
        """A real round trip: a message that we publish comes back to us."""
        name = f"tds-health-{uuid.uuid4().hex[:12]}"
        topic = f"tds/health/{name}"
        came_back = threading.Event()
        client = self._client(name, broker_rules.STATUS)

        def on_subscribe(*_: object) -> None:
            client.publish(topic, b"?", qos=1)

        def on_connect(*_: object) -> None:
            client.subscribe(topic, qos=1)

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_message = lambda *_: came_back.set()
        with contextlib.suppress(OSError), _connected(client, self.listeners.services):
            return came_back.wait(wait_s)
        return False

    def open_session(self, wait_s: float = 5.0) -> bool:
        """Make the consumer's persistent session, so that nothing is acknowledged into nothing before it runs.

        Never a clean start: sessions that began so were not restored after a kill -9 of the broker. Nothing is
        acknowledged here, so messages that already wait in the session stay there. One that was made by another
        listener is of this one from then on.
        """
        client = self._client(CONSUMER_CLIENT_ID, broker_rules.CONSUMER, manual_ack=True)
        subscribed = threading.Event()
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)

        def on_connect(*_: object) -> None:
            client.subscribe(TELEMETRY_TOPIC, options=options)

        client.on_connect = on_connect
        client.on_subscribe = lambda *_: subscribed.set()
        with contextlib.suppress(OSError), _connected(client, self.session_port, keeps=True):
            return subscribed.wait(wait_s)
        return False

    def hand_over(self, client_id: str, service: str) -> bool:
        """Make a persistent session of ours one of the present listener. One that is not there is not made."""
        present = self._take_up(client_id, service, keeps=True)
        if present is None or present:
            return present is not None
        # Now there is one. A clean start ends it, and its answer says so: a DISCONNECT might not have been read yet.
        return self._take_up(client_id, service, keeps=False) is not None

    def _take_up(self, client_id: str, service: str, *, keeps: bool, wait_s: float = 5.0) -> bool | None:
        """Whether that session was there; None when the broker does not say."""
        client, present = self._client(client_id, service, manual_ack=True), list[bool]()
        answered = threading.Event()

        def on_connect(_client: object, _data: object, flags: mqtt.ConnectFlags, *_: object) -> None:
            present.append(flags.session_present)
            answered.set()

        client.on_connect = on_connect
        with contextlib.suppress(OSError), _connected(client, self.listeners.services, keeps=keeps):
            answered.wait(wait_s)
        return any(present) if present else None

    def _client(self, client_id: str, service: str, *, manual_ack: bool = False) -> mqtt.Client:
        version = CallbackAPIVersion.VERSION2
        client = mqtt.Client(version, client_id, protocol=mqtt.MQTTv5, manual_ack=manual_ack)
        client.username_pw_set(service, self.passwords[service])
        return client


@contextlib.contextmanager
def _connected(client: mqtt.Client, port: int, *, keeps: bool = False) -> Iterator[None]:
    """With `keeps` the session is taken up where it was left, and never expires."""
    expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
    expiry.SessionExpiryInterval = NEVER_EXPIRES if keeps else 0
    client.connect(LOOPBACK, port, keepalive=10, clean_start=not keeps, properties=expiry)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()
        # They know the client, and in a circle its sockets would be left to whenever the collector comes.
        client.on_connect = client.on_subscribe = client.on_message = None
