"""Which of two reports of a gateway is the newer one. Pure.

`number` counts within a start and `boot` counts starts. `life` is drawn when a gateway's memory is new, and nothing in
two lives tells which came first: a life that was never seen is the newer one, and one that was left comes back only
with something that was not seen of it before.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

MAX_FORMER_LIVES: Final = 4  # the oldest is forgotten


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

    def later_start_than(self, other: "Order") -> bool:
        """Of two where this one is known to be the newer."""
        return self.life != other.life or self.boot > other.boot


Former = Mapping[str, tuple[int, int]]  # by life: the newest boot and number that came of it; the oldest life first


def is_newer(order: Order, than: Order | None, former: Former) -> bool:
    if than is None:
        return True
    if order.life == than.life:
        return order > than
    last = former.get(order.life)
    return last is None or (order.boot, order.number) > last


def leave(former: Former, left: Order, entered: str) -> dict[str, tuple[int, int]]:
    """The former lives after a newer report in another life."""
    kept = {life: last for life, last in former.items() if life not in (left.life, entered)}
    kept[left.life] = (left.boot, left.number)
    return dict(list(kept.items())[-MAX_FORMER_LIVES:])
