"""Certificate revocation lists (RFC 5280, 5). Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tds.identity.authorities.authority import Authority

Reason = x509.ReasonFlags


class Revoked(NamedTuple):
    """A certificate that is not to be trusted, since when and why."""

    serial: int
    at: datetime
    reason: x509.ReasonFlags


def sign(
    authority: Authority, revoked: Sequence[Revoked], *, number: int, now: datetime, next_update: datetime
) -> x509.CertificateRevocationList:
    """The complete list of one authority. `number` only grows. After `next_update` verifiers refuse everybody.

    Times have whole seconds (RFC 5280, 5.1.2.4). Of two lists of one authority OpenSSL takes the one with the later
    `now`; of two with the same, either.
    """
    builder = (
        # All at once: one by one the builder copies what it has for each, which takes minutes for a large fleet.
        x509.CertificateRevocationListBuilder(revoked_certificates=[_entry(*each) for each in revoked])
        .issuer_name(authority.certificate.subject)
        .last_update(now.replace(microsecond=0))
        .next_update(next_update.replace(microsecond=0))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def _entry(serial: int, at: datetime, reason: Reason) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at.replace(microsecond=0))
    # RFC 5280, 5.3.1: what says nothing is left out.
    known = reason is not Reason.unspecified
    return (builder.add_extension(x509.CRLReason(reason), critical=False) if known else builder).build()
