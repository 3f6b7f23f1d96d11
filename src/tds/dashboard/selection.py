"""Which lines a chart shows: the fleet of the scope, narrowed by the query's parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Count, Min
from django.utils.translation import gettext as _

from tds.dashboard.errors import ApiError
from tds.fleet.access import Scope
from tds.fleet.models import Device, MetricKind
from tds.readings.charts import Line
from tds.readings.store import Series

MAX_DEVICES: Final = 20  # of one chart: more lines nobody can tell apart
MAX_METRICS_A_CARD: Final = 12


@dataclass(frozen=True, slots=True)
class Filters:
    """The parameters that name a part of the fleet, as they were sent."""

    gateway: str | None
    devices: Sequence[str]
    tipo: str | None


def devices(scope: Scope, filters: Filters) -> list[Device]:
    """The devices asked for, or the first ones; 404 for a name that is not in the tenant."""
    found = scope.devices()
    if filters.gateway is not None:
        if "\x00" in filters.gateway or not scope.gateways().filter(code=filters.gateway).exists():
            raise ApiError(404, "gateway_desconhecido", _("There is no gateway of that code."))
        found = found.filter(gateway__code=filters.gateway)
    wanted = sorted(set(filters.devices))
    if len(wanted) > MAX_DEVICES:
        raise ApiError(
            400, "dispositivos_demais", _("Choose at most %(max)d devices at a time.") % {"max": MAX_DEVICES}
        )
    if wanted:
        if any("\x00" in code for code in wanted):
            raise ApiError(404, "dispositivo_desconhecido", _("There is no device of that code."))
        found = found.filter(code__in=wanted)
        if set(found.values_list("code", flat=True)) != set(wanted):
            raise ApiError(404, "dispositivo_desconhecido", _("There is no device of that code."))
    return list(found[:MAX_DEVICES])


def default_tipo(scope: Scope) -> str | None:
    """The tipo that most of the tenant's devices send; of several, the one that came first."""
    ranked = (
        scope.device_metrics()
        .values("metric__tipo")
        .annotate(uses=Count("id"), first=Min("metric_id"))
        .order_by("-uses", "first")
    )
    top = ranked.first()
    return top["metric__tipo"] if top else None


def lines(scope: Scope, filters: Filters) -> list[Line]:
    """One line a device and unit of the tipo asked for; a tipo that nobody sent gives none."""
    chosen = devices(scope, filters)
    tipo = filters.tipo if filters.tipo is not None else default_tipo(scope)
    if tipo is None or "\x00" in tipo:
        return []
    return _lines(scope, chosen, tipo)


def card_lines(scope: Scope, filters: Filters) -> tuple[list[Device], list[Line]]:
    """The devices asked for, and every metric they have sent (at most MAX_METRICS_A_CARD each)."""
    chosen = devices(scope, filters)
    per_device: dict[int, int] = {}
    kept = []
    for line in _lines(scope, chosen, None):
        per_device[line.series.device_id] = per_device.get(line.series.device_id, 0) + 1
        if per_device[line.series.device_id] <= MAX_METRICS_A_CARD:
            kept.append(line)
    return chosen, kept


def zone(scope: Scope) -> ZoneInfo:
    return ZoneInfo(scope.tenant.time_zone if scope.tenant else "UTC")


def _lines(scope: Scope, chosen: Sequence[Device], tipo: str | None) -> list[Line]:
    by_id = {device.pk: device for device in chosen}
    links = scope.device_metrics().filter(device__in=by_id).select_related("metric")
    if tipo is not None:
        links = links.filter(metric__tipo=tipo)
    return [
        Line(
            Series(link.device_id, link.metric_id),
            by_id[link.device_id].gateway.code,
            by_id[link.device_id].code,
            link.metric.tipo,
            link.metric.unidade,
            MetricKind(link.metric.kind),
            link.metric.rollover_at,
            link.metric.changed_at,
        )
        for link in links.order_by(
            "device__gateway__code", "device__code", "metric__tipo", "metric__unidade", "metric_id"
        )
    ]
