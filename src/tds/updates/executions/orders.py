"""Which of two reports of a gateway is the newer one. Pure.

`number` counts within a start and `boot` counts starts. `life` is drawn when a gateway's memory is new, and nothing in
two lives tells which came first: a life that was never seen is the newer one, and one that was left comes back only
with something that was not seen of it before.

So with counts of one life that are far apart: one of them is wrong, and nothing tells which. The higher one is the
newer at first; the other one comes back with its next report, or a single false number would hide all true ones.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_FORMER: Final = 4  # counts that were left; the oldest is forgotten
MAX_SKIPPED: Final = 100  # starts without a report; further apart, one life counts twice


class Order(NamedTuple):
    life: str
    boot: int
    number: int

    def __str__(self) -> str:
        return f"{self.life} {self.boot} {self.number}"

    @classmethod
    def of(cls, text: str) -> "Order | None":
        """From `str`; None of an empty text."""
        if not text:
            return None
        life, boot, number = text.split(" ")
        return cls(life, int(boot), int(number))

    def counts_on(self, other: "Order") -> bool:
        """Both may be of one count of starts."""
        return self.life == other.life and abs(self.boot - other.boot) <= MAX_SKIPPED

    def later_start_than(self, other: "Order") -> bool:
        """Of two where this one is known to be the newer."""
        return (self.life, self.boot) != (other.life, other.boot)


Former = Sequence[Order]  # the newest of each count that was left; the oldest first


def is_newer(order: Order, than: Order | None, former: Former) -> bool:
    if than is None:
        return True
    if order.counts_on(than):
        return order > than and order not in former
    of_life = [each for each in (than, *former) if each.life == order.life]
    near = [each for each in of_life if order.counts_on(each)]
    if near:
        return order > max(near)
    return not of_life or order > min(of_life)


def leave(former: Former, left: Order, entered: Order) -> tuple[Order, ...]:
    """The former counts after a newer report in another one. Of a life the lowest is kept, and the last: whoever sends
    false numbers can't have the true ones forgotten."""
    others = [each for each in former if not each.counts_on(entered) and not each.counts_on(left)]
    lowest = min((each for each in others if each.life == left.life), default=left)
    kept = [each for each in others if each.life != left.life or each == lowest]
    return (*kept, left)[-MAX_FORMER:]
