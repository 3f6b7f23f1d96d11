"""What a chart's queries take, and a row on disk, in each store: 10 devices for 30 days, and 116 beside one another.

Rows are inserted minute by minute, as they would arrive: those of one device lie far apart, which is what reading them
back has to live with. Straight into the table, because ingest would take an hour for them.
"""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final, LiteralString

import psycopg
from rich.progress import Progress

from bench.figures import Figure
from bench.platform import Platform, running_platform
from tds.readings.chosen import ChosenStore
from tds.readings.store import Series

METRICS: Final = 20  # of a device, each read once a minute
DAYS: Final = 30
DEVICES: Final = 10  # 8.6 M rows
MORE_DEVICES: Final = 116  # 100 M rows
RUNS: Final = 5
QUERIES: Final = 20  # a run
AT_ONCE: Final = 2  # days that are filled beside one another
HOURS_LIMIT_MS: Final = 50.0
DAY_LIMIT_MS: Final = 5.0
GROWN_LIMIT: Final = 2.0
LIVE_BYTES_LIMIT: Final = 105.0
COMPRESSION: Final = 10.0
RETENTION: Final = timedelta(days=90)
ZONE: Final = "America/Sao_Paulo"
HALF_HOUR_ZONE: Final = "Asia/Kolkata"  # no hour of its is an hour of the rollup: its charts read the rows
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fleet:
    first: int
    last: int

    @property
    def rows_a_day(self) -> int:
        return (self.last - self.first + 1) * METRICS * 1_440

    @property
    def millions(self) -> str:
        return f"{self.rows_a_day * DAYS / 1_000_000:.1f} M rows"


FEW: Final = Fleet(1, DEVICES)
OTHERS: Final = Fleet(DEVICES + 1, MORE_DEVICES)
ALL: Final = Fleet(1, MORE_DEVICES)


def measure() -> list[Figure]:
    figures: list[Figure] = []
    for store in ("native", "timescaledb"):
        try:
            with running_platform(store=store) as platform:
                figures += _of_store(platform, store)
        except RuntimeError as error:
            if store == "native":
                raise
            sys.stderr.write(f"TimescaleDB's half is left out: {error}\n")
    return figures


def _of_store(platform: Platform, name: str) -> list[Figure]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    store = ChosenStore(RETENTION)
    with platform.database() as database:
        database.execute("SET jit = off")  # as on every connection of the platform
        store.prepare(database, now=datetime.now(UTC))
        _fill(platform, store, FEW, today)
        disk = _disk(database, store, today)
        few = _queries(store, database, today)
        by_rows = _month_by_rows(store, database, today)
        _fill(platform, store, OTHERS, today)
        while store.compact(database, now=datetime.now(UTC)):
            pass
        many = _queries(store, database, today)
    figures = []
    for (what, limit_ms), small, large in zip(
        ((f"{DEVICES} devices, 30 days by the hour", HOURS_LIMIT_MS), ("a device's 24 hours", DAY_LIMIT_MS)),
        few,
        many,
        strict=True,
    ):
        grown = Figure(f"{name}: … times as long", tuple(b / a for a, b in zip(small, large, strict=True)), "×", "≤ 2")
        of_few = Figure(f"{name}: {what}, of {FEW.millions}", small, "ms", f"≤ {limit_ms:g}")
        figures += [
            _within(of_few, limit_ms),
            Figure(f"{name}: {what}, of {ALL.millions}", large, "ms"),
            _within(grown, GROWN_LIMIT),
        ]
    figures.append(Figure(f"{name}: {DEVICES} devices, 30 days by the hour of {HALF_HOUR_ZONE}", by_rows, "ms"))
    live = Figure(f"{name}: a row on disk with its key", (disk["live"],), "bytes", f"≤ {LIVE_BYTES_LIMIT:g}")
    figures += [
        _within(live, LIVE_BYTES_LIMIT),
        Figure(f"{name}: … while its day is under way", (disk["under way"],), "bytes"),
    ]
    if "compressed" in disk:
        smaller = Figure(f"{name}: … times smaller", (disk["live"] / disk["compressed"],), "×", f"≥ {COMPRESSION:g}")
        figures += [
            Figure(f"{name}: the same compressed", (disk["compressed"],), "bytes"),
            smaller.judged(smaller.middle >= COMPRESSION),
        ]
    return figures


def _within(figure: Figure, limit: float) -> Figure:
    return figure.judged(figure.middle <= limit)


def _fill(platform: Platform, store: ChosenStore, fleet: Fleet, today: datetime) -> None:
    """Insert and aggregate."""
    starts = [today - n * DAY for n in range(DAYS, 0, -1)]
    with Progress() as progress, platform.database() as database:
        inserted = progress.add_task(f"{fleet.millions}, insert", total=DAYS)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda start: _insert_day(platform, start, fleet), starts):
                progress.advance(inserted)
        aggregated = progress.add_task(f"{fleet.millions}, aggregate", total=DAYS * 24)
        _wait_until_closed(store, database, today)
        for done, _ in store.rebuild(database, starts[0], today):
            progress.update(aggregated, completed=(done - starts[0]) / timedelta(hours=1))
        database.execute("ANALYZE tds_new_leituradispositivo")


def _disk(database: psycopg.Connection[Any], store: ChosenStore, today: datetime) -> dict[str, float]:
    """The bytes a row takes on its day and, if the store compresses, after a week."""

    def bytes_a_row(day: datetime) -> float:
        # Without the hours: 160 bytes for the 60 readings of one, whatever the store.
        part = next(part.name for part in store.parts(database) if part.start == day)
        return _number(database, "SELECT pg_total_relation_size(%s::regclass)", part) / FEW.rows_a_day

    disk = {"under way": bytes_a_row(today - DAYS * DAY)}
    while store.compact(database, now=datetime.now(UTC)):
        pass
    disk["live"] = bytes_a_row(today - 2 * DAY)
    if store.name_of(database) == "timescaledb":
        oldest = min(store.parts(database), key=lambda part: part.start).name
        after = """SELECT after_compression_total_bytes FROM chunk_compression_stats('tds_new_leituradispositivo')
                   WHERE format('%%I.%%I', chunk_schema, chunk_name) = %s"""
        disk["compressed"] = _number(database, after, oldest) / FEW.rows_a_day
    return disk


def _number(database: psycopg.Connection[Any], query: LiteralString, *parameters: str) -> float:
    row = database.execute(query, parameters).fetchone()
    if row is None or row[0] is None:
        raise RuntimeError(f"No answer to: {query}")
    return float(row[0])


def _insert_day(platform: Platform, start: datetime, fleet: Fleet) -> None:
    with platform.database() as database:
        database.execute("SET statement_timeout = 0")
        database.execute(
            """INSERT INTO tds_new_leituradispositivo (device_id, metric_id, time, value)
               SELECT device, metric, minute + device * interval '173 ms',
                      round((20 + metric + 5 * sin(extract(epoch FROM minute) / 13751) + random() / 2)::numeric, 2)
               FROM generate_series(%(start)s::timestamptz, %(start)s::timestamptz + interval '1439 minutes',
                                    interval '1 minute') AS minute,
                    generate_series(%(first)s::int, %(last)s) AS device, generate_series(1, %(metrics)s) AS metric""",
            {"start": start, "first": fleet.first, "last": fleet.last, "metrics": METRICS},
        )


def _wait_until_closed(store: ChosenStore, database: psycopg.Connection[Any], until: datetime) -> None:
    """Hours are aggregated anew only when the worker has closed them."""
    while True:
        row = database.execute("SELECT complete_before FROM tds_new_estadorollup").fetchone()
        if row and row[0] >= until:
            return
        store.roll_up(database, now=datetime.now(UTC))
        time.sleep(0.5)


def _queries(store: ChosenStore, database: psycopg.Connection[Any], today: datetime) -> tuple[tuple[float, ...], ...]:
    """ms of the two queries, a median each run. The first of them warms the cache and is not counted."""
    month = [Series(device, 1) for device in range(1, DEVICES + 1)]
    day = [Series(3, metric) for metric in range(1, METRICS + 1)]

    def of_month() -> None:
        found = store.hours(database, month, today - DAYS * DAY, today, zone=ZONE)
        if len(found) != DEVICES * DAYS * 24:
            raise RuntimeError(f"The month has {len(found)} hours, not {DEVICES * DAYS * 24}.")

    def of_day() -> None:
        found = store.hours(database, day, today - DAY, today, zone=ZONE)
        if len(found) != METRICS * 24:
            raise RuntimeError(f"The day has {len(found)} hours, not {METRICS * 24}.")

    of_month()
    of_day()
    runs = [(_median_ms(of_month), _median_ms(of_day)) for _ in range(RUNS)]
    return tuple(zip(*runs, strict=True))


def _month_by_rows(store: ChosenStore, database: psycopg.Connection[Any], today: datetime) -> tuple[float, ...]:
    month = [Series(device, 1) for device in range(1, DEVICES + 1)]

    def of_month() -> None:
        store.hours(database, month, today - DAYS * DAY, today, zone=HALF_HOUR_ZONE)

    of_month()
    return tuple(_median_ms(of_month, queries=1) for _ in range(RUNS))


def _median_ms(query: Callable[[], None], queries: int = QUERIES) -> float:
    took = []
    for _ in range(queries):
        began = time.perf_counter()
        query()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)
