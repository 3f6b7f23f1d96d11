"""What people do to a rollout and to a gateway's update in it. Each leaves a line in timeline and audit trail."""

from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from tds.dashboard.errors import NotUnderstoodError
from tds.dashboard.updates import visible, wizard
from tds.updates.models import Execution, Rollout
from tds.updates.rollouts import desk, gateway_desk
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.refusals import RolloutRefusedError

Deed = Callable[[HttpRequest, Asker, Rollout], tuple[str, int]]  # what to say, and the rollout to go to


@require_POST
@never_cache
@login_required
def act(request: HttpRequest, number: int) -> HttpResponse:
    rollout = visible.rollout(request, number)
    deed = DEEDS.get(request.POST.get("acao", ""))
    if deed is None:
        raise NotUnderstoodError(_("The form does not say what to do; reload the page and try again."))
    asker = visible.asker(request, over_all=rollout.tenant_id is None)
    to = rollout.pk
    try:
        said, to = deed(request, asker, rollout)
        messages.success(request, said)
    except RolloutRefusedError as error:
        messages.error(request, str(error))
    except Execution.DoesNotExist:
        raise Http404 from None
    return HttpResponseRedirect(reverse("rollout", args=[to]))


def _pause(_request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    desk.pause(asker, rollout.pk, now=timezone.now())
    return _("Paused: nobody more is offered it; those that are under way go on."), rollout.pk


def _resume(_request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    desk.resume(asker, rollout.pk, now=timezone.now())
    return _("It goes on."), rollout.pk


def _cancel(request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    _be_sure(request)
    ended = desk.cancel(asker, rollout.pk, now=timezone.now())
    told = ngettext(
        "Canceled; %(count)d gateway had not finished.", "Canceled; %(count)d gateways had not finished.", ended
    )
    return told % {"count": ended}, rollout.pk


def _retry_failed(_request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    again = gateway_desk.retry_failed(asker, rollout.pk, now=timezone.now())
    told = ngettext("%(count)d gateway tries again.", "%(count)d gateways try again.", again)
    return told % {"count": again}, rollout.pk


def _replace(request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    _be_sure(request)
    number = request.POST.get("versao", "")
    release = wizard.releases().filter(pk=int(number)).first() if number.isdecimal() and len(number) <= 18 else None
    if release is None:
        raise RolloutRefusedError(_("Choose one of the published releases."))
    new, _started = desk.replace(asker, rollout.pk, release, now=timezone.now())
    return _("%(new)s takes its place.") % {"new": new}, new.pk


def _retry(request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    execution = gateway_desk.retry(asker, _execution(request, rollout), now=timezone.now())
    return _("%(code)s tries again.") % {"code": execution.gateway.code}, rollout.pk


def _cancel_one(request: HttpRequest, asker: Asker, rollout: Rollout) -> tuple[str, int]:
    execution = gateway_desk.cancel(asker, _execution(request, rollout), now=timezone.now())
    return _("The update of %(code)s is canceled.") % {"code": execution.gateway.code}, rollout.pk


def _execution(request: HttpRequest, rollout: Rollout) -> int:
    number = request.POST.get("execucao", "")
    found = rollout.executions.filter(pk=int(number)).first() if number.isdecimal() and len(number) <= 18 else None
    if found is None:
        raise Http404
    return found.pk


def _be_sure(request: HttpRequest) -> None:
    if not request.POST.get("certeza"):
        raise RolloutRefusedError(_("Nothing was done: tick the box to say that you mean it."))


DEEDS: Final[dict[str, Deed]] = {
    "pausar": _pause,
    "continuar": _resume,
    "cancelar": _cancel,
    "substituir": _replace,
    "repetir-falhas": _retry_failed,
    "repetir": _retry,
    "cancelar-um": _cancel_one,
}
