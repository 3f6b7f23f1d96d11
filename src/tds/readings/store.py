"""What a store of readings can do. One contract suite runs against every class that says it is one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import psycopg

from tds.readings.budget import PartSize

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's own, in its binary form of a timestamptz
MICROSECOND: Final = timedelta(microseconds=1)


class Rows:
    """Readings ready to be stored, in columns. `times_us` counts microseconds since `EPOCH`."""

    __slots__ = ("devices", "metrics", "times_us", "values")

    def __init__(self) -> None:
        self.devices: list[int] = []
        self.metrics: list[int] = []
        self.times_us: list[int] = []
        self.values: list[float] = []

    def __len__(self) -> int:
        return len(self.devices)

    def add(self, device_id: int, metric_ids: Sequence[int], time: datetime, values: Sequence[float]) -> None:
        """The readings of one device at one time: a value for each metric."""
        count = len(values)
        self.devices += [device_id] * count
        self.metrics += metric_ids
        self.times_us += [(time - EPOCH) // MICROSECOND] * count
        self.values += values


class Series(NamedTuple):
    """One line of a chart: a metric of a device."""

    device_id: int
    metric_id: int


class HourOfReadings(NamedTuple):
    """The readings of one series in one hour.

    `increase` is what a counter gained between them if every fall was a reset. `falls` counts the falls, `fell_from`
    adds up the values before them: with these a register that begins again at 0 is told apart (`counters.py`).
    """

    device_id: int
    metric_id: int
    hour: datetime
    n: int
    minimum: float
    maximum: float
    total: float
    first: float
    last: float
    increase: float
    falls: int
    fell_from: float


class LatestReading(NamedTuple):
    """The newest reading of a series, and the one of a day before it where there is one."""

    device_id: int
    metric_id: int
    time: datetime
    value: float
    day_before: float | None


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch of rows: the new ones, and the copies by device."""

    stored: int
    duplicates: Counter[int]


class Part(NamedTuple):
    """A table (device_id, metric_id, time, value) with the readings from `start` up to before `end`.

    `name` is with its schema, if it has one, and without quotes.
    """

    name: str
    start: datetime
    end: datetime


class MissingPartitionError(Exception):
    """There is no place for a row's time: not yet, which `prepare` mends, or not any more, as `kept_since` tells.

    The platform's fault: whoever judged the row did not know. Prepare, ask, and judge again.
    """


class ReadingStore(Protocol):
    """Readings of all tenants. Tenancy comes from the device ids, which come from `fleet.access` alone."""

    def name_of(self, connection: psycopg.Connection[Any]) -> str:
        """What people call the store that is in use: native or timescaledb."""
        ...

    def insert(self, connection: psycopg.Connection[Any], rows: Rows) -> Stored:
        """Store rows in the caller's transaction, never without; the first value of a (device, metric, time) stays.

        Raises MissingPartitionError when `prepare` has to come first, or a row is from before `kept_since`.
        """
        ...

    def hours(  # noqa: PLR0913  # which hours of what, and how much of them
        self,
        connection: psycopg.Connection[Any],
        series: Sequence[Series],
        start: datetime,
        end: datetime,
        *,
        zone: str,
        ordered: bool = True,
    ) -> list[HourOfReadings]:
        """The hours of `zone` that begin from `start` up to before `end` and hold readings, by series and hour.

        `ordered` False: what the order of the readings in an hour tells (from `first` on) is not needed, and is 0.
        """
        ...

    def latest(self, connection: psycopg.Connection[Any], series: Sequence[Series]) -> list[LatestReading]:
        """The newest reading of each series that has any."""
        ...

    def open_since(self, connection: psycopg.Connection[Any]) -> datetime:
        """The first hour that may still change unnoticed; later changes to earlier ones are in `changed_since`."""
        ...

    def changed_since(
        self, connection: psycopg.Connection[Any], series: Sequence[Series], start: datetime, moment: datetime
    ) -> datetime | None:
        """The earliest hour from `start` on whose readings changed after `moment` though it was closed, or None."""
        ...

    def roll_up(self, connection: psycopg.Connection[Any], *, now: datetime) -> int:
        """Aggregate what is due; the number of hours of series written. Commits as it goes."""
        ...

    def rebuild(
        self, connection: psycopg.Connection[Any], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, int]]:
        """Aggregate the closed hours of a span anew; yields, step by step, how far it is and what was written."""
        ...

    def size(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        """About how many readings there are, and the bytes on disk of all with keys and hours."""
        ...

    def prepare(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        """Make room for every time that ingest accepts; what was made."""
        ...

    def compact(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        """Make smaller what is old enough; what was made so. Call it again and again until that is nothing."""
        ...

    def expire(self, connection: psycopg.Connection[Any], *, now: datetime) -> list[str]:
        """Drop what is older than may be kept, counted by `dropped.note_dropped`; what was dropped."""
        ...

    def kept_since(self, connection: psycopg.Connection[Any]) -> datetime:
        """The cut-off that bytes or a person decided: no row from before it is stored, whatever the retention says."""
        ...

    def sizes(self, connection: psycopg.Connection[Any]) -> list[PartSize]:
        """The parts, oldest first, with the bytes that come free when one is dropped."""
        ...

    def parts(self, connection: psycopg.Connection[Any]) -> list[Part]:
        """The tables that hold the readings, oldest first: each row is in one."""
        ...
