"""The pages a person sees, and what the dashboard's filters may offer. The readings themselves come from the API."""

from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from tds import wiring
from tds.dashboard.first_message import first_message_line
from tds.dashboard.texts import script_texts
from tds.fleet import access
from tds.fleet.models import GatewayStatus
from tds.ingest import quarantined
from tds.ingest.loud_senders import loud_gateways

MAX_DEVICES_SHOWN: Final = 20  # the API's bound; a longer choice is a 400 there
MAX_DEVICES_LISTED: Final = 2_000  # more: the list says that it is cut; any code still works in the URL
MAX_GATEWAYS_LISTED: Final = 2_000
REFRESH_S: Final = 30
STALE_S: Final = 600


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def dashboard(request: HttpRequest) -> HttpResponse:
    """The page without readings: scripts fetch these, so that a shared URL and a refresh take the same way."""
    scope = access.of(request)
    tenant = scope.tenant
    script = {
        "api": reverse("dashboard") + "api/",
        "options_url": reverse("dashboard_options"),
        "language": get_language(),
        "time_zone": tenant.time_zone if tenant else settings.TIME_ZONE,
        "max_devices": MAX_DEVICES_SHOWN,
        "refresh_s": REFRESH_S,
        "stale_s": STALE_S,
        "options": _options(scope),
        "texts": script_texts(),
    }
    context = {"scope": scope, "tenant": tenant, "script": script} | _loudest(scope)
    return render(request, "dashboard/dashboard.html", context)


@require_GET
@never_cache
def options(request: HttpRequest) -> HttpResponse:
    """What the filters offer, as JSON: asked again when a card shows a device that the page did not know."""
    if not request.user.is_authenticated:
        # A redirect to the sign-in would reach the script as a page that is not JSON.
        return JsonResponse({"erro": "nao_autorizado", "detalhe": _("You are signed out. Sign in again.")}, status=401)
    return JsonResponse(_options(access.of(request)))


@require_POST
@login_required
def switch_tenant(request: HttpRequest) -> HttpResponse:
    """Go on in another of the person's companies; filters are left behind, because their codes mean nothing there."""
    if not access.switch(request, request.POST.get("tenant", "")):
        raise Http404
    return HttpResponseRedirect(reverse("dashboard"))


def _loudest(scope: access.Scope) -> dict[str, object]:
    """Whoever looks after the tenant's gateways comes here, and not to a page of what went wrong."""
    counted = scope.filter(quarantined.counts(), "tenant")
    loud = loud_gateways(counted, wiring.quarantine_bounds(), now=timezone.now())
    if not loud:
        return {}
    worst = loud[0]
    return {
        "loud": worst,
        "loud_number": number_format(worst.messages, use_l10n=True, force_grouping=True),
        "loud_advice": quarantined.advice(worst.reason, worst.gateway_code),
        "loud_query": urlencode({"gateway": worst.gateway_code}),
        "more_loud": len(loud) - 1,
    }


def _options(scope: access.Scope) -> dict[str, object]:
    gateways = list(scope.gateways().values("code", "name", "status")[: MAX_GATEWAYS_LISTED + 1])
    devices = list(scope.devices().values("gateway__code", "code", "name")[: MAX_DEVICES_LISTED + 1])
    active = next((g["code"] for g in gateways if g["status"] == GatewayStatus.ACTIVE), None)
    return {
        "gateways": [{"codigo": g["code"], "nome": g["name"]} for g in gateways[:MAX_GATEWAYS_LISTED]],
        "dispositivos": [
            {"gateway": d["gateway__code"], "codigo": d["code"], "nome": d["name"]}
            for d in devices[:MAX_DEVICES_LISTED]
        ],
        "cortado": len(devices) > MAX_DEVICES_LISTED or len(gateways) > MAX_GATEWAYS_LISTED,
        "tipos": list(scope.metrics().order_by("tipo").values_list("tipo", flat=True).distinct()),
        "ha_leituras": scope.device_metrics().exists(),
        "primeira_mensagem": first_message_line(active, settings.ENV.ports.mqtt) if active else None,
    }
