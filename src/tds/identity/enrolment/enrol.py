"""A gateway asks for its certificate: with a claim code, or with the certificate that it has. In one transaction each.

The gateway's row is locked first. So a gateway that is disabled at this moment is either refused, or was given its
certificate before and is on the next revocation list with it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, NamedTuple

from cryptography import x509
from django.db import transaction

from tds.fleet import audit
from tds.fleet.models import AuditAction, Gateway, GatewayStatus
from tds.identity.authorities.authority import Authority, serial_text
from tds.identity.authorities.crl import Reason
from tds.identity.enrolment import callers, claims, repeated, requests
from tds.identity.enrolment.callers import Caller
from tds.identity.enrolment.est import Credentials, unauthorized
from tds.identity.enrolment.http_refusal import RefusedError
from tds.identity.issued import certificates, issuing
from tds.identity.models import Certificate, ClaimCode, GatewayPassword, How
from tds.identity.names import shown

# A device renews once in a year or two. More are for answers that got lost on the way, and for keys that did; each
# stays valid, and would have to be on the revocation list.
MAX_RENEWALS: Final = 10
RENEWALS_WITHIN: Final = timedelta(days=1)  # so long a renewal may be asked for again with the same key, too
MAX_GOOD: Final = 50  # renewed certificates of one gateway that are neither revoked nor over


class Given(NamedTuple):
    """`again`: it was given before, to the same key."""

    certificate: x509.Certificate
    again: bool = False


def by_claim(given: Credentials, der: bytes, authority: Authority, trusted: Collection[str], now: datetime) -> Given:
    """The first certificate of a board (RFC 7030, 4.2.1). Raises RefusedError; then the claim code is still good.

    Within CLAIM_ANSWER_S a code that was used is answered as before to the same key, and to no other.
    """
    claim = _claim(given, now)
    request = _request(der)
    _check_subject(request, claim.gateway.code)
    with transaction.atomic():
        gateway = _locked(claim.gateway_id)
        # Whoever had the lock before may have used it, or ended it.
        claim.refresh_from_db(fields=["used_at", "revoked_at", "certificate"])
        if again := repeated.claimed(claim, request, trusted, now):
            return Given(again, again=True)
        if not claims.use_up(claim, now):
            raise unauthorized(claims.trouble(claim, now) or "This claim code is not good any more.")
        _supersede(gateway, now)
        certificate = _issue(authority, gateway, request, How.CLAIM, detail={"claim_code": claim.hint}, now=now)
        claims.answered(claim, Certificate.objects.get(serial=serial_text(certificate)))
        return Given(certificate)


def by_renewal(caller: Caller, der: bytes, authority: Authority, trusted: Collection[str], now: datetime) -> Given:
    """The next certificate of a board, for the same key or a new one (RFC 7030, 4.2.2). Raises RefusedError.

    The present one stays good, so a board whose answer got lost asks again with it. Within RENEWALS_WITHIN it gets the
    same one for the same key; for other keys it is given MAX_RENEWALS in that time, and MAX_GOOD in all.
    """
    request = _request(der)
    _check_subject(request, caller.code)
    with transaction.atomic():
        gateway = _locked(caller.gateway_id)
        present = Certificate.objects.select_related("gateway").get(serial=caller.serial)
        if trouble := callers.trouble_of(present, trusted, now):
            raise RefusedError(HTTPStatus.FORBIDDEN, trouble)
        if again := repeated.renewed(present, request, authority.name, now, within=RENEWALS_WITHIN):
            return Given(again, again=True)
        _bound(gateway, now)
        detail: audit.Detail = {"presented": caller.serial}
        return Given(_issue(authority, gateway, request, How.RENEWAL, detail=detail, now=now))


def _claim(given: Credentials, now: datetime) -> ClaimCode:
    """Who holds the right code is told what is wrong with it; others not even whether there is such a gateway."""
    claim = claims.find(given.secret)
    if claim is None or claim.gateway.code != given.user:
        raise unauthorized(
            "This is no claim code of this gateway. Check both as they were given to you: the gateway's code is the "
            "user name, and upper and lower case count in it."
        )
    trouble = claims.trouble(claim, now)
    if trouble and not claims.may_be_asked_again(claim, now):
        raise unauthorized(trouble)
    _check_active(claim.gateway)
    return claim


def _request(der: bytes) -> x509.CertificateSigningRequest:
    try:
        return requests.read_request(der)
    except requests.RequestRefusedError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error


def _check_subject(request: x509.CertificateSigningRequest, code: str) -> None:
    """By value, as RFC 5280, 7.1, compares names: one library writes UTF8String, another PrintableString."""
    asked = requests.common_name(request)
    if asked != code:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST,
            f"The request is for {shown(asked)}, but you are {code}; its subject must be CN={code}.",
        )


def _locked(gateway_id: int) -> Gateway:
    gateway = Gateway.objects.select_for_update(no_key=True).get(pk=gateway_id)
    _check_active(gateway)
    return gateway


def _check_active(gateway: Gateway) -> None:
    if gateway.status != GatewayStatus.ACTIVE:
        raise RefusedError(
            HTTPStatus.FORBIDDEN, f"Gateway {gateway.code} is {gateway.status}, and is given no certificate."
        )


def _bound(gateway: Gateway, now: datetime) -> None:
    """No more than MAX_RENEWALS within RENEWALS_WITHIN, and than MAX_GOOD that are good at once."""
    since = now - RENEWALS_WITHIN
    given = Certificate.objects.filter(gateway=gateway, how=How.RENEWAL, issued_at__gt=since).order_by("-issued_at")
    times = list(given.values_list("issued_at", flat=True)[:MAX_RENEWALS])
    if len(times) == MAX_RENEWALS:
        raise RefusedError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Gateway {gateway.code} was given {MAX_RENEWALS} certificates within a day; it should keep the last one.",
            retry_after_s=(times[-1] + RENEWALS_WITHIN - now).total_seconds(),
        )
    good = Certificate.objects.filter(gateway=gateway, how=How.RENEWAL, revoked_at=None, not_after__gt=now)
    if good.count() >= MAX_GOOD:
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            f"Gateway {gateway.code} has {MAX_GOOD} certificates by renewal that are good, and should keep the last "
            "one. Whoever runs the platform can revoke them, or give a claim code, which ends them all.",
        )


def _supersede(gateway: Gateway, now: datetime) -> None:
    """A claim code makes a board the gateway: whatever board was it before, perhaps stolen, is it no more.

    Two that both were would turn each other off the broker for ever. At once, and not when the new certificate is used
    for the first time: no broker says with which certificate a session was opened, and until then the stolen board
    would go on, or put the new one off. A board that the answer did not reach asks again.
    """
    for former in Certificate.objects.select_related("gateway").filter(gateway=gateway, revoked_at=None):
        certificates.revoke(former, Reason.superseded.value, by=audit.THE_GATEWAY, now=now)
    GatewayPassword.objects.filter(gateway=gateway).delete()


def _issue(  # noqa: PLR0913  # all of what is written down
    authority: Authority,
    gateway: Gateway,
    request: x509.CertificateSigningRequest,
    how: How,
    *,
    detail: audit.Detail,
    now: datetime,
) -> x509.Certificate:
    certificate = issuing.issue(authority, gateway, requests.public_key(request), how, now=now)
    audit.note(
        AuditAction.CERTIFICATE_ISSUED,
        gateway,
        by=audit.THE_GATEWAY,
        detail={"how": str(how), "serial": serial_text(certificate), **detail},
    )
    return certificate
