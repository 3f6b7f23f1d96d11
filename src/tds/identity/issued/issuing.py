"""Gives gateways certificates, and writes each down before anybody can have it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tds.fleet.models import Gateway
from tds.identity.authorities.authority import DEVICE_DAYS, Authority, fingerprint_text, serial_text
from tds.identity.models import Certificate, How

ROWS_AT_ONCE = 500


class Wanted(NamedTuple):
    """A gateway that is in the database, and the key that its certificate is for."""

    gateway: Gateway
    public_key: ec.EllipticCurvePublicKey


def issue(  # noqa: PLR0913  # all of what is written down
    authority: Authority,
    gateway: Gateway,
    public_key: ec.EllipticCurvePublicKey,
    how: How,
    *,
    now: datetime,
    days: float = DEVICE_DAYS,
) -> x509.Certificate:
    """One certificate. Those that the gateway has stay valid: it may lose power before it has kept the new one."""
    [certificate] = issue_many(authority, [Wanted(gateway, public_key)], how, now=now, days=days)
    return certificate


def issue_many(
    authority: Authority, wanted: Iterable[Wanted], how: How, *, now: datetime, days: float = DEVICE_DAYS
) -> list[x509.Certificate]:
    """A certificate for each, in order; their rows in the caller's transaction. Raises NameRefusedError."""
    pairs = [
        (each.gateway, authority.issue_device(each.public_key, each.gateway.code, now, days=days)) for each in wanted
    ]
    record(authority.name, pairs, how, now=now)
    return [certificate for _gateway, certificate in pairs]


def record(issuer: str, issued: Sequence[tuple[Gateway, x509.Certificate]], how: How, *, now: datetime) -> None:
    """Write down what an authority signed, perhaps in another process."""
    Certificate.objects.bulk_create(
        [row(issuer, gateway, certificate, how, now=now) for gateway, certificate in issued], batch_size=ROWS_AT_ONCE
    )


def row(issuer: str, gateway: Gateway, certificate: x509.Certificate, how: How, *, now: datetime) -> Certificate:
    return Certificate(
        gateway=gateway,
        serial=serial_text(certificate),
        issuer=issuer,
        fingerprint=fingerprint_text(certificate),
        how=how,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=now,
        der=None if how is How.FACTORY else certificate.public_bytes(serialization.Encoding.DER),
    )
