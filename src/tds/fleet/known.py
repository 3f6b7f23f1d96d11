"""What is remembered of tenants, gateways and devices, as small as can be. Pure.

Which metrics a device has sent is a number: its bit n stands for the nth metric of the tenant that was heard of. The
names are kept once a tenant, so a device that sends 500 metrics costs hardly more than one that sends a single one.
"""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

Pair = tuple[str, str]  # what a metric is called on the wire: tipo, unidade
Form = tuple[tuple[int, ...], int]  # the ids of the metrics of a message in its order, and their set

MAX_FORM_READINGS: Final = 32  # of a message whose form is remembered
FORM_PAIRS_A_METRIC: Final = 2  # in all the forms of a tenant …
FORM_PAIRS: Final = 8  # … and these. Full: all its forms go
# An entry is what is counted of what is remembered: 360 bytes at most.
ENTRY_TEXT_BYTES: Final = 160  # a metric with a longer name counts as several …
ENTRY_BITS: Final = 500  # … and a device of a tenant with so many metrics


class KnownTenant:
    """The metrics of a tenant, as far as its remembered devices have sent them."""

    __slots__ = (
        "_form_sent",
        "_forms",
        "_forms_pairs",
        "_ids",
        "_last",
        "_places",
        "_sent",
        "entries",
        "gateways",
        "id",
    )

    def __init__(self, tenant_id: int) -> None:
        self.id = tenant_id
        self.gateways = 0  # that are remembered
        self.entries = FORM_PAIRS
        self._ids: dict[Pair, int] = {}
        self._places: dict[int, int] = {}  # of metrics, by their ids
        self._forms: dict[tuple[Pair, ...], Form] = {}
        self._forms_pairs = 0
        self._sent: tuple[Pair, ...] | None = None
        self._form_sent: Form = ((), 0)
        self._last = 0

    def names(self, metric_id: int) -> bool:
        return metric_id in self._places

    def name(self, metric_id: int, pair: Pair) -> None:
        """A metric is called so now."""
        before = self._ids.get(pair)
        if before == metric_id:
            return
        self._places.setdefault(metric_id, len(self._places))
        if before is None:
            # Tenants measure the same things: one text for all.
            pair = sys.intern(pair[0]), sys.intern(pair[1])
            text_bytes = sys.getsizeof(pair[0]) + sys.getsizeof(pair[1])
            self.entries += (1 + FORM_PAIRS_A_METRIC) * (1 + text_bytes // ENTRY_TEXT_BYTES)
        else:
            self._forget_forms()
        self._ids[pair] = metric_id

    def metrics(self, metric_ids: Iterable[int], known: int = 0) -> int:
        """A set of metrics as a number, joined to another. What has no name is being deleted, and left out."""
        places = [self._places[metric_id] for metric_id in metric_ids if metric_id in self._places]
        metrics = known | sum(1 << place for place in places)
        # Most devices of a tenant send the same: one number for all.
        if metrics != self._last:
            self._last = metrics
        return self._last

    def has(self, metrics: int, metric_id: int) -> bool:
        place = self._places.get(metric_id)
        return place is not None and bool(metrics >> place & 1)

    def metric_ids(self, metrics: int, pairs: tuple[Pair, ...]) -> tuple[int, ...] | None:
        """The ids of the metrics of a message, in its order; None when one is not in the device's set."""
        # Mostly it is the same one all the time, and to see that costs less than to look for it.
        if pairs is self._sent:
            ids, needed = self._form_sent
        else:
            form = self._forms.get(pairs)
            if form is not None:
                self._sent, self._form_sent = pairs, form
            else:
                form = self._form(pairs)
                if form is None:
                    return None
            ids, needed = form
        return ids if metrics & needed == needed else None

    def _form(self, pairs: tuple[Pair, ...]) -> Form | None:
        try:
            ids = tuple([self._ids[pair] for pair in pairs])
        except KeyError:
            return None
        form = ids, sum(1 << self._places[metric_id] for metric_id in ids)
        # A fleet sends few forms of messages for ever; one that sends many costs what it did without this.
        if len(pairs) <= MAX_FORM_READINGS:
            if self._forms_pairs + len(pairs) > FORM_PAIRS + FORM_PAIRS_A_METRIC * len(self._ids):
                self._forget_forms()
            self._forms[pairs] = form
            self._forms_pairs += len(pairs)
        return form

    def _forget_forms(self) -> None:
        self._forms.clear()
        self._forms_pairs = 0
        self._sent = None


class KnownDevice(Struct, gc=False):
    id: int
    code: str
    metrics: int  # a set, as its tenant counts them

    @property
    def entries(self) -> int:
        return 1 + self.metrics.bit_length() // ENTRY_BITS


class KnownGateway(Struct, gc=False):
    """A gateway that is not retired, with those of its devices that were heard of."""

    id: int
    tenant: KnownTenant
    active: bool
    auto_devices: bool
    former_until: datetime | None = None
    # Most have one, and a dict is as large as all the rest. Ask through `device`.
    devices: KnownDevice | dict[str, KnownDevice] | None = None

    @property
    def tenant_id(self) -> int:
        return self.tenant.id

    @property
    def entries(self) -> int:
        """Of its devices."""
        known = self.devices
        if isinstance(known, dict):
            return sum(device.entries for device in known.values())
        return known.entries if known is not None else 0

    def device(self, code: str) -> KnownDevice | None:
        known = self.devices
        if isinstance(known, KnownDevice):
            return known if known.code == code else None
        return known.get(code) if known is not None else None

    def remember(self, device: KnownDevice) -> None:
        known = self.devices
        if isinstance(known, dict):
            known[device.code] = device
        elif known is None or known.code == device.code:
            self.devices = device
        else:
            self.devices = {known.code: known, device.code: device}

    def forget(self, code: str) -> None:
        known = self.devices
        if isinstance(known, dict):
            known.pop(code, None)
        elif known is not None and known.code == code:
            self.devices = None
