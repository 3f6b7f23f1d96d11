"""How long to wait after a failure: a fleet that fell together must not return together."""

from dataclasses import dataclass

from tds.simulator.noise import NoiseKey, unit


@dataclass(slots=True)
class Backoff:
    """Exponential, with full jitter."""

    first_s: float
    max_s: float
    jitter: NoiseKey
    _failures: int = 0
    _draws: int = 0

    def after_failure(self) -> float:
        """Anything from 0 to the limit, which doubles with each failure in a row."""
        # 2.0 ** 60 is enough for any limit; without a bound a long outage would overflow the float.
        limit_s = min(self.max_s, self.first_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        self._draws += 1
        return limit_s * unit(self.jitter, self._draws)

    def succeeded(self) -> None:
        self._failures = 0
