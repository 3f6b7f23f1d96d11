"""The certificates of the demo's gateways, in a box as a factory gets them. Made anew when they would not do."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.authorities import keys
from tds.identity.authorities.authority import Authority, serial_text
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.issued import issuing
from tds.identity.models import How
from tds.simulator import credential

TRUST_ROOTS: Final = "trust-roots.txt"  # as a factory image has them: whom a device believes what it may install

# The simulator renews from two thirds of the lifetime. When it was off for so long that little is left, a start helps.
MIN_LEFT: Final = 1 / 6  # of the lifetime


def fill(
    box: Path, authorities: AuthorityFolder, gateways: Iterable[Gateway], now: datetime, trust_roots: str = ""
) -> None:
    """Have a folder for each gateway, with what it comes in with. Raises FolderUnusableError, OSError."""
    device, server_ca = authorities.device(), authorities.server_ca_pem(now)
    box.mkdir(mode=0o700, parents=True, exist_ok=True)
    for gateway in gateways:
        folder = box / gateway.code
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _holds(folder / credential.CA_FILE, server_ca):
            keys.write_public(folder / credential.CA_FILE, server_ca)
        if trust_roots and not _holds(folder / TRUST_ROOTS, trust_roots.encode()):
            keys.write_public(folder / TRUST_ROOTS, trust_roots.encode())
        if _is_for_us_to_make(gateway) and not _will_do(box, gateway, device, now):
            key = keys.new_key()
            certificate = issuing.issue(device, gateway, key.public_key(), How.FACTORY, now=now)
            chain = (certificate, device.certificate)
            credential.keep(folder, keys.pem(key), b"".join(each.public_bytes(Encoding.PEM) for each in chain))


def is_fresh(certificate: x509.Certificate, device: Authority, now: datetime) -> bool:
    """Issued by the present authority, and good for a while."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    by_us = certificate.issuer == device.certificate.subject
    return by_us and begins <= now < ends - MIN_LEFT * (ends - begins)


def _is_for_us_to_make(gateway: Gateway) -> bool:
    """What a person took away stays away."""
    newest = gateway.certificates.first()
    return gateway.status != GatewayStatus.RETIRED and (newest is None or newest.revoked_at is None)


def _will_do(box: Path, gateway: Gateway, device: Authority, now: datetime) -> bool:
    try:
        certificate = credential.load(box, gateway.code).certificate
    except credential.CredentialError:
        return False
    # Of a database that was made anew or came from a backup, a certificate in the box may be unknown.
    known = gateway.certificates.filter(serial=serial_text(certificate)).exists()
    return known and is_fresh(certificate, device, now)


def _holds(path: Path, contents: bytes) -> bool:
    try:
        return path.read_bytes() == contents
    except OSError:
        return False
