"""The page's forms that do something to a rollout. Each deed leaves a line in timeline and audit trail."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from tds.dashboard.errors import NotUnderstoodError
from tds.dashboard.updates import deeds, visible
from tds.dashboard.updates.deeds import Wanted
from tds.updates import shown
from tds.updates.models import Execution, Rollout
from tds.updates.rollouts.refusals import RolloutRefusedError

MAX_ID_DIGITS: Final = 18  # all of them fit into a bigint


@require_POST
@never_cache
@login_required
def act(request: HttpRequest, number: int) -> HttpResponse:
    rollout = visible.rollout(request, number)
    word = request.POST.get("acao", "")
    deed = deeds.BY_WORD.get(word)
    if deed is None:
        raise NotUnderstoodError(_("The form does not say what to do; reload the page and try again."))
    to = rollout.pk
    try:
        if word in deeds.TO_BE_SURE:
            _be_sure(request)
        done = deed(visible.asker_for(request, rollout), rollout, _wanted(request, rollout))
        messages.success(request, done.said)
        to = done.rollout_id
    except RolloutRefusedError as error:
        messages.error(request, str(error))
    except Execution.DoesNotExist:
        raise Http404 from None
    return HttpResponseRedirect(reverse("rollout", args=[to]))


def _be_sure(request: HttpRequest) -> None:
    if not request.POST.get("certeza"):
        raise RolloutRefusedError(_("Nothing was done: tick the box to say that you mean it."))


def _wanted(request: HttpRequest, rollout: Rollout) -> Wanted:
    release, execution = _id(request, "versao"), _id(request, "execucao")
    return Wanted(
        shown.startable().filter(pk=release).first() if release else None,
        visible.executions(rollout).filter(pk=execution).first() if execution else None,
    )


def _id(request: HttpRequest, name: str) -> int:
    """0 for what can be none."""
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS else 0
