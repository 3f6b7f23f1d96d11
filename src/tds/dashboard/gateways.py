"""The gateways of a tenant: the list, and a page for each. The server writes both; a script puts what changed in place.

With `parte=viva` an address answers with its living part alone, which is what the script asks for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from tds.dashboard import gateway_choice, gateway_facts, gateway_page, selection
from tds.dashboard.pages import REFRESH_S
from tds.dashboard.texts import status_texts
from tds.devicelink import fleet_health
from tds.fleet import access
from tds.fleet.codes import is_code
from tds.fleet.limits import MAX_TAGS_A_TENANT
from tds.fleet.models import Gateway
from tds.fleet.tag_names import folded
from tds.identity.issued import expiry, given

GATEWAYS_A_PAGE: Final = 50
MAX_SITES_LISTED: Final = 500
LIVING: Final = "viva"


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    scope, now = access.of(request), timezone.now()
    choice = gateway_choice.read(request.GET)
    chosen = choice.of(scope.gateways(), now=now)
    pages = Paginator(chosen.select_related("site").order_by("code", "id"), GATEWAYS_A_PAGE)
    shown = pages.get_page(choice.page)
    turned = {
        "previous": gateway_choice.query(choice, shown.number - 1) if shown.has_previous() else None,
        "next": gateway_choice.query(choice, shown.number + 1) if shown.has_next() else None,
    }
    ending = given.worries(scope.filter(given.usable(), "gateway__tenant"), [], now=now)
    context = turned | {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "now": now,
        "address": f"{reverse('gateways')}?{gateway_choice.query(choice, shown.number)}",
        "choice": choice,
        "states": gateway_choice.state_labels(),
        "sites": list(scope.sites()[:MAX_SITES_LISTED]),
        "tags": list(scope.tags()[:MAX_TAGS_A_TENANT]),
        "tag": folded(choice.tag),
        "rows": _rows(list(shown.object_list), now),
        "total": pages.count,
        "ended": len(ending.over),
        "ending": len(ending.near),
        "shown": shown,
    }
    return render(request, _template(request, "gateways"), context | {"script": script(request)})


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def detail(request: HttpRequest, code: str) -> HttpResponse:
    gateway = find(request, code)
    context = gateway_page.context(request, gateway, now=timezone.now())
    return render(request, _template(request, "gateway"), context | {"script": script(request)})


def find(request: HttpRequest, code: str) -> Gateway:
    """The tenant's gateway of that code: the one that is not retired, or the one that was retired last.

    `id` chooses an earlier one. Raises Http404.
    """
    former = request.GET.get("id", request.POST.get("id", ""))
    if not is_code(code) or (former and not gateway_choice.is_id(former)):
        raise Http404
    named = access.of(request).gateways().select_related("site", "tenant").filter(code=code)
    if former:
        named = named.filter(pk=int(former))
    gateway = named.order_by(F("retired_at").desc(nulls_first=True), "-pk").first()
    if gateway is None:
        raise Http404
    return gateway


def script(request: HttpRequest) -> dict[str, Any]:
    """What the page's script must know."""
    return {
        "language": get_language(),
        "time_zone": selection.zone(access.of(request)).key,
        "refresh_s": REFRESH_S,
        "texts": status_texts() | {"copied": _("Copied."), "copy_failed": _("Select the code and copy it by hand.")},
    }


def _template(request: HttpRequest, name: str) -> str:
    return f"dashboard/{name}_live.html" if request.GET.get("parte") == LIVING else f"dashboard/{name}.html"


def _rows(gateways: Sequence[Gateway], now: datetime) -> list[dict[str, Any]]:
    """Of one page: whatever the size of the fleet, two more statements."""
    ids = [gateway.pk for gateway in gateways]
    ends = given.last_ends(ids)
    healths = fleet_health.of(gateways, now=now)
    return [
        {
            "gateway": gateway,
            "address": gateway_page.address(gateway),
            "facts": gateway_facts.facts(healths[gateway.pk], now=now),
            "ends_at": ends.get(gateway.pk),
            "end": expiry.end_of(ends.get(gateway.pk), now=now),
        }
        for gateway in gateways
    ]
