"""The topics between the platform and a gateway, but for telemetry. Pure."""

from enum import StrEnum
from typing import Final, NamedTuple

from tds.fleet.codes import is_code
from tds.fleet.limits import MAX_CODE_CHARS

STATUS_FILTER: Final = "status/+"
REPORT_FILTER: Final = "ota/+/status"
UPDATE_ALL_TOPIC: Final = "ota/update"  # to all: check now
# How long the broker is up, in words, from mosquitto itself; not of a broker that has no such topic.
UPTIME_TOPIC: Final = "$SYS/broker/uptime"
# Ours, to ourselves: it comes back behind what waited for us. No gateway can have the code (fleet/codes.py).
MARKER_TOPIC: Final = "status/tds-devicelink"
MAX_TOPIC_CHARS: Final = len("status/") + MAX_CODE_CHARS + len("/status")


class Kind(StrEnum):
    """What a gateway tells of itself."""

    PRESENCE = "presence"
    REPORT = "report"


class Place(NamedTuple):
    kind: Kind
    code: str


def parse(topic: str) -> Place | None:
    """What a message is by its topic, and the gateway that it claims to be of; None for any other topic."""
    if len(topic) > MAX_TOPIC_CHARS:
        return None
    match topic.split("/"):
        case ["status", code] if is_code(code):
            return Place(Kind.PRESENCE, code)
        case ["ota", code, "status"] if is_code(code):
            return Place(Kind.REPORT, code)
        case _:
            return None


def status_topic(code: str) -> str:
    return f"status/{code}"


def update_topic(code: str) -> str:
    return f"ota/{code}/update"
