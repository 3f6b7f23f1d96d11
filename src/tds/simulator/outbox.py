"""What a gateway still owes its broker. Pure: times come in as arguments, messages go out as answers.

Three rules make it keep its promise:
- A PUBACK is the broker's word, and what a broker acknowledged shortly before a crash may be gone. So what was
  acknowledged within `resend_window_s` before a cut is sent again after the reconnect, with all that was not
  acknowledged. `session present` does not tell whether that is needed, and ingest drops the copies.
- A PUBACK that says "refused" (0x80 and above) or "nobody subscribed" (0x10) acknowledges nothing.
- At the limit the oldest message that was never acknowledged goes, and is counted.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tds.simulator.message import Kind, Message

RESEND_WINDOW_S: Final = 90.0  # 2 × the broker's autosave of 30 s at most (ours: 15 s), and 30 s
MAX_WAITING_MESSAGES: Final = 20_000  # a gateway; at the limit the oldest goes
# A gateway: acknowledged less than the window ago. At the limit nothing new is sent until the window has passed,
# because to forget one would break the promise. About 200 bytes each.
MAX_KEPT_MESSAGES: Final = 50_000

_FIRST_REFUSAL: Final = 0x80
NOBODY_SUBSCRIBED: Final = 0x10


def acknowledges(reason_code: int) -> bool:
    return reason_code < _FIRST_REFUSAL and reason_code != NOBODY_SUBSCRIBED


@dataclass(slots=True)
class Entry:
    message: Message
    sends: int = 0
    acknowledged: bool = False


@dataclass(slots=True)
class Counts:
    """`sent`, `acknowledged` and `dropped` count messages; `resent` and `refused` what happened to them, each time."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    resent: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Outbox:
    capacity: int = MAX_WAITING_MESSAGES
    kept_capacity: int = MAX_KEPT_MESSAGES
    resend_window_s: float = RESEND_WINDOW_S
    counts: Counts = field(default_factory=Counts)
    _fresh: deque[Entry] = field(default_factory=deque)  # never sent
    _again: deque[Entry] = field(default_factory=deque)  # sent before; goes out first
    _in_flight: dict[int, Entry] = field(default_factory=dict)  # by packet id, oldest first
    _kept: deque[tuple[float, Entry]] = field(default_factory=deque)  # acknowledged at

    @property
    def waiting(self) -> int:
        return len(self._fresh) + len(self._again)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def is_empty(self) -> bool:
        return not (self._fresh or self._again or self._in_flight)

    def unacknowledged(self) -> int:
        """How many messages nobody has vouched for yet (a copy of an acknowledged one does not count)."""
        return sum(not entry.acknowledged for entry in (*self._fresh, *self._again, *self._in_flight.values()))

    def put(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if len(self._fresh) >= self.capacity:
                self._fresh.popleft()
                self.counts.dropped += 1
            self._fresh.append(Entry(message))

    def next_to_send(self, now_s: float) -> Entry | None:
        """Takes the next one out; the caller reports what became of it to `sent` or `put_back`."""
        if self._again:
            return self._again.popleft()
        self._forget_kept(now_s)
        if not self._fresh or len(self._kept) + len(self._in_flight) >= self.kept_capacity:
            return None
        return self._fresh.popleft()

    def sent(self, packet_id: int, entry: Entry) -> None:
        self._in_flight[packet_id] = entry
        if entry.sends:
            self.counts.resent += 1
        else:
            self.counts.sent += 1
        entry.sends += 1

    def put_back(self, entry: Entry) -> None:
        """It could not even be handed to the connection."""
        (self._again if entry.sends else self._fresh).appendleft(entry)

    def acknowledged(self, packet_id: int, now_s: float) -> Message | None:
        """The message when this is the first time that it is acknowledged, otherwise None."""
        entry = self._in_flight.pop(packet_id, None)
        if entry is None:
            return None
        self._forget_kept(now_s)
        self._kept.append((now_s, entry))
        if entry.acknowledged:
            return None
        entry.acknowledged = True
        self.counts.acknowledged += 1
        return entry.message

    def refused(self, packet_id: int) -> bool:
        """False when it was none of ours."""
        entry = self._in_flight.pop(packet_id, None)
        if entry is None:
            return False
        self.counts.refused += 1
        # A broken message is a fault that was asked for and no promise; some brokers refuse it for ever.
        if entry.message.kind is not Kind.BAD:
            self._again.append(entry)
        return True

    def connection_lost(self, now_s: float) -> None:
        self._forget_kept(now_s)
        # Oldest first, as they were sent: kept ones were acknowledged before what is still in flight.
        again = [entry for _, entry in self._kept]
        again += self._in_flight.values()
        again += self._again
        self._again = deque(again)
        self._kept.clear()
        self._in_flight.clear()

    def _forget_kept(self, now_s: float) -> None:
        while self._kept and self._kept[0][0] < now_s - self.resend_window_s:
            self._kept.popleft()
