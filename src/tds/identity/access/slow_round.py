"""Who may not come in is cut off for ever: all such codes in turn, unhurried.

A connection on which TLS was done before a revocation, an end or the end of a trust can be held for months: mosquitto
2.0 waits anew after each byte of a CONNECT that has more than 1,000 to come, and takes 384 KiB. What the agent cuts by
then comes in. Nor does anything at the broker end a session whose certificate ended. So there is a round that never
ends; by it also comes whatever another look missed, as with a clock that was wrong.

A code that may come in by another certificate or a password has a session that should go on, and whose owner comes back
after a cut by itself. It is cut at growing intervals, for as long as its refused certificate has not ended.

A cut is three lines in the broker's log, some 220 bytes: 16 MB a day at most, of either kind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import log2
from typing import Final

from tds.identity.access.held_back import HELD_S
from tds.identity.access.refused import Beside

EVERY_S: Final = 60.0
MAX_AT_ONCE: Final = 50  # codes of either kind: of 5,000 each has its turn within 100 min
ROUND_S: Final = 900.0  # at least, however few they are: then a session that came in so lasts no longer
AGAIN_FIRST_S: Final = 2 * HELD_S  # since the refusal; held_back.py has cut until half of it
AGAIN_MAX_S: Final = 86_400.0


def moments(age_s: float) -> int:
    """How many of the moments at which it is cut again are over, so long after the refusal.

    They are at AGAIN_FIRST_S, at twice that, and so on until a day is over; from then on one comes each day.
    """
    if age_s >= AGAIN_MAX_S:
        return moments(AGAIN_MAX_S - 1) + int(age_s // AGAIN_MAX_S)
    return 0 if age_s < AGAIN_FIRST_S else 1 + int(log2(age_s / AGAIN_FIRST_S))


@dataclass(slots=True)
class SlowRound:
    """Of one broker. `next_at` and `begun_at` are readings of one clock, in seconds."""

    after: str = ""  # the code up to which this round has come
    next_at: float = float("-inf")
    begun_at: float = 0.0
    again: dict[str, None] = field(default_factory=dict)  # of those who may come in, whose moment it is, in order
    looked_at: datetime | None = None  # by the database's clock

    def is_due(self, now: float) -> bool:
        return now >= self.next_at

    def note(self, found: Iterable[Beside], now: datetime) -> None:
        """Who may come in, and had such a moment since `looked_at`."""
        since, self.looked_at = self.looked_at or now, now
        for code, refused_at in found:
            if moments((now - refused_at).total_seconds()) > moments((since - refused_at).total_seconds()):
                self.again[code] = None

    def stepped(self, codes: list[str], again: list[str], now: float) -> None:
        """These were cut off; fewer than MAX_AT_ONCE of `codes`: it has come round."""
        for code in again:
            del self.again[code]
        if not self.after:
            self.begun_at = now
        self.next_at = now + EVERY_S
        if len(codes) == MAX_AT_ONCE:
            self.after = codes[-1]
        else:
            self.after = ""
            self.next_at = max(self.next_at, self.begun_at + ROUND_S)
