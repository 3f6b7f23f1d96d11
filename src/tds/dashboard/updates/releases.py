"""Releases: what there is, what it is for, who runs it. The platform's operator takes them in and publishes them."""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_POST

from tds.dashboard import gateway_page, selection
from tds.dashboard.errors import NotUnderstoodError
from tds.dashboard.updates import choice, visible
from tds.dashboard.updates.upload import BoundedUploadHandler
from tds.fleet import access
from tds.fleet.models import Role, User
from tds.updates import shown
from tds.updates.folders import UpdatesFolder
from tds.updates.models import Release, ReleaseKind, RunningFirmware, UnsignedFetch
from tds.updates.releases import desk, forgiving, trust_sets
from tds.updates.releases.chips import MAX_IMAGE_BYTES
from tds.updates.releases.desk import ReleaseRefusedError
from tds.updates.releases.files import Artifacts, StoreError
from tds.updates.signed.refusal import DocumentRefusedError

RELEASES_A_PAGE: Final = 50
MAX_ROLLOUTS: Final = 20  # of one release, the newest
MAX_KNOWN_BAD: Final = 20
MAX_UNSIGNED: Final = 20
MAX_MANIFEST_CHARS: Final = 4_096
MEGABYTE: Final = 1024**2


@require_GET
@never_cache
@login_required
def page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_GET
@never_cache
@login_required
def detail(request: HttpRequest, number: int) -> HttpResponse:
    release = _find(request, number)
    scope = access.of(request)
    unsigned = _unsigned(request, release)
    context = {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "release": release,
        "unsigned": [_linked(request, each) for each in unsigned[:MAX_UNSIGNED]],
        "unsigned_count": unsigned.count(),
        "operates": access.operates(request),
        "may_start": scope.may(Role.OPERATOR) or access.operates(request),
        "running": _runs(request, release).count(),
        "rollouts": visible.rollouts(request).filter(release=release)[:MAX_ROLLOUTS],
        "known_bad": shown.known_bad(release)[:MAX_KNOWN_BAD] if access.operates(request) else (),
    }
    return render(request, "updates/release.html", context)


@csrf_exempt  # the handler must be there before the form is read, which the check of the token does
@require_POST
@never_cache
@login_required
def upload(request: HttpRequest) -> HttpResponse:
    _operator(request)  # of nobody else is a body read
    handler = BoundedUploadHandler(request)
    request.upload_handlers = [handler]
    return _upload(request, handler)


@csrf_protect
def _upload(request: HttpRequest, handler: BoundedUploadHandler) -> HttpResponse:
    by = _operator(request)
    image, manifest = request.FILES.get("imagem"), request.FILES.get("manifesto")  # now it is read, if it was not yet
    if handler.too_large:
        return _page(request, [_too_large()])
    if handler.no_room:
        return _page(request, [str(handler.no_room)])
    if image is None or manifest is None:
        return _page(request, [_("Choose both files: the image, and its signed manifest.")])
    kind = ReleaseKind.HELLO if request.POST.get("teste") else ReleaseKind.APPLICATION
    try:
        done = desk.upload(
            manifest.read(MAX_MANIFEST_CHARS).decode("ascii", "replace"),
            image,
            by=by,
            now=timezone.now(),
            trusted=trust_sets.usable(timezone.now()),
            artifacts=_artifacts(),
            kind=kind,
            notes=request.POST.get("notas", "").strip(),
        )
    except ReleaseRefusedError as error:
        return _page(request, [refusal.sentence for refusal in error.refusals])
    except (DocumentRefusedError, StoreError) as error:
        return _page(request, [str(error)])
    told = (
        _("%(release)s was there already.")
        if done.again
        else _("%(release)s is taken in. Nobody gets it before it is published.")
    )
    messages.success(request, told % {"release": done.release})
    return HttpResponseRedirect(reverse("release", args=[done.release.pk]))


@require_POST
@never_cache
@login_required
def act(request: HttpRequest, number: int) -> HttpResponse:
    by, release = _operator(request), _find(request, number)
    action = request.POST.get("acao", "")
    try:
        if action == "publicar":
            trusted = trust_sets.usable(timezone.now())
            desk.publish(release, by=by, now=timezone.now(), trusted=trusted, artifacts=_artifacts())
            messages.success(request, _("%(release)s is published: it can be rolled out.") % {"release": release})
        elif action == "retirar":
            desk.withdraw(release, request.POST.get("motivo", ""), by=by, now=timezone.now())
            messages.success(request, _("%(release)s is withdrawn: nobody gets it any more.") % {"release": release})
        elif action == "perdoar":
            family, hardware = request.POST.get("familia", ""), request.POST.get("hardware", "")
            why, now = request.POST.get("motivo", ""), timezone.now()
            forgiving.forgive(release, why, by=by, now=now, family=family, hardware=hardware)
            told = _("%(release)s is forgiven on %(where)s: rollouts take it there again.")
            messages.success(request, told % {"release": release, "where": f"{family} {hardware}".strip()})
        else:
            raise NotUnderstoodError(_("The form does not say what to do; reload the page and try again."))
    except ReleaseRefusedError as error:
        for refusal in error.refusals:
            messages.error(request, refusal.sentence)
    except DocumentRefusedError as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(reverse("release", args=[release.pk]))


def _page(request: HttpRequest, refusals: Sequence[str] = ()) -> HttpResponse:
    scope = access.of(request)
    turned = choice.read({"pagina": request.GET.get("pagina", "")})
    pages = Paginator(_visible(request), RELEASES_A_PAGE)
    part = pages.get_page(turned.page)
    context = {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "rows": _rows(request, list(part.object_list)),
        "shown": part,
        "previous": choice.query(turned, part.number - 1) if part.has_previous() else None,
        "next": choice.query(turned, part.number + 1) if part.has_next() else None,
        "operates": access.operates(request),
        "trust": trust_sets.newest() if access.operates(request) else None,
        "now": timezone.now(),
        "refusals": refusals,
        "most_bytes": MAX_IMAGE_BYTES,
        "too_large": _too_large(),
    }
    return render(request, "updates/releases.html", context, status=400 if refusals else 200)


def _too_large() -> str:
    told = _("The image is larger than %(most)d MiB, which no device has room for. Nothing was kept.")
    return told % {"most": MAX_IMAGE_BYTES // MEGABYTE}


def _rows(request: HttpRequest, releases: list[Release]) -> list[dict[str, Any]]:
    """Two statements, whatever there is: how many of the gateways that this person sees run each."""
    running = (
        _running(request)
        .filter(sha256__in=[release.sha256 for release in releases])
        .values_list("sha256")
        .annotate(count=Count("pk"))
    )
    counted = dict(running.values_list("sha256", "count"))
    return [{"release": release, "running": counted.get(release.sha256, 0)} for release in releases]


def _runs(request: HttpRequest, release: Release) -> "QuerySet[RunningFirmware]":
    return _running(request).filter(sha256=release.sha256)


def _unsigned(request: HttpRequest, release: Release) -> "QuerySet[UnsignedFetch]":
    """Of the same gateways."""
    everybodys = shown.unsigned(release)
    return everybodys if access.operates(request) else access.of(request).filter(everybodys, "gateway__tenant")


def _linked(request: HttpRequest, fetch: UnsignedFetch) -> dict[str, Any]:
    """A gateway's page is its company's alone."""
    own = fetch.gateway.tenant_id == getattr(access.of(request).tenant, "pk", None)
    address = gateway_page.address(fetch.gateway) if own else ""
    return {"code": fetch.gateway.code, "address": address, "fetched_at": fetch.fetched_at}


def _running(request: HttpRequest) -> "QuerySet[RunningFirmware]":
    """Of the gateways that this person sees; of all for the platform's operator."""
    everybodys = shown.running()
    return everybodys if access.operates(request) else access.of(request).filter(everybodys, "gateway__tenant")


def _visible(request: HttpRequest) -> "QuerySet[Release]":
    """Releases belong to the platform. Who does not operate it sees what was published, also when it was withdrawn."""
    if access.operates(request):
        return shown.releases()
    if access.of(request).tenant is None:
        return shown.releases().none()
    return shown.published()


def _find(request: HttpRequest, number: int) -> Release:
    found = _visible(request).filter(pk=number).first()
    if found is None:
        raise Http404
    return found


def _operator(request: HttpRequest) -> User:
    """Raises PermissionDenied."""
    if not access.operates(request) or not isinstance(request.user, User):
        raise PermissionDenied(_("Releases are the platform operator's."))
    return request.user


def _artifacts() -> Artifacts:
    return Artifacts(UpdatesFolder(settings.ENV.home / "updates").artifacts)
