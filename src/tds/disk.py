"""How the disks of this machine fill: looked at by the worker, kept for a week, told by `tds status` and `/metrics`."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from django.db import models

from tds.disk_outlook import STALE, Outlook, Sample, outlook
from tds.readings.budget import Budget, cut_off, day_of, still_to_grow
from tds.readings.store import ReadingStore
from tds.readings.timescale import COMPRESS_AFTER

logger = logging.getLogger("tds.worker")

KEPT: Final = timedelta(days=8)  # of samples, one an hour: a week for the pace, and a day to spare
SAY_EVERY_S: Final = 3_600.0  # in the log; status and metrics say it at every moment
SETTLED_AFTER_DAYS: Final = {"native": 0, "timescaledb": COMPRESS_AFTER.days + 1}


class DiskSample(models.Model):
    """The last look in an hour at a disk, named by the first of our folders on it."""

    folder = models.TextField()
    hour = models.DateTimeField()
    taken_at = models.DateTimeField()
    free_bytes = models.BigIntegerField()
    readings_bytes = models.BigIntegerField()  # on this disk; 0 when the database is elsewhere
    to_grow_bytes = models.BigIntegerField()  # until a day of them goes for each that comes
    over_bytes = models.BigIntegerField()  # beyond TDS_RETENTION_BYTES, which the minimum of days keeps

    class Meta:
        constraints = (models.UniqueConstraint(fields=("folder", "hour"), name="disk_sample_once_an_hour"),)

    def __str__(self) -> str:
        return f"{self.folder} {self.hour:%Y-%m-%dT%H}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator has set."""

    budget: Budget
    retention: timedelta
    reserve_bytes: int
    warning_days: int


class Seen(NamedTuple):
    """A disk now, and when it is full."""

    folder: str
    free_bytes: int
    over_bytes: int
    ahead: Outlook

    def fills_within(self, days: int) -> bool:
        return self.ahead.days_left is not None and self.ahead.days_left < days


class Trouble(NamedTuple):
    """What is wrong, and what to do."""

    detail: str
    action: str


def free_by_disk(folders: Sequence[Path]) -> dict[Path, int]:
    """Free bytes of each file system that some folders are on, by the first of them. A folder that is gone is none."""
    devices: dict[int, Path] = {}
    for folder in folders:
        device = _device(folder)
        if device is not None:
            devices.setdefault(device, folder)
    return {folder: shutil.disk_usage(folder).free for folder in devices.values()}


def _device(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:
        return None


def seen(connection: psycopg.Connection[Any], limits: Limits, *, now: datetime) -> list[Seen]:
    """The disks as the worker saw them last; empty when it has not looked for hours. Raises psycopg.Error."""
    rows = psycopg.Cursor(connection).execute(
        """SELECT folder, taken_at, free_bytes, readings_bytes, to_grow_bytes, over_bytes FROM tds_new_disksample
           WHERE taken_at > %s AND taken_at <= %s ORDER BY folder, taken_at""",
        (now - KEPT, now),
    )
    disks = []
    for folder, group in groupby(rows, key=lambda row: str(row[0])):
        looks = list(group)
        samples = [Sample(taken_at, free, readings) for _, taken_at, free, readings, _, _ in looks]
        to_grow, over = looks[-1][4:]
        if now - samples[-1].at <= STALE:
            ahead = outlook(samples, reserve_bytes=limits.reserve_bytes, still_to_grow=to_grow, now=now)
            disks.append(Seen(folder, samples[-1].free_bytes, over, ahead))
    return disks


def troubles(disks: Sequence[Seen], limits: Limits, *, now: datetime) -> list[Trouble]:
    """What a person should do something about before it is too late. Pure."""
    found = [
        Trouble(
            f"{disk.free_bytes / 1e9:.1f} GB are free where {disk.folder} is; at the pace of the last week that is "
            f"down to TDS_DISK_RESERVE_BYTES in {disk.ahead.days_left:.1f} days, and then nothing is acknowledged.",
            "Enlarge the disk, set TDS_RETENTION_BYTES to what it can hold, or drop days: "
            f"./tds readings drop --before {_example(limits, now)}",
        )
        for disk in disks
        if disk.fills_within(limits.warning_days)
    ]
    over_bytes = max((disk.over_bytes for disk in disks), default=0)
    if over_bytes:
        found.append(
            Trouble(
                f"The readings of the last {limits.budget.min_days} days take {over_bytes / 1e6:,.0f} MB more than "
                f"TDS_RETENTION_BYTES allows ({limits.budget.max_bytes / 1e6:,.0f} MB): the fleet sends more than was "
                "planned for, and below TDS_RETENTION_MIN_DAYS nothing is dropped without a person's word.",
                "Raise TDS_RETENTION_BYTES, lower TDS_RETENTION_MIN_DAYS, or drop days: "
                f"./tds readings drop --before {_example(limits, now)}",
            )
        )
    return found


def _example(limits: Limits, now: datetime) -> str:
    """A day that is likely to be meant: one more than bytes may drop."""
    return f"{day_of(now - timedelta(days=limits.budget.min_days - 1)):%Y-%m-%d}"


@dataclass(slots=True)
class Watch:
    """The worker's chore: look, write it down, and say what is wrong once an hour."""

    store: ReadingStore
    free: Callable[[], dict[Path, int]]
    database_folder: Path | None
    limits: Limits
    _said_at_s: float = field(default=float("-inf"), init=False)

    def look(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        self.take(connection, now)
        found = troubles(seen(connection, self.limits, now=now), self.limits, now=now)
        if found and monotonic() - self._said_at_s >= SAY_EVERY_S:
            self._said_at_s = monotonic()
            for trouble in found:
                logger.warning("%s %s", trouble.detail, trouble.action)

    def take(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        """Write down how the disks are. It replaces an earlier look of this hour; what is over a week old goes."""
        store, limits = self.store, self.limits
        sizes = store.sizes(connection)
        cut = cut_off(sizes, limits.budget, limits.retention, store.kept_since(connection), now=now)
        to_grow = still_to_grow(
            [size for size in sizes if size.end > cut.since],
            limits.budget,
            limits.retention,
            settled_after_days=SETTLED_AFTER_DAYS[store.name_of(connection)],
            now=now,
        )
        device = _device(self.database_folder) if self.database_folder else None
        with connection.transaction():
            cursor = psycopg.Cursor(connection)
            for folder, free_bytes in self.free().items():
                here = device is not None and _device(folder) == device
                cursor.execute(
                    """INSERT INTO tds_new_disksample
                           (folder, hour, taken_at, free_bytes, readings_bytes, to_grow_bytes, over_bytes)
                       VALUES (%s, date_trunc('hour', %s::timestamptz, 'UTC'), %s, %s, %s, %s, %s)
                       ON CONFLICT (folder, hour) DO UPDATE SET taken_at = EXCLUDED.taken_at,
                           free_bytes = EXCLUDED.free_bytes, readings_bytes = EXCLUDED.readings_bytes,
                           to_grow_bytes = EXCLUDED.to_grow_bytes, over_bytes = EXCLUDED.over_bytes""",
                    (
                        str(folder),
                        now,
                        now,
                        free_bytes,
                        cut.kept_bytes if here else 0,
                        int(to_grow) if here else 0,
                        cut.over_bytes,
                    ),
                )
            cursor.execute("DELETE FROM tds_new_disksample WHERE hour < %s", (now - KEPT,))
