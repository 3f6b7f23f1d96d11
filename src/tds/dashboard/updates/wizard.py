"""A new rollout: chosen, looked at, started. Looking changes nothing; only the second button starts it."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tds.dashboard import selection
from tds.dashboard.updates import plan_form, visible
from tds.dashboard.updates.plan_form import PlanForm
from tds.fleet import access
from tds.fleet.models import Role
from tds.updates import shown
from tds.updates.models import Release
from tds.updates.rollouts import desk, words
from tds.updates.rollouts import plan as plans
from tds.updates.rollouts.plan import Preview
from tds.updates.rollouts.refusals import RolloutRefusedError

START: Final = "iniciar"
MAX_RELEASES: Final = 100
MAX_SITES: Final = 500
MAX_TAGS: Final = 1_000  # as many as a company may have, and more of several; typed ones are taken beyond it


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def page(request: HttpRequest) -> HttpResponse:
    scope = access.of(request)
    if not access.operates(request):
        scope.require(Role.OPERATOR)
    if request.method != "POST":
        form = PlanForm(versao=request.GET.get("versao", ""), codigos=request.GET.get("gateway", ""))
        form.quem = "escolher" if form.codigos else "todos"
        form.plataforma = scope.tenant is None  # the platform operator, who belongs to no company
        return _page(request, form)
    form = plan_form.read(request.POST)
    try:
        plan = plan_form.plan(form, _release(form.versao))
        asker = visible.asker(request, over_all=form.plataforma or bool(form.cliente))
        starts = request.POST.get("acao") == START
        changed = starts and request.POST.get("visto", form.seen) != form.seen
        if starts and not changed:
            rollout, started = desk.launch(asker, plan, now=timezone.now())
            told = _("Started for %(gateways)d gateways in %(waves)d waves.")
            messages.success(request, told % {"gateways": started.gateways, "waves": len(started.waves)})
            return HttpResponseRedirect(reverse("rollout", args=[rollout.pk]))
        preview = plans.preview(asker, plan, now=timezone.now())
    except RolloutRefusedError as error:
        return _page(request, form, refusal=str(error))
    return _page(request, form, preview=preview, changed=changed)


def _tags(request: HttpRequest, form: PlanForm) -> list[str]:
    """To choose from: whoever operates the platform has those of all companies. What was chosen stays to be seen, also
    when no gateway has it any more."""
    known = visible.tag_names(request)[:MAX_TAGS]
    return [*known, *(name for name in form.etiquetas if name not in known)]


def _release(number: str) -> Release:
    """Raises RolloutRefusedError."""
    chosen = number.isascii() and number.isdigit() and len(number) <= 18
    release: Release | None = shown.startable().filter(pk=int(number)).first() if chosen else None
    if release is None:
        raise RolloutRefusedError(_("Choose one of the published releases."))
    return release


def _page(
    request: HttpRequest,
    form: PlanForm,
    *,
    refusal: str = "",
    preview: Preview | None = None,
    changed: bool = False,
) -> HttpResponse:
    scope = access.of(request)
    left_out = (
        [(words.reason(reason), count, preview.named.get(reason, ())) for reason, count in preview.left_out.items()]
        if preview
        else []
    )
    context = {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "form": form.shown,
        "releases": shown.startable().order_by("product", "-counter")[:MAX_RELEASES],
        "sites": list(scope.sites()[:MAX_SITES]),
        "tags": _tags(request, form),
        "operates": access.operates(request),
        "refusal": refusal,
        "preview": preview,
        "seen": form.seen,
        "changed": changed,
        "left_out": left_out,
        "left_out_total": sum(preview.left_out.values()) if preview else 0,
    }
    return render(request, "updates/rollout_new.html", context, status=400 if refusal else 200)
