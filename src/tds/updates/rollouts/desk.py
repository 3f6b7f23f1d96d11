"""The door for rollouts, of pages, API and command line: made, started, paused, resumed, canceled, replaced.

Each deed is one transaction with its line in the timeline and its entry in the audit trail. What concerns single
gateways is in gateway_desk.py.
"""

from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from tds.fleet.models import AuditAction
from tds.updates.executions import deeds
from tds.updates.executions.transitions import Kind
from tds.updates.models import Execution, ExecutionStatus, Release, Rollout, RolloutStatus, Wave
from tds.updates.rollouts import plan as plans
from tds.updates.rollouts import snapshot, target, waves
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.rules import Halt
from tds.updates.rollouts.snapshot import Started
from tds.updates.rollouts.told import psycopg_connection, tell
from tds.updates.timeline import Happened

UNDER_WAY: Final = (RolloutStatus.RUNNING, RolloutStatus.PAUSED, RolloutStatus.HALTED)
BAD: Final = (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.REJECTED)
TAKEN_OUT: Final = (ExecutionStatus.REMOVED, ExecutionStatus.CANCELED)


@transaction.atomic
def make(asker: Asker, plan: Plan, *, now: datetime, replaces: Rollout | None = None) -> Rollout:
    """A draft, which nobody is in yet. Raises RolloutRefusedError, PermissionDenied."""
    asker.require_operator()
    plans.check(plan)
    limits = plan.limits
    rollout = Rollout.objects.create(
        tenant=asker.tenant,
        release=plan.release,
        name=plan.name,
        target=plan.target.document(),
        success_percent=limits.success_percent,
        failure_percent=limits.failure_percent,
        failure_min_finished=limits.failure_min_finished,
        soak_s=limits.soak_s,
        concurrency=limits.concurrency,
        spread_s=limits.spread_s,
        offer_limit_s=limits.offer_limit_s,
        window_start=limits.window.start if limits.window else None,
        window_end=limits.window.end if limits.window else None,
        one_per_site=limits.one_per_site,
        gate=limits.gate,
        created_by=None if isinstance(asker.by, str) else asker.by,
        replaces=replaces,
    )
    Wave.objects.bulk_create(
        Wave(rollout=rollout, number=number, size=0, label=step.label)
        for number, step in enumerate(waves.parse(plan.waves), 1)
    )
    tell(asker, rollout, Happened.MADE, {}, now=now)
    return rollout


@transaction.atomic
def start(asker: Asker, rollout_id: int, *, now: datetime) -> Started:
    """Take the snapshot of a draft and let it run. Raises RolloutRefusedError, PermissionDenied, DoesNotExist."""
    rollout = locked(asker, rollout_id)
    if rollout.status != RolloutStatus.DRAFT:
        raise RolloutRefusedError(_("This rollout was started before."))
    plan = plan_of(rollout)
    plans.check(plan)
    started = snapshot.take(asker, rollout, plan, now=now)
    words = {"gateways": started.gateways, "left_out": started.left_out}
    tell(asker, rollout, Happened.STARTED, words, now=now, audit_as=AuditAction.ROLLOUT_STARTED)
    return started


@transaction.atomic
def launch(asker: Asker, plan: Plan, *, now: datetime, replaces: Rollout | None = None) -> tuple[Rollout, Started]:
    """Made and started at once."""
    rollout = make(asker, plan, now=now, replaces=replaces)
    started = start(asker, rollout.pk, now=now)
    rollout.refresh_from_db()
    return rollout, started


@transaction.atomic
def pause(asker: Asker, rollout_id: int, *, now: datetime) -> Rollout:
    """Nobody more is offered it; those that are under way go on."""
    rollout = locked(asker, rollout_id)
    if rollout.status != RolloutStatus.RUNNING:
        raise RolloutRefusedError(_("Only a rollout that runs can be paused; this one is %s.") % _status(rollout))
    rollout.status, rollout.stopped_at = RolloutStatus.PAUSED, now
    rollout.save(update_fields=["status", "stopped_at"])
    tell(asker, rollout, Happened.PAUSED, {}, now=now, audit_as=AuditAction.ROLLOUT_PAUSED)
    return rollout


@transaction.atomic
def resume(asker: Asker, rollout_id: int, *, now: datetime) -> Rollout:
    """Of one that halted: its failures until now are accepted, and do not halt it again."""
    rollout = locked(asker, rollout_id)
    if rollout.status not in (RolloutStatus.PAUSED, RolloutStatus.HALTED):
        raise RolloutRefusedError(
            _("Only a rollout that is paused or halted can be resumed; this one is %s.") % _status(rollout)
        )
    plans.startable(rollout.release)
    words: dict[str, Any] = {}
    if rollout.status == RolloutStatus.HALTED:
        failed = Execution.objects.filter(rollout=rollout, status__in=BAD, accepted=False)
        # In the order of their ids, as whoever keeps reports does it: two can't wait for one another.
        list(failed.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        words = {"accepted": failed.update(accepted=True), "after": rollout.halted_why}
        if rollout.halted_why == Halt.NOBODY_JUDGED:
            Execution.objects.filter(
                rollout=rollout, wave=rollout.current_wave, status__in=TAKEN_OUT, deadline_at=None
            ).update(accepted=True)
        rollout.accepted_until, rollout.halted_why = now, ""
        Wave.objects.filter(rollout=rollout, number=rollout.current_wave).update(soak_from=None)
    # Whoever was away while nothing was offered has lost no time by it.
    stopped = now - (rollout.stopped_at or now)
    Wave.objects.filter(rollout=rollout).update(offers_until=F("offers_until") + stopped)
    rollout.status, rollout.stopped_at = RolloutStatus.RUNNING, None
    rollout.save(update_fields=["status", "stopped_at", "accepted_until", "halted_why"])
    kind = Happened.ACCEPTED if words else Happened.RESUMED
    tell(asker, rollout, kind, words, now=now, audit_as=AuditAction.ROLLOUT_RESUMED)
    return rollout


@transaction.atomic
def cancel(asker: Asker, rollout_id: int, *, now: datetime) -> int:
    """For good: all that have not finished are canceled, also those that are away; how many. What a gateway has begun
    it may finish, and then the page says so."""
    rollout = locked(asker, rollout_id)
    if rollout.status not in (*UNDER_WAY, RolloutStatus.DRAFT):
        raise RolloutRefusedError(_("This rollout is over: it is %s.") % _status(rollout))
    ended = _end(rollout, Kind.CANCEL, now)
    tell(asker, rollout, Happened.CANCELED, {"gateways": ended}, now=now, audit_as=AuditAction.ROLLOUT_CANCELED)
    return ended


@transaction.atomic
def replace(asker: Asker, rollout_id: int, release: Release, *, now: datetime) -> tuple[Rollout, Started]:
    """Cancel a rollout and start another in its place: same target, waves and limits, a newer release."""
    old = locked(asker, rollout_id)
    if old.status not in UNDER_WAY:
        raise RolloutRefusedError(_("This rollout is %s: start a new one instead.") % _status(old))
    if release.product != old.release.product or release.counter <= old.release.counter:
        raise RolloutRefusedError(
            _("%(new)s is not newer than %(old)s: gateways that have it would refuse the other.")
            % {"new": str(release), "old": str(old.release)}
        )
    _end(old, Kind.SUPERSEDE, now)
    plan = plan_of(old)
    plan = Plan(release, plan.target, plan.waves, plan.limits, old.name)
    new, started = launch(asker, plan, now=now, replaces=old)
    version = {"version": release.version, "rollout": new.pk}
    tell(asker, old, Happened.REPLACED, version, now=now, audit_as=AuditAction.ROLLOUT_REPLACED)
    tell(asker, new, Happened.REPLACES, {"version": old.release.version, "rollout": old.pk}, now=now)
    return new, started


def locked(asker: Asker, rollout_id: int) -> Rollout:
    """Of those that they see, until the transaction ends. Raises PermissionDenied, Rollout.DoesNotExist."""
    asker.require_operator()
    return asker.rollouts().select_for_update(of=("self",), no_key=True).select_related("release").get(pk=rollout_id)


def plan_of(rollout: Rollout) -> Plan:
    """As it was made, also after waves were left out because nobody would have been in them."""
    labels = list(rollout.waves.order_by("number").values_list("label", flat=True))
    text = ", ".join(labels) or waves.STANDARD
    return Plan(rollout.release, target.parse(rollout.target), text, plans.limits_of(rollout), rollout.name)


def _end(rollout: Rollout, kind: Kind, now: datetime) -> int:
    connection = psycopg_connection()
    waiting = snapshot.end_waiting(connection, rollout.pk, kind, now)
    open_ones = Execution.objects.filter(rollout=rollout, status__in=("QUEUED", "IN_PROGRESS"))
    deed = deeds.supersede if kind is Kind.SUPERSEDE else deeds.cancel
    ended = deed(connection, list(open_ones.values_list("pk", flat=True)), now)
    rollout.status, rollout.finished_at = RolloutStatus.CANCELED, now
    rollout.save(update_fields=["status", "finished_at"])
    return waiting + len(ended)


def _status(rollout: Rollout) -> str:
    return str(RolloutStatus(rollout.status).label)
