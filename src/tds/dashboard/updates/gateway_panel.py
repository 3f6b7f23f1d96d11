"""What a gateway's own page says of its firmware, and a person's wish that it looks for its update now."""

import logging
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from tds import wiring
from tds.dashboard.updates import execution_texts, visible
from tds.fleet import access
from tds.fleet.models import Gateway, User
from tds.identity.authorities.keys import KeyUnusableError
from tds.updates import shown
from tds.updates.executions.delivery import Checked
from tds.updates.executions.statuses import OPEN
from tds.updates.models import Execution, RunningFirmware
from tds.updates.rollouts import checking

logger = logging.getLogger(__name__)

HASH_SHOWN: Final = 12  # digits


def context(request: HttpRequest, gateway: Gateway) -> dict[str, Any]:
    """Two statements, or three."""
    scope = access.of(request)
    execution = _newest(request, gateway)
    of_a_visible_one = execution and visible.rollouts(request).filter(pk=execution.rollout_id).exists()
    return {
        "running": _running(scope, gateway),
        "hash_shown": f":{HASH_SHOWN}",
        "execution": execution,
        "told": execution_texts.told(execution, execution.rollout.release.size) if execution else None,
        "rollout_shown": bool(of_a_visible_one),
        "may_ask": execution is not None and execution.status in OPEN,
    }


def check_now(request: HttpRequest, gateway: Gateway, *, by: User) -> None:
    """Nothing goes that would not go anyway, but at once."""
    told = {
        Checked.TOLD: _("%(code)s is told of its update, as soon as it is connected."),
        Checked.UNDER_WAY: _("%(code)s is at its update already."),
        Checked.WAITS: _("The turn of %(code)s has not come yet: its rollout's waves, limits or window say when."),
        Checked.NOTHING: _("There is no update for %(code)s."),
    }
    try:
        found = checking.check_one(gateway, by=by, now=timezone.now(), may_offer=wiring.may_offer)
    except (KeyUnusableError, OSError):
        logger.exception("No ticket could be signed for %s", gateway.code)
        messages.error(request, _("The key for tickets can't be used; whoever runs the platform finds why in the log."))
        return
    messages.info(request, told[found] % {"code": gateway.code})


def _running(scope: access.Scope, gateway: Gateway) -> RunningFirmware | None:
    found: RunningFirmware | None = scope.filter(shown.running(), "gateway__tenant").filter(gateway=gateway).first()
    return found


def _newest(request: HttpRequest, gateway: Gateway) -> Execution | None:
    """The one that is open, or was last: a gateway's newest."""
    mine = access.of(request).filter(shown.executions(), "gateway__tenant")
    found: Execution | None = mine.select_related("rollout__release").filter(gateway=gateway).order_by("-pk").first()
    return found
