"""What a rollout keeps to, in sentences; and until when a gateway's maintenance window holds it up."""

from datetime import datetime
from typing import Final

from django.utils.formats import date_format, number_format, time_format
from django.utils.translation import gettext as _

from tds.updates.executions.statuses import Status
from tds.updates.models import Execution, Rollout, RolloutStatus
from tds.updates.rollouts import windows
from tds.updates.rollouts.limits import Limits

MINUTE_S: Final = 60
CLOCK: Final = "H:i"


def sentences(limits: Limits) -> list[str]:
    succeeded = _number(limits.success_percent)
    failed = {"percent": _number(limits.failure_percent), "finished": _number(limits.failure_min_finished)}
    soak = {"percent": succeeded, "minutes": _number(limits.soak_s / MINUTE_S)}
    told = [
        _("The next wave opens when %(percent)s%% have succeeded and were watched for %(minutes)s min.") % soak,
        _("It halts at %(percent)s%% failures, of %(finished)s finished or more, and when one is lost.") % failed,
    ]
    if limits.gate:
        told.append(_("It halts when gateways that took it deliver less than in the week before."))
    else:
        told.append(_("What gateways deliver afterwards is not looked at: the telemetry gate is off."))
    told.append(_("Gateways at once: %(gateways)s.") % {"gateways": _number(limits.concurrency)})
    if limits.one_per_site:
        told.append(_("Never two gateways of one site at a time."))
    if window := limits.window:
        clock = {"start": time_format(window.start, CLOCK), "end": time_format(window.end, CLOCK)}
        told.append(_("From %(start)s until %(end)s, by the clock of each site.") % clock)
    return told


def held_up(execution: Execution, rollout: Rollout, limits: Limits, now: datetime) -> str:
    """Of one whose turn it would be, when its window opens, in its site's time; else empty."""
    window = limits.window
    waits = execution.status == Status.QUEUED and execution.offered_at is None
    if window is None or not waits or rollout.status != RolloutStatus.RUNNING or execution.wave > rollout.current_wave:
        return ""
    zone = windows.zone(execution.time_zone)
    if windows.is_open(window, zone, now):
        return ""
    opening = windows.next_opening(window, zone, now).astimezone(zone)
    return _("waits for its window, %(when)s") % {
        "when": f"{date_format(opening, 'SHORT_DATE_FORMAT')} {opening:%H:%M}"
    }


def _number(value: float) -> str:
    return number_format(int(value) if float(value).is_integer() else round(value, 1))
