"""A person's wish that gateways look for their updates now, of one or of all: with its entry in the audit trail.

Nothing goes out that would not go anyway, so no role beyond the page's or the command line's own is asked for here.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.db import transaction

from tds.fleet import audit
from tds.fleet.models import AuditAction, Gateway, User
from tds.updates.executions import delivery
from tds.updates.executions.delivery import Checked, MayOffer
from tds.updates.rollouts.told import psycopg_connection

if TYPE_CHECKING:
    from tds.fleet.audit import Detail

ALL_GATEWAYS: Final = audit.Subject("fleet", "all gateways")
OUTCOME: Final = "outcome"  # in the entry's detail


@transaction.atomic
def check_one(gateway: Gateway, *, by: "User | str", now: datetime, may_offer: MayOffer) -> Checked:
    """Whatever becomes of it is written down. Raises KeyUnusableError, OSError: then nothing was done."""
    became = delivery.check_now(psycopg_connection(), gateway.pk, now, may_offer)
    detail: Detail = {OUTCOME: became.value}
    audit.note(AuditAction.UPDATE_CHECKED, gateway, by=by, detail=detail)
    return became


@transaction.atomic
def check_all(*, by: "User | str") -> None:
    delivery.check_now_all(psycopg_connection())
    audit.note(AuditAction.FLEET_CHECKED, ALL_GATEWAYS, by=by)
