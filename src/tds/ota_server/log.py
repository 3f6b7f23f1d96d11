"""A log that strangers can't fill: what anybody on the network can cause is said a few times, and then counted."""

import logging
from time import monotonic
from typing import Final

logger = logging.getLogger("tds.ota")

LINES: Final = 30
EVERY_S: Final = 60.0


class FewLines:
    """At most LINES every EVERY_S. What was left out is said in one line later on."""

    def __init__(self) -> None:
        self._since_s = float("-inf")
        self._said = self._left_out = 0

    @staticmethod
    def say_done(text: str) -> None:
        """What only those can cause who may: never left out."""
        logger.info("%s", text)

    def say(self, text: str, now_s: float | None = None) -> None:
        """`text` is ours, or escaped: it becomes one line."""
        now_s = monotonic() if now_s is None else now_s
        if now_s - self._since_s >= EVERY_S:
            if self._left_out:
                logger.warning("%d more refusals were not written down one by one.", self._left_out)
            self._since_s, self._said, self._left_out = now_s, 0, 0
        if self._said < LINES:
            self._said += 1
            logger.warning("%s", text)
        else:
            self._left_out += 1
