"""From the broker to the database: take a batch, commit it, acknowledge it.

The order is the promise. A crash between COMMIT and PUBACK makes the broker deliver again, and the readings' key drops
the copies; there is no moment at which a message is acknowledged and not stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from time import monotonic
from typing import Any, Final

import psycopg

from tds.fleet.directory import Directory
from tds.ingest import database, quarantine
from tds.ingest.log import ConsumerLog
from tds.ingest.presence import LastSeen
from tds.ingest.topics import TELEMETRY_FILTER
from tds.ingest.writer import Arrival, Result, Writer
from tds.mqtt import address
from tds.mqtt.backoff import Backoff
from tds.mqtt.session import Delivery, Session, SessionConfig
from tds.readings.store import MissingPartitionError, ReadingStore

CLIENT_ID: Final = "tds-consumer"  # fixed: the session on the broker is found again by it
IDLE_S: Final = 0.5  # how long to wait for a message before looking after other things
CLAIM_PATIENCE_S: Final = 5.0  # a killed consumer's lock goes as soon as PostgreSQL sees its connection end


class AnotherConsumerError(Exception):
    """This broker has a consumer already."""


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    broker_url: str
    database: dict[str, Any]
    bounds: quarantine.Bounds
    retention: timedelta
    batch_messages: int
    linger_s: float


class Consumer:
    """`beat` is called every few idle moments and after batches with facts for the heartbeat."""

    def __init__(
        self,
        config: ConsumerConfig,
        store: ReadingStore,
        log: ConsumerLog,
        *,
        now: Callable[[], datetime],
        beat: Callable[[psycopg.Connection[Any], dict[str, Any]], None],
    ) -> None:
        self.config = config
        self.store = store
        self.log = log
        self.now = now
        self.beat = beat
        self.address = address.parse(config.broker_url)
        self.session = Session(
            SessionConfig(
                host=self.address.host,
                port=self.address.port,
                client_id=CLIENT_ID,
                filters=(TELEMETRY_FILTER,),
                username=self.address.username,
                password=self.address.password,
                tls=self.address.tls,
            ),
            log,
        )
        self.directory = Directory()
        self.news: database.News | None = None  # of the present connection
        self.last_seen = LastSeen()
        self.batches = self.messages = 0

    def run(self, stopping: Event) -> None:
        """Work until told to stop. Raises AnotherConsumerError."""
        writer = None
        try:
            writer = self._connect(stopping)
            if writer is not None:
                self.session.start()
            while writer is not None and not stopping.is_set():
                writer = self._work(writer, stopping)
        finally:
            # The batch in hand is committed and its PUBACKs are queued: they go out before the DISCONNECT.
            self.session.stop()
            if writer is not None:
                writer.connection.close()

    def _work(self, writer: Writer, stopping: Event) -> Writer | None:
        """One batch; the writer to go on with, or None when stopped while the database was away."""
        self.session.check()
        delivery = self.session.take(
            self.config.batch_messages, linger_s=self.config.linger_s, timeout_s=0.0 if stopping.is_set() else IDLE_S
        )
        arrivals = [Arrival(p.topic, p.payload, p.retain) for p in delivery.packets]
        backoff = Backoff(first_s=0.2, max_s=5.0)
        while True:
            try:
                result = self._write(writer, arrivals)
                break
            except (psycopg.Error, MissingPartitionError) as error:
                if stopping.is_set():
                    return writer
                wait_s = backoff.next_s()
                self.log.database_away(str(error).strip() or type(error).__name__, wait_s)
                stopping.wait(wait_s)
                reconnected = self._reconnect(writer, stopping)
                if reconnected is None:
                    return None
                writer = reconnected
        if arrivals:
            self._acknowledge(delivery)
            self._after(writer, arrivals, result)
        self._look_after(writer)
        return writer

    def _write(self, writer: Writer, arrivals: list[Arrival]) -> Result:
        for code in self.news.take() if self.news else ():
            self.directory.forget(code)
        return writer.write(arrivals, now=self.now()) if arrivals else Result([], 0, 0, frozenset())

    def _acknowledge(self, delivery: Delivery) -> None:
        # Cleared before it is acknowledged: if the clearing does not reach the broker, neither does the PUBACK, and
        # the message comes again to be cleared.
        retained = [packet.topic for packet in delivery.packets if packet.retain]
        if retained:
            self.session.clear_retained(delivery, retained)
        # Acknowledged only here, after the COMMIT.
        self.session.acknowledge(delivery)

    def _after(self, writer: Writer, arrivals: list[Arrival], result: Result) -> None:
        self.batches += 1
        self.messages += len(arrivals)
        self.last_seen.note(writer.directory, result.verdicts, self.now())
        self.log.batch(arrivals, result)

    def _look_after(self, writer: Writer) -> None:
        """What is not worth failing for: when the database is away now, the next batch will say so."""
        self.log.summary()
        try:
            self.last_seen.flush(writer.connection)
            self.beat(
                writer.connection,
                {
                    "broker": str(self.address),
                    "connected": self.session.up.is_set(),
                    "waiting_messages": len(self.session.inbox),
                    "messages": self.messages,
                    "batches": self.batches,
                    "store": self.store.name,
                },
            )
        except psycopg.Error as error:
            self.log.database_away(str(error).strip(), 0.0)

    def _reconnect(self, writer: Writer, stopping: Event) -> Writer | None:
        if not writer.connection.closed and not writer.connection.broken:
            return writer
        writer.connection.close()
        return self._connect(stopping)

    def _connect(self, stopping: Event) -> Writer | None:
        """A writer on a fresh connection that has claimed the broker; None when stopped before there was one."""
        backoff = Backoff(first_s=0.2, max_s=5.0)
        while not stopping.is_set():
            try:
                connection = database.connect(self.config.database, name=CLIENT_ID)
                if not self._make_ready(connection, stopping):
                    return None
            except psycopg.Error as error:
                wait_s = backoff.next_s()
                self.log.database_away(str(error).strip(), wait_s)
                stopping.wait(wait_s)
                continue
            return Writer(connection, self.store, self.directory, self.config.bounds, self.config.retention)
        return None

    def _make_ready(self, connection: psycopg.Connection[Any], stopping: Event) -> bool:
        """False when stopped before the broker was ours."""
        try:
            if not self._claim(connection, stopping):
                connection.close()
                return False
            self.news = database.News(connection)
            self.directory.forget()  # what changed while nobody listened
            self.store.prepare(connection, now=self.now())
        except BaseException:
            connection.close()  # or it would hold the broker's lock against the next try
            raise
        return True

    def _claim(self, connection: psycopg.Connection[Any], stopping: Event) -> bool:
        deadline = monotonic() + CLAIM_PATIENCE_S
        while not database.claim_broker(connection, str(self.address)):
            if stopping.wait(0.2):
                return False
            if monotonic() > deadline:
                raise AnotherConsumerError(
                    f"The broker at {self.address} has a consumer already; one is enough, and two would share nothing."
                )
        return True
