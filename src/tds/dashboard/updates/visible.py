"""Which rollouts a person may see: those of the company they picked; the platform operator also those over several."""

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest

from tds.fleet import access
from tds.fleet.models import User
from tds.updates.models import Execution, LeftOut, Rollout
from tds.updates.rollouts.asker import Asker


def rollouts(request: HttpRequest) -> "QuerySet[Rollout]":
    if access.operates(request):
        tenant = access.of(request).tenant
        return (
            Rollout.objects.filter(Q(tenant=tenant) | Q(tenant=None)) if tenant else Rollout.objects.filter(tenant=None)
        )
    return access.of(request).filter(Rollout.objects.all(), "tenant")


def rollout(request: HttpRequest, number: int) -> Rollout:
    """Raises Http404."""
    found = rollouts(request).select_related("release", "tenant", "replaces").filter(pk=number).first()
    if found is None:
        raise Http404
    return found


def executions(of: Rollout) -> "QuerySet[Execution]":
    """Of a rollout that this person may see, with its gateway and what that runs."""
    return Execution.objects.filter(rollout=of).select_related("gateway", "gateway__running", "gateway__site")


def left_out(of: Rollout) -> "QuerySet[LeftOut]":
    return LeftOut.objects.filter(rollout=of).select_related("gateway")


def asker(request: HttpRequest, *, over_all: bool) -> Asker:
    """Who acts: in the company that they picked, or, `over_all`, on the whole platform, which the desk lets few do."""
    if not isinstance(request.user, User):  # whom `login_required` lets through
        raise TypeError
    return Asker(request.user, None if over_all else access.of(request))
