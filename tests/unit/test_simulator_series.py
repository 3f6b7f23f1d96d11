"""The simulated values: plausible, and pure functions of seed, codes and time."""

from collections.abc import Callable
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.simulator.noise import centred, noise_key, unit
from tds.simulator.series import (
    UNITS,
    DeviceSeries,
    Tipo,
    device_series,
    energy_kwh,
    humidity_pct,
    load_kw,
    temperature_c,
    value,
    voltage_v,
)

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TIPOS: tuple[Tipo, ...] = tuple(UNITS)

moments = st.integers(min_value=0, max_value=4_000_000_000_000)


@pytest.mark.parametrize("tipo", TIPOS)
def test_the_same_arguments_give_the_same_value_whatever_was_asked_before(tipo: Tipo) -> None:
    there = [value(7, "GW-1", "D01", tipo, NOW_MS + n * 1000) for n in range(100)]
    device_series.cache_clear()
    back = [value(7, "GW-1", "D01", tipo, NOW_MS + n * 1000) for n in reversed(range(100))]
    assert there == back[::-1]


@pytest.mark.parametrize("other", [(8, "GW-1", "D01"), (7, "GW-2", "D01"), (7, "GW-1", "D02")])
def test_another_seed_gateway_or_device_is_another_series(other: tuple[int, str, str]) -> None:
    assert device_series(7, "GW-1", "D01") != device_series(*other)


@given(seed=st.integers(), at_ms=moments, later_ms=st.integers(min_value=0, max_value=30 * DAY_MS))
def test_the_energy_counter_never_falls(seed: int, at_ms: int, later_ms: int) -> None:
    series = device_series(seed, "GW-1", "D01")
    assert energy_kwh(series, at_ms + later_ms) >= energy_kwh(series, at_ms)


@given(seed=st.integers(), at_ms=moments)
def test_the_load_is_never_negative(seed: int, at_ms: int) -> None:
    assert load_kw(device_series(seed, "GW-1", "D01"), at_ms / 1000) > 0


def test_the_counter_is_the_integral_of_the_load() -> None:
    series = device_series(7, "GW-1", "D01")
    steps = 24 * 360
    by_rectangles = sum(load_kw(series, NOW_MS / 1000 + (n + 0.5) * 10) for n in range(steps)) * 10 / 3_600
    by_formula = energy_kwh(series, NOW_MS + DAY_MS) - energy_kwh(series, NOW_MS)
    assert isclose(by_rectangles, by_formula, abs_tol=0.01)


def test_before_the_meter_was_mounted_the_counter_stands_still() -> None:
    series = device_series(7, "GW-1", "D01")
    assert energy_kwh(series, 0) == energy_kwh(series, DAY_MS) == series.counter_start_kwh


def test_humidity_falls_when_temperature_rises() -> None:
    series = device_series(7, "GW-1", "D01")
    hours = range(NOW_MS, NOW_MS + 30 * DAY_MS, HOUR_MS)
    rises = [temperature_c(series, later) - temperature_c(series, at) for at, later in pairwise(hours)]
    falls = [humidity_pct(series, later) - humidity_pct(series, at) for at, later in pairwise(hours)]
    assert sum(rise * fall for rise, fall in zip(rises, falls, strict=True)) < 0


@given(seed=st.integers(), at_ms=moments)
def test_values_stay_where_such_devices_live(seed: int, at_ms: int) -> None:
    series = device_series(seed, "GW-1", "D01")
    assert 10 < temperature_c(series, at_ms) < 40
    assert 5 <= humidity_pct(series, at_ms) <= 100
    assert abs(voltage_v(series, at_ms) / series.nominal_v - 1) < 0.03


def test_a_gateway_is_on_one_supply_and_fleets_have_both() -> None:
    def supply(gateway: str, device: str) -> float:
        return device_series(7, gateway, device).nominal_v

    assert supply("GW-1", "D01") == supply("GW-1", "D02")
    assert {supply(f"GW-{n}", "D01") for n in range(20)} == {127.0, 220.0}


@pytest.mark.parametrize("draw", [unit, centred])
def test_noise_is_spread_evenly_about_its_middle(draw: Callable[..., float]) -> None:
    middle = {unit: 0.5, centred: 0.0}[draw]
    drawn = [draw(noise_key("any"), NOW_MS + 1000 * n) for n in range(10_000)]
    assert abs(sum(drawn) / len(drawn) - middle) < 0.02
    assert min(drawn) < middle < max(drawn)


def test_a_series_costs_little_memory_in_the_cache() -> None:
    assert not hasattr(device_series(7, "GW-1", "D01"), "__dict__")
    assert isinstance(device_series(7, "GW-1", "D01"), DeviceSeries)
