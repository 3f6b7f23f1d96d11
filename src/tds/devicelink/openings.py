"""Where each connection of a link's session begins, and where what it begins with ends."""

import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Final

from tds.devicelink.events import Opened
from tds.devicelink.topics import MARKER_TOPIC
from tds.mqtt.session import Session

logger = logging.getLogger("tds.devicelink")

CLIENT_ID: Final = "tds-devicelink"
SAY_EVERY_S: Final = 60.0  # that the broker is still away


class Openings:
    """Hears of connections on the session's thread, and sends the marker behind what each begins with."""

    def __init__(self, broker: str, now: Callable[[], datetime]) -> None:
        self.last_filter = ""
        self._broker = broker
        self._now = now
        self._lock = Lock()
        self._session: Session | None = None
        self._last: tuple[int, Opened, bytes] | None = None
        self._reason = ("", 0.0)

    def begin(self, session: Session) -> None:
        with self._lock:
            self._session, self._last = session, None

    def last(self, connection: int) -> Opened | None:
        with self._lock:
            return self._last[1] if self._last is not None and self._last[0] == connection else None

    def nonce(self, connection: int) -> bytes | None:
        with self._lock:
            return self._last[2] if self._last is not None and self._last[0] == connection else None

    def connected(self, *, session_present: bool) -> None:
        with self._lock:
            if self._session is not None:
                opened = Opened(self._broker, self._now(), session_present)
                self._last = self._session.inbox.connection, opened, secrets.token_hex(16).encode()
        self._reason = ("", 0.0)
        logger.info("%s: connected as %s.", self._broker, CLIENT_ID)

    def expires(self, after_s: int) -> None:
        logger.warning("%s: the broker ends our session %d s after a connection.", self._broker, after_s)

    def subscribed(self, pattern: str) -> None:
        with self._lock:
            session, last = self._session, self._last
        if session is not None and last is not None and pattern == self.last_filter:
            session.mark(MARKER_TOPIC, last[2])

    def disconnected(self, reason: str) -> None:
        said, at = self._reason
        if reason == "stopped":
            return
        if reason != said or monotonic() - at >= SAY_EVERY_S:
            self._reason = reason, monotonic()
            logger.warning("%s: no connection: %s", self._broker, reason)
