"""The rollouts of a company, the newest first."""

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
from tds.dashboard import gateways, selection
from tds.dashboard.updates import bars, choice, execution_texts, visible
from tds.fleet import access
from tds.fleet.models import Role
from tds.updates.models import Rollout
from tds.updates.rollouts import counts, words

ROLLOUTS_A_PAGE: Final = 25


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    scope = access.of(request)
    turned = choice.read({"pagina": request.GET.get("pagina", "")})
    pages = Paginator(visible.rollouts(request).select_related("release", "tenant", "created_by"), ROLLOUTS_A_PAGE)
    shown = pages.get_page(turned.page)
    context = {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "now": timezone.now(),
        "address": f"{reverse('rollouts')}?{choice.query(turned, shown.number)}",
        "rows": _rows(list(shown.object_list)),
        "shown": shown,
        "previous": choice.query(turned, shown.number - 1) if shown.has_previous() else None,
        "next": choice.query(turned, shown.number + 1) if shown.has_next() else None,
        "may_start": scope.may(Role.OPERATOR) or access.operates(request),
        "script": gateways.script(request),
    }
    part = "_live" if request.GET.get("parte") == gateways.LIVING else ""
    return render(request, f"updates/rollouts{part}.html", context)


def _rows(rollouts: list[Rollout]) -> list[dict[str, Any]]:
    """One more statement, whatever their size: the counts are kept."""
    of_all = counts.of(wiring.database_connection(), [rollout.pk for rollout in rollouts])
    rows = []
    for rollout in rollouts:
        whole = counts.total(of_all.get(rollout.pk, {}).values())
        rows.append(
            {
                "rollout": rollout,
                "level": execution_texts.ROLLOUT_LEVELS[rollout.status],  # type: ignore[index]  # its own values
                "parts": bars.parts(whole) if whole.total else [],
                "counts": whole,
                "halted": words.halt(rollout.halted_why) if rollout.halted_why else "",
            }
        )
    return rows
