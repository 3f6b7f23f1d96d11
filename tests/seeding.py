"""Tenants, people, gateways and readings for tests."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.conf import settings

from tds import wiring
from tds.fleet.models import Device, DeviceMetric, Gateway, Membership, Metric, MetricKind, Role, Tenant, User
from tds.ingest import database
from tds.readings import timescale
from tds.readings.store import Rows, Series

READING_TABLES = (
    "tds_new_leituradispositivo",
    "tds_new_horasuja",
    "tds_new_horaemendada",
    "tds_new_ledgerdropped",
    "tds_new_keptsince",
)


@contextmanager
def own_connection() -> Iterator[psycopg.Connection[Any]]:
    """A connection to the test database beside Django's, in autocommit, as the consumer and the worker have it."""
    with database.connect(settings.DATABASES["default"], name="tests") as connection:
        yield connection


def without_readings(connection: psycopg.Connection[Any]) -> None:
    """Empty what no flush of Django's knows; the partitions stay."""
    for table in READING_TABLES:
        connection.execute(f"DELETE FROM {table}")
    if timescale.in_use(connection):
        connection.execute("CALL refresh_continuous_aggregate('tds_new_leiturahora', NULL, NULL)")
    else:
        connection.execute("DELETE FROM tds_new_leiturahora")
    connection.execute(
        "UPDATE tds_new_estadorollup SET closing_before = '1970-01-01Z', complete_before = '1970-01-01Z'"
    )


def tenant(slug: str, **fields: Any) -> Tenant:
    return Tenant.objects.create(slug=slug, **{"name": slug.title(), "time_zone": "America/Sao_Paulo"} | fields)


def person(name: str, *tenants: Tenant, role: Role = Role.VIEWER, **fields: Any) -> User:
    user = User.objects.create_user(name, password="correct horse", **fields)
    for of_tenant in tenants:
        Membership.objects.create(user=user, tenant=of_tenant, role=role)
    return user


def gateway(of_tenant: Tenant, code: str, **fields: Any) -> Gateway:
    return Gateway.objects.create(tenant=of_tenant, code=code, **fields)


def series(
    of_gateway: Gateway, device: str, tipo: str, unidade: str = "", kind: MetricKind = MetricKind.MEAN
) -> Series:
    """A device that has sent a metric."""
    known, _ = Device.objects.get_or_create(gateway=of_gateway, code=device)
    metric, _ = Metric.objects.get_or_create(
        tenant=of_gateway.tenant, tipo=tipo, unidade=unidade, defaults={"kind": kind}
    )
    DeviceMetric.objects.get_or_create(device=known, metric=metric)
    return Series(known.pk, metric.pk)


def store(of: Series, *readings: tuple[datetime, float]) -> None:
    """Readings of one series, over Django's own connection."""
    insert(wiring.database_connection(), ((of, time, value) for time, value in readings))


def insert(connection: psycopg.Connection[Any], readings: Iterable[tuple[Series, datetime, float]]) -> None:
    rows = Rows()
    for (device_id, metric_id), time, value in readings:
        rows.add(device_id, [metric_id], time, [value])
    with connection.transaction():
        wiring.reading_store().insert(connection, rows)


def message(gateway_code: str, time: datetime, device_code: str = "D01", **fields: Any) -> dict[str, Any]:
    """The contract's example."""
    return {
        "gateway_code": gateway_code,
        "device_code": device_code,
        "timestamp": time.isoformat(),
        "leituras": [{"tipo": "energia", "valor": 123.45, "unidade": "kWh"}],
    } | fields


def as_bytes(document: object) -> bytes:
    return json.dumps(document).encode()
