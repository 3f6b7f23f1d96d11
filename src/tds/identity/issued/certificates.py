"""The certificates of gateways, one by one: found by its serial number, revoked; and which a gateway is left with."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from tds.fleet import audit
from tds.fleet.models import AuditAction, Gateway, GatewayStatus, User
from tds.identity.models import SERIAL_CHARS, Certificate, How

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


@transaction.atomic
def revoke_with_renewed(certificate: Certificate, reason: str, *, by: "User | str", now: datetime) -> list[Certificate]:
    """This one, and all that may have been got with it by renewal; those, without itself. The gateway's row is locked:
    whoever renews at this moment either has done it, and is found, or is refused."""
    Gateway.objects.select_for_update(no_key=True).get(pk=certificate.gateway_id)
    revoke(certificate, reason, by=by, now=now)
    found = left_by(certificate, of_gateway(certificate), now=now)
    for each in found:
        revoke(each, reason, by=by, now=now)
    return found


def of_gateway(certificate: Certificate) -> list[Certificate]:
    """All of its gateway, itself among them."""
    found = Certificate.objects.select_related("gateway").filter(gateway=certificate.gateway_id)
    return list(found.defer("der"))  # of thousands it would be megabytes


def left_by(certificate: Certificate, among: Iterable[Certificate], *, now: datetime) -> list[Certificate]:
    """Which that are still good may have been got with a certificate, by renewing with it or with what came of it.

    To revoke a stolen one alone leaves the thief these. `among` are of one gateway. A claim code and the factory begin
    anew: what was renewed after such a one, when this was revoked before, is not of it. Pure.
    """
    rows = sorted((each for each in among if each.pk > certificate.pk), key=lambda each: each.pk)
    ended = certificate.revoked_at
    anew = next((each.pk for each in rows if ended and each.how != How.RENEWAL and each.issued_at >= ended), None)
    return [
        each
        for each in rows
        if each.how == How.RENEWAL
        and each.revoked_at is None
        and now <= each.not_after
        and (anew is None or each.pk < anew)
    ]


def last(of: "QuerySet[Certificate]") -> "QuerySet[Certificate]":
    """Of each active gateway the one that lasts longest: what ends before it is no worry."""
    usable = Certificate.objects.filter(revoked_at=None)
    longer = usable.filter(gateway=OuterRef("gateway"), not_after__gt=OuterRef("not_after"))
    return of.filter(~Exists(longer), gateway__status=GatewayStatus.ACTIVE, revoked_at=None)
