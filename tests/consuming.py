"""The consumer for tests: as an operator's process, or as a thread of the test with a clock of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
from django.conf import settings
from django.utils import timezone
from paho.mqtt import publish as paho_publish

from tds import wiring
from tds.environment import ROOT
from tds.heartbeat import Pulse
from tds.ingest.consumer import CLIENT_ID, Consumer, ConsumerConfig
from tds.ingest.log import ConsumerLog
from tds.ingest.quarantine import Bounds
from tds.ingest.topics import TELEMETRY_FILTER
from tds.mqtt.session import Session, SessionConfig
from tests import seeding
from tests.balancing import assert_balanced
from tests.running import RunningBroker, wait_until

STOP_LIMIT_S: Final = 10.0  # the promise of every process of the platform
AMPLE: Final = Bounds(per_gateway=1_000, messages=100_000, total_bytes=1024**3)
TOPIC: Final = "telemetry/GW-001/D01/data"
# Now, because a process has no other clock; whole seconds, because that is what devices send.
BASE: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
COMMITS: Final = 0x7D5_7E57  # the advisory lock that holds commits up
SUBSCRIBED: Final = "Subscrito em: telemetry/+/+/data"


def database_url() -> str:
    """Of the test database, for processes."""
    of = settings.DATABASES["default"]
    return f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"


def environment(home: Path, **variables: str) -> dict[str, str]:
    """What a process of the platform sees: nothing of the machine's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    return kept | {"TDS_HOME": str(home), "TDS_DATABASE_URL": database_url()} | variables


class Managed:
    """`python manage.py …` as an operator starts it."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "manage.py", *words],
                env=environment(folder / "home", **variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def lines(self) -> list[str]:
        """What it said on standard output."""
        return self._out.read_text(encoding="utf-8").splitlines()

    @property
    def errors(self) -> str:
        """What it said on standard error: nothing, unless it could not start or has a fault."""
        return self._err.read_text(encoding="utf-8")

    def says(self, text: str) -> bool:
        assert self.process.poll() is None, f"it ended:\n{self.lines}\n{self.errors}"
        return any(text in line for line in self.lines)

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Its exit status."""
        return self.process.wait(limit_s)

    def terminate(self) -> int:
        """SIGTERM, as the supervisor stops it; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def managed(folder: Path, *words: str, **variables: str) -> Iterator[Managed]:
    started = Managed(folder, *words, **variables)
    try:
        yield started
    finally:
        started.kill()


@contextmanager
def consumer_process(
    broker: RunningBroker, folder: Path, *, subscribed: bool = True, **variables: str
) -> Iterator[Managed]:
    """`python manage.py mqtt_consumer --verbosity 2`, by default from when it receives."""
    address = {"TDS_MQTT_URLS": f"mqtt://localhost:{broker.port}"}
    with managed(folder, "mqtt_consumer", "--verbosity", "2", **address | variables) as consumer:
        if subscribed:
            wait_until(lambda: consumer.says(SUBSCRIBED), "the subscription")
        yield consumer


@contextmanager
def consumer_thread(
    url: str,
    *,
    now: Callable[[], datetime] = timezone.now,
    retention: timedelta = timedelta(days=90),
    beat: Callable[[psycopg.Connection[Any], dict[str, Any]], None] | None = None,
) -> Iterator[Consumer]:
    """The consumer itself, without the second that a process takes to start."""
    config = ConsumerConfig(url, settings.DATABASES["default"], AMPLE, retention, batch_messages=500, linger_s=0.005)
    pulse = beat or Pulse("consumer", started_at=now()).beat
    log = ConsumerLog(url, each_message=False)
    consumer = Consumer(config, wiring.reading_store(), log, now=now, beat=pulse)
    stopping = threading.Event()
    thread = threading.Thread(target=consumer.run, args=[stopping], daemon=True)
    thread.start()
    try:
        assert consumer.session.up.wait(STOP_LIMIT_S), "no session with the broker"
        yield consumer
    finally:
        stopping.set()
        thread.join(STOP_LIMIT_S)
        assert not thread.is_alive(), "the consumer does not stop"


def publish(broker: RunningBroker, *messages: tuple[str, bytes], qos: int = 1, retain: bool = False) -> None:
    """Returns when the broker has them all."""
    entries = [{"topic": topic, "payload": payload, "qos": qos, "retain": retain} for topic, payload in messages]
    paho_publish.multiple(entries, "127.0.0.1", broker.port)  # type: ignore[arg-type]  # a TypedDict of all keys


def readings(connection: psycopg.Connection[Any]) -> list[tuple[str, datetime, float]]:
    """(device code, time, value) of all readings, by device and time."""
    rows = connection.execute(
        """SELECT d.code, r.time, r.value FROM tds_new_leituradispositivo AS r
           JOIN tds_new_device AS d ON d.id = r.device_id ORDER BY 1, 2"""
    )
    return rows.fetchall()


def ledger(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """The sums of all hours and tenants."""
    names = ("received", "accepted", "quarantined", "readings", "stored", "duplicate")
    row = connection.execute(
        f"SELECT {', '.join(f'COALESCE(sum({name}), 0)::int' for name in names)} FROM tds_new_ledgerhour"
    ).fetchone()
    return dict(zip(names, row or (), strict=True))


@contextmanager
def prepared_connection(now: datetime) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own to a database that has room for readings, and is emptied of them after.

    Whatever the test did to the parts: the ledger must agree with what is stored then.
    """
    with seeding.own_connection() as own:
        wiring.reading_store().prepare(own, now=now)
        yield own
    assert_balanced()
    with seeding.own_connection() as another:  # a test may have cut the first
        seeding.without_readings(another)


def time_of(n: int) -> datetime:
    return BASE + timedelta(seconds=n)


def message(n: int) -> tuple[str, bytes]:
    """The n-th message of D01: one reading, whose value is n."""
    entry = {"tipo": "temperatura", "valor": n, "unidade": "°C"}
    return TOPIC, seeding.as_bytes(seeding.message("GW-001", time_of(n), leituras=[entry]))


def expected(*numbers: int) -> list[tuple[str, datetime, float]]:
    return [("D01", time_of(n), float(n)) for n in numbers]


def wait_for(connection: psycopg.Connection[Any], *numbers: int) -> None:
    """Until exactly these messages are stored."""
    wait_until(lambda: len(readings(connection)) >= len(numbers), f"{len(numbers)} readings")
    assert readings(connection) == expected(*numbers)


def unacknowledged(broker: RunningBroker) -> list[int]:
    """What the broker would deliver to the next consumer, still unacknowledged afterwards."""
    found: list[int] = []
    config = SessionConfig("127.0.0.1", broker.port, CLIENT_ID, (TELEMETRY_FILTER,))
    session = Session(config, Silent())
    session.start()
    try:
        assert session.up.wait(STOP_LIMIT_S)
        publish(broker, (TOPIC, b"marker"))  # comes after all that waits
        deadline = monotonic() + STOP_LIMIT_S
        while monotonic() < deadline:
            delivery = session.take(1, linger_s=0, timeout_s=0.1)
            for packet in delivery.packets:
                if packet.payload == b"marker":
                    session.acknowledge(delivery)
                    return found
                found.append(int(json.loads(packet.payload)["leituras"][0]["valor"]))
    finally:
        session.stop()
    raise AssertionError("the marker did not come")


class Silent:
    """Hears what a session tells, and says nothing."""

    def connected(self, *, session_present: bool) -> None: ...
    def expires(self, after_s: int) -> None: ...
    def subscribed(self, pattern: str) -> None: ...
    def disconnected(self, reason: str) -> None: ...


@contextmanager
def commits_held_up(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """While it lasts, every batch stands still inside its COMMIT: all its statements are done."""
    connection.execute(
        f"""CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock({COMMITS}); RETURN NULL; END $$"""
    )
    connection.execute(
        """CREATE CONSTRAINT TRIGGER hold_up AFTER INSERT OR UPDATE ON tds_new_ledgerhour
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_up()"""
    )
    connection.execute("SELECT pg_advisory_lock(%s)", (COMMITS,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (COMMITS,))
        connection.execute("DROP FUNCTION hold_up CASCADE")


def in_commit(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'", (CLIENT_ID,)
    ).fetchone()
    return row == (1,)
