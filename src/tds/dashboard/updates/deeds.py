"""What people do to a rollout and to a gateway's update in it: the same words and rules by page and API."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tds.updates.models import Execution, Release, Rollout
from tds.updates.rollouts import desk, gateway_desk
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.refusals import RolloutRefusedError


@dataclass(frozen=True, slots=True)
class Wanted:
    """`release`: for a replacement; `execution`: for what concerns one gateway."""

    release: Release | None = None
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What to say, and the rollout to go to."""

    said: str
    rollout_id: int


Deed = Callable[[Asker, Rollout, Wanted], Done]


def pause(asker: Asker, rollout: Rollout, _wanted: Wanted) -> Done:
    desk.pause(asker, rollout.pk, now=timezone.now())
    return Done(_("Paused: nobody more is offered it; those that are under way go on."), rollout.pk)


def resume(asker: Asker, rollout: Rollout, _wanted: Wanted) -> Done:
    desk.resume(asker, rollout.pk, now=timezone.now())
    return Done(_("It goes on."), rollout.pk)


def cancel(asker: Asker, rollout: Rollout, _wanted: Wanted) -> Done:
    ended = desk.cancel(asker, rollout.pk, now=timezone.now())
    told = ngettext(
        "Canceled; %(count)d gateway had not finished.", "Canceled; %(count)d gateways had not finished.", ended
    )
    return Done(told % {"count": ended}, rollout.pk)


def retry_failed(asker: Asker, rollout: Rollout, _wanted: Wanted) -> Done:
    again = gateway_desk.retry_failed(asker, rollout.pk, now=timezone.now())
    told = ngettext("%(count)d gateway tries again.", "%(count)d gateways try again.", again)
    return Done(told % {"count": again}, rollout.pk)


def replace(asker: Asker, rollout: Rollout, wanted: Wanted) -> Done:
    if wanted.release is None:
        raise RolloutRefusedError(_("Choose one of the published releases."))
    new, _started = desk.replace(asker, rollout.pk, wanted.release, now=timezone.now())
    return Done(_("%(new)s takes its place.") % {"new": new}, new.pk)


def retry(asker: Asker, rollout: Rollout, wanted: Wanted) -> Done:
    execution = gateway_desk.retry(asker, _one(wanted), now=timezone.now())
    return Done(_("%(code)s tries again.") % {"code": execution.gateway.code}, rollout.pk)


def cancel_one(asker: Asker, rollout: Rollout, wanted: Wanted) -> Done:
    execution = gateway_desk.cancel(asker, _one(wanted), now=timezone.now())
    return Done(_("The update of %(code)s is canceled.") % {"code": execution.gateway.code}, rollout.pk)


def _one(wanted: Wanted) -> int:
    """Raises Execution.DoesNotExist."""
    if wanted.execution is None:
        raise Execution.DoesNotExist
    return wanted.execution.pk


CANCEL: Final = "cancelar"
REPLACE: Final = "substituir"
TO_BE_SURE: Final = {CANCEL, REPLACE}  # on the page the box must be ticked
BY_WORD: Final[dict[str, Deed]] = {
    "pausar": pause,
    "continuar": resume,
    CANCEL: cancel,
    REPLACE: replace,
    "repetir-falhas": retry_failed,
    "repetir": retry,
    "cancelar-um": cancel_one,
}
