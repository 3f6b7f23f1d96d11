"""What people do to one gateway's update, or to all that failed: try again, or give up."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _

from tds.fleet.models import AuditAction
from tds.updates.executions import deeds
from tds.updates.models import Execution, Rollout, RolloutStatus, Wave
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.desk import BAD
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.snapshot import STARTS_LOCK
from tds.updates.rollouts.told import psycopg_connection, tell
from tds.updates.timeline import Happened

MAX_RETRIED: Final = 10_000  # at once; more is done by asking again


@transaction.atomic
def retry(asker: Asker, execution_id: int, *, now: datetime) -> Execution:
    """Raises RolloutRefusedError, PermissionDenied, Execution.DoesNotExist."""
    execution = _found(asker, execution_id)
    if not _again(execution.rollout, [execution.pk], now):
        raise RolloutRefusedError(
            _("%(gateway)s can't try again: it has not failed, has another open update, or is not in use.")
            % {"gateway": execution.gateway.code}
        )
    words = {"gateways": 1, "gateway": execution.gateway.code}
    tell(
        asker,
        execution.rollout,
        Happened.RETRIED,
        words,
        now=now,
        audit_as=AuditAction.UPDATE_RETRIED,
        execution=execution,
    )
    execution.refresh_from_db()
    return execution


@transaction.atomic
def retry_failed(asker: Asker, rollout_id: int, *, now: datetime) -> int:
    """All that failed, timed out or refused, in waves that are open; how many try again."""
    asker.require_operator()
    rollout = asker.rollouts().select_for_update(of=("self",), no_key=True).get(pk=rollout_id)
    failed = Execution.objects.filter(rollout=rollout, status__in=BAD).order_by("pk")
    again = _again(rollout, list(failed.values_list("pk", flat=True)[:MAX_RETRIED]), now)
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
    connection = psycopg_connection()
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (STARTS_LOCK,))  # a start may be at the same gateways
    again = deeds.retry(connection, execution_ids, now)
    if not again:
        return 0
    # They wait for an offer as at first: the wave's time for those that are away is theirs, counted from now.
    Execution.objects.filter(pk__in=again).update(deadline_at=None)
    until = now + timedelta(seconds=rollout.offer_limit_s)
    Wave.objects.filter(
        rollout=rollout,
        number__in=Execution.objects.filter(pk__in=again).values("wave"),
        opened_at__isnull=False,
    ).update(offers_until=Greatest(F("offers_until"), until), completed_at=None)
    if rollout.status == RolloutStatus.COMPLETED:
        rollout.status, rollout.finished_at = RolloutStatus.RUNNING, None
        rollout.save(update_fields=["status", "finished_at"])
    return len(again)
