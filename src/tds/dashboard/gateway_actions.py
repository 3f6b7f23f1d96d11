"""What people do to a gateway: disable, enable, retire it, give it a claim code or tags. Each leaves an audit entry."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from tds.dashboard import gateway_choice, gateway_page, gateways
from tds.dashboard.errors import NotUnderstoodError
from tds.dashboard.updates import gateway_panel
from tds.fleet import access, lifecycle, tag_names, tags
from tds.fleet.models import Gateway, GatewayStatus, Role, User
from tds.identity.enrolment import claims

DISABLE: Final = "desativar"
ENABLE: Final = "ativar"
RETIRE: Final = "aposentar"
CLAIM: Final = "codigo"
CHECK: Final = "verificar"
TAG: Final = "etiquetar"
UNTAG: Final = "desetiquetar"
STATUS_OF: Final = {
    DISABLE: GatewayStatus.DISABLED,
    ENABLE: GatewayStatus.ACTIVE,
    RETIRE: GatewayStatus.RETIRED,
}
TO_BE_SURE: Final = {DISABLE, RETIRE}  # the box must be ticked


@require_POST
@never_cache
@login_required
def act(request: HttpRequest, code: str) -> HttpResponse:
    """`id` is of the gateway that the person was shown: meanwhile another one may have its code."""
    scope, action = access.of(request), request.POST.get("acao", "")
    if action not in {*STATUS_OF, CLAIM, CHECK, TAG, UNTAG} or not gateway_choice.is_id(request.POST.get("id", "")):
        raise NotUnderstoodError(_("The form does not say what to do; reload the page and try again."))
    gateway = gateways.find(request, code)
    scope.require(Role.ADMIN if action == RETIRE else Role.OPERATOR)
    if action in TO_BE_SURE and not request.POST.get("certeza"):
        messages.warning(request, _("Nothing was done: tick the box to say that you mean it."))
    elif action == CLAIM:
        return _claim(request, gateway)
    elif action in {TAG, UNTAG}:
        _tag(request, gateway, action)
    elif action == CHECK:
        gateway_panel.check_now(request, gateway, by=_person(request))
    else:
        _change(request, gateway, STATUS_OF[action])
    return HttpResponseRedirect(gateway_page.address(gateway))


def _change(request: HttpRequest, gateway: Gateway, status: GatewayStatus) -> None:
    told = {
        GatewayStatus.DISABLED: _("%(code)s is disabled: the brokers cut it off, and what it sends is quarantined."),
        GatewayStatus.ACTIVE: _("%(code)s is enabled: its readings are taken again."),
        GatewayStatus.RETIRED: _("%(code)s is retired. Its history stays here; its code is free for another gateway."),
    }
    try:
        lifecycle.change(gateway, status, by=_person(request), now=timezone.now())
    except lifecycle.RetiredError:
        messages.error(request, _("%(code)s was retired, and stays so.") % {"code": gateway.code})
        return
    messages.success(request, told[status] % {"code": gateway.code})


def _tag(request: HttpRequest, gateway: Gateway, action: str) -> None:
    deed = tags.tag if action == TAG else tags.untag
    names = tag_names.split(request.POST.get("etiquetas", ""))
    try:
        changed = deed([gateway], names, by=_person(request))
    except tags.TagRefusedError as error:
        messages.error(request, str(error))
        return
    if changed:
        messages.success(request, _("The tags of %(code)s were changed.") % {"code": gateway.code})
    else:
        messages.warning(request, _("Nothing was changed: its tags were so already."))


def _claim(request: HttpRequest, gateway: Gateway) -> HttpResponse:
    """The code is in this answer and nowhere else: not in the session, not in a cookie, not in an address."""
    now, secret, expires_at = timezone.now(), "", None
    scope = access.of(request)
    if request.POST.get("ultimo") != str(gateway_page.newest_claim(scope, gateway)):
        # The same form sent again, as a reload does, or somebody else was faster: another code would end the first.
        messages.warning(request, _("No code was made: there is a newer one than this page showed. Look below."))
    else:
        try:
            claim, secret = claims.make(gateway, now=now, by=_person(request))
            expires_at = claim.expires_at
        except claims.ClaimRefusedError:
            messages.error(request, _("A gateway gets a claim code while it is active, and under a code of its own."))
    context = gateway_page.context(request, gateway, now=now)
    context |= {"secret": secret, "secret_expires_at": expires_at, "script": gateways.script(request)}
    return render(request, "dashboard/gateway.html", context)


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):  # whom `login_required` lets through
        raise TypeError
    return request.user
