"""Which rollouts a person may see: those of the company they picked; the platform operator all."""

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from tds.fleet import access, tags
from tds.fleet.models import Role, Tag, User
from tds.updates import shown
from tds.updates.models import Execution, LeftOut, Rollout
from tds.updates.rollouts.asker import Asker


def rollouts(request: HttpRequest) -> "QuerySet[Rollout]":
    everybodys = shown.rollouts()
    return everybodys if access.operates(request) else access.of(request).filter(everybodys, "tenant")


def rollout(request: HttpRequest, number: int) -> Rollout:
    """Raises Http404."""
    found = rollouts(request).select_related("release", "tenant", "replaces").filter(pk=number).first()
    if found is None:
        raise Http404
    return found


def executions(of: Rollout) -> "QuerySet[Execution]":
    """Of a rollout that this person may see, with its gateway and what that runs."""
    found = shown.executions().filter(rollout=of)
    shown_beside = ("gateway", "gateway__running", "gateway__site", "gateway__tenant")
    return found.select_related(*shown_beside).defer("ticket")


def left_out(of: Rollout) -> "QuerySet[LeftOut]":
    return shown.left_out().filter(rollout=of).select_related("gateway")


def tag_names(request: HttpRequest) -> "QuerySet[Tag, str]":
    """Each once, however many companies have it."""
    seen = tags.everybodys() if access.operates(request) else access.of(request).tags()
    return seen.order_by("folded", "pk").distinct("folded").values_list("name", flat=True)


def may_act(request: HttpRequest, on: Rollout) -> bool:
    scope = access.of(request)
    own = scope.tenant is not None and on.tenant_id == scope.tenant.pk
    return access.operates(request) or (own and scope.may(Role.OPERATOR))


def asker_for(request: HttpRequest, on: Rollout) -> Asker:
    """Who acts on a rollout that they see."""
    return asker(request, over_all=access.operates(request) or on.tenant_id is None)


def asker(request: HttpRequest, *, over_all: bool) -> Asker:
    """Who acts: in the company that they picked, or, `over_all`, on the whole platform, which the desk lets few do."""
    if not isinstance(request.user, User):  # whom `login_required` lets through
        raise TypeError
    return Asker(request.user, None if over_all else access.of(request))
