"""Registered, disabled, enabled again, retired for good: the one door for the page, the command line and /admin/.

Ingest and whoever signs revocation lists hear of it by a trigger (notify.sql); nothing more has to be called.
"""

from datetime import datetime
from typing import Final

from django.db import transaction

from tds.fleet import audit, tags
from tds.fleet.models import AuditAction, Gateway, GatewayStatus, User

ACTIONS: Final = {
    GatewayStatus.DISABLED: AuditAction.DISABLED,
    GatewayStatus.ACTIVE: AuditAction.ENABLED,
    GatewayStatus.RETIRED: AuditAction.RETIRED,
}


class RetiredError(Exception):
    """A retired gateway stays retired: its code may be somebody else's by now."""


@transaction.atomic
def register(gateway: Gateway, *, by: "User | str", detail: audit.Detail | None = None) -> None:
    """Save a new gateway and write down who did it. Whether its code is free is judged before (identity's handover)."""
    gateway.save(force_insert=True)
    audit.note(AuditAction.REGISTERED, gateway, by=by, detail=detail)


@transaction.atomic
def change(gateway: Gateway, status: GatewayStatus, *, by: "User | str", now: datetime) -> bool:
    """Give a gateway this status and write down who did it; False when it has it already.

    Raises RetiredError, whatever the status: a command to a gateway that ended is a mistake.
    """
    # Of two people at the same moment the second one sees what the first one did.
    present = Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    if present.status == GatewayStatus.RETIRED:
        raise RetiredError
    gateway.status, gateway.retired_at = present.status, present.retired_at
    if present.status == status:
        return False
    gateway.status = status
    gateway.retired_at = now if status == GatewayStatus.RETIRED else None
    gateway.save(update_fields=["status", "retired_at"])
    detail: audit.Detail = {"before": str(present.status)}
    if status == GatewayStatus.RETIRED and (had := tags.drop(gateway)):
        detail["tags"] = had
    audit.note(ACTIONS[status], gateway, by=by, detail=detail)
    return True
