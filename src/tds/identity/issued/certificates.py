"""The certificates of gateways, one by one: found by its serial number, revoked; and which a gateway is left with."""

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from tds.fleet import audit
from tds.fleet.models import AuditAction, GatewayStatus, User
from tds.identity.models import SERIAL_CHARS, Certificate

MAX_TYPED_CHARS: Final = 100


def find(serial: str) -> Certificate | None:
    """As people write serial numbers: in either case, with colons or blanks, without zeros at the front."""
    digits = serial[:MAX_TYPED_CHARS].replace(":", "").replace(" ", "").lower()
    return Certificate.objects.select_related("gateway").filter(serial=digits.rjust(SERIAL_CHARS, "0")).first()


@transaction.atomic
def revoke(certificate: Certificate, reason: str, *, by: "User | str", now: datetime) -> bool:
    """For ever; False when it was before. `reason` is of RFC 5280, 5.3.1. Who signs lists hears of it by a trigger."""
    open_ones = Certificate.objects.filter(pk=certificate.pk, revoked_at=None)
    changed = open_ones.update(revoked_at=now, revocation_reason=reason)
    certificate.refresh_from_db(fields=["revoked_at", "revocation_reason"])
    if changed:
        detail: audit.Detail = {"serial": certificate.serial, "reason": reason}
        audit.note(AuditAction.CERTIFICATE_REVOKED, certificate.gateway, by=by, detail=detail)
    return bool(changed)


def last(of: "QuerySet[Certificate]") -> "QuerySet[Certificate]":
    """Of each active gateway the one that lasts longest: what ends before it is no worry."""
    usable = Certificate.objects.filter(revoked_at=None)
    longer = usable.filter(gateway=OuterRef("gateway"), not_after__gt=OuterRef("not_after"))
    return of.filter(~Exists(longer), gateway__status=GatewayStatus.ACTIVE, revoked_at=None)
