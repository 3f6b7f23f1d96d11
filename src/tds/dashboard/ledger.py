"""What became of every message, by hour and by day: the JSON of the ledger's page, and the page."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET
from ninja import Router, Schema

from tds.dashboard import selection
from tds.fleet import access
from tds.ingest import ledger_spans
from tds.ingest.ledger import Totals
from tds.ingest.ledger_spans import Span
from tds.ingest.models import LedgerHour

router = Router()

NAMES = ("recebidas", "aceitas", "quarentena", "leituras", "armazenadas", "duplicadas")  # of ledger.FIELDS


class Row(Schema):
    """Messages: recebidas = aceitas + quarentena. Readings of the accepted: leituras = armazenadas + duplicadas."""

    inicio: datetime | date
    recebidas: int
    aceitas: int
    quarentena: int
    leituras: int
    armazenadas: int
    duplicadas: int


class Sums(Schema):
    recebidas: int
    aceitas: int
    quarentena: int
    leituras: int
    armazenadas: int
    duplicadas: int


class Book(Schema):
    horas: list[Row]
    dias: list[Row]
    total: Sums
    confere: bool


class Ledger(Book):
    """`sem_cliente` is for the platform operator: what belongs to no tenant."""

    cliente: str | None
    fuso: str
    gerado_em: datetime
    sem_cliente: Book | None


@dataclass(frozen=True, slots=True)
class Spans:
    """One tenant's hours and days; the total is of the days."""

    hours: list[Span]
    days: list[Span]

    @property
    def total(self) -> Totals:
        return ledger_spans.added([span.sums for span in self.days])

    @property
    def balances(self) -> bool:
        return all(span.sums.balances for span in (*self.hours, *self.days))

    def document(self) -> dict[str, Any]:
        return {
            "horas": [_row(span) for span in self.hours],
            "dias": [_row(span) for span in self.days],
            "total": dict(zip(NAMES, self.total, strict=True)),
            "confere": self.balances,
        }


@router.get("registro/", response=Ledger, summary="What became of every message: 24 hours and 30 days")
def ledger_json(request: HttpRequest) -> dict[str, Any]:
    return _document(request)


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    scope, now = access.of(request), timezone.now()
    own, nobodys = _spans(request, now)
    script = {
        "language": get_language(),
        "time_zone": selection.zone(scope).key,
        "texts": _texts(),
        "books": {name: spans.document() for name, spans in (("own", own), ("nobodys", nobodys)) if spans is not None},
    }
    books = [
        {"id": name, "title": title, "spans": spans, "sentence": sentence(spans)}
        for name, title, spans in (
            ("own", scope.tenant.name if scope.tenant else "", own),
            ("nobodys", _("Messages that belong to no company"), nobodys),
        )
        if spans is not None
    ]
    context = {"scope": scope, "tenant": scope.tenant, "books": books, "script": script, "zone": script["time_zone"]}
    return render(request, "dashboard/ledger.html", context)


def sentence(spans: Spans) -> str:
    """Whether it balances, in the reader's language."""
    total = spans.total
    if not any(total):
        return _("No message in 30 days.")
    numbers = {
        name: number_format(value, use_l10n=True, force_grouping=True) for name, value in zip(NAMES, total, strict=True)
    }
    said = _(
        "Of %(recebidas)s messages in 30 days, %(aceitas)s were accepted and %(quarentena)s went into quarantine. "
        "Of %(leituras)s readings in them, %(armazenadas)s were stored and %(duplicadas)s were there already."
    )
    balance = (
        _("It balances: every message and every reading is counted once.")
        if spans.balances
        else _("It does not balance. Tell whoever runs the platform: ./tds ledger check says where.")
    )
    return f"{said % numbers} {balance}"


def _document(request: HttpRequest) -> dict[str, Any]:
    scope, now = access.of(request), timezone.now()
    own, nobodys = _spans(request, now)
    zone = selection.zone(scope)
    return (own or Spans([], [])).document() | {
        "cliente": scope.tenant.slug if scope.tenant else None,
        "fuso": zone.key,
        "gerado_em": now.astimezone(zone),
        "sem_cliente": nobodys.document() if nobodys else None,
    }


def _spans(request: HttpRequest, now: datetime) -> tuple[Spans | None, Spans | None]:
    """The tenant's, and for the platform operator what is nobody's."""
    scope = access.of(request)
    zone = selection.zone(scope)

    def spans(hours: list[LedgerHour]) -> Spans:
        return Spans(ledger_spans.by_hour(hours, zone, now=now), ledger_spans.by_day(hours, zone, now=now))

    own = spans(list(scope.filter(ledger_spans.rows(zone, now=now), "tenant"))) if scope.tenant else None
    return own, spans(list(ledger_spans.nobodys(zone, now=now))) if access.operates(request) else None


def _row(span: Span) -> dict[str, Any]:
    return {"inicio": span.start} | dict(zip(NAMES, span.sums, strict=True))


def _texts() -> dict[str, str]:
    return {
        "accepted": _("Messages accepted"),
        "quarantined": _("Messages in quarantine"),
        "stored": _("Readings stored"),
        "duplicate": _("Readings that were there already"),
        "chart": _("Stacked bars of messages and readings, from {start} to {end}. The table below holds the same."),
    }
