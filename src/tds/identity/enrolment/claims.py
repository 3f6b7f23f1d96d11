"""Claim codes: what a technician types into a new board, once, so that it may ask for its gateway's certificate.

100 random bits in Crockford's base32, five groups of four: no letter looks like another, and the case does not matter.
Only the hash is kept. The first group is shown in lists; the other four are still 80 bits that nobody saw.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from django.db import models, transaction

from tds.fleet import audit
from tds.fleet.models import AuditAction, Gateway, GatewayStatus, User
from tds.identity import names
from tds.identity.models import Certificate, ClaimCode

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: without I, L, O and U
GROUPS: Final = 5
GROUP_CHARS: Final = 4
CODE_CHARS: Final = GROUPS * GROUP_CHARS
MAX_TYPED_CHARS: Final = 100
DEFAULT_DAYS: Final = 7
MAX_DAYS: Final = 90
CLAIM_ANSWER_S: Final = 900.0  # so long whoever used a code may ask again, with the same key, for what it was given
KEPT: Final = timedelta(days=90)  # after its end, so that a late device is told why; then it may go

_MEANT: Final = str.maketrans("OIL", "011")  # what people read for what was printed


class ClaimRefusedError(Exception):
    """No claim code for this gateway; the text is a sentence that says what to do."""


def new_secret() -> str:
    """As in 7KQF-2M9D-XW3T-8HBA-4N6P."""
    drawn = [secrets.choice(ALPHABET) for _ in range(CODE_CHARS)]
    return "-".join("".join(drawn[at : at + GROUP_CHARS]) for at in range(0, CODE_CHARS, GROUP_CHARS))


def normalised(typed: str) -> str | None:
    """The 20 characters that were meant; None when it can't be a claim code."""
    if len(typed) > MAX_TYPED_CHARS or not typed.isascii():
        return None  # `upper` makes ASCII of some letters that are not
    meant = typed.upper().translate(_MEANT).replace("-", "").replace(" ", "")
    return meant if len(meant) == CODE_CHARS and set(meant) <= set(ALPHABET) else None


def hashed(meant: str) -> str:
    """Of the normal form. 100 random bits: a plain hash is enough, there is nothing to guess."""
    return sha256(meant.encode("ascii")).hexdigest()


@transaction.atomic
def make(gateway: Gateway, *, now: datetime, days: float = DEFAULT_DAYS, by: "User | str") -> tuple[ClaimCode, str]:
    """A code and its secret, which nothing can show again. Those that were open for this gateway end here.

    Raises ClaimRefusedError.
    """
    # Two people at once: the second one's code replaces the first one's, and both see it.
    present = Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    _refuse(present)
    _open(present).update(revoked_at=now)
    _open_or_not(present).filter(expires_at__lt=now - KEPT).delete()
    secret = new_secret()
    claim = ClaimCode.objects.create(
        gateway=present,
        sha256=hashed(secret.replace("-", "")),
        hint=secret[:GROUP_CHARS],
        expires_at=now + timedelta(days=days),
    )
    audit.note(
        AuditAction.CLAIM_MADE,
        present,
        by=by,
        detail={"begins_with": claim.hint, "expires_at": claim.expires_at.isoformat()},
    )
    return claim, secret


@transaction.atomic
def revoke(gateway: Gateway, *, now: datetime, by: "User | str") -> int:
    """End the open codes of a gateway; how many there were."""
    Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    open_ones = list(_open(gateway).filter(expires_at__gt=now))
    for claim in open_ones:
        claim.revoked_at = now
        claim.save(update_fields=["revoked_at"])
        audit.note(AuditAction.CLAIM_REVOKED, gateway, by=by, detail={"begins_with": claim.hint})
    return len(open_ones)


def find(typed: str) -> ClaimCode | None:
    """The code that somebody holds, in whatever state it is. Found by its hash, so in no time that tells anything."""
    meant = normalised(typed)
    if meant is None:
        return None
    return ClaimCode.objects.select_related("gateway__tenant").filter(sha256=hashed(meant)).first()


def trouble(claim: ClaimCode, now: datetime) -> str:
    """Why a code is not good any more, as a sentence for whoever holds it; empty when it is. Pure."""
    again = f"ask for a new one: ./tds claim add {claim.gateway.code}"
    if claim.used_at is not None:
        return f"This claim code was used at {claim.used_at:%Y-%m-%d %H:%M} UTC, and is good once; {again}"
    if claim.revoked_at is not None:
        return f"This claim code was revoked, or replaced by a newer one; use that, or {again}"
    if now >= claim.expires_at:
        return f"This claim code expired at {claim.expires_at:%Y-%m-%d %H:%M} UTC; {again}"
    return ""


def may_be_asked_again(claim: ClaimCode, now: datetime) -> bool:
    """Whether it was used so lately that its answer may not have arrived. Pure."""
    used_at = claim.used_at
    return (
        used_at is not None and claim.certificate_id is not None and now - used_at < timedelta(seconds=CLAIM_ANSWER_S)
    )


def use_up(claim: ClaimCode, now: datetime) -> bool:
    """True for one of those who try it at the same moment. Call it in the transaction that issues the certificate."""
    return _open(claim.gateway).filter(pk=claim.pk, expires_at__gt=now).update(used_at=now) == 1


def answered(claim: ClaimCode, certificate: Certificate) -> None:
    """What it was used for, in the transaction of `use_up`."""
    _open_or_not(claim.gateway).filter(pk=claim.pk).update(certificate=certificate)


def _open_or_not(gateway: Gateway) -> "models.QuerySet[ClaimCode]":
    return ClaimCode.objects.filter(gateway=gateway)


def _open(gateway: Gateway) -> "models.QuerySet[ClaimCode]":
    return _open_or_not(gateway).filter(used_at=None, revoked_at=None)


def _refuse(gateway: Gateway) -> None:
    if gateway.status == GatewayStatus.RETIRED:
        raise ClaimRefusedError(
            f"Gateway {gateway.code} is retired; register its successor: ./tds gateway add {gateway.code} --tenant SLUG"
        )
    if gateway.status == GatewayStatus.DISABLED:
        raise ClaimRefusedError(
            f"Gateway {gateway.code} is disabled and would be turned away; first ./tds gateway enable {gateway.code}"
        )
    try:
        names.gateway_name(gateway.code)
    except names.NameRefusedError as error:
        raise ClaimRefusedError(f"{error} Register the gateway under another code.") from error
