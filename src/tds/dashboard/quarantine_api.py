"""Quarantine as JSON (docs/http-api.md): what the page does, for scripts of a signed-in person."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from ninja.security import SessionAuth
from pydantic import ConfigDict

from tds import wiring
from tds.dashboard import answers
from tds.dashboard.errors import ApiError
from tds.dashboard.quarantine import MESSAGES_A_PAGE
from tds.dashboard.quarantine_desk import ANOTHER_COMPANY, MAX_AT_ONCE, NOT_NOW, Desk, desk, purge_chosen, replay_chosen
from tds.dashboard.quarantine_form import NOBODYS
from tds.ingest import quarantined
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantine_blocks import Glimpse, glimpses
from tds.ingest.quarantined import Choice
from tds.ingest.reasons import Reason

MAX_ID = 2**63 - 1

router = Router()

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Code = Annotated[str, Field(max_length=200, pattern="^[^\x00]*$")]
Whose = Literal["cliente", "ninguem"]


class Kept(Schema):
    id: int
    recebida_em: datetime
    motivo: str
    detalhe: str
    gateway: str
    topico: str
    tamanho: int
    reprocessada_em: datetime | None


class KeptWhole(Kept):
    """`carga_base64` only where the payload is no UTF-8."""

    o_que_fazer: str
    carga: str
    carga_base64: str | None


class Worst(Schema):
    gateway: str
    motivo: str
    total: int
    ultima_em: datetime
    o_que_fazer: str


class Page(Schema):
    """Newest first; ask with `antes=proxima` for the next ones. `cliente`: whose they are; null for nobody's."""

    cliente: str | None
    mensagens: list[Kept]
    proxima: int | None
    maiores: list[Worst]


class Wanted(Schema):
    """A choice: at least one of `ids`, `motivo`, `gateway`, or `tudo`.

    `cliente`: refuse unless that is the person's company now. `ate`: nothing that came after this id.
    """

    # A word that is misspelt would choose more than was meant.
    model_config = ConfigDict(extra="forbid")

    de: Whose = "cliente"
    cliente: str | None = None
    ids: list[Id] | None = Field(None, max_length=MAX_AT_ONCE)
    motivo: Reason | None = None
    gateway: Code = ""
    tudo: bool = False
    ate: Id | None = None


class WantedAgain(Wanted):
    """`apos`: only what came after this id, as an earlier answer said in `proxima`."""

    apos: Annotated[int, Field(ge=0, le=MAX_ID)] = 0


class Replayed(Schema):
    """While `proxima` is not null, ask again with `apos=proxima`: what is still refused is not tried again then.

    `obstaculo`: why the platform could store no more; then wait before that.
    """

    escolhidas: int
    aceitas: int
    leituras: int
    duplicadas: int
    recusadas: dict[str, int]
    restantes: int
    proxima: int | None
    obstaculo: str | None


class Purged(Schema):
    eliminadas: int
    restantes: int


class Filters(Schema):
    de: Whose = "cliente"
    motivo: Reason | None = None
    gateway: Code = ""
    antes: Id | None = None


REFUSED = dict.fromkeys((400, 401, 403, 404), answers.Refused)
NOT_DONE = dict.fromkeys((400, 401, 403, 409, 503), answers.Refused)


@router.get("quarentena/", response={200: Page, **REFUSED}, summary="Refused messages, newest first")
def list_kept(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    mine = desk(request, nobodys=filters.de == NOBODYS)
    kept = Choice(filters.motivo or "", filters.gateway).of(mine.kept)
    if filters.antes is not None:
        kept = kept.filter(pk__lt=filters.antes)
    found = glimpses(kept, limit=MESSAGES_A_PAGE + 1, beginning_bytes=0)
    return {
        "cliente": mine.slug or None,
        "mensagens": [_kept(glimpse, glimpse.size) for glimpse in found[:MESSAGES_A_PAGE]],
        "proxima": found[MESSAGES_A_PAGE - 1].id if len(found) > MESSAGES_A_PAGE else None,
        "maiores": [
            {
                "gateway": sender.gateway_code,
                "motivo": sender.reason,
                "total": sender.total,
                "ultima_em": sender.last_at,
                "o_que_fazer": quarantined.advice(sender.reason, sender.gateway_code),
            }
            for sender in mine.worst
        ],
    }


@router.get("quarentena/{int:id}/", response={200: KeptWhole, **REFUSED}, summary="One refused message, whole")
def show_kept(request: HttpRequest, id: int, de: Whose = "cliente") -> dict[str, Any]:  # noqa: A002  # of the URL
    message = get_object_or_404(desk(request, nobodys=de == NOBODYS).kept, pk=min(id, MAX_ID))
    text, encoded = quarantined.payload_of(message)
    advice = quarantined.advice(message.reason, message.gateway_code)
    shown = {"o_que_fazer": advice, "carga": text, "carga_base64": encoded}
    return _kept(message, len(message.payload)) | shown


@router.post(
    "quarentena/reprocessar/",
    auth=SessionAuth(csrf=True),
    response={200: Replayed, **NOT_DONE},
    summary="Judge and store once more, after the cause was mended; twice is as once",
)
def replay_kept(request: HttpRequest, wanted: WantedAgain) -> dict[str, Any]:
    mine = _desk(request, wanted)
    mine.require("replay")
    if shortage := wiring.room().shortage():
        raise ApiError(503, "disco_cheio", shortage)
    acted = replay_chosen(_chosen(mine, wanted), after=wanted.apos)
    outcome = acted.outcome
    return {
        "escolhidas": acted.chosen,
        "aceitas": outcome.accepted,
        "leituras": outcome.readings,
        "duplicadas": outcome.duplicates,
        "recusadas": dict(outcome.refused),
        "restantes": acted.left,
        "proxima": acted.last,
        "obstaculo": str(NOT_NOW) if outcome.untried else None,
    }


@router.post(
    "quarentena/eliminar/",
    auth=SessionAuth(csrf=True),
    response={200: Purged, **NOT_DONE},
    summary="Throw away for good; how many there were stays counted",
)
def purge_kept(request: HttpRequest, wanted: Wanted) -> dict[str, Any]:
    mine = _desk(request, wanted)
    mine.require("purge")
    acted = purge_chosen(_chosen(mine, wanted))
    return {"eliminadas": acted.purged, "restantes": acted.left}


def _desk(request: HttpRequest, wanted: Wanted) -> Desk:
    mine = desk(request, nobodys=wanted.de == NOBODYS)
    if wanted.cliente is not None and wanted.cliente != mine.slug:
        raise ApiError(409, "outro_cliente", str(ANOTHER_COMPANY))
    return mine


def _chosen(mine: Desk, wanted: Wanted) -> "QuerySet[QuarantinedMessage]":
    chosen = Choice(wanted.motivo or "", wanted.gateway).of(mine.kept)
    if wanted.ate is not None:
        chosen = chosen.filter(pk__lte=wanted.ate)
    if wanted.ids is not None:
        return chosen.filter(pk__in=wanted.ids)
    # An empty body must not mean all there is.
    return chosen if wanted.tudo or wanted.motivo or wanted.gateway else chosen.none()


def _kept(message: Glimpse | QuarantinedMessage, size: int) -> dict[str, Any]:
    return {
        "id": message.id,
        "recebida_em": message.received_at,
        "motivo": message.reason,
        "detalhe": message.detail,
        "gateway": message.gateway_code,
        "topico": message.topic,
        "tamanho": size,
        "reprocessada_em": message.replayed_at,
    }
