"""What a gateway has to show who it is, in the files that `tds provision` writes: a key, a certificate, whom to trust.

A renewal replaces two files, and no file system does that in one step. So the new pair is first written whole into one
file, `renewed.pem`. Its rename is the moment from which the new pair counts: whoever finds that file finishes the work,
and a power cut at any point leaves one pair or the other, never half of each.

A key is on the disk before anybody is asked to certify it. An answer may get lost on its way after the claim code was
used up; the server then answers the same key once more, and no other.
"""

import contextlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from tds.simulator.message import CODE

KEY_FILE: Final = "gateway.key"
CERTIFICATE_FILE: Final = "gateway.crt"  # the gateway's own, then its issuer's
CA_FILE: Final = "ca.pem"  # the servers' authorities
RENEWED_FILE: Final = "renewed.pem"  # key and certificates of a renewal that is not in its two files yet
CLAIMING_FILE: Final = "claiming.pem"  # the key that a certificate is being asked for, and room for that
RENEWING_FILE: Final = "renewing.pem"  # the key of a renewal that is being asked for, and the certificate it began with

MAX_FILE_BYTES: Final = 65_536  # a chain has a few kilobytes; anything larger is another file
ROOM_BYTES: Final = 16_384  # on the disk, for a chain that comes for a claim code
_SECRET: Final = 0o600
_PUBLIC: Final = 0o644


class CredentialError(Exception):
    """A sentence about files that can't be used."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One whole pair. The two files may be one and the same."""

    code: str
    folder: Path
    key_file: Path
    certificate_file: Path
    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...]
    not_before_ms: int  # since 1970, as the certificate says
    not_after_ms: int

    def context(self) -> ssl.SSLContext:
        """For connections that show this certificate. Raises CredentialError."""
        context = trusting(self.folder / CA_FILE)
        try:
            context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ValueError) as error:
            raise CredentialError(f"{self.certificate_file} can't be shown to a server: {error}.") from error
        return context


def trusting(ca_file: Path) -> ssl.SSLContext:
    """For connections to servers of these authorities alone, by their names. Raises CredentialError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ValueError) as error:
        raise CredentialError(
            f"{ca_file} can't be read ({error}); it holds the authorities that servers are known by."
        ) from error
    return context


def gateways_in(box: Path) -> tuple[str, ...]:
    """The codes that have a certificate in the box, in their order. Raises CredentialError."""
    try:
        found = sorted(
            folder.name
            for folder in box.iterdir()
            if CODE.fullmatch(folder.name)
            and ((folder / CERTIFICATE_FILE).is_file() or (folder / RENEWED_FILE).is_file())
        )
    except OSError as error:
        raise CredentialError(f"The box {str(box)!r} can't be read: {error.strerror or error}.") from error
    if not found:
        raise CredentialError(f"No gateway has a certificate in {str(box)!r}; `./tds provision` fills a box.")
    return tuple(found)


def load(box: Path, code: str) -> Credential:
    """The pair that counts. A renewal that a power cut interrupted is finished first. Raises CredentialError."""
    folder = box / code
    renewed = _pair(folder, RENEWED_FILE, RENEWED_FILE)
    kept = _pair(folder, KEY_FILE, CERTIFICATE_FILE)
    if renewed is not None and (kept is None or renewed.not_after_ms >= kept.not_after_ms):
        try:
            _settle(folder, *_halves(renewed.key_file.read_bytes()))
        except OSError:
            return renewed  # a full or read-only disk: it is as good from where it is
        kept = _pair(folder, KEY_FILE, CERTIFICATE_FILE)
    elif renewed is not None:  # somebody provisioned the gateway anew since
        with contextlib.suppress(OSError):
            (folder / RENEWED_FILE).unlink()
    if kept is None:
        raise CredentialError(
            f"{str(folder)!r} has no {KEY_FILE} and {CERTIFICATE_FILE} that belong together; provision {code} anew."
        )
    names = kept.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [name.value for name in names] != [code]:
        raise CredentialError(f"The certificate in {str(folder)!r} is not of {code}; provision {code} anew.")
    return kept


def keep(folder: Path, key_pem: bytes, chain_pem: bytes) -> None:
    """From here on the gateway uses this pair. OSError: it does not, and the former pair is untouched."""
    _replace(folder / RENEWED_FILE, key_pem + chain_pem, _SECRET)
    # What follows can be done later, by the next one who loads it.
    with contextlib.suppress(OSError):
        _settle(folder, key_pem, chain_pem)


def reserve(folder: Path, key_pem: bytes) -> None:
    """On the disk before a claim code is used, which is good for once: the key, and room for what comes. OSError."""
    _replace(folder / CLAIMING_FILE, key_pem + b"\n" * ROOM_BYTES, _SECRET)


def reserved(folder: Path) -> ec.EllipticCurvePrivateKey | None:
    """The key of a claim that nothing came for yet; None when there is none that can be used."""
    return _key(folder / CLAIMING_FILE)


def release(folder: Path) -> None:
    """Nothing comes for it."""
    with contextlib.suppress(OSError):
        (folder / CLAIMING_FILE).unlink()


def begin_renewal(present: Credential, key_pem: bytes) -> None:
    """On the disk before the server is asked to certify it. `keep` ends it. OSError."""
    began_with = present.certificate.public_bytes(Encoding.PEM)
    _replace(present.folder / RENEWING_FILE, key_pem + began_with, _SECRET)


def renewing(present: Credential) -> ec.EllipticCurvePrivateKey | None:
    """The key of a renewal that nothing came for yet. One that began with another certificate counts for nothing."""
    path = present.folder / RENEWING_FILE
    try:
        began_with = x509.load_pem_x509_certificates(_read(path))
    except (OSError, ValueError):
        return None
    return _key(path) if began_with == [present.certificate] else None


def give_up_renewal(present: Credential) -> None:
    """Nothing comes for its key, or nothing of use."""
    with contextlib.suppress(OSError):
        (present.folder / RENEWING_FILE).unlink()


def keep_reserved(folder: Path, key_pem: bytes, chain_pem: bytes) -> None:
    """As `keep`, in the room that was reserved for it: a disk that is full by now is no reason to lose it."""
    with (folder / CLAIMING_FILE).open("r+b") as file:
        file.write(key_pem + chain_pem)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    os.replace(folder / CLAIMING_FILE, folder / RENEWED_FILE)  # noqa: PTH105  # as below
    _sync(folder)
    with contextlib.suppress(OSError):
        _settle(folder, key_pem, chain_pem)


def _settle(folder: Path, key_pem: bytes, chain_pem: bytes) -> None:
    _replace(folder / KEY_FILE, key_pem, _SECRET)
    _replace(folder / CERTIFICATE_FILE, chain_pem, _PUBLIC)
    (folder / RENEWING_FILE).unlink(missing_ok=True)
    (folder / RENEWED_FILE).unlink()  # last: as long as it is there, whoever loads it does all of this again


def _halves(pem: bytes) -> tuple[bytes, bytes]:
    begin = pem.index(b"-----BEGIN CERTIFICATE-----")
    return pem[:begin], pem[begin:]


def _replace(path: Path, contents: bytes, mode: int) -> None:
    """In one step, and on the disk when it returns: a reader, or a power cut, finds the former or this one."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # of a power cut; its mode may be another
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)  # noqa: PTH105  # the one call whose success is the promise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pair(folder: Path, key_name: str, certificate_name: str) -> Credential | None:
    """None when a file is missing, is something else, or the two don't belong together."""
    try:
        key = load_pem_private_key(_read(folder / key_name), None)
        leaf, *issuers = x509.load_pem_x509_certificates(_read(folder / certificate_name))
        same = key.public_key() == leaf.public_key()
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not same:
        return None
    return Credential(
        code=folder.name,
        folder=folder,
        key_file=folder / key_name,
        certificate_file=folder / certificate_name,
        certificate=leaf,
        issuers=tuple(issuers),
        not_before_ms=round(leaf.not_valid_before_utc.timestamp() * 1000),
        not_after_ms=round(leaf.not_valid_after_utc.timestamp() * 1000),
    )


def _key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = load_pem_private_key(_read(path), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1) else None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES)
