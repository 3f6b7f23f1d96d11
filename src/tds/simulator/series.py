"""What a simulated device measures: plausible values as pure functions of (seed, gateway, device, tipo, time).

No state goes from one reading to the next, so history and live values join without a seam, a second run with
the same seed sends the same readings again, and any reading can be made anew when it has to be resent.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from typing import Final, Literal

from tds.simulator.noise import NoiseKey, centred, noise_key, unit

Tipo = Literal["temperatura", "umidade", "energia", "tensao"]

UNITS: Final[dict[Tipo, str]] = {"temperatura": "°C", "umidade": "%", "energia": "kWh", "tensao": "V"}

_DAY_S: Final = 86_400.0
_WEEK_S: Final = 7 * _DAY_S
_WEATHER_S: Final = 5.3 * _DAY_S  # no whole number of days, so that no two days are alike
_LOCAL_OFFSET_S: Final = -3 * 3_600  # Brasília: the hour of the day drives load and temperature

_WARMEST_S: Final = 15 * 3_600.0
_BUSIEST_S: Final = 19 * 3_600.0

# The meter was mounted then. Before it the counter stands still, so it never falls, however far back one asks.
_METER_MOUNTED_S: Final = 1_577_836_800.0  # 2020-01-01T00:00:00Z

# Shares of the mean load. Their sum stays below 1: the load is then never negative, and its integral never falls.
_LOAD_DAILY: Final = 0.45
_LOAD_HALF_DAILY: Final = 0.25
_LOAD_WEEKLY: Final = 0.10
_LOAD_RESTLESS: Final = 0.15

_CACHED_DEVICES: Final = 16_384  # about 0.5 KiB each; beyond it a device's constants are worked out anew


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """The constants of one device, drawn once from the seed and its codes."""

    temperature_mean_c: float
    temperature_swing_c: float
    weather_phase: float
    load_mean_kw: float
    load_phase: float
    restless_s: float
    counter_start_kwh: float
    nominal_v: float
    temperature_noise: NoiseKey
    humidity_noise: NoiseKey
    voltage_noise: NoiseKey


@lru_cache(maxsize=_CACHED_DEVICES)
def device_series(seed: int, gateway: str, device: str) -> DeviceSeries:
    key = noise_key("device", seed, gateway, device)
    return DeviceSeries(
        temperature_mean_c=21.0 + 6.0 * unit(key, 1),
        temperature_swing_c=3.0 + 3.0 * unit(key, 2),
        weather_phase=2 * pi * unit(key, 3),
        load_mean_kw=0.3 + 2.7 * unit(key, 4),
        load_phase=0.6 * centred(key, 5),
        restless_s=4_000.0 + 3_000.0 * unit(key, 6),
        counter_start_kwh=round(5_000.0 * unit(key, 7), 3),
        # All devices of a gateway hang on one supply.
        nominal_v=127.0 if unit(noise_key("supply", seed, gateway), 0) < 0.5 else 220.0,
        temperature_noise=noise_key("temperatura", seed, gateway, device),
        humidity_noise=noise_key("umidade", seed, gateway, device),
        voltage_noise=noise_key("tensao", seed, gateway, device),
    )


def temperature_c(series: DeviceSeries, at_ms: int) -> float:
    return round(_climate_c(series, at_ms / 1000) + 0.25 * centred(series.temperature_noise, at_ms), 1)


def humidity_pct(series: DeviceSeries, at_ms: int) -> float:
    """Falls when it gets warmer, as the same air then holds more water."""
    warmth_c = _climate_c(series, at_ms / 1000) - series.temperature_mean_c
    humidity = 62.0 - 2.4 * warmth_c + 1.5 * centred(series.humidity_noise, at_ms)
    return round(min(100.0, max(5.0, humidity)), 1)


def energy_kwh(series: DeviceSeries, at_ms: int) -> float:
    """The meter's count: the integral of `load_kw`, in closed form, so that any moment costs the same."""
    to_s = max(at_ms / 1000, _METER_MOUNTED_S)
    kws = _load_integral_kws(series, to_s) - _load_integral_kws(series, _METER_MOUNTED_S)
    return round(series.counter_start_kwh + kws / 3_600, 3)


def load_kw(series: DeviceSeries, at_s: float) -> float:
    """Most in the evening, less at the weekend, and a restless part of each device's own."""
    day, week, restless = _load_angles(series, at_s)
    return series.load_mean_kw * (
        1.0
        + _LOAD_DAILY * cos(day)
        + _LOAD_HALF_DAILY * cos(2 * day)
        + _LOAD_WEEKLY * cos(week)
        + _LOAD_RESTLESS * cos(restless)
    )


def voltage_v(series: DeviceSeries, at_ms: int) -> float:
    """Sags a little under load."""
    sag = 0.008 * (load_kw(series, at_ms / 1000) / series.load_mean_kw - 1.0)
    return round(series.nominal_v * (1.0 - sag + 0.012 * centred(series.voltage_noise, at_ms)), 1)


def value(seed: int, gateway: str, device: str, tipo: Tipo, at_ms: int) -> float:
    series = device_series(seed, gateway, device)
    match tipo:
        case "temperatura":
            return temperature_c(series, at_ms)
        case "umidade":
            return humidity_pct(series, at_ms)
        case "energia":
            return energy_kwh(series, at_ms)
        case "tensao":
            return voltage_v(series, at_ms)


def _climate_c(series: DeviceSeries, at_s: float) -> float:
    day = 2 * pi * ((at_s + _LOCAL_OFFSET_S - _WARMEST_S) / _DAY_S)
    weather = 2 * pi * at_s / _WEATHER_S + series.weather_phase
    return series.temperature_mean_c + series.temperature_swing_c * cos(day) + 1.8 * sin(weather)


def _load_angles(series: DeviceSeries, at_s: float) -> tuple[float, float, float]:
    local_s = at_s + _LOCAL_OFFSET_S
    # The epoch was a Thursday, so a cosine with its peak on a Wednesday is lowest at the weekend.
    return (
        2 * pi * (local_s - _BUSIEST_S) / _DAY_S + series.load_phase,
        2 * pi * (local_s + _DAY_S / 2) / _WEEK_S,
        2 * pi * local_s / series.restless_s,
    )


def _load_integral_kws(series: DeviceSeries, at_s: float) -> float:
    """`load_kw` integrated over seconds; each cosine becomes a sine divided by how fast its angle turns."""
    day, week, restless = _load_angles(series, at_s)
    return series.load_mean_kw * (
        at_s
        + _LOAD_DAILY * sin(day) * _DAY_S / (2 * pi)
        + _LOAD_HALF_DAILY * sin(2 * day) * _DAY_S / (4 * pi)
        + _LOAD_WEEKLY * sin(week) * _WEEK_S / (2 * pi)
        + _LOAD_RESTLESS * sin(restless) * series.restless_s / (2 * pi)
    )
