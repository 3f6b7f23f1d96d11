"""One rollout, live: a bar a wave, a row a gateway, and what happened."""

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from tds import wiring
from tds.dashboard import gateway_page, gateways, selection
from tds.dashboard.updates import bars, choice, execution_texts, visible, wizard
from tds.dashboard.updates.choice import Choice
from tds.fleet import access
from tds.fleet.models import Role
from tds.updates.models import Execution, Rollout, RolloutStatus, Wave
from tds.updates.rollouts import counts, words
from tds.updates.rollouts.counts import Counts

EXECUTIONS_A_PAGE: Final = 50
MAX_EVENTS: Final = 100  # the newest
MAX_LEFT_OUT: Final = 100
REFRESH_S: Final = 2  # somebody watches a rollout
STILL_REFRESH_S: Final = 30  # … that does not move


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def page(request: HttpRequest, number: int) -> HttpResponse:
    rollout = visible.rollout(request, number)
    part = "_live" if request.GET.get("parte") == gateways.LIVING else ""
    return render(request, f"updates/rollout{part}.html", context(request, rollout))


def context(request: HttpRequest, rollout: Rollout) -> dict[str, Any]:
    scope, chosen = access.of(request), choice.read(request.GET)
    waves = counts.of(wiring.database_connection(), [rollout.pk]).get(rollout.pk, {})
    whole = counts.total(waves.values())
    ordered = chosen.of(visible.executions(rollout)).order_by("wave", "place")
    pages = Paginator(ordered, EXECUTIONS_A_PAGE)
    pages.count = _count(chosen, whole, ordered)
    shown = pages.get_page(chosen.page)
    moves = rollout.status == RolloutStatus.RUNNING
    return {
        "scope": scope,
        "tenant": rollout.tenant or scope.tenant,
        "zone": selection.zone(scope).key,
        "now": timezone.now(),
        "rollout": rollout,
        "level": execution_texts.ROLLOUT_LEVELS[rollout.status],  # type: ignore[index]  # its own values
        "halted": words.halt(rollout.halted_why) if rollout.halted_why else "",
        "address": f"{reverse('rollout', args=[rollout.pk])}?{choice.query(chosen, shown.number)}",
        "counts": whole,
        "waves": [_wave(wave, waves.get(wave.number, Counts())) for wave in rollout.waves.all()],
        "choice": chosen,
        "states": choice.state_labels(),
        "rows": [_row(execution, rollout) for execution in shown.object_list],
        "shown": shown,
        "previous": choice.query(chosen, shown.number - 1) if shown.has_previous() else None,
        "next": choice.query(chosen, shown.number + 1) if shown.has_next() else None,
        "events": [
            (event, words.event(event.kind, event.words))
            for event in rollout.events.select_related("execution__gateway")[:MAX_EVENTS]
        ],
        "left_out": [(each, words.reason(each.reason)) for each in visible.left_out(rollout)[:MAX_LEFT_OUT]],
        "left_out_total": visible.left_out(rollout).count(),
        "may_act": scope.may(Role.OPERATOR) if rollout.tenant_id else access.operates(request),
        "newer": wizard.releases().filter(product=rollout.release.product, counter__gt=rollout.release.counter),
        "script": gateways.script(request) | {"refresh_s": REFRESH_S if moves else STILL_REFRESH_S},
    }


def _count(chosen: Choice, whole: Counts, executions: Any) -> int:
    """Of all of them the count is kept; counting 100,000 rows would cost more than the rest of the page."""
    return executions.count() if chosen.narrows else whole.total


def _wave(wave: Wave, of: Counts) -> dict[str, Any]:
    return {"wave": wave, "counts": of, "parts": bars.parts(of) if of.total else []}


def _row(execution: Execution, rollout: Rollout) -> dict[str, Any]:
    return {
        "execution": execution,
        "gateway": execution.gateway,
        "address": gateway_page.address(execution.gateway),
        "running": getattr(execution.gateway, "running", None),
        "told": execution_texts.told(execution, rollout.release.size),
    }
