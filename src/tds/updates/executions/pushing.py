"""Pushes commands to gateways that are connected: a lane of the worker.

What is offered and was not pushed is published on the brokers that have a session with its gateway; again when the
gateway has come anew, and every so often, for as long as nothing came back of it. All that it goes by is in the
database, so that a worker that is killed leaves nothing undone.
"""

import logging
import select
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, Protocol

import psycopg
from psycopg import sql

from tds.identity.authorities.keys import KeyUnusableError
from tds.updates.executions import delivery, tickets
from tds.updates.executions.delivery import CHECK, OFFERED, Assigned

logger = logging.getLogger("tds.updates")

WAIT_S: Final = 1.0  # for something new; then who has come is looked at
LOOKED_AT: Final = 2_000  # executions that are looked at a turn: the next turn goes on behind them
PUSHED: Final = 500  # commands a turn
TURN_S: Final = 5.0  # of publishing; the rest is for the next turn
AGAIN_AFTER: Final = timedelta(minutes=10)  # to a gateway that stayed, and said nothing
EXPIRY_S: Final = 600  # for which a broker keeps a command for a gateway that went meanwhile
TROUBLES: Final = 3  # commands that a broker did not take; then the others are pushed, and not those of it
LEFT_ALONE_S: Final = 30.0  # … for so long
SAY_EVERY_S: Final = 60.0

Connection = psycopg.Connection[Any]


class Sent(Protocol):
    """What became of a command on one broker."""

    @property
    def outcome(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Commands(Protocol):
    def update(self, code: str, document: bytes, *, brokers: Sequence[str] = (), expiry_s: int) -> Sequence[Sent]: ...
    def check_now(self) -> Sequence[Sent]: ...


class Place(Protocol):
    """Where a gateway is connected, and since when."""

    @property
    def brokers(self) -> tuple[str, ...]: ...
    @property
    def since(self) -> datetime: ...


Whereabouts = Callable[[Connection, Sequence[int]], Mapping[int, Place]]  # of gateways that are connected, by id


class Heard:
    """The channels on which PostgreSQL told one connection of something."""

    def __init__(self, connection: Connection, *channels: str) -> None:
        self._connection = connection
        self._channels: set[str] = set()
        # Most come with the answer to a statement, and psycopg takes those out itself.
        connection.add_notify_handler(lambda notice: self._channels.add(notice.channel))
        for channel in channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def wait(self, timeout_s: float) -> set[str]:
        """Those since the last call, waiting up to so long for one. Raises psycopg.OperationalError."""
        pgconn = self._connection.pgconn
        if not self._channels:
            select.select([pgconn.socket], [], [], timeout_s)
        pgconn.consume_input()
        while notice := pgconn.notifies():
            self._channels.add(notice.relname.decode())
        channels, self._channels = self._channels, set()
        return channels


@dataclass(slots=True)
class Pushing:
    """One lane, with a connection to itself."""

    commands: Commands
    where: Whereabouts
    now: Callable[[], datetime]
    base_url: str  # of the firmware server, by the name that gateways know it by
    pushed: int = 0  # commands that a broker took, since the start
    trouble: str = ""  # what went wrong in the last turn that had something to push, as a sentence
    _connection: Connection | None = None
    _heard: Heard | None = None
    _behind: int = 0  # the id up to which this round has looked
    _left_alone: dict[tuple[str, ...], float] = field(default_factory=dict)  # brokers, and until when
    _said_at: float = float("-inf")
    _turned_at: datetime | None = None

    def turn(self, connection: Connection) -> None:
        """Wait up to WAIT_S for something new, and push what is to be pushed."""
        if self._heard is None or connection is not self._connection:
            self._connection, self._heard, self._behind = connection, Heard(connection, OFFERED, CHECK), 0
        told = self._heard.wait(0 if self._behind else WAIT_S)
        if OFFERED in told:
            self._behind = 0
        if CHECK in told:
            self.commands.check_now()
        self._push(connection)
        self._turned_at = self.now()

    def facts(self) -> dict[str, Any]:
        """For the heartbeat."""
        turned_at = self._turned_at.isoformat() if self._turned_at else None
        return {"pushed": self.pushed, "trouble": self.trouble, "turned_at": turned_at}

    def _push(self, connection: Connection) -> None:
        now = self.now()
        due = self._due(connection, now)
        if not due:
            return
        try:
            assigned = self._with_tickets(connection, delivery.assigned_of(connection, list(due), now), now)
        except (KeyUnusableError, OSError) as error:
            self._say(f"No ticket can be signed: {error}")
            return
        deadline = monotonic() + TURN_S
        pushed: list[int] = []
        trouble, troubles, enough = "", Counter[tuple[str, ...]](), TROUBLES
        for one in assigned:
            if monotonic() >= deadline:
                self._behind, enough = one.id - 1, 1  # the next turn goes on here; a broker may take seconds to fail
                break
            brokers = due[one.id].brokers
            if troubles[brokers] >= TROUBLES:
                continue
            why, is_away = self._publish(one, due[one.id])
            if why:
                trouble = why
                troubles[brokers] += is_away
            else:
                pushed.append(one.id)
        self.pushed += len(pushed)
        until = monotonic() + LEFT_ALONE_S
        self._left_alone |= {brokers: until for brokers, times in troubles.items() if times >= enough}
        if pushed:
            connection.execute("UPDATE tds_new_execution SET pushed_at = %s WHERE id = ANY(%s)", (now, sorted(pushed)))
        if trouble:
            self._say(trouble)
        elif not any(map(self._is_left_alone, self._left_alone)):
            self.trouble = ""

    def _due(self, connection: Connection, now: datetime) -> dict[int, Place]:
        """By id, those that are to be pushed to gateways that are connected."""
        found = psycopg.Cursor(connection).execute(
            """SELECT id, gateway_id, pushed_at FROM tds_new_execution
               WHERE status = 'QUEUED' AND offered_at IS NOT NULL AND id > %s ORDER BY id LIMIT %s""",
            (self._behind, LOOKED_AT),
        )
        offered = found.fetchall()
        self._behind = offered[-1][0] if len(offered) == LOOKED_AT else 0
        places = self.where(connection, [gateway_id for _, gateway_id, _ in offered]) if offered else {}
        due: dict[int, Place] = {}
        for id_, gateway_id, pushed_at in offered:
            place = places.get(gateway_id)
            if place is None or self._is_left_alone(place.brokers):
                continue
            # What was pushed after now was pushed by a clock that went back since.
            if pushed_at and place.since <= pushed_at and now - AGAIN_AFTER < pushed_at <= now:
                continue
            if len(due) == PUSHED:
                self._behind = id_ - 1
                break
            due[id_] = place
        return due

    def _is_left_alone(self, brokers: tuple[str, ...]) -> bool:
        """Their trouble is not to keep the others' commands back."""
        return monotonic() < self._left_alone.get(brokers, 0.0)

    @staticmethod
    def _with_tickets(connection: Connection, assigned: list[Assigned], now: datetime) -> list[Assigned]:
        """All with a ticket that a gateway still takes."""
        over = [one.id for one in assigned if tickets.is_over(one.ticket, now)]
        if not over:
            return assigned
        delivery.offer(connection, over, now)
        return delivery.assigned_of(connection, [one.id for one in assigned], now)

    def _publish(self, one: Assigned, place: Place) -> tuple[str, bool]:
        """Why no broker has it, and whether because they are away; empty when one has, or when nobody has subscribed
        there: then it asks by itself."""
        try:
            document = delivery.document(one, self.base_url)
        except ValueError as error:
            return str(error), False
        sent = self.commands.update(one.gateway_code, document, brokers=place.brokers, expiry_s=EXPIRY_S)
        if not sent:
            return "There is no broker to publish on.", True
        wrong = [each for each in sent if each.outcome in ("refused", "failed")]
        if len(wrong) < len(sent):
            return "", False
        return wrong[-1].detail, any(each.outcome == "failed" for each in wrong)

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble or monotonic() - self._said_at >= SAY_EVERY_S:
            self._said_at = monotonic()
            logger.warning("An update could not be pushed; it is tried again. %s", trouble)
        self.trouble = trouble
