"""What we publish over a session with QoS 1, each until its PUBACK. Kept nowhere: a message lost on the way is told."""

from threading import Condition
from time import monotonic
from typing import Final

FIRST_ID: Final = 1_000  # SUBSCRIBE and what drains a session have smaller ones; all share one space (MQTT 5, 2.2.1)
LAST_ID: Final = 65_535
MAX_UNDER_WAY: Final = 100  # unacknowledged at once, if the broker takes as many (its receive maximum)


class SendError(Exception):
    """The broker did not acknowledge a message of ours; the text is a sentence."""


class Sending:
    """Belongs to one session: any thread sends, the I/O thread hears the answers."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._answers: dict[int, int | None] = {}  # of what is under way: the reason code once it is there
        self._last_id = FIRST_ID - 1
        self._room = 0  # none is connected
        self._connection = -1

    def opened(self, connection: int, receive_maximum: int) -> None:
        with self._changed:
            self._connection = connection
            # One of the broker's places is for a mark, which takes no turn here.
            self._room = max(1, min(MAX_UNDER_WAY, receive_maximum - 1))
            self._changed.notify_all()

    def closed(self) -> None:
        """What is under way has no answer any more, whether it arrived or not."""
        with self._changed:
            self._room, self._connection = 0, -1
            self._answers.clear()
            self._changed.notify_all()

    def begin(self, deadline: float) -> tuple[int, int]:
        """A packet id and the connection that it is for. Raises SendError when there is no room until `deadline`."""
        with self._changed:
            # Until then there may be another connection, or an answer to another message.
            self._changed.wait_for(lambda: len(self._answers) < self._room, max(0.0, deadline - monotonic()))
            if len(self._answers) >= self._room:
                raise SendError("The broker takes no more messages now." if self._room else "The broker is away.")
            packet_id = self._next_id()
            self._answers[packet_id] = None
            return packet_id, self._connection

    def answered(self, packet_id: int, reason_code: int) -> None:
        """A PUBACK came. One for something else changes nothing."""
        with self._changed:
            if packet_id in self._answers:
                self._answers[packet_id] = reason_code
                self._changed.notify_all()

    def result(self, packet_id: int, deadline: float) -> int:
        """The reason code (MQTT 5, 3.4.2.1). Raises SendError when none came until `deadline`."""
        with self._changed:
            answers = self._answers
            self._changed.wait_for(
                lambda: packet_id not in answers or answers[packet_id] is not None, max(0.0, deadline - monotonic())
            )
            if packet_id not in answers:
                raise SendError("The connection was lost before the broker acknowledged the message.")
            code = answers.pop(packet_id)
            self._changed.notify_all()
            if code is None:
                raise SendError("The broker did not acknowledge the message in time.")
            return code

    def abandon(self, packet_id: int) -> None:
        """It was not sent."""
        with self._changed:
            self._answers.pop(packet_id, None)
            self._changed.notify_all()

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id + 1 if self._last_id < LAST_ID else FIRST_ID
            if self._last_id not in self._answers:
                return self._last_id
