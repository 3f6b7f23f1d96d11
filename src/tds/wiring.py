"""The composition root: which store is in use, and what the processes are made of."""

from datetime import timedelta
from typing import Any, cast

import psycopg
from django.conf import settings
from django.db import connection as django_connection

from tds.ingest.consumer import ConsumerConfig
from tds.ingest.quarantine import Bounds
from tds.readings.partitions import PartitionStore
from tds.readings.store import ReadingStore
from tds.settings import ENV


def reading_store() -> ReadingStore:
    return PartitionStore(retention())


def retention() -> timedelta:
    return timedelta(days=ENV.retention_days)


def quarantine_bounds() -> Bounds:
    return Bounds(ENV.quarantine_per_gateway, ENV.quarantine_messages, ENV.quarantine_bytes)


def consumer_config(broker_number: int, name: str) -> ConsumerConfig:
    return ConsumerConfig(
        broker_url=ENV.mqtt_urls[broker_number - 1],
        database=settings.DATABASES["default"],
        bounds=quarantine_bounds(),
        retention=retention(),
        batch_messages=ENV.batch_messages,
        linger_s=ENV.batch_linger_ms / 1000,
        name=name,
        spool_folder=ENV.spool_folder / name,
        spool_bytes=ENV.spool_bytes,
    )


def database_connection() -> psycopg.Connection[Any]:
    """Django's own connection of this thread, as psycopg's: for the stores, which speak SQL."""
    django_connection.ensure_connection()
    return cast("psycopg.Connection[Any]", django_connection.connection)
