"""The telemetry topic: which gateway and which device a message claims to come from."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from tds.fleet.codes import CODE

TELEMETRY_FILTER: Final = "telemetry/+/+/data"
MAX_CODE_CHARS: Final = 64
MAX_TOPIC_CHARS: Final = len("telemetry/") + MAX_CODE_CHARS + len("/") + MAX_CODE_CHARS + len("/data")
TOPICS_REMEMBERED: Final = 16_384  # full: the one unused for longest goes. At most about 8 MB.

_TOPIC: Final = re.compile(f"telemetry/({CODE})/({CODE})/data")
_GATEWAY_PART: Final = re.compile(f"telemetry/({CODE})/")


class TopicCodes(NamedTuple):
    gateway: str
    device: str


def telemetry_topic(gateway_code: str, device_code: str) -> str:
    return f"telemetry/{gateway_code}/{device_code}/data"


def parse_topic(topic: str) -> TopicCodes | None:
    """The two codes, or None for any other topic."""
    # The length comes first, so that no 64 KiB topic is ever remembered.
    return _parse(topic) if len(topic) <= MAX_TOPIC_CHARS else None


def gateway_code_in(topic: str) -> str | None:
    """The gateway's code in a topic whose other parts may be wrong: who sent it is known even then."""
    found = _GATEWAY_PART.match(topic)
    return found.group(1) if found else None


# A fleet publishes to the same few thousand topics every minute: a look-up is a third of the price of the pattern.
@lru_cache(maxsize=TOPICS_REMEMBERED)
def _parse(topic: str) -> TopicCodes | None:
    found = _TOPIC.fullmatch(topic)
    return TopicCodes(found.group(1), found.group(2)) if found else None
