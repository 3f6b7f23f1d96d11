"""What a link tells its handlers, in the order in which it happened."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class How(StrEnum):
    """In which way a presence was learned, and so what can be said of its time."""

    LIVE = "live"  # heard as it happened
    LATE = "late"  # it waited in our session, or in this process, while nobody listened
    RETAINED = "retained"  # what the broker has kept: how it is, and not that anything happened


@dataclass(frozen=True, slots=True)
class Said:
    """A gateway's presence on one broker, by itself or by its will. `at` is when it reached us."""

    broker: str
    code: str
    online: bool
    at: datetime
    how: How
    timestamp: datetime | None = None  # what the gateway's own clock said; of a will when it was written
    firmware: str = ""
    interval: timedelta | None = None  # how often it sends, if it says so


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway says of an update, unread."""

    broker: str
    code: str
    payload: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection to a broker begins. What is retained comes next, and then `Caught`."""

    broker: str
    at: datetime
    session_present: bool  # what came meanwhile waited there


@dataclass(frozen=True, slots=True)
class Caught:
    """All that waited and all that was retained has been told: from now on presence is heard as it happens."""

    broker: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Uptime:
    """When a broker was started, by its own word."""

    broker: str
    started_at: datetime
    retained: bool  # what it said last, up to some seconds ago
    at: datetime


@dataclass(frozen=True, slots=True)
class Tick:
    """Every few seconds. `live`: nothing happens on the broker that we would not hear."""

    broker: str
    at: datetime
    live: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """A gateway is connected, or is not any more: told by whoever keeps its presence, not by the link."""

    gateway_id: int
    online: bool
    broker: str
    at: datetime


Event = Said | Report | Opened | Caught | Uptime | Tick | Changed


@dataclass(frozen=True, slots=True)
class Clear:
    """Make the broker forget what is retained on a topic."""

    topic: str


Effect = Clear | Changed
