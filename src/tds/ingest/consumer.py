"""From the broker to the database: take a batch, commit it, acknowledge it.

The order is the promise. A crash between COMMIT and PUBACK makes the broker deliver again, and the readings' key drops
the copies; there is no moment at which a message is acknowledged and not kept. While the database is away, the spool
keeps batches on this machine's disk, synced before they are acknowledged, and gives them back in their order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg

from tds.fleet.directory import Directory
from tds.ingest import database, quarantine, replayed
from tds.ingest.link import DatabaseLink, Patience
from tds.ingest.log import ConsumerLog
from tds.ingest.presence import LastSeen
from tds.ingest.room import Room
from tds.ingest.segment import Kept
from tds.ingest.spool import Spool, SpoolFullError
from tds.ingest.topics import TELEMETRY_FILTER
from tds.ingest.writer import Arrival, Result, Writer
from tds.mqtt import address
from tds.mqtt.backoff import Backoff
from tds.mqtt.session import Delivery, Session, SessionConfig
from tds.readings.store import MissingPartitionError, ReadingStore

CLIENT_ID: Final = "tds-consumer"  # fixed: the session on the broker is found again by it
IDLE_S: Final = 0.5  # how long to wait for a message before looking after other things
CLAIM_PATIENCE_S: Final = 5.0  # a killed consumer's lock goes as soon as PostgreSQL sees its connection end
RECLAIM_PATIENCE_S: Final = 60.0  # our own former connection may hold it, until PostgreSQL notices a cut network
# While it is spooled a batch costs a sync of the disk, and nobody waits for it to be visible.
SPOOL_LINGER_S: Final = 0.1
# So that the spool shrinks however fast more comes: of what is stored, so many parts are old and one is new.
CHUNKS_A_TURN: Final = 4


class AnotherConsumerError(Exception):
    """This broker has a consumer already."""


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """`spool_bytes` 0: no spool; while the database is away nothing is acknowledged."""

    broker_url: str  # by which it connects; it may hold a password
    database: dict[str, Any]
    bounds: quarantine.Bounds
    retention: timedelta
    batch_messages: int
    linger_s: float
    name: str = "consumer"
    spool_folder: Path | None = None
    spool_bytes: int = 0
    disk_folders: tuple[Path, ...] = ()
    disk_reserve_bytes: int = 0
    client_id: str = CLIENT_ID
    filters: tuple[str, ...] = (TELEMETRY_FILTER,)
    slot: int = 0  # of a shared subscription, from 1; 0: the broker's only consumer
    drains: bool = False  # subscribe no more, store what waits, then end the session and this run
    known_as: str = ""  # the URL by which people know the broker, when it is another

    @property
    def broker(self) -> address.Address:
        """As people know it."""
        return address.parse(self.known_as or self.broker_url)


class Batch(NamedTuple):
    """Messages taken from the session and not yet kept anywhere else."""

    delivery: Delivery
    arrivals: list[Arrival]


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
        self.address = config.broker
        door = address.parse(config.broker_url)
        self.session = Session(
            SessionConfig(
                host=door.host,
                port=door.port,
                client_id=self.config.client_id,
                filters=self.config.filters,
                drains=self.config.drains,
                username=door.username,
                password=door.password,
                tls=door.tls,
            ),
            log,
        )
        self.spool = _open_spool(config)
        self.spool_lost = 0
        self.room = Room(config.disk_folders, config.disk_reserve_bytes)
        self.link = DatabaseLink(self._connect, self._database_away)
        self.patience = Patience()
        self.backoff = Backoff(first_s=0.2, max_s=5.0)
        self.directory = Directory()
        self.news: database.News | None = None  # of the present connection
        self.writer: Writer | None = None
        self.store_name = ""
        self.batch: Batch | None = None
        self.last_seen = LastSeen()
        self.batches = self.messages = 0
        self._retry_at = 0.0
        self._receiving = self._claimed = False
        self.drained = False  # and the session is gone from the broker

    def run(self, stopping: Event) -> None:
        """Work until told to stop. Raises AnotherConsumerError."""
        self.link.start()
        self.patience.start()
        try:
            while not stopping.is_set():
                self._turn(stopping)
                if self.config.drains and self._nothing_left:
                    self.drained = self.session.give_up()
                    break
        finally:
            # What is kept has its PUBACKs queued: they go out before the DISCONNECT.
            self.session.stop()
            self.link.stop()
            self.patience.stop()
            if self.writer is not None:
                self.writer.connection.close()
            if self.spool is not None:
                self.spool.close()

    def _turn(self, stopping: Event) -> None:
        """Take a batch, keep it, look after the rest."""
        if self.writer is None:
            # Without a spool there is nothing to do but to wait for the database.
            self._meet(self.link.take(0.0 if self._receiving and self.spool else IDLE_S))
        if not self._receiving:
            if self.writer is None and not (self.spool and self.link.failed.is_set()):
                return
            self.session.start()
            self._receiving = True
        self.session.check()
        if shortage := self.room.shortage():
            # What is kept stays; what is under way stays at the broker.
            self.log.no_room(shortage)
            stopping.wait(IDLE_S)
        else:
            self._work(stopping)
        if self.writer is not None:
            self._look_after(self.writer)
        self.log.summary()

    def _work(self, stopping: Event) -> None:
        if self.batch is None:
            self._take()
        if self.batch is not None:
            self._keep(self.batch, stopping)
        if self.writer is not None:
            self._replay(self.writer, stopping)

    @property
    def _nothing_left(self) -> bool:
        """Whether all that a draining session was given is in the database."""
        stored = self.batch is None and self.writer is not None and (self.spool is None or self.spool.empty)
        return stored and self.session.drained

    def _take(self) -> None:
        direct = self._direct
        if self.writer is None and self.spool is None:
            return
        delivery = self.session.take(
            self.config.batch_messages,
            linger_s=self.config.linger_s if self._may_write else SPOOL_LINGER_S,
            timeout_s=IDLE_S if direct or not self._may_write else 0.0,
        )
        if delivery.packets:
            self.batch = Batch(delivery, [Arrival(p.topic, p.payload, p.retain) for p in delivery.packets])

    @property
    def _may_write(self) -> bool:
        return self.writer is not None and monotonic() >= self._retry_at

    @property
    def _direct(self) -> bool:
        """Whether batches go to the database itself: else the order of messages would be another."""
        return self._may_write and (self.spool is None or self.spool.empty)

    def _keep(self, batch: Batch, stopping: Event) -> None:
        """Make a batch durable and acknowledge it; or leave it as it is, and the broker its own."""
        if self._direct and self.writer is not None and self._store(self.writer, batch.arrivals):
            self._acknowledge(batch.delivery)
            self.batch = None
            return
        if self.spool is None:
            stopping.wait(min(IDLE_S, max(0.0, self._retry_at - monotonic())))
            return
        try:
            self.spool.append(self.now(), [Kept(a.topic or "", a.payload, a.retained) for a in batch.arrivals])
        except (SpoolFullError, OSError) as error:
            self.log.spool_refuses(str(error))
            if not self._may_write:
                stopping.wait(IDLE_S)
            return
        self.log.spooled(len(batch.arrivals))
        self._acknowledge(batch.delivery)
        self.batch = None

    def _store(self, writer: Writer, arrivals: list[Arrival]) -> bool:
        try:
            with self.patience.with_(writer.connection):
                self._hear_news()
                result = writer.write(arrivals, now=self.now())
        except (psycopg.Error, MissingPartitionError) as error:
            self._failed(writer, error)
            return False
        self._stored(writer, arrivals, result)
        return True

    def _replay(self, writer: Writer, stopping: Event) -> None:
        """Store what the spool holds, a few chunks at a time."""
        for _ in range(CHUNKS_A_TURN):
            if self.spool is None or self.spool.empty or stopping.is_set() or not self._may_write:
                return
            self._replay_chunk(writer, self.spool)

    def _replay_chunk(self, writer: Writer, spool: Spool) -> None:
        try:
            chunk = spool.read(self.config.batch_messages)
        except OSError as error:
            # A disk that can't be read now: what comes meanwhile goes behind it, as long as there is room.
            self._retry_at = monotonic() + self.backoff.next_s()
            self.log.spool_unreadable(str(error))
            return
        arrivals = [
            Arrival(kept.topic, kept.payload, kept.retained, received_at=record.received_at)
            for record in chunk.records
            for kept in record.messages
        ]
        try:
            with self.patience.with_(writer.connection), writer.connection.transaction():
                self._hear_news()
                result = writer.write(arrivals, now=self.now()) if arrivals else None
                replayed.write(writer.connection, spool.id, self.config.name, chunk)
        except (psycopg.Error, MissingPartitionError) as error:
            self.directory.forget()  # what was learned may be gone with the transaction
            self._failed(writer, error)
            return
        spool.done(chunk)
        if chunk.lost:
            self.spool_lost += chunk.lost
            self.log.spool_damaged(chunk.lost)
        if result is not None:
            self._stored(writer, arrivals, result)
        if spool.empty:
            self.log.spool_empty()

    def _stored(self, writer: Writer, arrivals: list[Arrival], result: Result) -> None:
        self.backoff.reset()
        self.batches += 1
        self.messages += len(arrivals)
        self.last_seen.note(writer.directory, arrivals, result.verdicts, self.now())
        self.log.batch(arrivals, result)

    def _hear_news(self) -> None:
        for code in self.news.take() if self.news else ():
            self.directory.forget(code)

    def _failed(self, writer: Writer, error: Exception) -> None:
        """The platform's own trouble: it passes, and until then nothing is written."""
        wait_s = self.backoff.next_s()
        self._retry_at = monotonic() + wait_s
        self._database_away(error, wait_s)
        if writer.connection.closed or writer.connection.broken:
            self.link.lost(writer.connection)
            self.writer = self.news = None

    def _database_away(self, error: Exception, wait_s: float) -> None:
        self.log.database_away(str(error).strip() or type(error).__name__, wait_s, spool=self.spool is not None)

    def _acknowledge(self, delivery: Delivery) -> None:
        # Cleared before it is acknowledged: if the clearing does not reach the broker, neither does the PUBACK, and
        # the message comes again to be cleared.
        retained = [packet.topic for packet in delivery.packets if packet.retain]
        if retained:
            self.session.clear_retained(delivery, retained)
        # Acknowledged only here, after the COMMIT or the sync of the disk.
        self.session.acknowledge(delivery)

    def _look_after(self, writer: Writer) -> None:
        """What is not worth failing for: when the database is away now, the next batch will say so."""
        try:
            with self.patience.with_(writer.connection):
                self.last_seen.flush(writer.connection)
                self.beat(writer.connection, self._facts())
        except psycopg.Error as error:
            self._failed(writer, error)

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "broker": str(self.address),
            "connected": self.session.up.is_set(),
            "waiting_messages": len(self.session.inbox),
            "messages": self.messages,
            "batches": self.batches,
            "store": self.store_name,
            "shortage": self.room.shortage(),
        }
        if self.spool is not None:
            oldest_at = self.spool.oldest_at
            facts |= {
                "spool_messages": self.spool.messages,
                "spool_bytes": 0 if self.spool.empty else self.spool.size_bytes,
                "spool_limit_bytes": self.spool.limit_bytes,
                "spool_oldest_at": oldest_at.isoformat() if oldest_at else None,
                "spool_lost": self.spool_lost,
            }
        return facts

    def _meet(self, connection: psycopg.Connection[Any] | None) -> None:
        """Go on with a connection that has become ready."""
        if connection is None:
            return
        self._claimed = True
        try:
            with self.patience.with_(connection):
                self.news = database.News(connection)
                found = replayed.read(connection, self.spool.id) if self.spool else None
                self.store_name = self.store.name_of(connection)
        except psycopg.Error as error:
            self._database_away(error, 0.0)
            self.link.lost(connection)
            return
        self.directory.forget()  # what changed while nobody listened
        if self.spool is not None and found is not None:
            # Further on than ours after a COMMIT whose answer did not reach us.
            self.spool.start_at(found.position)
            self.spool_lost = found.lost
        self.writer = Writer(connection, self.store, self.directory, self.config.bounds, self.config.retention)
        self._retry_at = 0.0

    def _connect(self, stopping: Event) -> psycopg.Connection[Any] | None:
        """A connection that has claimed the broker; None when stopped before. On the link's thread."""
        connection = database.connect(self.config.database, name=self.config.client_id)
        try:
            if not self._claim(connection, stopping):
                connection.close()
                return None
            self.store.prepare(connection, now=self.now())
        except BaseException:
            connection.close()  # or it would hold the broker's lock against the next try
            raise
        return connection

    def _claim(self, connection: psycopg.Connection[Any], stopping: Event) -> bool:
        deadline = monotonic() + (RECLAIM_PATIENCE_S if self._claimed else CLAIM_PATIENCE_S)
        slot = f"Slot {self.config.slot} of the" if self.config.slot else "The"
        while not database.claim_broker(connection, f"{self.address.identity()}/{self.config.slot}"):
            if stopping.wait(0.2):
                return False
            if monotonic() > deadline:
                raise AnotherConsumerError(
                    f"{slot} broker at {self.address} has a consumer already; "
                    "one is enough, and two would share nothing."
                )
        return True


def _open_spool(config: ConsumerConfig) -> Spool | None:
    if config.spool_folder is None or not config.spool_bytes:
        return None
    return Spool(config.spool_folder, limit_bytes=config.spool_bytes)
