"""Who calls on :8070, by the certificate that the TLS handshake proved: asked of the database at every request.

The handshake only says that an authority of ours signed it at some time. A connection that stays open, and a session
that is resumed, prove no more later on: so all that may have changed since is looked at here.
"""

from collections.abc import Collection
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


def refuse_without_certificate() -> NoReturn:
    raise RefusedError(
        HTTPStatus.UNAUTHORIZED, "This needs the gateway's certificate: present it in the TLS handshake."
    )


def find(der: bytes, trusted: Collection[str], now: datetime) -> Caller:
    """Whose certificate it is. `trusted` are the authorities whose gateways are let in now.

    Raises RefusedError (403) for one that is not good any more.
    """
    presented = x509.load_der_x509_certificate(der)
    rows = Certificate.objects.select_related("gateway").filter(serial=serial_text(presented))
    row = rows.first()
    # The number alone is not enough: whoever has a signature can make a second valid one of it (ECDSA), and with it
    # another certificate of the same number, which nobody wrote down.
    if row is None or row.fingerprint != fingerprint_text(presented):
        raise _forbidden("This certificate is not known here.")
    if trouble := trouble_of(row, trusted, now):
        raise _forbidden(trouble)
    return Caller(row.gateway_id, row.gateway.code, row.serial, row.not_after)


def trouble_of(row: Certificate, trusted: Collection[str], now: datetime) -> str:
    """Why a certificate, with its gateway, is not good now; empty when it is. Pure."""
    code = row.gateway.code
    if row.gateway.status == GatewayStatus.DISABLED:
        return f"Gateway {code} is disabled."
    if row.gateway.status == GatewayStatus.RETIRED:
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
