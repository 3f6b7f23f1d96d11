"""What a counter gained: resets, and registers that begin again."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.readings import counters
from tests.unit.test_charts import hour

AT = datetime(2026, 6, 10, 12, tzinfo=UTC)
LARGEST = 1.7976931348623157e308


@pytest.mark.parametrize(
    ("before", "after", "register", "gain"),
    [
        (10.0, 12.5, None, 2.5),
        (10.0, 10.0, None, 0.0),
        (99_998.0, 3.0, None, 3.0),  # without a size, a fall is a reset
        (99_998.0, 3.0, 100_000.0, 5.0),
        (50_000.0, 0.0, 100_000.0, 50_000.0),  # exactly half full
        (49_999.0, 0.0, 100_000.0, 0.0),  # from the lower half: a reset
        (99_998.0, 50_000.0, 100_000.0, 50_000.0),  # to the upper half: another meter
        (99_998.0, 99_990.0, 100_000.0, 99_990.0),
        (250_000.0, 3.0, 100_000.0, 3.0),  # beyond the register: the size is a wrong one
        (100_000.0, 0.0, 100_000.0, 0.0),
        (99_998.0, -3.0, 100_000.0, -3.0),
        (3.0, 99_998.0, 100_000.0, 99_995.0),
        (42_949_672.95, 0.04, 42_949_672.96, pytest.approx(0.05)),
    ],
)
def test_a_step_is_a_gain_a_reset_or_a_register_that_was_full(
    before: float, after: float, register: float | None, gain: float
) -> None:
    assert counters.step(before, after, register) == gain


@pytest.mark.parametrize(
    ("values", "register", "gain"),
    [
        ([99_990.0, 99_998.0, 3.0, 7.0], 100_000.0, 17.0),
        ([99_990.0, 99_998.0, 3.0, 7.0], None, 15.0),
        ([40.0, 45.0, 3.0, 7.0], 100_000.0, 12.0),
        ([90.0, 5.0, 95.0, 4.0], 100.0, 114.0),  # twice around
        ([90.0, 0.0, 5.0, 0.0], 100.0, 5.0),  # several falls are judged together: from 47.5 in the mean
        ([90.0, 0.0, 30.0, 0.0], 100.0, 110.0),  # and here from 60
        ([1.0, 2.0], 100.0, 1.0),
    ],
)
def test_the_falls_of_an_hour_are_judged_together(values: list[float], register: float | None, gain: float) -> None:
    assert counters.within(hour(AT, *values), register) == pytest.approx(gain)


registers = st.floats(1e-300, 1e290)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.integers(2, 10**9).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m // 2 - 1), st.integers(0, 10**12)))
)
def test_a_counter_read_often_enough_gains_what_it_counted(case: tuple[int, int, int]) -> None:
    """Whatever the register's size, a step of less than half of it is told rightly."""
    register, gain, total = case
    before, after = total % register, (total + gain) % register
    if after < before and not (before >= register / 2 and after < register / 2):
        return  # began and ended in one half: possible only with half a register or more
    assert counters.step(float(before), float(after), float(register)) == gain


@given(numbers, numbers, st.none() | registers)
def test_a_gain_is_always_a_number(before: float, after: float, register: float | None) -> None:
    assert math.isfinite(counters.step(before, after, register))
    assert math.isfinite(counters.within(hour(AT, before, after, before), register))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), registers)
def test_a_gain_with_falls_taken_for_full_registers_is_the_sum_of_the_steps(
    values: list[float], register: float
) -> None:
    found = hour(AT, *values)
    if counters.within(found, register) != found.increase:
        assert counters.within(found, register) == pytest.approx(
            found.increase + found.falls * register - found.fell_from, abs=1e-6 + register * 1e-9
        )
