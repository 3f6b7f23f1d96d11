"""What a presence message says, or why it says nothing; and what becomes of what was known before. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder

from tds.devicelink.events import How, Said

MAX_PAYLOAD_BYTES: Final = 1_024  # the longest that makes sense has 250
MAX_FIRMWARE_CHARS: Final = 64
MAX_TIMESTAMP_CHARS: Final = len("2026-02-18T15:30:00.123456789-03:00")
MAX_INTERVAL_S: Final = 86_400
MAX_BROKERS: Final = 8  # of one gateway at once, as of `tds up`
ONLINE: Final = {"online": True, "offline": False}


class Ignored(StrEnum):
    """Why a message on a status topic changes nothing."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"  # also: no object, or a field of another type
    CODE_MISMATCH = "code_mismatch"
    BAD_STATUS = "bad_status"
    BAD_TOPIC = "bad_topic"  # no gateway can have that code
    RETAINED_REPORT = "retained_report"  # kept by the broker since whenever, of whoever had the code then
    UNKNOWN_GATEWAY = "unknown_gateway"  # nobody has that code, or a gateway that is retired


class _Body(Struct):
    gateway_code: str
    status: str
    timestamp: object = None
    firmware: object = None
    interval_s: object = None


_BODY: Final = Decoder(_Body)


def read(broker: str, code: str, payload: bytes, *, at: datetime, how: How) -> Said | Ignored:
    """A message on `status/<code>`. What is optional and can't be understood is as if it were not there."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Ignored.TOO_LARGE
    try:
        payload.decode()  # msgspec does not look at the bytes of what it skips
        body = _BODY.decode(payload)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError):
        return Ignored.NOT_JSON
    if body.gateway_code != code:
        return Ignored.CODE_MISMATCH
    online = ONLINE.get(body.status)
    if online is None:
        return Ignored.BAD_STATUS
    said = _time(body.timestamp), _firmware(body.firmware), _interval(body.interval_s)
    return Said(broker, code, online, at, how, *said)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one gateway's presence.

    `brokers`: those that have a session with it, the one that it came to last at the end. It is one device, so that
    there is more than one only while a broker has not yet noticed that it left.
    """

    brokers: tuple[str, ...]
    broker: str  # that spoke of it last
    changed_at: datetime  # connected, or not, since then …
    witnessed: bool  # … exactly; else since then at the latest
    heard_at: datetime | None = None  # it, or its will, certainly spoke then or later
    firmware: str = ""
    clock_ahead: timedelta | None = None  # by how much its clock was ahead of ours, as it came online at …
    clock_at: datetime | None = None
    interval: timedelta | None = None  # how often it sends, as it said when it came last

    @property
    def online(self) -> bool:
        return bool(self.brokers)


@dataclass(frozen=True, slots=True)
class Around:
    """What must be known of a broker to weigh what it says: when the link last heard all, when it was started."""

    caught_until: datetime | None = None
    started_at: datetime | None = None
    # It was started while nobody listened, and has our session still: what it retained may be from before, and of a
    # gateway that went meanwhile there was no will.
    restarted: bool = False


def merge(before: Known | None, said: Said, around: Around) -> Known | None:
    """What is known after somebody said something. Of one broker in its order; of several in any order."""
    brokers = _brokers(before.brokers if before else (), said, around)
    if brokers is None:
        return before
    after = Known(
        brokers,
        said.broker,
        said.at,
        witnessed=said.how is How.LIVE,
        heard_at=_later(before.heard_at if before else None, _heard_at(said, around)),
        firmware=said.firmware or (before.firmware if before else ""),
        clock_ahead=before.clock_ahead if before else None,
        clock_at=before.clock_at if before else None,
        # Its will does not say: that changes nothing. A firmware that does not say any more may have another one.
        interval=said.interval if said.online or not before else before.interval,
    )
    if said.online and said.how is How.LIVE and said.timestamp is not None:
        after = replace(after, clock_ahead=said.timestamp - said.at, clock_at=said.at)
    if before is not None and before.online == after.online and not _is_new_session(before, said, around):
        return replace(
            after,
            broker=brokers[-1] if brokers else before.broker,
            changed_at=before.changed_at,
            witnessed=before.witnessed,
        )
    return after


def gone(before: Known, broker: str, *, at: datetime) -> Known:
    """The broker has nothing retained of it any more, so nothing says that it has a session."""
    brokers = tuple(name for name in before.brokers if name != broker)
    if brokers or not before.online:
        return replace(before, brokers=brokers, broker=brokers[-1] if brokers else before.broker)
    return replace(before, brokers=(), broker=broker, changed_at=at, witnessed=False)


def _brokers(before: tuple[str, ...], said: Said, around: Around) -> tuple[str, ...] | None:
    """None: it says nothing."""
    others = tuple(name for name in before if name != said.broker)
    if not said.online:
        # A will that comes late from a broker that it left ends that broker's session and no other.
        return others
    if said.how is How.LIVE:
        return (said.broker,)
    if said.broker in before:
        return before
    if said.how is How.RETAINED and around.restarted:
        return None
    # It came there at some time while nobody listened; the others it may have come to since.
    return (said.broker, *others)[-MAX_BROKERS:]


def _is_new_session(before: Known, said: Said, around: Around) -> bool:
    """Whether it connected anew though nothing told that it had gone: its broker ended without a word."""
    if not said.online or said.how is How.RETAINED:
        return False
    moved = said.how is How.LIVE and said.broker not in before.brokers
    started = around.started_at
    return moved or (started is not None and before.changed_at < started)


def _heard_at(said: Said, around: Around) -> datetime | None:
    match said.how:
        case How.LIVE:
            return said.at
        case How.LATE:
            return around.caught_until
        case How.RETAINED:
            return None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > MAX_TIMESTAMP_CHARS:
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _firmware(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_FIRMWARE_CHARS and value.isprintable() else ""


def _interval(value: object) -> timedelta | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_INTERVAL_S:
        return None
    return timedelta(seconds=value)
