"""How long to wait before a child that ended is started again."""

from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 0.5
MAX_S: Final = 30.0
HEALTHY_S: Final = 60.0  # who lived this long starts again at once, as if for the first time


@dataclass(slots=True)
class Backoff:
    next_s: float = FIRST_S

    def after(self, lived_s: float) -> float:
        """The pause before the next start, given how long this one lived."""
        pause = FIRST_S if lived_s >= HEALTHY_S else self.next_s
        self.next_s = min(MAX_S, pause * 2)
        return pause
