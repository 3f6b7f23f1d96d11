"""The link to one broker: what gateways tell of themselves, as events to handlers, each batch in one transaction.

A batch is acknowledged when it is committed, so that every event reaches its handlers at least once; what is not
acknowledged comes again. Every connection begins with what the broker has retained, in order with all else
(MQTT 5, 3.3.1.3), and a marker of our own behind it: from then on presence is heard as it happens.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic, sleep
from typing import Any, Final

import psycopg

from tds.devicelink.arrivals import event_of
from tds.devicelink.events import Caught, Changed, Clear, Effect, Event, How, Report, Tick
from tds.devicelink.ignored import Unheeded
from tds.devicelink.keeper import Handler
from tds.devicelink.openings import CLIENT_ID, Openings
from tds.devicelink.presence import Ignored
from tds.devicelink.topics import MARKER_TOPIC, REPORT_FILTER, STATUS_FILTER, UPTIME_TOPIC
from tds.mqtt import address
from tds.mqtt.inbox import Delivery
from tds.mqtt.session import SendError, Session, SessionConfig

logger = logging.getLogger("tds.devicelink")

LOCK_CLASS: Final = 0x7D6  # of the advisory lock of who links a broker
BATCH_MESSAGES: Final = 2_500
INBOX_MESSAGES: Final = 10_000
INBOX_BYTES: Final = 16 * 1024**2
SESSION_EXPIRY_S: Final = 7 * 86_400  # beyond it the broker's queue for us would grow for ever; presence is retained
LINGER_S: Final = 0.05
IDLE_S: Final = 0.5
TICK_EVERY_S: Final = 5.0
STALL_S: Final = 5.0  # what was not looked at for so long did not happen now
SNAPSHOT_PATIENCE_S: Final = 60.0  # for our own marker
SAY_EVERY_S: Final = 60.0  # that something is still away
# What an event itself can be to blame for. All else is the platform's own trouble, which passes: it is tried again.
EVENT_FAULTS: Final = (psycopg.DataError, psycopg.IntegrityError)

Connection = psycopg.Connection[Any]
Handlers = Mapping[type[Event], Sequence[Handler]]


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """`broker` is its name among ours. The handlers of a batch are called in the order of the mapping."""

    broker: str
    url: str = field(repr=False)  # may hold a password
    handlers: Handlers
    unheeded: Unheeded
    more_facts: Callable[[], dict[str, Any]] = dict  # of handlers, for the heartbeat


class DeviceLink:
    """`turn` and `close` are one thread's, which makes it connections to the database; `publish` is anybody's."""

    def __init__(self, config: LinkConfig, *, now: Callable[[], datetime]) -> None:
        self.config = config
        self.name = f"devicelink of {config.broker}"
        self.now = now
        self.address = address.parse(config.url)
        self.failed = 0  # events that a handler failed on
        self._session: Session | None = None
        self._openings = Openings(config.broker, now)
        self._claimed: Connection | None = None  # to the database, which holds our claim on the broker
        self._batch: tuple[Delivery, list[Event]] | None = None
        self._opened = -1  # the connection whose beginning the handlers have been told of
        self._opened_at = 0.0
        self._caught = -1  # … and the one that is past its marker
        self._fresh_at = monotonic()  # when the inbox held no more than the next batch
        self._tick_at = 0.0
        self._said: dict[str, float] = {}

    # What others ask of it

    @property
    def broker(self) -> str:
        return self.config.broker

    @property
    def connected(self) -> bool:
        session = self._session
        return session is not None and session.up.is_set()

    def publish(self, topic: str, payload: bytes, *, timeout_s: float, expiry_s: int | None = None) -> int:
        """See `Session.publish`. Raises SendError."""
        session = self._session
        if session is None:
            raise SendError(f"There is no session with {self.config.broker}.")
        return session.publish(topic, payload, timeout_s=timeout_s, expiry_s=expiry_s)

    def facts(self) -> dict[str, Any]:
        """For the heartbeat."""
        return (
            {
                "connected": self.connected,
                "caught": self._is_live(),  # all that it said is committed, or nearly
                "failed": self.failed,
            }
            | self.config.unheeded.facts()
            | self.config.more_facts()
        )

    # The thread

    def turn(self, connection: Connection) -> None:
        """Take what has come within IDLE_S, tell of it, acknowledge it. Raises psycopg.Error: it is tried again, over
        another connection if need be, and nothing is acknowledged."""
        if self._claimed is not connection:
            if not self._claim(connection):
                # Another worker links this broker. With two, each would throw the other one's session out.
                self.close()
                sleep(IDLE_S)
                return
            self._claimed = connection
        if self._session is None:
            self._session = self._begin_session()
        try:
            self._session.check()
        except RuntimeError:
            self.close()
            raise
        if self._batch is None:
            delivery, late = self._take(self._session)
            self._batch = delivery, self._events(self._session, delivery, late=late)
        delivery, events = self._batch
        self._keep(connection, self._session, delivery, events)
        if any(isinstance(event, Caught) for event in events):
            self._caught = delivery.connection
            self._tick_at = 0.0  # to say so
        self._batch = None

    def close(self) -> None:
        """Disconnect; the session stays on the broker. `turn` begins another connection."""
        if self._session is not None:
            self._session.stop()
            self._session = self._batch = None

    def _keep(self, connection: Connection, session: Session, delivery: Delivery, events: Sequence[Event]) -> None:
        clearings = self._handle(connection, events) if events else []
        if clearings:
            # Before the acknowledgement: if it does not reach the broker, what is to be cleared comes again.
            session.clear_retained(delivery, clearings)
        session.acknowledge(delivery)

    def _take(self, session: Session) -> tuple[Delivery, bool]:
        """The next messages, and whether they may have waited here."""
        late = monotonic() - self._fresh_at > STALL_S
        delivery = session.take(BATCH_MESSAGES, linger_s=LINGER_S, timeout_s=IDLE_S)
        # Not only when nothing is left: one gateway that never stops would have nobody else be heard.
        if len(session.inbox) < BATCH_MESSAGES:
            self._fresh_at = monotonic()
        return delivery, late

    # From messages to events

    def _events(self, session: Session, delivery: Delivery, *, late: bool) -> list[Event]:
        at = self.now()
        events: list[Event] = []
        if (opened := self._openings.last(delivery.connection)) is not None and self._opened != delivery.connection:
            self._opened, self._opened_at = delivery.connection, monotonic()
            events.append(opened)
        marker = self._openings.nonce(delivery.connection)
        caught = self._caught == delivery.connection
        for packet in delivery.packets:
            how = How.LIVE if caught and not late else How.LATE
            found = event_of(packet, broker=self.broker, at=at, how=how, marker=marker)
            if isinstance(found, Ignored):
                self.config.unheeded.note(found, packet.topic, at=at)
            elif found is not None:
                caught = caught or isinstance(found, Caught)
                events.append(found)
        self._do_without_marker(session)
        if monotonic() >= self._tick_at:
            self._tick_at = monotonic() + TICK_EVERY_S
            events.append(Tick(self.broker, at, live=self._is_live()))
        return events

    def _do_without_marker(self, session: Session) -> None:
        """A broker that does not let us publish our marker, or does not say so."""
        current = session.inbox.connection
        overdue = self._opened == current and monotonic() - self._opened_at > SNAPSHOT_PATIENCE_S
        if overdue and self._caught != current and session.up.is_set() and not len(session.inbox):
            self._caught = current
            self._say(f"our own message on {MARKER_TOPIC} does not come back: permit it to publish and to read there")

    def _is_live(self) -> bool:
        session = self._session
        if session is None or not session.up.is_set():
            return False
        return session.inbox.connection == self._caught and monotonic() - self._fresh_at <= STALL_S

    # From events to handlers

    def _handle(self, connection: Connection, events: Sequence[Event]) -> list[str]:
        """In one transaction; returns the topics to clear. Of events that a handler fails on, only these go."""
        try:
            return self._in_one_transaction(connection, events)
        except Exception as error:
            if isinstance(error, psycopg.Error) and not isinstance(error, EVENT_FAULTS):
                raise
            if len(events) == 1:
                self.failed += 1
                logger.exception("An event of %s could not be handled and is left out: %s", self.name, events[0])
                return []
            logger.info("%d events of %s failed together (%s); tried in halves.", len(events), self.name, error)
        half = len(events) // 2
        return self._handle(connection, events[:half]) + self._handle(connection, events[half:])

    def _in_one_transaction(self, connection: Connection, events: Sequence[Event]) -> list[str]:
        clearings = []
        with connection.transaction():
            waiting = list(events)
            while waiting:
                effects = self._tell(connection, waiting)
                clearings += [effect.topic for effect in effects if isinstance(effect, Clear)]
                waiting = [effect for effect in effects if isinstance(effect, Changed)]
        return clearings

    def _tell(self, connection: Connection, events: Sequence[Event]) -> list[Effect]:
        effects: list[Effect] = []
        for kind, handlers in self.config.handlers.items():
            of_kind = [event for event in events if type(event) is kind]
            for handler in handlers if of_kind else ():
                effects += handler(connection, of_kind)
        return effects

    # Its two ends

    def _claim(self, connection: Connection) -> bool:
        # By the address and not the number: two platforms on one database name a broker alike only if it is one.
        row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LOCK_CLASS, self.address.identity()))
        return row.fetchone() == (True,)

    def _begin_session(self) -> Session:
        filters = (STATUS_FILTER, *((REPORT_FILTER,) if self.config.handlers.get(Report) else ()))
        self._openings.last_filter = filters[-1]
        session = Session(
            SessionConfig(
                host=self.address.host,
                port=self.address.port,
                client_id=CLIENT_ID,
                filters=filters,
                passing=(UPTIME_TOPIC,),
                snapshots=True,
                expiry_s=SESSION_EXPIRY_S,
                username=self.address.username,
                password=self.address.password,
                tls=self.address.tls,
                inbox_messages=INBOX_MESSAGES,
                inbox_bytes=INBOX_BYTES,
            ),
            self._openings,
        )
        self._openings.begin(session)
        self._opened = self._caught = -1
        session.start()
        return session

    def _say(self, what: str) -> None:
        if monotonic() - self._said.get(what, float("-inf")) >= SAY_EVERY_S:
            self._said = {what: monotonic()}
            logger.warning("%s: %s.", self.config.broker, what.rstrip("."))
