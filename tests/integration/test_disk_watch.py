"""How full the disks are, from the worker's looks to the status, the metrics and the log."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from tds import disk, wiring
from tds.disk import DiskSample, Limits, Watch, free_by_disk, seen, troubles
from tds.disk_outlook import Outlook
from tds.readings import timescale
from tds.readings.budget import Budget
from tds.readings.partitions import DAY, PartitionStore
from tds.settings import ENV
from tds.status import State, healthy
from tds.status.storage import examine_disk
from tests import seeding
from tests.timescaledb import timescaledb

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
# Long before all that other tests store.
NOW: Final = datetime(2003, 6, 10, 12, 30, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
GB: Final = 10**9
LIMITS: Final = Limits(Budget(), timedelta(days=10), reserve_bytes=GB, warning_days=14)
HERE: Final = Path("/")


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        yield own


def filling(connection: Connection, a_day: int, *, left: int, until: datetime, limits: Limits = LIMITS) -> list[Any]:
    """Looks of eight days, hour by hour, at a disk that fills by so many bytes a day and has so many left."""
    hours = 8 * 24
    free = iter(left + (hours - n) * a_day // 24 for n in range(hours + 1))
    watch = Watch(wiring.reading_store(), lambda: {HERE: next(free)}, None, limits)
    for n in range(hours + 1):
        watch.take(connection, until - (hours - n) * HOUR)
    return seen(connection, limits, now=until)


def test_the_looks_of_a_week_say_when_the_disk_is_full(connection: Connection) -> None:
    [found] = filling(connection, 2 * GB, left=21 * GB, until=NOW)
    assert (found.folder, found.free_bytes) == ("/", 21 * GB)
    assert found.ahead.days_left == pytest.approx(10, abs=0.01)
    [trouble] = troubles([found], LIMITS, now=NOW)
    assert trouble.detail.startswith("21.0 GB are free where / is; at the pace of the last week")
    assert "in 10.0 days" in trouble.detail
    assert trouble.action.endswith("./tds readings drop --before 2003-06-04")
    assert troubles([found], replace(LIMITS, warning_days=10), now=NOW) == []


def test_looks_are_one_an_hour_and_bounded(connection: Connection) -> None:
    filling(connection, GB, left=100 * GB, until=NOW)
    filling(connection, GB, left=90 * GB, until=NOW + HOUR / 4)  # the same hours once more
    assert DiskSample.objects.count() == 8 * 24
    newest = DiskSample.objects.order_by("-hour")[0]
    assert (newest.taken_at, newest.free_bytes) == (NOW + HOUR / 4, 90 * GB)


def test_after_hours_without_a_look_nothing_is_claimed(connection: Connection) -> None:
    filling(connection, 2 * GB, left=21 * GB, until=NOW)
    assert seen(connection, LIMITS, now=NOW + 3 * HOUR) == []


@pytest.mark.parametrize("store_name", ["native", "timescaledb"])
def test_readings_of_this_disk_are_measured_and_what_is_over_the_budget_is_told(
    connection: Connection, store_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def look() -> None:
        store = wiring.reading_store()
        store.prepare(own, now=NOW)
        of = seeding.series(seeding.gateway(seeding.tenant(store_name), f"GW-{store_name}"), "D01", "t")
        seeding.insert(own, [(of, NOW - n * DAY, 1.0) for n in range(4)])
        limits = replace(LIMITS, budget=Budget(max_bytes=1_000, min_days=2))
        watch = Watch(store, lambda: free_by_disk([Path("/")]), Path("/"), limits)
        with caplog.at_level(logging.WARNING, "tds.worker"):
            for _ in range(3):
                watch.look(own, NOW)
        sample = DiskSample.objects.get()
        assert 0 < sample.over_bytes == sample.readings_bytes - 1_000
        [trouble] = troubles(seen(own, limits, now=NOW), limits, now=NOW)
        assert trouble.detail.startswith("The readings of the last 2 days take ")
        assert "without a person's word" in trouble.detail
        assert "./tds readings drop --before 2003-06-09" in trouble.action
        assert caplog.text.count("more than TDS_RETENTION_BYTES allows") == 1  # said once an hour

    with seeding.own_connection() as own:
        if store_name == "native":
            if timescale.in_use(own):
                pytest.skip("This run's database has TimescaleDB's tables.")
            look()
            seeding.without_readings(own)
            PartitionStore(timedelta(days=1)).expire(own, now=NOW + 60 * DAY)
        else:
            with timescaledb():
                look()


def test_a_database_elsewhere_takes_no_part_in_what_this_disk_holds(connection: Connection) -> None:
    Watch(wiring.reading_store(), lambda: {HERE: GB}, None, LIMITS).take(connection, NOW)
    sample = DiskSample.objects.get()
    assert (sample.readings_bytes, sample.to_grow_bytes) == (0, 0)


def test_each_file_system_is_one_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    folders = [tmp_path / "a", tmp_path, tmp_path / "gone"]
    free = free_by_disk(folders)
    assert list(free) == [tmp_path / "a"]
    assert free[tmp_path / "a"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)


# What people and machines are told


def test_the_status_warns_days_before_and_is_still_healthy(connection: Connection) -> None:
    now = timezone.now()
    filling(connection, 2 * GB, left=21 * GB, until=now)
    part = examine_disk(ENV, database_there=True)
    assert part.state is State.WARNING
    assert "at the pace of the last week" in part.detail
    assert "./tds readings drop --before" in part.action
    assert healthy([part])


def test_the_status_says_when_the_end_is_in_sight_and_far(connection: Connection) -> None:
    filling(connection, GB, left=101 * GB, until=timezone.now())
    part = examine_disk(ENV, database_there=True)
    assert part.state is State.HEALTHY
    assert part.detail.endswith(" At the pace of the last week full in 100 days.")


def test_without_a_history_the_status_says_what_is_free(connection: Connection) -> None:
    part = examine_disk(ENV, database_there=True)
    assert part.state is State.HEALTHY
    assert part.detail.endswith("GB free under TDS_HOME.")


def test_the_metrics_tell_what_is_free_and_how_long_it_lasts(
    connection: Connection, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def values(name: str) -> list[float]:
        text = client.get("/metrics").content.decode()
        return [float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)]

    assert values("tds_disk_days_left") == []  # nothing is known: no number is better than one
    assert values("tds_readings_over_budget_bytes") == [0]
    assert all(free > 0 for free in values("tds_disk_free_bytes"))
    filling(connection, 2 * GB, left=21 * GB, until=timezone.now())
    [days] = values("tds_disk_days_left")
    assert days == pytest.approx((21 * GB - ENV.disk_reserve_bytes) / (2 * GB), abs=0.1)
    never = Outlook(known=True, days_left=None)
    monkeypatch.setattr(disk, "outlook", lambda *_a, **_k: never)
    assert values("tds_disk_days_left") == [inf]
