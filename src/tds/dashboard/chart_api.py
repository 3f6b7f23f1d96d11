"""What the dashboard's charts and cards draw."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from tds import wiring
from tds.dashboard import answers, selection
from tds.dashboard.errors import ApiError
from tds.dashboard.selection import Filters
from tds.fleet import access
from tds.fleet.models import MetricKind
from tds.readings import charts
from tds.readings.charts import Line
from tds.readings.counters import LOOKBACK
from tds.readings.cursor import Cursor, parse_cursor
from tds.readings.store import Series

router = Router()

DAY: Final = timedelta(days=1)


class CardParams(Schema):
    gateway: str | None = None
    dispositivo: list[str] = Field(default=[], description="Device codes; all that you may see, up to 20, if none")

    def filters(self, tipo: str | None = None) -> Filters:
        return Filters(self.gateway or None, [code for code in self.dispositivo if code], tipo or None)


class ChartParams(CardParams):
    periodo: Literal["24h", "7d", "30d"] = "24h"
    tipo: str | None = None
    desde: str | None = None


@router.get("timeline/", response=answers.Chart, summary="Hourly series, for a line chart")
def timeline(request: HttpRequest, params: Annotated[ChartParams, Query()]) -> HttpResponse:
    return _chart(request, params, by_day=False)


@router.get("barras/", response=answers.Chart, summary="One bar a device and day")
def bars(request: HttpRequest, params: Annotated[ChartParams, Query()]) -> HttpResponse:
    return _chart(request, params, by_day=True)


@router.get("cartoes/", response=answers.Cards, summary="The newest reading of each metric of each device")
def cards(request: HttpRequest, params: Annotated[CardParams, Query()]) -> dict[str, Any]:
    scope, now = access.of(request), timezone.now()
    zone = selection.zone(scope)
    devices, lines = selection.card_lines(scope, params.filters())
    store, connection = wiring.reading_store(), wiring.database_connection()
    latest = {Series(r.device_id, r.metric_id): r for r in store.latest(connection, [line.series for line in lines])}
    counted = [line.series for line in lines if line.kind is MetricKind.COUNTER and line.series in latest]
    # The last 24 hours end now, whatever the tenant's clock says: UTC's hours serve, which are aggregated already.
    hours = store.hours(connection, counted, now - 2 * DAY - LOOKBACK, now + charts.HOUR, zone="UTC") if counted else []
    of_series = charts.by_series(hours)

    def gained(line: Line, until: datetime) -> float | None:
        return charts.gained_between(of_series.get(line.series, []), until - DAY, until, line.rollover_at)

    readings: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if (newest := latest.get(line.series)) is None:
            continue
        counter = line.kind is MetricKind.COUNTER
        readings.setdefault(line.series.device_id, []).append(
            {
                "tipo": line.tipo,
                "unidade": line.unidade,
                "agregacao": line.kind.value,
                "valor": newest.value,
                "em": newest.time.astimezone(zone),
                "ontem": newest.day_before,
                "dia": gained(line, now) if counter else None,
                "dia_anterior": gained(line, now - DAY) if counter else None,
            }
        )
    return {
        "fuso": zone.key,
        "gerado_em": now.astimezone(zone),
        "cartoes": [
            {
                "gateway": device.gateway.code,
                "dispositivo": device.code,
                "nome": device.name,
                "visto_em": max((r["em"] for r in readings.get(device.pk, [])), default=None),
                "leituras": readings.get(device.pk, []),
            }
            for device in devices
        ],
    }


def _chart(request: HttpRequest, params: ChartParams, *, by_day: bool) -> HttpResponse:
    scope, now = access.of(request), timezone.now()
    lines = selection.lines(scope, params.filters(params.tipo))
    series = [line.series for line in lines]
    whole = charts.window(charts.PERIODS[params.periodo], selection.zone(scope), now=now, whole_days=by_day)
    store, connection = wiring.reading_store(), wiring.database_connection()
    shown = whole
    # Before the readings are read: what changes in between is then changed after the cursor, and comes again.
    cursor = Cursor(now, store.open_since(connection))
    if params.desde is not None:
        seen = parse_cursor(params.desde)
        if seen is None:
            raise ApiError(400, "cursor_invalido", _("The cursor is not one of ours; leave out “desde” to begin anew."))
        if charts.changed_after(lines, seen.made_at):
            changed: datetime | None = whole.start
        else:
            changed = store.changed_since(connection, series, charts.lookback(lines, whole), seen.made_at)
        shown = charts.tail(whole, min(filter(None, (changed, seen.open_since, now))), whole_days=by_day)
    begin, ordered = charts.lookback(lines, shown), charts.ordered(lines)
    hours = store.hours(connection, series, begin, shown.end, zone=shown.zone.key, ordered=ordered)
    points = charts.daily_points if by_day else charts.hourly_points
    labels, values = points(hours, lines, shown, now=now)
    document = answers.chart(labels, lines, values, whole, now=now, cursor=str(cursor), by_day=by_day)
    # Past the schema's validation: looking at 20,000 numbers one by one costs more than finding them did.
    return HttpResponse(msgspec.json.encode(document), content_type="application/json; charset=utf-8")
