"""The files that a TLS server of ours needs: its key and certificate chain, and whom it trusts.

For brokers and the firmware server alike. What is there and still good is left alone, so that a start is quick.
"""

import errno
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tds.identity.authorities import crl, keys
from tds.identity.authorities.authority import SERVER_DAYS
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.authorities.tls_files import CHAIN, DEVICE_ANCHORS, KEY, REVOKED, SERVER_CA, STAMP
from tds.owners import ForeignFileError, read_kept

RENEW_DAYS_BEFORE: Final = SERVER_DAYS // 3
CRL_END: Final = b"-----END X509 CRL-----\n"
LIST_DAYS: Final = 30  # of an empty first list; the worker signs one each day


def write(folder: Path, authorities: AuthorityFolder, hosts: Sequence[str], now: datetime) -> None:
    """Make all files anew; a revocation list that is there stays. Raises FolderUnusableError, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = keys.new_key()
    chain = chain_pem(authorities, key.public_key(), hosts, now)
    keys.write_private(folder / KEY, keys.pem(key))
    keys.write_public(folder / CHAIN, chain)
    write_trust(folder, authorities, now)
    keys.write_public(folder / REVOKED, _lists(folder / REVOKED, authorities, now))
    ends = x509.load_pem_x509_certificate(chain).not_valid_after_utc
    renew_at = ends - timedelta(days=RENEW_DAYS_BEFORE)
    stamp = {"hosts": list(hosts), "authorities": authorities.stamp(), "renew_at": renew_at.isoformat()}
    keys.write_public(folder / STAMP, json.dumps(stamp).encode("ascii"))


def chain_pem(
    authorities: AuthorityFolder, public_key: ec.EllipticCurvePublicKey, hosts: Sequence[str], now: datetime
) -> bytes:
    """A new certificate of a server, and behind it its authority's. Raises FolderUnusableError."""
    service = authorities.service()
    return _pem(service.issue_server(public_key, hosts, now)) + _pem(service.certificate)


def write_trust(folder: Path, authorities: AuthorityFolder, now: datetime) -> None:
    """Whom a server trusts now, and what gateways pin: they change when an authority comes or its overlap ends."""
    keys.write_public(folder / DEVICE_ANCHORS, authorities.anchors_pem(now))
    keys.write_public(folder / SERVER_CA, authorities.server_ca_pem(now))


def _lists(path: Path, authorities: AuthorityFolder, now: datetime) -> bytes:
    """The lists that are there, and an empty one of each authority that has none: servers refuse all of those else."""
    kept = _kept(path)
    issuers = {each.issuer for each in kept}
    # Written anew from what was understood: nothing else that stood there comes along.
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in kept) + b"".join(
        crl.sign(device, [], number=0, now=now, next_update=now + timedelta(days=LIST_DAYS)).public_bytes(
            serialization.Encoding.PEM
        )
        for device in authorities.devices(now)
        if device.certificate.subject not in issuers
    )


def _kept(path: Path) -> list[x509.CertificateRevocationList]:
    """None when there is no such file, it is damaged, or it is not the folder owner's own."""
    try:
        return _parts(read_kept(path))
    except (FileNotFoundError, ForeignFileError, ValueError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link; it is replaced, and what it leads to is left alone
            return []
        raise


def _parts(pem: bytes) -> list[x509.CertificateRevocationList]:
    return [x509.load_pem_x509_crl(part + CRL_END) for part in pem.split(CRL_END)[:-1]]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
