"""When a gateway measures: on the same grid in every run, so that a second run repeats readings and adds none."""

from collections.abc import Iterator
from dataclasses import dataclass

from tds.simulator.noise import noise_key, unit


@dataclass(frozen=True, slots=True)
class Timeline:
    """Moments in milliseconds since 1970: history step by step up to `live_from_ms`, then one each interval.

    `live_until_ms` None: forever. Each moment carries the gateway's own phase, so that a fleet does not
    measure in one breath.
    """

    history_from_ms: int
    live_from_ms: int
    live_until_ms: int | None
    history_step_ms: int
    interval_ms: int
    phase_ms: int

    def moments(self) -> Iterator[int]:
        at_ms = _on_grid(self.history_from_ms, self.history_step_ms, self.phase_ms)
        while at_ms < self.live_from_ms:
            yield at_ms
            at_ms += self.history_step_ms
        at_ms = _on_grid(self.live_from_ms, self.interval_ms, self.phase_ms)
        while self.live_until_ms is None or at_ms < self.live_until_ms:
            yield at_ms
            at_ms += self.interval_ms

    def history_length(self) -> int:
        """How many moments of history there are."""
        first_ms = _on_grid(self.history_from_ms, self.history_step_ms, self.phase_ms)
        return max(0, -((first_ms - self.live_from_ms) // self.history_step_ms))


def phase_ms(seed: int, gateway: str, interval_ms: int, history_step_ms: int) -> int:
    return int(unit(noise_key("phase", seed, gateway), 0) * min(interval_ms, history_step_ms))


def _on_grid(at_ms: int, step_ms: int, phase_ms: int) -> int:
    """The first moment of the grid that is not before `at_ms`."""
    return -((phase_ms - at_ms) // step_ms) * step_ms + phase_ms
