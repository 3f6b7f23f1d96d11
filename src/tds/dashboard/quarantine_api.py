"""Quarantine as JSON (docs/http-api.md): what the page does, for scripts of a signed-in person."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from ninja.security import SessionAuth

from tds.dashboard import answers
from tds.dashboard.quarantine import MAX_AT_ONCE, MESSAGES_A_PAGE, NOBODYS, Desk, desk, purge_chosen, replay_chosen
from tds.ingest import quarantined
from tds.ingest.models import QuarantinedMessage
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
    """Newest first; ask with `antes=proxima` for the next ones."""

    mensagens: list[Kept]
    proxima: int | None
    maiores: list[Worst]


class Wanted(Schema):
    """A choice; at least one of its fields, or `tudo`."""

    de: Whose = "cliente"
    ids: list[Id] | None = Field(None, max_length=MAX_AT_ONCE)
    motivo: Reason | None = None
    gateway: Code = ""
    tudo: bool = False


class Replayed(Schema):
    escolhidas: int
    aceitas: int
    leituras: int
    duplicadas: int
    recusadas: dict[str, int]
    restantes: int


class Purged(Schema):
    eliminadas: int
    restantes: int


class Filters(Schema):
    de: Whose = "cliente"
    motivo: Reason | None = None
    gateway: Code = ""
    antes: Id | None = None


REFUSED = dict.fromkeys((400, 401, 403, 404), answers.Refused)


@router.get("quarentena/", response={200: Page, **REFUSED}, summary="Refused messages, newest first")
def list_kept(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    mine = desk(request, nobodys=filters.de == NOBODYS)
    kept = Choice(filters.motivo or "", filters.gateway).of(mine.kept)
    if filters.antes is not None:
        kept = kept.filter(pk__lt=filters.antes)
    found = list(kept.order_by("-pk")[: MESSAGES_A_PAGE + 1])
    return {
        "mensagens": [_kept(message) for message in found[:MESSAGES_A_PAGE]],
        "proxima": found[MESSAGES_A_PAGE - 1].pk if len(found) > MESSAGES_A_PAGE else None,
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
    return _kept(message) | {"o_que_fazer": advice, "carga": text, "carga_base64": encoded}


@router.post(
    "quarentena/reprocessar/",
    auth=SessionAuth(csrf=True),
    response={200: Replayed, **REFUSED},
    summary="Judge and store once more, after the cause was mended; twice is as once",
)
def replay_kept(request: HttpRequest, wanted: Wanted) -> dict[str, Any]:
    mine = desk(request, nobodys=wanted.de == NOBODYS)
    mine.require("replay")
    acted = replay_chosen(_chosen(mine, wanted))
    outcome = acted.outcome
    return {
        "escolhidas": acted.chosen,
        "aceitas": outcome.accepted,
        "leituras": outcome.readings,
        "duplicadas": outcome.duplicates,
        "recusadas": dict(outcome.refused),
        "restantes": acted.left,
    }


@router.post(
    "quarentena/eliminar/",
    auth=SessionAuth(csrf=True),
    response={200: Purged, **REFUSED},
    summary="Throw away for good; how many there were stays counted",
)
def purge_kept(request: HttpRequest, wanted: Wanted) -> dict[str, Any]:
    mine = desk(request, nobodys=wanted.de == NOBODYS)
    mine.require("purge")
    acted = purge_chosen(_chosen(mine, wanted))
    return {"eliminadas": acted.purged, "restantes": acted.left}


def _chosen(mine: Desk, wanted: Wanted) -> Any:
    chosen = Choice(wanted.motivo or "", wanted.gateway).of(mine.kept)
    if wanted.ids is not None:
        return chosen.filter(pk__in=wanted.ids)
    # An empty body must not mean all there is.
    return chosen if wanted.tudo or wanted.motivo or wanted.gateway else chosen.none()


def _kept(message: QuarantinedMessage) -> dict[str, Any]:
    return {
        "id": message.pk,
        "recebida_em": message.received_at,
        "motivo": message.reason,
        "detalhe": message.detail,
        "gateway": message.gateway_code,
        "topico": message.topic,
        "tamanho": len(message.payload),
        "reprocessada_em": message.replayed_at,
    }
