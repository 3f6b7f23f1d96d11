"""What people do is told twice, in the transaction of the deed: on the rollout's timeline, and in the audit trail."""

from datetime import datetime
from typing import Any, cast

import psycopg
from django.db import connection

from tds.fleet import audit
from tds.fleet.audit import Subject
from tds.fleet.models import AuditAction
from tds.updates.models import Execution, Rollout, RolloutEvent
from tds.updates.rollouts.asker import Asker
from tds.updates.timeline import Happened


def tell(  # noqa: PLR0913  # who did what to which
    asker: Asker,
    rollout: Rollout,
    kind: Happened,
    words: dict[str, Any],
    *,
    now: datetime,
    audit_as: AuditAction | None = None,
    execution: Execution | None = None,
) -> None:
    RolloutEvent.objects.create(rollout=rollout, at=now, kind=kind, actor=asker.name, execution=execution, words=words)
    if audit_as is not None:
        detail: audit.Detail = {key: value for key, value in words.items() if isinstance(value, str | int)}
        # A deed to a gateway of a tenant is that tenant's to know, whoever's rollout it is.
        tenant_id = execution.gateway.tenant_id if execution else rollout.tenant_id
        subject = Subject(audit.ROLLOUT, str(rollout), rollout.pk, tenant_id)
        audit.note(audit_as, subject, by=asker.by, detail=detail)


def psycopg_connection() -> psycopg.Connection[Any]:
    """Django's own of this thread, within its transaction: a statement of Django's must have begun it."""
    connection.ensure_connection()
    return cast("psycopg.Connection[Any]", connection.connection)
