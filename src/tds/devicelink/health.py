"""From three facts to what a person should know of a gateway: whether a broker has a session with it, when its last
message came, and of when its last reading is. Pure: `now` is an argument."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tds.devicelink.presence import Known

# Ten reports of a gateway that sends each minute. What is written of messages is up to 30 s old.
SILENT_AFTER: Final = timedelta(minutes=10)
CLOCK_OFF: Final = timedelta(minutes=10)  # from then on what a clock that is ahead says is refused
LINK_PATIENCE: Final = timedelta(seconds=60)  # the link says every 5 s that it hears all
# After a broker's start: gateways come back within minutes, each at a random moment.
CONFIRM_WITHIN: Final = timedelta(minutes=5)
START_MARGIN: Final = timedelta(seconds=2)  # a broker tells whole seconds
# It went, and messages came after that: not those that were on their way.
AFTERWARDS: Final = timedelta(minutes=2)
KEPT: Final = timedelta(days=90)  # TDS_RETENTION_DAYS where nothing else is set


class Session(StrEnum):
    """Whether a broker has a session with a gateway, as far as can be told."""

    CONNECTED = "connected"
    NOT_CONNECTED = "not_connected"
    UNCERTAIN = "uncertain"  # it was connected, and nothing says that it still is
    UNSAID = "unsaid"  # it sends, and has never said whether it is there
    NEVER = "never"  # nothing ever came


class Trouble(StrEnum):
    """What is worth a look, each by itself."""

    SILENT = "silent"  # connected, and no message comes
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_BEHIND = "clock_behind"
    OLD_READINGS = "old_readings"  # the clock is behind, or it sends what it has kept
    DISABLED_YET_CONNECTED = "disabled_yet_connected"
    NOT_CONNECTED_YET_SENDS = "not_connected_yet_sends"


@dataclass(frozen=True, slots=True)
class BrokerHeard:
    """How far the link to a broker is: until when it heard all, and when the broker was started, if it says so."""

    heard_until: datetime
    started_at: datetime | None = None

    def is_heard(self, now: datetime) -> bool:
        return now - self.heard_until <= LINK_PATIENCE


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one gateway, as they are stored. `admitted`: it is active, neither disabled nor retired."""

    admitted: bool
    known: Known | None
    message_at: datetime | None  # when its last message came
    reading_at: datetime | None  # of when its newest reading is, by its own clock
    dated_at: datetime | None  # the newest time in its last messages, accepted or not
    put_out_at: datetime | None = None  # when it was disabled or retired; None: it is active, or nobody wrote it down


@dataclass(frozen=True, slots=True)
class Health:
    """`since`: of the session's state, exactly or (`since_exact` False) at the latest. `silent_since`: its last message
    or, if that is later, when it connected. `clock_off`: positive is ahead. Certain until `uncertain_since`, which is
    when it was disabled or retired if it was `put_out` while connected. `too_old`: what it dates is quarantined.
    """

    session: Session
    since: datetime | None
    since_exact: bool
    broker: str
    message_at: datetime | None
    reading_at: datetime | None
    silent_since: datetime | None
    clock_off: timedelta | None
    uncertain_since: datetime | None
    firmware: str
    troubles: tuple[Trouble, ...]
    put_out: bool = False
    too_old: bool = False

    @property
    def online(self) -> bool | None:
        """None: not known."""
        return {Session.CONNECTED: True, Session.NOT_CONNECTED: False}.get(self.session)

    @property
    def wrong_clock(self) -> bool:
        return not {Trouble.CLOCK_AHEAD, Trouble.CLOCK_BEHIND}.isdisjoint(self.troubles)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of gateways that are in use. One can be silent and have a wrong clock."""

    gateways: int
    sessions: Counter[Session]
    silent: int
    wrong_clock: int


def judge(facts: Facts, brokers: Mapping[str, BrokerHeard], *, now: datetime, kept: timedelta = KEPT) -> Health:
    """`kept`: readings that are older are quarantined."""
    known = facts.known
    session, uncertain_since = _session(facts, brokers, now)
    put_out_at = _put_out_at(facts, now) if session is Session.CONNECTED else None
    if put_out_at is not None:
        session, uncertain_since = Session.UNCERTAIN, put_out_at
    silent_since = _silent_since(facts, session, now)
    clock_off, clock = _clock(facts, kept)
    return Health(
        session,
        known.changed_at if known else None,
        known.witnessed if known else False,
        known.broker if known else "",
        facts.message_at,
        facts.reading_at,
        silent_since,
        clock_off,
        uncertain_since,
        known.firmware if known else "",
        tuple(_troubles(facts, session, silent_since, clock, now)),
        put_out=put_out_at is not None,
        too_old=clock_off is not None and clock_off < -kept,
    )


def _session(facts: Facts, brokers: Mapping[str, BrokerHeard], now: datetime) -> tuple[Session, datetime | None]:
    known = facts.known
    if known is None:
        return (Session.UNSAID if facts.message_at else Session.NEVER), None
    broker = brokers.get(known.broker)
    if broker is None or not broker.is_heard(now):
        # Nobody listens there; but what came in since came over some connection.
        until = broker.heard_until if broker else known.changed_at
        if not (known.online and _recent(facts.message_at, now)):
            return Session.UNCERTAIN, until
    if not known.online:
        return Session.NOT_CONNECTED, None
    evidence = max((at for at in (known.heard_at, facts.message_at) if at is not None), default=None)
    started_at = broker.started_at if broker else None
    if started_at is not None and (evidence is None or evidence + START_MARGIN < started_at):
        # A broker that is killed publishes no wills: of who did not come back it says what it said before.
        confirmable_until = max(started_at, known.changed_at) + CONFIRM_WITHIN
        if now > confirmable_until:
            return Session.UNCERTAIN, evidence or known.changed_at
    return Session.CONNECTED, None


def _put_out_at(facts: Facts, now: datetime) -> datetime | None:
    """When it was put out, if nothing was heard of it since. The brokers cut it off, of which many leave no will."""
    known, at = facts.known, facts.put_out_at
    if known is None or at is None or facts.admitted:
        return None
    said = max(known.changed_at, known.heard_at or known.changed_at) > at
    sent = facts.message_at is not None and facts.message_at - at > AFTERWARDS and _recent(facts.message_at, now)
    return None if said or sent else at


def _silent_since(facts: Facts, session: Session, now: datetime) -> datetime | None:
    known = facts.known
    if known is None or session is not Session.CONNECTED:
        return None
    since = max(known.changed_at, facts.message_at or known.changed_at)
    return since if now - since > SILENT_AFTER else None


def _clock(facts: Facts, kept: timedelta) -> tuple[timedelta | None, Trouble | None]:
    """By how much its clock was off when it last said something with a time in it, and what to call that."""
    known = facts.known
    said = known.clock_ahead if known else None
    said_at = known.clock_at if known else None
    sent = facts.dated_at - facts.message_at if facts.dated_at and facts.message_at else None
    said_last = said_at is not None and (facts.message_at is None or facts.message_at <= said_at)
    if said is not None and (said_last or sent is None):
        return said, _off(said)
    if sent is None or sent >= -CLOCK_OFF:
        return sent, None if sent is None else _off(sent)
    if said is None and sent < -kept:
        # None keeps readings for so long: it started in 1970 and never reached a time server.
        return sent, Trouble.CLOCK_BEHIND
    # Old readings. What it said as it came online tells whether that is its clock.
    behind = said is not None and -said > CLOCK_OFF
    return (said, Trouble.CLOCK_BEHIND) if behind else (sent, Trouble.OLD_READINGS)


def _off(ahead: timedelta) -> Trouble | None:
    if ahead > CLOCK_OFF:
        return Trouble.CLOCK_AHEAD
    return Trouble.CLOCK_BEHIND if -ahead > CLOCK_OFF else None


def _troubles(
    facts: Facts, session: Session, silent_since: datetime | None, clock: Trouble | None, now: datetime
) -> list[Trouble]:
    found = []
    known = facts.known
    if known is not None and not facts.admitted and session is Session.CONNECTED:
        found.append(Trouble.DISABLED_YET_CONNECTED)
    elif silent_since is not None:
        found.append(Trouble.SILENT)
    if known is not None and session is Session.NOT_CONNECTED and facts.message_at is not None:
        late = facts.message_at - known.changed_at > AFTERWARDS
        if late and _recent(facts.message_at, now):
            found.append(Trouble.NOT_CONNECTED_YET_SENDS)
    if clock is not None:
        found.append(clock)
    return found


def _recent(message_at: datetime | None, now: datetime) -> bool:
    return message_at is not None and now - message_at <= SILENT_AFTER
