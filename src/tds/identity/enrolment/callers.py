"""Who calls on :8070, by the certificate that the TLS handshake proved: asked of the database at every request.

The handshake only says that an authority of ours signed it at some time. A connection that stays open, and a session
that is resumed, prove no more later on: so all that may have changed since is looked at here.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple, NoReturn

from cryptography import x509

from tds.fleet.models import GatewayStatus
from tds.identity.authorities.authority import fingerprint_text, serial_text
from tds.identity.enrolment.http_refusal import RefusedError
from tds.identity.models import Certificate


class Caller(NamedTuple):
    """An active gateway with a certificate that is good now."""

    gateway_id: int
    code: str
    serial: str
    not_after: datetime


class Presented(NamedTuple):
    """A certificate in DER, whose key its sender has. `trusted` are the authorities whose gateways are let in now."""

    der: bytes
    trusted: Collection[str]
    now: datetime


class _Standing(NamedTuple):
    """What decides whether a certificate is good, as the database has it."""

    serial: str
    fingerprint: str
    issuer: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None
    gateway_id: int
    code: str
    status: str


def without_certificate(status: HTTPStatus) -> RefusedError:
    return RefusedError(status, "This needs the gateway's certificate: present it in the TLS handshake.")


def refuse_without_certificate() -> NoReturn:
    """As EST has it (RFC 7030, 3.2.3), whose 401 names what a gateway without one can come with: a claim code."""
    raise without_certificate(HTTPStatus.UNAUTHORIZED)


def find(der: bytes, trusted: Collection[str], now: datetime) -> Caller:
    """Whose certificate it is. Raises RefusedError (403) for one that is not good any more."""
    found = find_all([Presented(der, trusted, now)])[0]
    if isinstance(found, RefusedError):
        raise found
    return found


def find_all(presented: Sequence[Presented]) -> list[Caller | RefusedError]:
    """The same of several at once, in their order."""
    certificates = [x509.load_der_x509_certificate(each.der) for each in presented]
    fields = ("serial", "fingerprint", "issuer", "not_before", "not_after", "revoked_at", "gateway_id")
    known = (
        Certificate.objects.filter(serial__in={serial_text(each) for each in certificates})
        .order_by()
        .values_list(*fields, "gateway__code", "gateway__status")
    )
    standing = {row[0]: _Standing(*row) for row in known} if presented else {}
    return [_judged(each, shown, standing) for each, shown in zip(presented, certificates, strict=True)]


def _judged(presented: Presented, shown: x509.Certificate, known: Mapping[str, _Standing]) -> Caller | RefusedError:
    row = known.get(serial_text(shown))
    # The number alone is not enough: whoever has a signature can make a second valid one of it (ECDSA), and with it
    # another certificate of the same number, which nobody wrote down.
    if row is None or row.fingerprint != fingerprint_text(shown):
        return _forbidden("This certificate is not known here.")
    if trouble := _trouble(row, presented.trusted, presented.now):
        return _forbidden(trouble)
    return Caller(row.gateway_id, row.code, row.serial, row.not_after)


def trouble_of(row: Certificate, trusted: Collection[str], now: datetime) -> str:
    """Why a certificate, with its gateway, is not good now; empty when it is. Pure."""
    dates, gateway = (row.not_before, row.not_after, row.revoked_at), row.gateway
    standing = _Standing(row.serial, row.fingerprint, row.issuer, *dates, gateway.id, gateway.code, gateway.status)
    return _trouble(standing, trusted, now)


def _trouble(row: _Standing, trusted: Collection[str], now: datetime) -> str:
    code = row.code
    if row.status == GatewayStatus.DISABLED:
        return f"Gateway {code} is disabled."
    if row.status == GatewayStatus.RETIRED:
        return f"The gateway {code} that had this certificate is retired."
    if row.revoked_at is not None:
        return f"This certificate of gateway {code} is revoked."
    if not row.not_before <= now <= row.not_after:
        return (
            f"This certificate of gateway {code} is valid from {row.not_before:%Y-%m-%d} to {row.not_after:%Y-%m-%d}."
        )
    if row.issuer not in trusted:
        return f"This certificate of gateway {code} is of an authority ({row.issuer}) that is not trusted any more."
    return ""


def _forbidden(what: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.FORBIDDEN, f"{what} Whoever runs the platform can say why, and give a claim code for a new one."
    )
