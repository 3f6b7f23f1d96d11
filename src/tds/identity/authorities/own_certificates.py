"""The platform's own certificates, as its servers hold them: when they run out."""

from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from tds.identity.authorities.tls_files import CHAIN, DEVICE_ANCHORS, SERVER_CA

SERVER: Final = "server"
PREFIX: Final = "TDS "  # of an authority's common name: "TDS device-1 5f3a"
MAX_FILE_BYTES: Final = 1_048_576  # 64 authorities of a kind take 60 kB


class Own(NamedTuple):
    """`name` is server, root, or an issuing authority's: device-1, service-1 …"""

    name: str
    ends_at: datetime


def own_certificates(folder: Path) -> list[Own]:
    """Of a server's folder; those that can't be read are left out. The server's own comes first, the rest by name."""
    found: dict[str, datetime] = {}
    for certificate in (*_read(folder / SERVER_CA), *_read(folder / DEVICE_ANCHORS)):
        found[_name_of(certificate)] = certificate.not_valid_after_utc
    authorities = [Own(*item) for item in sorted(found.items())]
    return [*(Own(SERVER, own.not_valid_after_utc) for own in _read(folder / CHAIN)[:1]), *authorities]


def _read(path: Path) -> list[x509.Certificate]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return []
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


def _name_of(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(found[0].value) if found else ""
    return text.removeprefix(PREFIX).partition(" ")[0] or "unnamed"
