"""What readings cost on disk, for whoever chooses a store or sizes a machine. Pure."""

from dataclasses import dataclass
from typing import Final

# Measured on days of readings as they arrive (make bench): row and key of the native store, its rollup aside.
NATIVE_BYTES_A_ROW: Final = 105.0
COMPRESSED_BYTES_A_ROW: Final = 9.0  # of TimescaleDB, a week old and older
ROLLUP_BYTES_AN_HOUR: Final = 160.0  # of a series
MINUTES_A_DAY: Final = 1_440
HOURS_A_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class Fleet:
    """`series`: metrics of devices, each read once every `interval_s` seconds."""

    series: int
    interval_s: float

    @property
    def rows_a_day(self) -> float:
        return self.series * 86_400 / self.interval_s


def native_bytes(fleet: Fleet, days: int) -> float:
    return days * (fleet.rows_a_day * NATIVE_BYTES_A_ROW + fleet.series * HOURS_A_DAY * ROLLUP_BYTES_AN_HOUR)


def timescaledb_bytes(fleet: Fleet, days: int, *, compress_after_days: int = 7) -> float:
    live = min(days, compress_after_days + 1)
    rows = live * NATIVE_BYTES_A_ROW + (days - live) * COMPRESSED_BYTES_A_ROW
    return fleet.rows_a_day * rows + days * fleet.series * HOURS_A_DAY * ROLLUP_BYTES_AN_HOUR
