"""When a clock is believed as far as days are dropped by it: when readings of some days show that time came there."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest

from tds.readings.clock import DAYS_SEEN, WINDOW_DAYS, is_supported

NOW: Final = datetime(2026, 6, 30, 12, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)


@pytest.mark.parametrize(
    ("ages", "believed"),
    [
        (range(90), True),  # as always
        (range(4, 90), True),  # silent for four days, or a clock that is four days ahead
        (range(5, 90), False),  # a day more of either
        (range(95, 185), False),  # booted with a clock that is months ahead, or off for as long
        ([0, *range(95, 185)], False),  # gateways send again …
        ([0, 1, *range(95, 185)], False),
        ([0, 1, 2, *range(95, 185)], True),  # … on the third day
        ([0, 2, 5], True),  # not each day
        ([0, 3, 6], True),
        ([0, 3, 7], False),  # the last is beyond the window
        ([0, 0, 0, 1], False),  # many readings of few days
        ([0], False),  # what comes from this very machine in the first minutes
        ([], False),
        (range(-95, -1), False),  # days to come say nothing
        (range(-1, 2), False),
    ],
)
def test_the_clock_is_believed_when_readings_of_three_of_the_last_seven_days_are_there(
    ages: range | list[int], believed: bool
) -> None:
    assert (WINDOW_DAYS, DAYS_SEEN) == (7, 3)
    assert is_supported([NOW - age * DAY for age in ages], now=NOW) is believed


def test_days_are_those_of_utc_whatever_zone_a_moment_is_told_in() -> None:
    midnight = NOW.replace(hour=0, minute=0)
    days = [midnight, midnight - timedelta(seconds=1), midnight - DAY - timedelta(seconds=1)]
    assert is_supported(days, now=NOW)
    assert is_supported([day.astimezone(timezone(timedelta(hours=-3))) for day in days], now=NOW)
    assert not is_supported([midnight, midnight + timedelta(hours=23), midnight - timedelta(seconds=1)], now=NOW)
