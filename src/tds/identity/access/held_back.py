"""Connections that were made before a revocation and have said nothing yet.

A broker looks at a certificate when the connection is made, and at who comes in at CONNECT. Between the two mosquitto
waits for 90 s: whoever has a stolen key can open a connection in good time, hold CONNECT back until the gateway is
refused and its session cut, and come in then. So whoever was cut off is cut off again and again, until that time is
over. mosquitto begins its wait anew with each byte of a long CONNECT: for who sends one a minute there is the round
that never ends (slow_round.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

# Half as long again as the 60 s that it assumes before a client has named its own, looked at every 6 s.
HELD_S: Final = 100.0
EVERY_S: Final = 4.0  # of the 5 s within which a session is cut
MAX_AT_ONCE: Final = 200  # codes: more take turns


class Held(NamedTuple):
    """A gateway's code; whether one of its certificates is refused that may still be dripped; whether one is good."""

    code: str
    refused: bool
    good: bool


class Wait(NamedTuple):
    """Until when; that revision of the lists, and each later one, is not settled before."""

    until: float
    revision: int


@dataclass(slots=True)
class HeldBack:
    """Of one broker. Times are readings of one clock, in seconds."""

    # By the gateway's code; whose turn is next comes first. Of one code both numbers grow: who is put out again and
    # again is waited for each time, and what came with the first time is over when that is.
    waiting: dict[str, list[Wait]] = field(default_factory=dict)
    unknown: bool = True  # what was under way when another process ended
    next_at: float = 0.0

    def add(self, codes: Iterable[str], now: float, *, revision: int) -> None:
        """`revision`: the first by which one of them may be refused."""
        coming = list(codes)
        if coming and not self.waiting:  # lists that come often must not put off those who are waited for
            self.next_at = now + EVERY_S
        for code in coming:
            waits = self.waiting.setdefault(code, [])
            while waits and waits[-1].revision >= revision:
                waits.pop()
            waits.append(Wait(now + HELD_S, revision))

    @property
    def unsettled(self) -> int | None:
        """The first revision that somebody is waited for with; None: nobody is."""
        return min((waits[0].revision for waits in self.waiting.values()), default=None)

    def turn(self, now: float) -> list[str]:
        """Whose turn it is; they go to the end."""
        if now < self.next_at:
            return []
        self.next_at = now + EVERY_S
        codes = list(self.waiting)[:MAX_AT_ONCE]
        for code in codes:
            self.waiting[code] = self.waiting.pop(code)
        return codes

    def judge(self, codes: Iterable[str], found: Mapping[str, Held], now: float) -> list[str]:
        """Who is to be cut off now. Whoever may come in again is forgotten.

        With another certificate that is good, as after a change of owner, there is a session that should go on: then
        it is one cut more, when the time is over.
        """
        cut = []
        for code in codes:
            held = found.get(code)
            if held is None or (held.good and not held.refused):
                del self.waiting[code]
            elif not held.good or now >= self.waiting[code][0].until:
                cut.append(code)
        return cut

    def cut(self, codes: Iterable[str], now: float) -> None:
        """Of these was cut off whoever `judge` named at that moment. Whose time was over is forgotten."""
        for code in codes:
            waits = self.waiting.get(code, [])
            while waits and now >= waits[0].until:
                waits.pop(0)
            if not waits:
                self.waiting.pop(code, None)
