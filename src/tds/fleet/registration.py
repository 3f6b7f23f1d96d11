"""New devices and metrics, registered on their first reading, within the limits of gateway and tenant."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

import psycopg

from tds.fleet.directory import Directory
from tds.fleet.full import Full
from tds.fleet.kinds import default_kind
from tds.fleet.known import KnownGateway, Pair
from tds.fleet.limits import (
    MAX_DEVICES_A_GATEWAY,
    MAX_METRICS_A_DEVICE,
    MAX_METRICS_A_GATEWAY,
    MAX_METRICS_A_TENANT,
)

PENDING: Final = 0  # the id of a metric that is planned but not in the database yet


class Obstacle(Enum):
    """Why something new is not registered."""

    UNKNOWN_DEVICE = "unknown_device"
    TOO_MANY_DEVICES = "too_many_devices"
    TOO_MANY_METRICS = "too_many_metrics"


class Newcomer(NamedTuple):
    """A message that names something its gateway does not have yet."""

    gateway_code: str
    gateway: KnownGateway
    device_code: str
    pairs: Sequence[Pair]


@dataclass(slots=True)
class TenantUse:
    """What a tenant has of what is limited."""

    metrics: int
    ids: dict[Pair, int]  # of the metrics that a batch names; PENDING: planned


@dataclass(slots=True)
class GatewayUse:
    """What a gateway has of what is limited, and what is planned for it."""

    devices: int
    metric_ids: set[int]  # of all its devices; or empty, while its tenant has no more than a gateway may have
    pairs: set[Pair] = field(default_factory=set)  # planned, and not in `metric_ids`
    planned: dict[str, list[Pair]] = field(default_factory=dict)  # by device


@dataclass(slots=True)
class Uses:
    """What gateways, by code, and tenants, by id, have, as far as a batch is concerned with them."""

    gateways: dict[str, GatewayUse]
    tenants: dict[int, TenantUse]

    def of(self, newcomer: Newcomer) -> tuple[GatewayUse, TenantUse]:
        return self.gateways[newcomer.gateway_code], self.tenants[newcomer.gateway.tenant_id]


class Addition(NamedTuple):
    """What a message brings that is new to its device, gateway and tenant."""

    to_device: list[Pair]
    to_gateway: list[Pair]
    to_tenant: list[Pair]


def obstacle(newcomer: Newcomer, use: GatewayUse, of_tenant: TenantUse) -> Obstacle | None:
    """What is against registering what a message brings. Pure."""
    return _obstacle(newcomer, use, of_tenant, _addition(newcomer, use, of_tenant))


def plan(newcomer: Newcomer, use: GatewayUse, of_tenant: TenantUse) -> Obstacle | None:
    """Plan what a message brings; or say what is against it and change nothing. Pure."""
    addition = _addition(newcomer, use, of_tenant)
    found = _obstacle(newcomer, use, of_tenant, addition)
    if found is None:
        use.devices += _device_is_new(newcomer, use)
        use.planned.setdefault(newcomer.device_code, []).extend(addition.to_device)
        use.pairs.update(addition.to_gateway)
        of_tenant.ids |= dict.fromkeys(addition.to_tenant, PENDING)
        of_tenant.metrics += len(addition.to_tenant)
    return found


def _obstacle(newcomer: Newcomer, use: GatewayUse, of_tenant: TenantUse, addition: Addition) -> Obstacle | None:
    if _device_is_new(newcomer, use):
        if not newcomer.gateway.auto_devices:
            return Obstacle.UNKNOWN_DEVICE
        if use.devices >= MAX_DEVICES_A_GATEWAY:
            return Obstacle.TOO_MANY_DEVICES
    if not addition.to_device:
        return None
    device = newcomer.gateway.device(newcomer.device_code)
    of_device = (device.metrics.bit_count() if device else 0) + len(use.planned.get(newcomer.device_code, ()))
    if (
        of_device + len(addition.to_device) > MAX_METRICS_A_DEVICE
        or len(use.metric_ids) + len(use.pairs) + len(addition.to_gateway) > MAX_METRICS_A_GATEWAY
        or of_tenant.metrics + len(addition.to_tenant) > MAX_METRICS_A_TENANT
    ):
        return Obstacle.TOO_MANY_METRICS
    return None


def _device_is_new(newcomer: Newcomer, use: GatewayUse) -> bool:
    return newcomer.device_code not in use.planned and newcomer.gateway.device(newcomer.device_code) is None


def _addition(newcomer: Newcomer, use: GatewayUse, of_tenant: TenantUse) -> Addition:
    gateway = newcomer.gateway
    device = gateway.device(newcomer.device_code)
    known = device.metrics if device else 0
    planned = set(use.planned.get(newcomer.device_code, ()))
    ids = of_tenant.ids
    to_device = [
        pair for pair in newcomer.pairs if pair not in planned and not gateway.tenant.has(known, ids.get(pair, PENDING))
    ]
    to_gateway = [pair for pair in to_device if pair not in use.pairs and ids.get(pair, PENDING) not in use.metric_ids]
    return Addition(to_device, to_gateway, [pair for pair in to_gateway if pair not in ids])


def lock(connection: psycopg.Connection[Any], gateway_ids: Iterable[int], tenant_ids: Iterable[int]) -> None:
    """Keep other writers from registering for these until the transaction ends: the limits are counted under it."""
    cursor = psycopg.Cursor(connection)
    for table, ids in (("tds_new_gateway", gateway_ids), ("tds_new_tenant", tenant_ids)):
        # In the order of the ids, gateways first: two writers can't deadlock.
        cursor.execute(
            f"SELECT 1 FROM {table} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",  # noqa: S608  # our own words
            (list(ids),),
        )


def refused_as_noted(
    connection: psycopg.Connection[Any], full: Full, newcomers: Sequence[Newcomer]
) -> list[Obstacle | None]:
    """What is against each by what was found full a while ago: without a lock, and nothing is counted."""
    concerned = [n for n in newcomers if full.gateway(n.gateway_code) or full.tenant(n.gateway.tenant_id)]
    if not concerned:
        return [None] * len(newcomers)
    uses = Uses({}, {})
    for tenant_id, ids in _metric_ids(connection, _named(concerned)).items():
        tenant = full.tenant(tenant_id)
        uses.tenants[tenant_id] = TenantUse(tenant.metrics if tenant else 0, ids)
    for code in {n.gateway_code for n in concerned}:
        gateway = full.gateway(code)
        uses.gateways[code] = GatewayUse(gateway.devices, set(gateway.metric_ids)) if gateway else GatewayUse(0, set())
    return [obstacle(n, *uses.of(n)) if n.gateway_code in uses.gateways else None for n in newcomers]


def survey(connection: psycopg.Connection[Any], newcomers: Sequence[Newcomer]) -> Uses:
    """What there is; exact under the lock."""
    named = _named(newcomers)
    ids = _metric_ids(connection, named)
    counts = _counts(connection, "tds_new_metric", "tenant_id", named)
    tenants = {tenant_id: TenantUse(counts[tenant_id], ids[tenant_id]) for tenant_id in named}
    gateways = {n.gateway_code: n.gateway for n in newcomers}
    devices = _counts(connection, "tds_new_device", "gateway_id", (gateway.id for gateway in gateways.values()))
    # To look at all that a gateway's devices have sent costs 20 ms with 256 devices of 400 metrics; no gateway has more
    # metrics than its tenant.
    large = {t for t, use in tenants.items() if use.metrics + len(named[t] - use.ids.keys()) > MAX_METRICS_A_GATEWAY}
    metrics = _metrics_of_gateways(connection, (g.id for g in gateways.values() if g.tenant_id in large))
    return Uses({code: GatewayUse(devices[g.id], metrics[g.id]) for code, g in gateways.items()}, tenants)


def note(full: Full, newcomer: Newcomer, use: GatewayUse, of_tenant: TenantUse) -> None:
    """After `register`, what made a refusal: so that the next one costs no lock."""
    full.note_gateway(
        newcomer.gateway_code, use.devices, use.metric_ids.union(of_tenant.ids[pair] for pair in use.pairs)
    )
    if of_tenant.metrics + MAX_METRICS_A_DEVICE > MAX_METRICS_A_TENANT:
        full.note_tenant(newcomer.gateway.tenant_id, of_tenant.metrics)


def register(connection: psycopg.Connection[Any], directory: Directory, uses: Uses) -> None:
    """Write all that is planned, and have the directory remember it."""
    cursor = psycopg.Cursor(connection)
    _register_metrics(cursor, uses.tenants)
    gateways = {code: gateway for code in uses.gateways if (gateway := directory.get(code)) is not None}
    # All that were named: one that another writer registered, or gave another name, too.
    for tenant in {gateway.tenant_id: gateway.tenant for gateway in gateways.values()}.values():
        for pair, metric_id in uses.tenants[tenant.id].ids.items():
            directory.name(tenant, metric_id, pair)
    planned = [
        (gateway, device_code, [uses.tenants[gateway.tenant_id].ids[pair] for pair in pairs])
        for code, gateway in gateways.items()
        for device_code, pairs in uses.gateways[code].planned.items()
    ]
    known = {(gateway.id, code): device for gateway, code, _ in planned if (device := gateway.device(code))}
    new = [(gateway.id, code) for gateway, code, _ in planned if (gateway.id, code) not in known]
    device_ids = {name: device.id for name, device in known.items()} | _register_devices(cursor, new)
    _register_links(cursor, [(device_ids[g.id, code], metric_id) for g, code, ids in planned for metric_id in ids])
    for gateway, code, metric_ids in planned:
        before = known.get((gateway.id, code))
        metrics = gateway.tenant.metrics(metric_ids, before.metrics if before else 0)
        directory.remember(gateway, code, device_ids[gateway.id, code], metrics)


def _named(newcomers: Iterable[Newcomer]) -> dict[int, set[Pair]]:
    """The metrics that messages name, by tenant."""
    named: dict[int, set[Pair]] = defaultdict(set)
    for newcomer in newcomers:
        named[newcomer.gateway.tenant_id].update(newcomer.pairs)
    return dict(named)


def _metric_ids(connection: psycopg.Connection[Any], named: Mapping[int, Iterable[Pair]]) -> dict[int, dict[Pair, int]]:
    """The ids of those that there are."""
    wanted = [(tenant_id, pair) for tenant_id, pairs in named.items() for pair in pairs]
    cursor = psycopg.Cursor(connection)
    cursor.execute(
        """SELECT wanted.tenant_id, wanted.tipo, wanted.unidade, m.id
           FROM unnest(%s::int8[], %s::text[], %s::text[]) AS wanted (tenant_id, tipo, unidade)
           CROSS JOIN LATERAL (
               SELECT id FROM tds_new_metric WHERE tenant_id = wanted.tenant_id
               AND tipo = wanted.tipo AND unidade = wanted.unidade LIMIT 1
           ) AS m""",
        ([t for t, _ in wanted], [tipo for _, (tipo, _) in wanted], [unidade for _, (_, unidade) in wanted]),
        binary=True,
    )
    ids: dict[int, dict[Pair, int]] = {tenant_id: {} for tenant_id in named}
    for tenant_id, tipo, unidade, metric_id in cursor:
        ids[tenant_id][tipo, unidade] = metric_id
    return ids


def _counts(connection: psycopg.Connection[Any], table: str, column: str, owners: Iterable[int]) -> dict[int, int]:
    """How many rows each owner has, each through the owner's key: whatever the size of the fleet."""
    cursor = psycopg.Cursor(connection)
    cursor.execute(
        f"""SELECT owner.id, (SELECT count(*) FROM {table} WHERE {column} = owner.id)
            FROM unnest(%s::int8[]) AS owner (id)""",  # noqa: S608  # our own words
        (list(owners),),
        binary=True,
    )
    return dict(cursor.fetchall())


def _metrics_of_gateways(connection: psycopg.Connection[Any], gateway_ids: Iterable[int]) -> dict[int, set[int]]:
    """The metrics of all devices of some gateways, each once; of other gateways none."""
    metrics: dict[int, set[int]] = defaultdict(set)
    wanted = list(gateway_ids)
    if wanted:
        cursor = psycopg.Cursor(connection)
        cursor.execute(
            """SELECT DISTINCT d.gateway_id, dm.metric_id FROM tds_new_device AS d
               JOIN tds_new_devicemetric AS dm ON dm.device_id = d.id WHERE d.gateway_id = ANY(%s)""",
            (wanted,),
            binary=True,
        )
        for gateway_id, metric_id in cursor:
            metrics[gateway_id].add(metric_id)
    return metrics


def _register_metrics(cursor: psycopg.Cursor[Any], tenants: Mapping[int, TenantUse]) -> None:
    new = [(t, pair) for t, use in tenants.items() for pair, metric_id in use.ids.items() if metric_id == PENDING]
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
        tenants[tenant_id].ids[tipo, unidade] = metric_id


def _register_devices(cursor: psycopg.Cursor[Any], new: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """The ids of new devices, by gateway id and code."""
    if not new:
        return {}
    cursor.execute(
        """INSERT INTO tds_new_device (gateway_id, code, name, created_at)
           SELECT *, '', now() FROM unnest(%s::int8[], %s::text[]) RETURNING gateway_id, code, id""",
        ([gateway_id for gateway_id, _ in new], [code for _, code in new]),
    )
    return {(gateway_id, code): device_id for gateway_id, code, device_id in cursor}


def _register_links(cursor: psycopg.Cursor[Any], links: Sequence[tuple[int, int]]) -> None:
    """That a device has sent a metric."""
    if links:
        cursor.execute(
            """INSERT INTO tds_new_devicemetric (device_id, metric_id)
               SELECT * FROM unnest(%s::int8[], %s::int8[]) ON CONFLICT DO NOTHING""",
            ([device_id for device_id, _ in links], [metric_id for _, metric_id in links]),
        )
