"""What gateways sent and nothing was made of: counted, and said at most so often."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Final

from tds.devicelink.presence import Ignored

logger = logging.getLogger("tds.devicelink")

SAY_EVERY_S: Final = 60.0  # of each reason
MAX_SHOWN_CHARS: Final = 80

_SENTENCES: Final = {
    Ignored.TOO_LARGE: "larger than a presence can be",
    Ignored.NOT_JSON: "no JSON object with gateway_code and status as texts",
    Ignored.CODE_MISMATCH: "with another gateway_code than the topic's",
    Ignored.BAD_STATUS: 'with a status that is neither "online" nor "offline"',
    Ignored.BAD_TOPIC: "on a topic that no gateway can have",
    Ignored.RETAINED_REPORT: "a report that the broker had kept, of whoever had the code then",
    Ignored.UNKNOWN_GATEWAY: "of a code that no gateway in use has",
}


@dataclass(frozen=True, slots=True)
class Strangers:
    """What codes that no gateway in use has said of their presence on one broker, since the worker's start."""

    messages: int
    last_at: datetime
    last_code: str

    @classmethod
    def of(cls, facts: Any) -> "Strangers | None":
        """From what a worker of any version told of a link."""
        try:
            told = facts["strangers"]
            return cls(int(told["messages"]), datetime.fromisoformat(told["last_at"]), str(told["last_code"]))
        except (KeyError, TypeError, ValueError):
            return None


class Unheeded:
    """Of one broker."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.counts: Counter[Ignored] = Counter()
        self._stranger: tuple[datetime, str] | None = None  # the last one
        self._said_at: dict[Ignored, float] = {}
        self._unsaid: Counter[Ignored] = Counter()

    def facts(self) -> dict[str, Any]:
        """For the heartbeat."""
        told: dict[str, Any] = {"ignored": dict(self.counts)}
        if self._stranger is not None:
            at, code = self._stranger
            messages = self.counts[Ignored.UNKNOWN_GATEWAY]
            told["strangers"] = {"messages": messages, "last_at": at.isoformat(), "last_code": code}
        return told

    def note(self, reason: Ignored, topic: str, messages: int = 1, *, at: datetime) -> None:
        """`topic`: or the code alone of one that no gateway in use has."""
        self.counts[reason] += messages
        if reason is Ignored.UNKNOWN_GATEWAY:
            self._stranger = at, topic
        self._unsaid[reason] += messages
        if monotonic() - self._said_at.get(reason, float("-inf")) >= SAY_EVERY_S:
            self._said_at[reason] = monotonic()
            shown = topic if len(topic) <= MAX_SHOWN_CHARS else f"{topic[:MAX_SHOWN_CHARS]}…"
            logger.warning(
                "%s: %d presence messages %s changed nothing, the last one of %s.",
                self.broker,
                self._unsaid.pop(reason),
                _SENTENCES[reason],
                ascii(shown),
            )
