"""Rollouts as JSON (docs/http-api.md): what the pages do, for scripts of a signed-in person."""

from typing import Annotated, Any, Final

from django.db.models import Count, Q
from django.http import Http404, HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema, Status
from ninja.security import SessionAuth

from tds import wiring
from tds.dashboard import answers
from tds.dashboard.errors import ApiError
from tds.dashboard.quarantine_desk import ANOTHER_COMPANY
from tds.dashboard.updates import api_answers, choice, deeds, visible
from tds.dashboard.updates.api_forms import MAX_ID, Id, WantedDeed, WantedRollout
from tds.dashboard.updates.choice import State
from tds.dashboard.updates.deeds import Wanted
from tds.fleet import access
from tds.updates import shown
from tds.updates.models import Execution, Release, Rollout
from tds.updates.rollouts import counts, desk
from tds.updates.rollouts import plan as plans
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.counts import Counts
from tds.updates.rollouts.refusals import RolloutRefusedError

ROLLOUTS_A_PAGE: Final = 50
EXECUTIONS_A_PAGE: Final = 200
MAX_VERSIONS: Final = 200

router = Router()

REFUSED = dict.fromkeys((400, 401, 403, 404, 503), answers.Refused)
NOT_DONE = REFUSED | {409: answers.Refused}
SENT = SessionAuth(csrf=True)


class Before(Schema):
    antes: Id | None = None


class Rows(Schema):
    """As the page filters them; `apos` is the `proxima` of the answer before."""

    estado: State = State.ALL
    onda: Annotated[int, Field(ge=0, le=choice.MAX_WAVE)] = 0
    busca: Annotated[str, Field(max_length=choice.MAX_TEXT_CHARS, pattern="^[^\x00]*$")] = ""
    apos: Annotated[str, Field(pattern="^([0-9]{1,9}[.][0-9]{1,9})?$")] = ""


@router.get("versoes/", response={200: api_answers.Versions, **REFUSED}, summary="Releases that can be rolled out")
def list_versions(request: HttpRequest) -> dict[str, Any]:
    may = access.operates(request) or access.of(request).tenant is not None
    found = shown.startable().order_by("product", "-counter", "pk") if may else shown.startable().none()
    return {"cliente": _slug(request), "versoes": [api_answers.version(release) for release in found[:MAX_VERSIONS]]}


@router.get("atualizacoes/", response={200: api_answers.Summaries, **REFUSED}, summary="Rollouts, newest first")
def list_rollouts(request: HttpRequest, before: Query[Before]) -> dict[str, Any]:
    found = visible.rollouts(request).select_related("release", "tenant")
    if before.antes is not None:
        found = found.filter(pk__lt=before.antes)
    rollouts = list(found.order_by("-pk")[: ROLLOUTS_A_PAGE + 1])
    more, rollouts = len(rollouts) > ROLLOUTS_A_PAGE, rollouts[:ROLLOUTS_A_PAGE]
    of_all = counts.of(wiring.database_connection(), [rollout.pk for rollout in rollouts])
    return {
        "cliente": _slug(request),
        "atualizacoes": [
            api_answers.summary(rollout, counts.total(of_all.get(rollout.pk, {}).values())) for rollout in rollouts
        ],
        "proxima": rollouts[-1].pk if more else None,
    }


@router.get(
    "atualizacoes/{int:id}/",
    response={200: api_answers.Detail, **REFUSED},
    summary="One rollout with its waves, and a page of its gateways",
)
def show_rollout(request: HttpRequest, id: int, rows: Query[Rows]) -> dict[str, Any]:  # noqa: A002  # of the URL
    rollout = visible.rollout(request, min(id, MAX_ID))
    of_waves = counts.of(wiring.database_connection(), [rollout.pk]).get(rollout.pk, {})
    found = choice.Choice(rows.estado, rows.onda, rows.busca.strip()).of(visible.executions(rollout))
    if rows.apos:
        wave, place = map(int, rows.apos.split("."))
        found = found.filter(Q(wave__gt=wave) | Q(wave=wave, place__gt=place))
    executions = list(found.order_by("wave", "place")[: EXECUTIONS_A_PAGE + 1])
    more, executions = len(executions) > EXECUTIONS_A_PAGE, executions[:EXECUTIONS_A_PAGE]
    left_out = visible.left_out(rollout).values_list("reason").annotate(total=Count("pk")).order_by("reason")
    whole = counts.total(of_waves.values())
    return (
        api_answers.summary(rollout, whole)
        | api_answers.asked_for(rollout)
        | {
            "ondas": [api_answers.wave(wave, of_waves.get(wave.number, Counts())) for wave in rollout.waves.all()],
            "deixados_de_fora": [api_answers.left_out(reason, total) for reason, total in left_out],
            "execucoes": [api_answers.execution(execution) for execution in executions],
            "proxima": f"{executions[-1].wave}.{executions[-1].place}" if more else None,
        }
    )


@router.post(
    "atualizacoes/previa/",
    auth=SENT,
    response={200: api_answers.Previewed, **NOT_DONE},
    summary="Who would get a release, and who not and why; changes nothing",
)
def preview_rollout(request: HttpRequest, wanted: WantedRollout) -> dict[str, Any]:
    asker = _asker(request, wanted)
    try:
        plan = wanted.plan(_release(wanted.versao))
        return api_answers.previewed(plans.preview(asker, plan, now=timezone.now()))
    except RolloutRefusedError as error:
        raise _refused(error) from error


@router.post("atualizacoes/", auth=SENT, response={201: api_answers.Summary, **NOT_DONE}, summary="Start a rollout")
def start_rollout(request: HttpRequest, wanted: WantedRollout) -> Status[Any]:
    asker = _asker(request, wanted)
    try:
        plan = wanted.plan(_release(wanted.versao))
        rollout, _started = desk.launch(asker, plan, now=timezone.now())
    except RolloutRefusedError as error:
        raise _refused(error) from error
    return Status(201, _summary(rollout))


@router.post(
    "atualizacoes/{int:id}/acao/",
    auth=SENT,
    response={200: api_answers.Acted, **NOT_DONE},
    summary="Pause, resume, cancel, replace a rollout; retry all that failed; retry or cancel one gateway",
)
def act_on_rollout(request: HttpRequest, id: int, wanted: WantedDeed) -> dict[str, Any]:  # noqa: A002  # of the URL
    _same_company(request, wanted.cliente)
    rollout = visible.rollout(request, min(id, MAX_ID))
    try:
        done = deeds.BY_WORD[wanted.acao](visible.asker_for(request, rollout), rollout, _wanted(rollout, wanted))
    except RolloutRefusedError as error:
        raise _refused(error) from error
    except Execution.DoesNotExist:
        raise Http404 from None
    return {"mensagem": done.said, "atualizacao": _summary(visible.rollout(request, done.rollout_id))}


def _wanted(rollout: Rollout, wanted: WantedDeed) -> Wanted:
    one = visible.executions(rollout).filter(gateway__code=wanted.gateway).first() if wanted.gateway else None
    return Wanted(_release(wanted.versao) if wanted.versao is not None else None, one)


def _asker(request: HttpRequest, wanted: WantedRollout) -> Asker:
    """Raises PermissionDenied, ApiError."""
    _same_company(request, wanted.cliente)
    asker = visible.asker(request, over_all=wanted.plataforma)
    asker.require_operator()
    return asker


def _same_company(request: HttpRequest, named: str | None) -> None:
    if named is not None and named != _slug(request):
        raise ApiError(409, "outro_cliente", str(ANOTHER_COMPANY))


def _slug(request: HttpRequest) -> str | None:
    tenant = access.of(request).tenant
    return tenant.slug if tenant else None


def _release(number: int) -> Release:
    """Raises RolloutRefusedError."""
    release = shown.startable().filter(pk=number).first()
    if release is None:
        raise RolloutRefusedError(_("Choose one of the published releases."))
    return release


def _summary(rollout: Rollout) -> dict[str, Any]:
    of_waves = counts.of(wiring.database_connection(), [rollout.pk]).get(rollout.pk, {})
    return api_answers.summary(rollout, counts.total(of_waves.values()))


def _refused(error: RolloutRefusedError) -> ApiError:
    return ApiError(409, "recusado", str(error))
