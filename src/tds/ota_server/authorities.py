"""The authorities as this server holds them in memory: who issues, whose gateways are let in, what EST hands out."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from tds.identity.authorities.authority import Authority
from tds.identity.authorities.folder import AuthorityFolder


@dataclass(frozen=True, slots=True)
class Authorities:
    """At one moment. `trusted` are the names of the device authorities whose overlap has not ended."""

    issuing: Authority
    trusted: frozenset[str]
    anchors_pem: bytes  # of those
    published: tuple[x509.Certificate, ...]  # root, then issuing authorities: what RFC 7030, 4.1.3, asks for


def read(folder: AuthorityFolder, now: datetime) -> Authorities:
    """Reads files. Raises FolderUnusableError."""
    devices = folder.devices(now)
    chain = (folder.root().certificate, *(each.certificate for each in (*devices, *folder.services(now))))
    names = frozenset(each.name for each in devices)
    return Authorities(folder.device(), names, folder.anchors_pem(now), chain)
