"""What gateways sent and nothing was made of: counted, and said at most so often."""

import logging
from collections import Counter
from time import monotonic
from typing import Final

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
    Ignored.UNKNOWN_GATEWAY: "of a code that no gateway in use has",
}


class Unheeded:
    """Of one broker."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.counts: Counter[Ignored] = Counter()
        self._said_at: dict[Ignored, float] = {}
        self._unsaid: Counter[Ignored] = Counter()

    def note(self, reason: Ignored, topic: str, messages: int = 1) -> None:
        self.counts[reason] += messages
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
