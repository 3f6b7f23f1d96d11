"""One rollout, live: a bar a wave, a row a gateway, and what happened."""

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from tds import wiring
from tds.dashboard import gateway_page, gateways, selection
from tds.dashboard.updates import bars, choice, execution_texts, limit_texts, visible
from tds.dashboard.updates.choice import Choice
from tds.fleet import access
from tds.fleet.access import Scope
from tds.updates import shown
from tds.updates.models import Execution, Rollout, RolloutStatus, Wave
from tds.updates.rollouts import counts, plan, target_words, words
from tds.updates.rollouts.counts import Counts

EXECUTIONS_A_PAGE: Final = 50
MAX_EVENTS: Final = 50  # the newest
NAMED_LEFT_OUT: Final = 20  # of each reason
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
    found = chosen.of(visible.executions(rollout)).order_by("wave", "place")
    # The keys first: to skip a hundred thousand rows with all that is joined to them would take a second.
    pages = Paginator(found.select_related(None).values_list("pk", flat=True), EXECUTIONS_A_PAGE)
    pages.count = _count(chosen, waves, found)
    turned = pages.get_page(chosen.page)
    executions = visible.executions(rollout).filter(pk__in=list(turned.object_list)).order_by("wave", "place")
    moves, limits, now = rollout.status == RolloutStatus.RUNNING, plan.limits_of(rollout), timezone.now()
    left_out = _left_out(rollout)
    return {
        "scope": scope,
        "tenant": rollout.tenant or scope.tenant,
        "zone": selection.zone(scope).key,
        "now": now,
        "rollout": rollout,
        "level": execution_texts.ROLLOUT_LEVELS[rollout.status],  # type: ignore[index]  # its own values
        "limits": limit_texts.sentences(limits),
        "target": target_words.told(rollout),
        "halted": words.halt(rollout.halted_why) if rollout.halted_why else "",
        "address": f"{reverse('rollout', args=[rollout.pk])}?{choice.query(chosen, turned.number)}",
        "counts": whole,
        "waves": [_wave(wave, waves.get(wave.number, Counts())) for wave in rollout.waves.all()],
        "choice": chosen,
        "states": choice.state_labels(),
        "rows": [
            _row(execution, rollout, scope, limit_texts.held_up(execution, rollout, limits, now))
            for execution in executions
        ],
        "shown": turned,
        "previous": choice.query(chosen, turned.number - 1) if turned.has_previous() else None,
        "next": choice.query(chosen, turned.number + 1) if turned.has_next() else None,
        "events": [
            (event, words.event(event.kind, event.words), words.signs(event.words))
            for event in rollout.events.all()[:MAX_EVENTS]
        ],
        "left_out": left_out,
        "left_out_total": sum(count for _sentence, count, _codes in left_out),
        "forgiven": whole.removed > 0 and shown.is_forgiven_somewhere(rollout.release),
        "may_act": visible.may_act(request, rollout),
        "newer": shown.startable().filter(product=rollout.release.product, counter__gt=rollout.release.counter),
        "script": gateways.script(request) | {"refresh_s": REFRESH_S if moves else STILL_REFRESH_S},
    }


def _count(chosen: Choice, waves: dict[int, Counts], found: Any) -> int:
    """Where the counts that are kept say it; counting 100,000 rows would cost more than the rest of the page."""
    of_chosen = [of for number, of in waves.items() if chosen.wave in (0, number)]
    kept = choice.kept(chosen.state, counts.total(of_chosen))
    return found.count() if chosen.text or kept is None else kept


def _left_out(rollout: Rollout) -> list[tuple[str, int, list[str]]]:
    """Why, how many, and the codes of the first; the reason of the most first."""
    rows = visible.left_out(rollout)
    totals = rows.order_by().values_list("reason").annotate(total=Count("pk")).order_by("-total", "reason")
    codes = rows.order_by("pk").values_list("gateway__code", flat=True)
    return [
        (words.reason(reason), total, list(codes.filter(reason=reason)[:NAMED_LEFT_OUT])) for reason, total in totals
    ]


def _wave(wave: Wave, of: Counts) -> dict[str, Any]:
    return {"wave": wave, "counts": of, "parts": bars.parts(of) if of.total else []}


def _row(execution: Execution, rollout: Rollout, scope: Scope, held_up: str) -> dict[str, Any]:
    """A gateway's own page is one of the company that is picked; another's is named by its company."""
    own = scope.tenant is not None and execution.gateway.tenant_id == scope.tenant.pk
    return {
        "execution": execution,
        "gateway": execution.gateway,
        "address": gateway_page.address(execution.gateway) if own else "",
        "running": getattr(execution.gateway, "running", None),
        "told": execution_texts.told(execution, rollout.release.size),
        "held_up": held_up,
    }
