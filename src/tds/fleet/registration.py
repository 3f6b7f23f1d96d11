"""New devices and metrics, registered on their first reading, within the limits of gateway and tenant."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

import psycopg

from tds.fleet.directory import PENDING, KnownDevice, KnownGateway
from tds.fleet.kinds import default_kind
from tds.fleet.limits import (
    MAX_DEVICES_A_GATEWAY,
    MAX_METRICS_A_DEVICE,
    MAX_METRICS_A_GATEWAY,
    MAX_METRICS_A_TENANT,
)


class Obstacle(Enum):
    """Why something new is not registered."""

    UNKNOWN_DEVICE = "unknown_device"
    TOO_MANY_DEVICES = "too_many_devices"
    TOO_MANY_METRICS = "too_many_metrics"


class Newcomer(NamedTuple):
    """A message that names something its gateway does not have yet."""

    gateway: KnownGateway
    device_code: str
    pairs: Sequence[tuple[str, str]]


def lock(connection: psycopg.Connection[Any], gateway_ids: Iterable[int], tenant_ids: Iterable[int]) -> None:
    """Keep other writers from registering for these until the transaction ends: the limits are counted under it."""
    cursor = psycopg.Cursor(connection)
    for table, ids in (("tds_new_gateway", gateway_ids), ("tds_new_tenant", tenant_ids)):
        # In the order of the ids, gateways first: two writers can't deadlock.
        cursor.execute(
            f"SELECT 1 FROM {table} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",  # noqa: S608  # our own words
            (sorted(set(ids)),),
        )


def tenant_metrics(
    connection: psycopg.Connection[Any], tenant_ids: Iterable[int]
) -> dict[int, dict[tuple[str, str], int]]:
    """Every metric of some tenants: {tenant id: {(tipo, unidade): metric id}}."""
    wanted = sorted(set(tenant_ids))
    metrics: dict[int, dict[tuple[str, str], int]] = {tenant_id: {} for tenant_id in wanted}
    cursor = psycopg.Cursor(connection)
    cursor.execute("SELECT tenant_id, tipo, unidade, id FROM tds_new_metric WHERE tenant_id = ANY(%s)", (wanted,))
    for tenant_id, tipo, unidade, metric_id in cursor:
        metrics[tenant_id][tipo, unidade] = metric_id
    return metrics


def plan(newcomer: Newcomer, of_tenant: dict[tuple[str, str], int]) -> Obstacle | None:
    """Add what a message brings to what is known, as pending; or say what is against it and change nothing. Pure."""
    gateway, device_code, pairs = newcomer
    device = gateway.devices.get(device_code)
    if device is None:
        if not gateway.auto_devices:
            return Obstacle.UNKNOWN_DEVICE
        if len(gateway.devices) >= MAX_DEVICES_A_GATEWAY:
            return Obstacle.TOO_MANY_DEVICES
        device = KnownDevice(PENDING)
    if (
        len(device.metrics.keys() | set(pairs)) > MAX_METRICS_A_DEVICE
        or len(gateway.pairs | set(pairs)) > MAX_METRICS_A_GATEWAY
        or len(of_tenant) + sum(pair not in of_tenant for pair in pairs) > MAX_METRICS_A_TENANT
    ):
        return Obstacle.TOO_MANY_METRICS
    gateway.devices[device_code] = device
    gateway.pairs.update(pairs)
    for pair in pairs:
        device.metrics.setdefault(pair, PENDING)
        of_tenant.setdefault(pair, PENDING)
    return None


def register(
    connection: psycopg.Connection[Any],
    gateways: Iterable[KnownGateway],
    metrics: dict[int, dict[tuple[str, str], int]],
) -> None:
    """Write all that `plan` left pending, and give it its ids."""
    cursor = psycopg.Cursor(connection)
    _register_metrics(cursor, metrics)
    gateways = list(gateways)
    _register_devices(cursor, gateways)
    links = [
        (device, pair, metrics[gateway.tenant_id][pair])
        for gateway in gateways
        for device in gateway.devices.values()
        for pair, metric_id in device.metrics.items()
        if metric_id == PENDING
    ]
    if not links:
        return
    cursor.execute(
        """INSERT INTO tds_new_devicemetric (device_id, metric_id)
           SELECT * FROM unnest(%s::int8[], %s::int8[]) ON CONFLICT DO NOTHING""",
        ([device.id for device, _, _ in links], [metric_id for _, _, metric_id in links]),
    )
    for device, pair, metric_id in links:
        device.metrics[pair] = metric_id


def _register_metrics(cursor: psycopg.Cursor[Any], metrics: dict[int, dict[tuple[str, str], int]]) -> None:
    new = [(t, pair) for t, of_tenant in metrics.items() for pair, metric_id in of_tenant.items() if not metric_id]
    if not new:
        return
    cursor.execute(
        """INSERT INTO tds_new_metric (tenant_id, tipo, unidade, kind, created_at)
           SELECT *, now() FROM unnest(%s::int8[], %s::text[], %s::text[], %s::text[])
           RETURNING tenant_id, tipo, unidade, id""",
        (
            [tenant_id for tenant_id, _ in new],
            [tipo for _, (tipo, _) in new],
            [unidade for _, (_, unidade) in new],
            [default_kind(*pair).value for _, pair in new],
        ),
    )
    for tenant_id, tipo, unidade, metric_id in cursor:
        metrics[tenant_id][tipo, unidade] = metric_id


def _register_devices(cursor: psycopg.Cursor[Any], gateways: Sequence[KnownGateway]) -> None:
    new = {
        (gateway.id, code): device
        for gateway in gateways
        for code, device in gateway.devices.items()
        if device.id == PENDING
    }
    if not new:
        return
    cursor.execute(
        """INSERT INTO tds_new_device (gateway_id, code, name, created_at)
           SELECT *, '', now() FROM unnest(%s::int8[], %s::text[]) RETURNING gateway_id, code, id""",
        ([gateway_id for gateway_id, _ in new], [code for _, code in new]),
    )
    for gateway_id, code, device_id in cursor:
        new[gateway_id, code].id = device_id
