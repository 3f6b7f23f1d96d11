"""Connections that were made before a revocation and have said nothing yet.

A broker looks at a certificate when the connection is made, and at who comes in at CONNECT. Between the two mosquitto
waits for 90 s: whoever has a stolen key can open a connection in good time, hold CONNECT back until the gateway is
refused and its session cut, and come in then. So whoever was cut off is cut off again and again, until that time is
over. mosquitto begins its wait anew with each byte of a long CONNECT: for who sends one a minute there is the round
that never ends (slow_round.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tds.identity.access.refused import Held

# Half as long again as the 60 s that it assumes before a client has named its own, looked at every 6 s.
HELD_S: Final = 100.0
EVERY_S: Final = 4.0  # of the 5 s within which a session is cut
MAX_AT_ONCE: Final = 200  # codes: more take turns


@dataclass(slots=True)
class HeldBack:
    """Of one broker. Times are readings of one clock, in seconds."""

    until: dict[str, float] = field(default_factory=dict)  # by the gateway's code; whose turn is next comes first
    unknown: bool = True  # what was under way when another process ended
    next_at: float = 0.0

    def add(self, codes: Iterable[str], now: float) -> None:
        coming = list(codes)
        if coming and not self.until:  # lists that come often must not put off those who are waited for
            self.next_at = now + EVERY_S
        for code in coming:
            self.until[code] = now + HELD_S

    def turn(self, now: float) -> list[str]:
        """Whose turn it is; they go to the end."""
        if now < self.next_at:
            return []
        self.next_at = now + EVERY_S
        codes = list(self.until)[:MAX_AT_ONCE]
        for code in codes:
            self.until[code] = self.until.pop(code)
        return codes

    def judge(self, codes: Iterable[str], found: Mapping[str, Held], now: float) -> list[str]:
        """Who is cut off now. Whoever may come in again, or whose time is over, is forgotten.

        With another certificate that is good, as after a change of owner, there is a session that should go on: then
        it is one cut more, when the time is over.
        """
        cut = []
        for code in codes:
            held, over = found.get(code), now >= self.until[code]
            if held is None or (held.good and not held.refused):
                del self.until[code]
                continue
            if over or not held.good:
                cut.append(code)
            if over:
                del self.until[code]
        return cut
