"""Who may not come in is cut off for ever: all such codes in turn, unhurried.

A connection on which TLS was done before a revocation, an end or the end of a trust can be held for months: mosquitto
2.0 waits anew after each byte of a CONNECT that has more than 1,000 to come, and takes 384 KiB. What the agent cuts by
then comes in. Nor does anything at the broker end a session whose certificate ended. So there is a round that never
ends; by it also comes whatever another look missed, as with a clock that was wrong.

A code that may come in by another certificate or a password has a session that should go on, and whose owner comes back
after a cut by itself. It is cut at growing intervals (refused.py has the moments), until nothing that was begun with
its refused certificate can be on its way any more.

Whoever comes after an agent that was killed goes on where it was: `kept` is in the broker's folder.

A cut is three lines in the broker's log, some 220 bytes: 16 MB a day at most, of either kind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tds.identity.access.held_back import HELD_S

EVERY_S: Final = 60.0
MAX_AT_ONCE: Final = 50  # codes of either kind: of 5,000 each has its turn within 100 min
ROUND_S: Final = 900.0  # at least, however few they are: then a session that came in so lasts no longer
AGAIN_FIRST_S: Final = 2 * HELD_S  # since the refusal; held_back.py has cut until half of it
AGAIN_MAX_S: Final = 86_400.0
MAX_CONNECT_BYTES: Final = 393_216  # the broker takes no larger packet (its max_packet_size)
# For each of its bytes the broker waits anew, for no longer than HELD_S: 455 days, 15 months. So long after the end of
# a certificate a CONNECT that was begun with it may come in.
DRIPS_FOR: Final = timedelta(seconds=MAX_CONNECT_BYTES * HELD_S)


class Kept(NamedTuple):
    """Up to which moment, by the database's clock, whose moment it was was cut again; and the round's place."""

    again_up_to: datetime
    after: str


@dataclass(slots=True)
class SlowRound:
    """Of one broker. `next_at` and `begun_at` are readings of one clock, in seconds."""

    after: str = ""  # the code up to which this round has come
    next_at: float = float("-inf")
    begun_at: float = float("-inf")
    again: dict[str, None] = field(default_factory=dict)  # of those who may come in, whose moment it is, in order
    looked_at: datetime | None = None  # by the database's clock, for those
    again_up_to: datetime | None = None

    def is_due(self, now: float) -> bool:
        return now >= self.next_at

    def begin(self, now: float) -> None:
        """Before anything that may fail: what takes too long for the database is not asked again at once."""
        self.next_at = now + EVERY_S

    def go_on(self, kept: Kept | None, now: datetime) -> datetime:
        """From when on moments are looked for. Nothing is kept: from a day ago, in which each has one."""
        if self.looked_at is None:
            longest_ago = now - timedelta(seconds=AGAIN_MAX_S)
            self.looked_at = self.again_up_to = min(kept.again_up_to, now) if kept else longest_ago
            self.after = kept.after if kept else ""
        return self.looked_at

    def rests(self, now: float) -> bool:
        """It has come round, and the next one begins later."""
        return not self.after and now < self.begun_at + ROUND_S

    def note(self, found: Iterable[str], now: datetime) -> None:
        """Who may come in, and had such a moment since `looked_at`."""
        self.looked_at = now
        self.again |= dict.fromkeys(found)

    def stepped(self, codes: list[str], now: float) -> None:
        """These were cut off; fewer than MAX_AT_ONCE: it has come round."""
        if not self.after:
            self.begun_at = now
        self.after = codes[-1] if len(codes) == MAX_AT_ONCE else ""

    def cut_again(self, codes: Iterable[str], now: float) -> Kept | None:
        """These were, and with them ends this minute's part. What to keep of it."""
        for code in codes:
            del self.again[code]
        if not self.again:
            self.again_up_to = self.looked_at
            if not self.after:
                self.next_at = max(now + EVERY_S, self.begun_at + ROUND_S)
        return Kept(self.again_up_to, self.after) if self.again_up_to else None
