"""From a message of the broker to what it tells. Pure."""

from datetime import datetime, timedelta
from typing import Final

from tds.devicelink.events import Caught, How, Report, Said, Uptime
from tds.devicelink.presence import Ignored, read
from tds.devicelink.topics import MARKER_TOPIC, UPTIME_TOPIC, Kind, parse
from tds.mqtt.inbox import Received

MAX_REPORT_BYTES: Final = 65_536
MAX_UPTIME_DIGITS: Final = 10


def event_of(
    packet: Received, *, broker: str, at: datetime, how: How, marker: bytes | None
) -> Said | Report | Uptime | Caught | Ignored | None:
    """What a message tells, or why nothing; None where there is nothing to tell. `how` is of one that is not retained.

    `marker` is what our own message says on this connection. Of a report that is too large there is one byte too many.
    """
    if packet.topic == UPTIME_TOPIC:
        started_at = _started_at(packet.payload, at)
        return Uptime(broker, started_at, packet.retain, at) if started_at is not None else None
    if packet.topic == MARKER_TOPIC and packet.payload == marker:
        return Caught(broker, at)
    if not packet.payload:
        return None  # somebody cleared what was retained there: we, mostly
    place = parse(packet.topic)
    if place is None:
        return Ignored.BAD_TOPIC
    if place.kind is Kind.REPORT:
        report = Report(broker, place.code, packet.payload[: MAX_REPORT_BYTES + 1], at)
        return Ignored.RETAINED_REPORT if packet.retain else report
    return read(broker, place.code, packet.payload, at=at, how=How.RETAINED if packet.retain else how)


def _started_at(payload: bytes, at: datetime) -> datetime | None:
    """mosquitto says "123 seconds"."""
    digits, _, unit = payload.partition(b" ")
    if unit != b"seconds" or not digits.isdigit() or len(digits) > MAX_UPTIME_DIGITS:
        return None
    try:
        return at - timedelta(seconds=int(digits))
    except OverflowError:
        return None
