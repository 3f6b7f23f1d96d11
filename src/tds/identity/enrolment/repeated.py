"""What a board was given before, for when it asks the same again: the answer may have got lost on its way.

By then all was written down: the claim code is used up, and what the board had is revoked. So whoever asks again with
the same key is given the same certificate, byte for byte. RFC 7030 leaves it open how a second request is answered, and
has clients repeat theirs after a 202 (4.2.3). Whoever proves to have the key learns nothing from a certificate that was
made for it; whoever has another one is refused as before.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from tds.identity.enrolment import callers, claims
from tds.identity.models import Certificate, ClaimCode, How

MAX_LOOKED_AT: Final = 10  # renewals; no more are given within the time that is looked at


def claimed(
    claim: ClaimCode, request: x509.CertificateSigningRequest, trusted: Collection[str], now: datetime
) -> x509.Certificate | None:
    """What this code was answered with of late, when it is of the same key and still good: a newer claim ends it."""
    if claim.certificate_id is None or not claims.may_be_asked_again(claim, now):
        return None
    given = Certificate.objects.select_related("gateway").get(pk=claim.certificate_id)
    return None if callers.trouble_of(given, trusted, now) else _of_key(given, request)


def renewed(
    present: Certificate, request: x509.CertificateSigningRequest, issuer: str, now: datetime, *, within: timedelta
) -> x509.Certificate | None:
    """What that authority gave to the same key, later than the one presented and not longer ago than that."""
    later = Certificate.objects.filter(
        gateway=present.gateway,
        pk__gt=present.pk,
        how=How.RENEWAL,
        issuer=issuer,
        issued_at__gt=now - within,
        revoked_at=None,
    )
    return next(filter(None, (_of_key(each, request) for each in later.order_by("-pk")[:MAX_LOOKED_AT])), None)


def _of_key(given: Certificate, request: x509.CertificateSigningRequest) -> x509.Certificate | None:
    if given.der is None:
        return None
    certificate = x509.load_der_x509_certificate(bytes(given.der))
    return certificate if certificate.public_key() == request.public_key() else None
