"""What a counter gained. Pure.

A counter only counts up, so a fall needs a reason. It was reset, and began again at 0: it gained what it shows now. Or
its register was full, and began again at 0: it gained what was missing to the register's size as well. Only who knows
the size can tell: without one, a fall is a reset. With one, it was full if the fall led from the upper half of the
register to the lower one; a meter that is exchanged or loses its memory mostly falls from elsewhere.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from tds.readings.store import HourOfReadings

# An hour is compared with the one before it, which may lie before the chart, up to so much. After a longer silence the
# hour counts as a first one: else it would depend on where a chart or its tail begins.
LOOKBACK: Final = timedelta(hours=48)
LARGEST: Final = 1e290  # as in aggregate.sql: the difference of two of the largest float64 is no number any more


def step(before: float, after: float, register: float | None) -> float:
    """The gain from one value to the next. `register` is the value at which it begins again at 0, None for never."""
    before, after = _bounded(before), _bounded(after)
    if after >= before:
        return after - before
    if register is not None and register / 2 <= before <= register and 0 <= after < register / 2:
        return register - before + after
    return after


def within(hour: HourOfReadings, register: float | None) -> float:
    """The gain between the values of one hour. Several falls are judged together, by the mean they fell from."""
    if register is None or not hour.falls or not register / 2 <= hour.fell_from / hour.falls <= register:
        return hour.increase
    # All steps added up, and the register's size for each fall. The same as increase + falls * register - fell_from,
    # without the rounding of two large sums.
    return _bounded(hour.last) - _bounded(hour.first) + hour.falls * register


def increases(
    hours: Iterable[HourOfReadings], register: float | None = None
) -> list[tuple[HourOfReadings, float | None]]:
    """What one series gained in each hour, including the step from the hour before; None for a first one."""
    gained: list[tuple[HourOfReadings, float | None]] = []
    before: HourOfReadings | None = None
    for hour in hours:
        if before is None or hour.hour - before.hour > LOOKBACK:
            gained.append((hour, None))
        else:
            gained.append((hour, step(before.last, hour.first, register) + within(hour, register)))
        before = hour
    return gained


def _bounded(value: float) -> float:
    return max(-LARGEST, min(LARGEST, value))
