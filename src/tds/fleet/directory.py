"""From the codes on the wire to the ids in the database, remembered between batches.

One directory belongs to one thread and one connection. It learns in the caller's transaction: when that is rolled
back, call `forget`. What changes elsewhere is told by PostgreSQL's NOTIFY on `CHANNEL`; hand the payloads to `forget`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

import psycopg

from tds.fleet.models import GatewayStatus

CHANNEL: Final = "tds_fleet"
PENDING: Final = 0  # the id of what is planned but not in the database yet
FORMS_REMEMBERED: Final = 2  # of the messages of one device
MAX_FORM_READINGS: Final = 32
GATEWAYS_REMEMBERED: Final = 100_000  # about 1 KB each; full: the one learned first goes


class Pair(NamedTuple):
    """What a metric is called on the wire."""

    tipo: str
    unidade: str


class KnownDevice:
    __slots__ = ("_forms", "id", "metrics")

    def __init__(self, device_id: int) -> None:
        self.id = device_id
        self.metrics: dict[tuple[str, str], int] = {}
        self._forms: dict[tuple[tuple[str, str], ...], tuple[int, ...]] = {}

    def metric_ids(self, pairs: tuple[tuple[str, str], ...]) -> tuple[int, ...] | None:
        """The ids of the metrics of a message, in its order; None when one is not known."""
        known = self._forms.get(pairs)
        if known is not None:
            return known
        try:
            ids = tuple(self.metrics[pair] for pair in pairs)
        except KeyError:
            return None
        # A device that sends one form of message does so for ever; one with many costs what it did without this.
        may_stay = PENDING not in ids and len(pairs) <= MAX_FORM_READINGS
        if may_stay and len(self._forms) < FORMS_REMEMBERED:
            self._forms[pairs] = ids
        return ids


class KnownGateway:
    """A gateway that is not retired, with its devices."""

    __slots__ = ("active", "auto_devices", "code", "devices", "former_until", "id", "pairs", "tenant_id")

    def __init__(self, code: str, gateway_id: int, tenant_id: int, status: str, *, auto_devices: bool) -> None:
        self.code = code
        self.id = gateway_id
        self.tenant_id = tenant_id
        self.active = status == GatewayStatus.ACTIVE
        self.auto_devices = auto_devices
        self.former_until: datetime | None = None
        self.devices: dict[str, KnownDevice] = {}
        self.pairs: set[tuple[str, str]] = set()


class Directory:
    def __init__(self) -> None:
        # None: nobody has that code. Remembered too, or a stranger could have us ask for every message.
        self._gateways: dict[str, KnownGateway | None] = {}

    def get(self, code: str) -> KnownGateway | None:
        return self._gateways.get(code)

    def forget(self, code: str = "") -> None:
        """Forget one gateway, or all of them."""
        if code:
            self._gateways.pop(code, None)
        else:
            self._gateways.clear()

    def learn(self, connection: psycopg.Connection[Any], codes: Iterable[str]) -> None:
        """Ask for the codes that are not remembered yet."""
        wanted = set(codes)
        missing = [code for code in wanted if code not in self._gateways]
        if not missing:
            return
        surplus = len(self._gateways) + len(missing) - GATEWAYS_REMEMBERED
        if surplus > 0:
            # Never one of this batch: a gateway that is forgotten here would look like a stranger.
            for code in list(islice((code for code in self._gateways if code not in wanted), surplus)):
                del self._gateways[code]
        self._gateways |= dict.fromkeys(missing, None) | load_gateways(connection, missing)

    def renew(self, connection: psycopg.Connection[Any], codes: Collection[str]) -> None:
        """Ask again for codes that are remembered. Nothing goes to make room: the batch under way needs all of it."""
        self._gateways |= dict.fromkeys(codes, None) | load_gateways(connection, list(codes))


def load_gateways(connection: psycopg.Connection[Any], codes: list[str]) -> dict[str, KnownGateway]:
    """The gateways of some codes with their devices and metrics, as they are now."""
    cursor = psycopg.Cursor(connection)
    cursor.execute(
        """SELECT code, id, tenant_id, status, auto_devices,
                  (SELECT max(retired_at) FROM tds_new_gateway AS former
                   WHERE former.code = g.code AND former.status = 'retired')
           FROM tds_new_gateway AS g WHERE code = ANY(%s) AND status <> 'retired'""",
        (codes,),
    )
    gateways: dict[str, KnownGateway] = {}
    for code, gateway_id, tenant_id, status, auto_devices, former_until in cursor:
        gateway = KnownGateway(code, gateway_id, tenant_id, status, auto_devices=auto_devices)
        gateway.former_until = former_until
        gateways[code] = gateway
    by_id = {gateway.id: gateway for gateway in gateways.values()}
    cursor.execute(
        """SELECT d.gateway_id, d.code, d.id, m.tipo, m.unidade, m.id
           FROM tds_new_device AS d
           LEFT JOIN tds_new_devicemetric AS dm ON dm.device_id = d.id
           LEFT JOIN tds_new_metric AS m ON m.id = dm.metric_id
           WHERE d.gateway_id = ANY(%s)""",
        (list(by_id),),
    )
    for gateway_id, device_code, device_id, tipo, unidade, metric_id in cursor:
        gateway = by_id[gateway_id]
        device = gateway.devices.get(device_code)
        if device is None:
            device = gateway.devices[device_code] = KnownDevice(device_id)
        if metric_id is not None:
            pair = (tipo, unidade)
            device.metrics[pair] = metric_id
            gateway.pairs.add(pair)
    return gateways
