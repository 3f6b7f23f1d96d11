"""From the codes on the wire to the ids in the database, remembered between batches.

One directory belongs to one thread and one connection. It learns in the caller's transaction: when that is rolled
back, call `forget`. What changes elsewhere is told by PostgreSQL's NOTIFY on `CHANNEL`; hand the payloads to `forget`.
"""

import sys
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from datetime import datetime
from itertools import islice
from random import randrange
from time import monotonic
from typing import Any, Final

import psycopg

from tds.fleet.full import Full
from tds.fleet.known import KnownDevice, KnownGateway, KnownTenant, Pair
from tds.fleet.models import GatewayStatus

CHANNEL: Final = "tds_fleet"
# Full: an eighth goes, whichever it is, but for what the batch under way names. Not the oldest: of a fleet that reports
# in turn and does not fit, these are the ones that report next, and none would ever be found.
GATEWAYS_REMEMBERED: Final = 250_000  # and codes that nobody has
ENTRIES_REMEMBERED: Final = 300_000  # devices, and what tenants call their metrics: see `known`
FORGOTTEN_AT_ONCE: Final = 8  # one of so many
DEVICES_AT_ONCE: Final = 500  # of a look-up: with 500 metrics each 10 MB of ids


class Directory:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        # None: nobody has that code. Remembered too, or a stranger could have us ask for every message.
        self._gateways: dict[str, KnownGateway | None] = {}
        self._tenants: dict[int, KnownTenant] = {}
        self.entries = 0
        self.full = Full(clock)

    def get(self, code: str) -> KnownGateway | None:
        return self._gateways.get(code)

    def forget(self, code: str = "") -> None:
        """Forget one gateway, or all of them."""
        self.full.forget(code)
        if code:
            self._drop(code)
        else:
            self._clear()

    def learn(self, connection: psycopg.Connection[Any], codes: Iterable[str]) -> None:
        """Ask for the gateways that are not remembered yet; for their devices there is `look_up`."""
        wanted = set(codes)
        missing = [code for code in wanted if code not in self._gateways]
        if missing or self.entries > ENTRIES_REMEMBERED:
            self._make_room(len(missing), wanted)
            self._load(connection, [code for code in wanted if code not in self._gateways])

    def renew(self, connection: psycopg.Connection[Any], codes: Collection[str]) -> None:
        """Ask again for gateways that are remembered. Nothing goes to make room: a batch under way needs all of it."""
        self._load(connection, codes)

    def look_up(self, connection: psycopg.Connection[Any], names: Iterable[tuple[str, str]]) -> None:
        """Ask, by the codes of gateway and device, for devices and their metrics; again for what is remembered."""
        wanted = [(gateway, code) for of, code in names if (gateway := self._gateways.get(of)) is not None]
        for start in range(0, len(wanted), DEVICES_AT_ONCE):
            self._look_up(psycopg.Cursor(connection), wanted[start : start + DEVICES_AT_ONCE])

    def _look_up(self, cursor: psycopg.Cursor[Any], wanted: Sequence[tuple[KnownGateway, str]]) -> None:
        # Each through the key of (gateway, code), and of (device, metric): whatever the size of the fleet.
        cursor.execute(
            """SELECT wanted.n - 1, d.id,
                      ARRAY(SELECT dm.metric_id FROM tds_new_devicemetric AS dm WHERE dm.device_id = d.id)
               FROM unnest(%s::int8[], %s::text[]) WITH ORDINALITY AS wanted (gateway_id, code, n)
               CROSS JOIN LATERAL (
                   SELECT id FROM tds_new_device WHERE gateway_id = wanted.gateway_id AND code = wanted.code LIMIT 1
               ) AS d""",
            ([gateway.id for gateway, _ in wanted], [code for _, code in wanted]),
            binary=True,
        )
        found: dict[int, tuple[int, list[int]]] = {n: (device_id, metrics) for n, device_id, metrics in cursor}
        self._learn_names(cursor, ((wanted[n][0].tenant, metrics) for n, (_, metrics) in found.items()))
        for n, (gateway, code) in enumerate(wanted):
            if n in found:
                device_id, metrics = found[n]
                self.remember(gateway, code, device_id, gateway.tenant.metrics(metrics))
            elif (device := gateway.device(code)) is not None:
                gateway.forget(code)
                self.entries -= device.entries

    def remember(self, gateway: KnownGateway, code: str, device_id: int, metrics: int) -> None:
        """A device of a remembered gateway, with its set of metrics."""
        before = gateway.device(code)
        # The same few codes are in use everywhere: one text for all.
        device = KnownDevice(device_id, sys.intern(code), metrics)
        gateway.remember(device)
        self.entries += device.entries - (before.entries if before is not None else 0)

    def name(self, tenant: KnownTenant, metric_id: int, pair: Pair) -> None:
        """What a metric of a remembered tenant is called."""
        self.entries -= tenant.entries
        tenant.name(metric_id, pair)
        self.entries += tenant.entries

    def _learn_names(
        self, cursor: psycopg.Cursor[Any], metrics_of: Iterable[tuple[KnownTenant, Iterable[int]]]
    ) -> None:
        unknown = {
            metric_id: tenant for tenant, metrics in metrics_of for metric_id in metrics if not tenant.names(metric_id)
        }
        if unknown:
            cursor.execute("SELECT id, tipo, unidade FROM tds_new_metric WHERE id = ANY(%s)", (list(unknown),))
            for metric_id, tipo, unidade in cursor:
                self.name(unknown[metric_id], metric_id, (tipo, unidade))

    def _load(self, connection: psycopg.Connection[Any], codes: Collection[str]) -> None:
        """What the database says of some codes now. The devices of a gateway that is remembered stay with it."""
        if not codes:
            return
        cursor = psycopg.Cursor(connection)
        # Each through the index of codes: for = ANY, with a fleet of 40,000, the planner reads the whole table. Of a
        # code the newest two: without a time the gateway that is not retired, and the one that was before it.
        cursor.execute(
            """SELECT g.* FROM unnest(%s::text[]) AS wanted (code) CROSS JOIN LATERAL (
                   SELECT code, id, tenant_id, status, auto_devices, retired_at FROM tds_new_gateway
                   WHERE code = wanted.code ORDER BY retired_at DESC NULLS FIRST LIMIT 2
               ) AS g""",
            (list(codes),),
            binary=True,
        )
        found: dict[str, KnownGateway] = {}
        former_until: dict[str, datetime] = {}
        for code, gateway_id, tenant_id, status, auto_devices, retired_at in cursor:
            if retired_at is not None:
                former_until[code] = retired_at
                continue
            gateway = KnownGateway(gateway_id, self._tenant(tenant_id), status == GatewayStatus.ACTIVE, auto_devices)
            before = self._gateways.get(code)
            if before is not None and before.id == gateway_id and before.tenant is gateway.tenant:
                gateway.devices = before.devices
            found[code] = gateway
        for code in codes:
            gateway_now = found.get(code)
            if gateway_now is not None:
                gateway_now.former_until = former_until.get(code)
            self._put(code, gateway_now)

    def _tenant(self, tenant_id: int) -> KnownTenant:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = KnownTenant(tenant_id)
            self.entries += tenant.entries
        return tenant

    def _put(self, code: str, gateway: KnownGateway | None) -> None:
        if gateway is not None:
            gateway.tenant.gateways += 1
            self.entries += gateway.entries
        self._drop(code)
        self._gateways[code] = gateway

    def _drop(self, code: str) -> None:
        gateway = self._gateways.pop(code, None)
        if gateway is None:
            return
        self.entries -= gateway.entries
        tenant = gateway.tenant
        tenant.gateways -= 1
        if not tenant.gateways:
            self.entries -= tenant.entries
            del self._tenants[tenant.id]

    def _clear(self) -> None:
        self._gateways.clear()
        self._tenants.clear()
        self.entries = 0

    def _make_room(self, coming: int, wanted: Container[str]) -> None:
        """Within the bounds with so many more gateways; never one of the batch under way goes alone."""
        while (surplus := len(self._gateways) + coming - GATEWAYS_REMEMBERED) > 0 or self.entries > ENTRIES_REMEMBERED:
            count = len(self._gateways)
            step = max(1, count // max(surplus, count // FORGOTTEN_AT_ONCE, 1))
            start = randrange(step)  # noqa: S311  # nobody gains by guessing it
            going = [code for code in islice(self._gateways, start, None, step) if code not in wanted]
            for code in going:
                self._drop(code)
            if not going:
                # A gateway that is forgotten alone would look like a stranger; when all are, they are asked for again.
                if self.entries > ENTRIES_REMEMBERED:
                    self._clear()
                return
