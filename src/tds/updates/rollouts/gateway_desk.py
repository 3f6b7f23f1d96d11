"""What people do to one gateway's update, or to all that failed: try again, or give up."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _

from tds.fleet.models import AuditAction
from tds.updates.executions import deeds
from tds.updates.executions.transitions import Kind, end_of_waiting
from tds.updates.models import Execution, LeftOut, Rollout, RolloutStatus, Wave
from tds.updates.rollouts import known_bad
from tds.updates.rollouts import plan as plans
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.desk import BAD, locked
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.snapshot import STARTS_LOCK
from tds.updates.rollouts.told import psycopg_connection, tell
from tds.updates.timeline import Happened

MAX_RETRIED: Final = 10_000  # at once; more is done by asking again


@transaction.atomic
def retry(asker: Asker, execution_id: int, *, now: datetime) -> Execution:
    """Raises RolloutRefusedError, PermissionDenied, Execution.DoesNotExist."""
    execution = _found(asker, execution_id)
    if known_bad.unforgiven(psycopg_connection(), execution.rollout.release_id, [execution.pk]):
        raise RolloutRefusedError(
            _(
                "%(release)s was rolled back on hardware like that of %(gateway)s more than once: the platform's"
                " operator has to forgive it there first."
            )
            % {"release": str(execution.rollout.release), "gateway": execution.gateway.code}
        )
    if not _again(execution.rollout, [execution.pk], now):
        raise RolloutRefusedError(
            _("%(gateway)s can't try again: it has not failed, has another open update, or is not in use.")
            % {"gateway": execution.gateway.code}
        )
    words = {"gateway": execution.gateway.code}
    tell(
        asker,
        execution.rollout,
        Happened.UPDATE_RETRIED,
        words,
        now=now,
        audit_as=AuditAction.UPDATE_RETRIED,
        execution=execution,
    )
    execution.refresh_from_db()
    return execution


@transaction.atomic
def retry_failed(asker: Asker, rollout_id: int, *, now: datetime) -> int:
    """All that failed, timed out or refused, and those that were taken out because of failures which are forgiven by
    now; how many try again."""
    rollout = locked(asker, rollout_id)
    status, reason = end_of_waiting(Kind.TAKE_OUT)
    failed = Q(status__in=BAD) | Q(status=status, reason=reason)
    found = Execution.objects.filter(failed, rollout=rollout).order_by("pk")
    taken_out = found.filter(status=status).values_list("pk", flat=True)
    bad = known_bad.unforgiven(psycopg_connection(), rollout.release_id, list(taken_out))
    ids = [pk for pk in found.values_list("pk", flat=True)[: MAX_RETRIED + len(bad)] if pk not in bad]
    again = _again(rollout, ids[:MAX_RETRIED], now)
    if again:
        tell(asker, rollout, Happened.RETRIED, {"gateways": again}, now=now, audit_as=AuditAction.UPDATE_RETRIED)
    return again


@transaction.atomic
def cancel(asker: Asker, execution_id: int, *, now: datetime) -> Execution:
    """Also of a gateway that is away. Raises RolloutRefusedError, PermissionDenied, Execution.DoesNotExist."""
    execution = _found(asker, execution_id)
    if not deeds.cancel(psycopg_connection(), [execution.pk], now):
        raise RolloutRefusedError(_("The update of %(gateway)s is over.") % {"gateway": execution.gateway.code})
    words = {"gateway": execution.gateway.code}
    tell(
        asker,
        execution.rollout,
        Happened.UPDATE_CANCELED,
        words,
        now=now,
        audit_as=AuditAction.UPDATE_CANCELED,
        execution=execution,
    )
    execution.refresh_from_db()
    return execution


def _found(asker: Asker, execution_id: int) -> Execution:
    """Of a gateway that they see; its rollout is locked."""
    asker.require_operator()
    execution = asker.executions().select_related("gateway", "rollout").get(pk=execution_id)
    execution.rollout = (
        Rollout.objects.select_for_update(of=("self",), no_key=True)
        .select_related("release")
        .get(pk=execution.rollout_id)
    )
    return execution


def _again(rollout: Rollout, execution_ids: list[int], now: datetime) -> int:
    if rollout.status in (RolloutStatus.CANCELED, RolloutStatus.DRAFT):
        raise RolloutRefusedError(_("This rollout does not run: start a new one for those gateways."))
    plans.startable(rollout.release)  # of a release that was withdrawn nobody would be offered it
    connection = psycopg_connection()
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (STARTS_LOCK,))  # a start may be at the same gateways
    again = deeds.retry(connection, execution_ids, now)
    if not again:
        return 0
    # They wait for an offer as at first: the wave's time for those that are away is theirs, counted from now.
    retried = Execution.objects.filter(pk__in=again)
    retried.update(deadline_at=None)
    LeftOut.objects.filter(rollout=rollout, gateway__in=retried.values("gateway")).delete()  # who was taken out is in
    until = now + timedelta(seconds=rollout.offer_limit_s)
    Wave.objects.filter(
        rollout=rollout,
        number__in=retried.values("wave"),
        opened_at__isnull=False,
    ).update(offers_until=Greatest(F("offers_until"), until), completed_at=None)
    if rollout.status == RolloutStatus.COMPLETED:
        rollout.status, rollout.finished_at = RolloutStatus.RUNNING, None
        rollout.save(update_fields=["status", "finished_at"])
    return len(again)
