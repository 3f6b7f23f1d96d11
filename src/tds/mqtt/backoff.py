"""How long to wait before trying again."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Exponential with full jitter, so that many clients cut off together do not come back together."""

    first_s: float
    max_s: float
    failures: int = 0

    def next_s(self) -> float:
        ceiling = min(self.max_s, self.first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return random.uniform(self.first_s / 2, ceiling)  # noqa: S311  # spreads load, hides nothing

    def reset(self) -> None:
        self.failures = 0
