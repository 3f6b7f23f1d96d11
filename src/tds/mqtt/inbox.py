"""Messages between the I/O thread and the one that works on them: bounded, and handed over in batches by a timer."""

from collections import deque
from collections.abc import Iterable
from threading import Condition, Event
from time import monotonic
from typing import Final, NamedTuple

import msgspec

TAKEN_BYTES: Final = 2 * 1024**2  # of payload and topics in one delivery: readings as small as can be are 90,000 rows


class Received(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a PUBLISH. Its properties go: a sender can fill 64 KiB with each, and each pair is two objects.

    `packet_id` is None with QoS 0.
    """

    topic: str
    payload: bytes
    retain: bool
    packet_id: int | None


class Delivery(NamedTuple):
    """Messages of one connection, to be acknowledged on that connection or not at all."""

    connection: int
    packets: list[Received]


class Inbox:
    """Holds what was received and not yet taken. Full: `room` is False and the socket is not read."""

    def __init__(self, limit_messages: int, limit_bytes: int) -> None:
        self.connection = 0  # counts connections: a packet id of one means nothing on the next
        self._limit_messages = limit_messages
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._messages: deque[Received] = deque()
        self._changed = Condition()
        self.drained = Event()  # on this connection the marker came that stands behind the last message
        self._wanted = 1
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def room(self) -> bool:
        return len(self._messages) < self._limit_messages and self._bytes < self._limit_bytes

    def put(self, packets: list[Received]) -> None:
        with self._changed:
            self._messages.extend(packets)
            self._bytes += _bytes(packets)
            if len(self._messages) >= self._wanted:
                self._changed.notify()

    def take(self, most: int, *, linger_s: float, timeout_s: float) -> Delivery:
        """Up to `most` messages: at once when there are that many, else `linger_s` after the first one; or none.

        The timer runs from the first message and not from the last: the tail of a burst is never left lying. Of large
        messages it is as many as fit into TAKEN_BYTES, or one.
        """
        with self._changed:
            self._wait_for(1, timeout_s)
            if self._messages:
                self._wait_for(most, linger_s)
            packets = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
            taken_bytes = _bytes(packets)
            while taken_bytes > TAKEN_BYTES and len(packets) > 1:
                taken_bytes -= _bytes(packets[-1:])
                self._messages.appendleft(packets.pop())
            self._bytes -= taken_bytes
            return Delivery(self.connection, packets)

    def _wait_for(self, count: int, timeout_s: float) -> None:
        deadline = monotonic() + timeout_s
        self._wanted = count
        while len(self._messages) < count and not self._closed:
            left_s = deadline - monotonic()
            if left_s <= 0:
                break
            self._changed.wait(left_s)
        self._wanted = 1

    def next_connection(self) -> None:
        """Forget what the broker will deliver again on the next connection; keep what it will not."""
        with self._changed:
            self.connection += 1
            self.drained.clear()
            self._messages = deque(m for m in self._messages if m.packet_id is None)
            self._bytes = _bytes(self._messages)

    def close(self) -> None:
        """Let a waiting `take` go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _bytes(packets: Iterable[Received]) -> int:
    return sum([len(packet.payload) + len(packet.topic) for packet in packets])
