"""The composition root: which store is in use, and what the processes are made of."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection as django_connection

from tds.disk import Limits, Watch, free_by_disk
from tds.environment import MAX_BROKERS, kept_secret
from tds.fleet.directory import Directory
from tds.ingest.consumer import CLIENT_ID, ConsumerConfig
from tds.ingest.quarantine import Bounds
from tds.ingest.room import Room
from tds.ingest.topics import TELEMETRY_FILTER
from tds.ingest.writer import Writer
from tds.local.ports import is_loopback
from tds.processes import consumer_name
from tds.readings.budget import Budget
from tds.readings.chosen import ChosenStore
from tds.readings.store import ReadingStore
from tds.settings import ENV

SHARED_GROUP: Final = "mqtt_shared_group"
SHARED_GROUP_BYTES: Final = 16


def reading_store() -> ReadingStore:
    return ChosenStore(retention(), budget())


def retention() -> timedelta:
    return timedelta(days=ENV.retention_days)


def budget() -> Budget:
    return Budget(ENV.retention_bytes, ENV.retention_min_days)


def quarantine_bounds() -> Bounds:
    return Bounds(ENV.quarantine_per_gateway, ENV.quarantine_messages, ENV.quarantine_bytes)


def writer() -> Writer:
    """For single messages, of a POST or a replay, over Django's own connection."""
    return Writer(database_connection(), reading_store(), Directory(), quarantine_bounds(), retention())


def consumer_config(broker_number: int, slot: int = 0, *, drains: bool = False) -> ConsumerConfig:
    """Of the consumer of a broker (from 1), or of one slot (from 1) of its shared subscription."""
    name = consumer_name(broker_number, slot)
    return ConsumerConfig(
        client_id=f"{CLIENT_ID}-s{slot}" if slot else CLIENT_ID,
        filters=(shared_filter() if slot else TELEMETRY_FILTER,),
        slot=slot,
        drains=drains,
        broker_url=ENV.mqtt_urls[broker_number - 1],
        database=settings.DATABASES["default"],
        bounds=quarantine_bounds(),
        retention=retention(),
        batch_messages=ENV.batch_messages,
        linger_s=ENV.batch_linger_ms / 1000,
        name=name,
        spool_folder=ENV.spool_folder / name,
        spool_bytes=ENV.spool_bytes,
        disk_folders=disk_folders(),
        disk_reserve_bytes=ENV.disk_reserve_bytes,
    )


def disk_folders() -> tuple[Path, ...]:
    """Where this machine keeps readings: the home, and what leads out of it. A database elsewhere says itself."""
    inside = ("database", "broker", *(f"broker-{n}" for n in range(2, MAX_BROKERS + 1)))
    places = [ENV.home, ENV.spool_folder, *(ENV.home / name for name in inside)]
    return tuple(dict.fromkeys(place.resolve() for place in places if place.exists()))


def disk_limits() -> Limits:
    return Limits(budget(), retention(), ENV.disk_reserve_bytes, ENV.disk_warning_days)


def database_folder() -> Path | None:
    """Of the database when its files are on this machine, in the home; None when it is elsewhere."""
    folder = ENV.home / "database"
    here = is_loopback(urlsplit(ENV.database_url).hostname or "") and folder.exists()
    return folder.resolve() if here else None


def disk_watch() -> Watch:
    return Watch(reading_store(), lambda: free_by_disk(disk_folders()), database_folder(), disk_limits())


@cache
def room() -> Room:
    """Of this process."""
    return Room(disk_folders(), ENV.disk_reserve_bytes)


def shared_filter() -> str:
    """Of telemetry, shared. Whoever knows the group's name could subscribe to it and swallow a share."""
    return f"$share/{kept_secret(ENV.home, SHARED_GROUP, SHARED_GROUP_BYTES)}/{TELEMETRY_FILTER}"


def database_connection() -> psycopg.Connection[Any]:
    """Django's own connection of this thread, as psycopg's: for the stores, which speak SQL."""
    django_connection.ensure_connection()
    return cast("psycopg.Connection[Any]", django_connection.connection)
