"""From three facts to what a person should know of a gateway: whether a broker has a session with it, when its last
message came, and of when its last reading is. Pure: `now` is an argument."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tds.devicelink.presence import Known

# TDS_SILENT_AFTER_S where nothing else is set: ten reports of a gateway that sends each minute. What is written of
# messages is up to 30 s old.
SILENT_AFTER: Final = timedelta(minutes=10)
REPORTS_MISSED: Final = 3  # of a gateway that says how often it sends
CLOCK_OFF: Final = timedelta(minutes=10)  # from then on what a clock that is ahead says is refused
LINK_PATIENCE: Final = timedelta(seconds=60)  # the link says every 5 s that it hears all
# After a broker's start: gateways come back within minutes, each at a random moment.
CONFIRM_WITHIN: Final = timedelta(minutes=5)
START_MARGIN: Final = timedelta(seconds=2)  # a broker tells whole seconds
# It went, and messages came after that: not those that were on their way.
AFTERWARDS: Final = timedelta(minutes=2)
KEPT: Final = timedelta(days=90)  # TDS_RETENTION_DAYS where nothing else is set


@dataclass(frozen=True, slots=True)
class Limits:
    """`silent_after`: at least, of any gateway. `kept`: readings that are older are quarantined."""

    silent_after: timedelta = SILENT_AFTER
    kept: timedelta = KEPT

    def silent_after_of(self, known: Known | None) -> timedelta:
        """Whoever sends each hour is not silent for ten minutes."""
        interval = known.interval if known else None
        return self.silent_after if interval is None else max(self.silent_after, REPORTS_MISSED * interval)


USUAL: Final = Limits()


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


WRONG_CLOCK: Final = frozenset({Trouble.CLOCK_AHEAD, Trouble.CLOCK_BEHIND})


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
    silent_after: timedelta = SILENT_AFTER
    put_out: bool = False
    too_old: bool = False

    @property
    def online(self) -> bool | None:
        """None: not known."""
        return {Session.CONNECTED: True, Session.NOT_CONNECTED: False}.get(self.session)

    @property
    def wrong_clock(self) -> bool:
        return not WRONG_CLOCK.isdisjoint(self.troubles)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of gateways that are in use. One can be silent and have a wrong clock."""

    gateways: int
    sessions: Counter[Session]
    silent: int
    wrong_clock: int


def judge(facts: Facts, brokers: Mapping[str, BrokerHeard], *, now: datetime, limits: Limits = USUAL) -> Health:
    """`judged.py` says the same to the database, for whole fleets."""
    known = facts.known
    silent_after = limits.silent_after_of(known)
    recent = facts.message_at is not None and now - facts.message_at <= silent_after
    session, uncertain_since = _session(facts, brokers, now, recent=recent)
    put_out_at = _put_out_at(facts, recent=recent) if session is Session.CONNECTED else None
    if put_out_at is not None:
        session, uncertain_since = Session.UNCERTAIN, put_out_at
    silent_since = _silent_since(facts, session, now, silent_after)
    clock_off, clock = _clock(facts, limits.kept)
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
        tuple(_troubles(facts, session, silent_since, clock, recent=recent)),
        silent_after,
        put_out=put_out_at is not None,
        too_old=clock_off is not None and clock_off < -limits.kept,
    )


def _session(
    facts: Facts, brokers: Mapping[str, BrokerHeard], now: datetime, *, recent: bool
) -> tuple[Session, datetime | None]:
    """`recent`: its last message is, by its own interval."""
    known = facts.known
    if known is None:
        return (Session.UNSAID if facts.message_at else Session.NEVER), None
    broker = brokers.get(known.broker)
    if broker is None or not broker.is_heard(now):
        # Nobody listens there; but what came in since came over some connection.
        until = broker.heard_until if broker else known.changed_at
        if not (known.online and recent):
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


def _put_out_at(facts: Facts, *, recent: bool) -> datetime | None:
    """When it was put out, if nothing was heard of it since. The brokers cut it off, of which many leave no will."""
    known, at = facts.known, facts.put_out_at
    if known is None or at is None or facts.admitted:
        return None
    said = max(known.changed_at, known.heard_at or known.changed_at) > at
    sent = facts.message_at is not None and facts.message_at - at > AFTERWARDS and recent
    return None if said or sent else at


def _silent_since(facts: Facts, session: Session, now: datetime, silent_after: timedelta) -> datetime | None:
    known = facts.known
    if known is None or session is not Session.CONNECTED:
        return None
    since = max(known.changed_at, facts.message_at or known.changed_at)
    return since if now - since > silent_after else None


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
    facts: Facts, session: Session, silent_since: datetime | None, clock: Trouble | None, *, recent: bool
) -> list[Trouble]:
    found = []
    known = facts.known
    if known is not None and not facts.admitted and session is Session.CONNECTED:
        found.append(Trouble.DISABLED_YET_CONNECTED)
    elif silent_since is not None:
        found.append(Trouble.SILENT)
    if known is not None and session is Session.NOT_CONNECTED and facts.message_at is not None:
        late = facts.message_at - known.changed_at > AFTERWARDS
        if late and recent:
            found.append(Trouble.NOT_CONNECTED_YET_SENDS)
    if clock is not None:
        found.append(clock)
    return found
