"""Where things are kept: the database, Redis, the disk, and what waits on it while the database is away."""

import shutil
from typing import Final

import psycopg
from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone

from tds import disk, wiring
from tds.environment import Environment
from tds.ingest.models import SpoolState
from tds.spools import spools
from tds.status.part import Part, State, one_line

REDIS_LIMIT_S: Final = 5.0
MIN_FREE_BYTES: Final = 1024**3
SPOOL_NEARLY_FULL: Final = 0.8  # of its bytes


def examine_database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database()), current_setting('server_version')")
            size_bytes, version = cursor.fetchone()
            cursor.execute("SELECT count(*) FROM tds_new_estadorollup")
    except DatabaseError as error:
        return Part(
            "database", State.UNHEALTHY, one_line(error), "Start it with ./tds up, or correct TDS_DATABASE_URL."
        )
    store = wiring.reading_store().name_of(wiring.database_connection())
    detail = f"PostgreSQL {version}, {size_bytes / 1e6:.0f} MB, {store} store."
    return Part("database", State.HEALTHY, detail)


def examine_redis(environment: Environment) -> Part:
    if not environment.redis_url:
        return Part("redis", State.OFF, "Not configured; sessions are in the database.")
    import redis

    try:
        redis.Redis.from_url(environment.redis_url, socket_timeout=REDIS_LIMIT_S).ping()
    except redis.RedisError as error:
        return Part("redis", State.UNHEALTHY, one_line(error), "Start Redis, or unset TDS_REDIS_URL.")
    return Part("redis", State.HEALTHY, "Answers.")


def examine_disk(environment: Environment, *, database_there: bool) -> Part:
    free_bytes = shutil.disk_usage(environment.home).free
    detail = f"{free_bytes / 1e9:.1f} GB free under TDS_HOME."
    if free_bytes < MIN_FREE_BYTES:
        return Part("disk", State.UNHEALTHY, detail, "Make room before the database stops.")
    if not database_there:
        return Part("disk", State.HEALTHY, detail)
    limits, now = wiring.disk_limits(), timezone.now()
    try:
        disks = disk.seen(wiring.database_connection(), limits, now=now)
    except (DatabaseError, psycopg.Error) as error:
        return Part("disk", State.WARNING, f"{detail} How it fills is unknown: {one_line(error)}", "See database.")
    if found := disk.troubles(disks, limits, now=now):
        told = " ".join(trouble.detail for trouble in found)
        return Part("disk", State.WARNING, f"{detail} {told}", " ".join(trouble.action + "." for trouble in found))
    ends = [seen.ahead.days_left for seen in disks if seen.ahead.days_left is not None]
    if ends:
        detail += f" At the pace of the last week full in {min(ends):,.0f} days."
    return Part("disk", State.HEALTHY, detail)


def examine_spool(environment: Environment, *, database_there: bool) -> Part:
    if not environment.spool_bytes:
        return Part("spool", State.OFF, "TDS_SPOOL_BYTES is 0: while the database is away, the broker keeps messages.")
    try:
        seen = spools(environment, database_there=database_there)
    except OSError as error:
        action = f"See that the consumers' account may read {environment.spool_folder}."
        return Part("spool", State.UNHEALTHY, one_line(error), action)
    lost = sum(SpoolState.objects.values_list("lost", flat=True)) if database_there else 0
    damage = f" A damaged disk has cost {lost} acknowledged messages so far." if lost else ""
    waiting = [spool for spool in seen if spool.size_bytes]
    if not waiting:
        return Part(
            "spool", State.HEALTHY, f"Empty; room for {environment.spool_bytes / 1e6:.0f} MB a consumer.{damage}"
        )
    now = timezone.now()
    told = ", ".join(
        f"{spool.consumer}: {spool.size_bytes / 1e6:.1f} of {spool.limit_bytes / 1e6:.0f} MB"
        + (f", {(now - spool.oldest_at).total_seconds():.0f} s old" if spool.oldest_at else "")
        for spool in waiting
    )
    full = any(spool.size_bytes > SPOOL_NEARLY_FULL * spool.limit_bytes for spool in waiting)
    state = State.UNHEALTHY if full else State.HEALTHY
    action = "Bring the database back; a full spool takes nothing, and then the broker keeps messages." if full else ""
    return Part("spool", state, f"{told}; stored when the database is back.{damage}", action)
