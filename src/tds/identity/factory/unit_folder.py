"""What the factory gets for one unit: a folder with key, certificate, authorities, NVS image and label.

It holds the private key and the network's password, so it is for its owner alone, and it appears whole or not at all.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tds.identity.authorities import keys
from tds.identity.authorities.authority import fingerprint_text, serial_text
from tds.identity.factory import label, nvs
from tds.identity.factory.units import Unit

KEY: Final = "gateway.key"
CHAIN: Final = "gateway.crt"  # the unit's certificate, then its issuing authority's
SERVER_CA: Final = "ca.pem"  # what the unit trusts in servers
IMAGE: Final = "nvs.bin"
LABEL: Final = "label.svg"
FILES: Final = (KEY, CHAIN, SERVER_CA, IMAGE, LABEL)

DRAFT: Final = ".draft-"  # no code begins with a dot
REPLACED: Final = ".replaced-"
MAX_FILE_BYTES: Final = 65_536  # read of one: the largest, the image, has 24 KiB
BYTES_ON_DISK: Final = 49_152  # of a folder, in blocks of 4 KiB


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key and its certificate, as they lie in the folder."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """All that a unit's folder is made from."""

    unit: Unit
    broker: str
    server_ca: bytes
    credentials: Credentials
    trust_roots: str = ""


class State(StrEnum):
    """What is found where a unit's folder should be."""

    ABSENT = "absent"
    BROKEN = "broken"  # there is something, but not a key with its certificate for this gateway
    SOUND = "sound"


class Found(NamedTuple):
    state: State
    serial: str = ""


def credentials(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, issuer_pem: bytes) -> Credentials:
    chain = certificate.public_bytes(serialization.Encoding.PEM) + issuer_pem
    return _credentials(keys.pem(key), chain, certificate)


def contents(order: Order) -> dict[str, bytes]:
    """The files by their names. Pure. Raises ImageTooLargeError."""
    unit, own = order.unit, order.credentials
    return {
        KEY: own.key_pem,
        CHAIN: own.chain_pem,
        SERVER_CA: order.server_ca,
        IMAGE: image(order),
        LABEL: label.svg(unit.code, unit.family, unit.hardware).encode(),
    }


def image(order: Order) -> bytes:
    """The NVS image alone. Pure. Raises ImageTooLargeError."""
    unit, own = order.unit, order.credentials
    return nvs.image(
        nvs.Facts(
            gateway_code=unit.code,
            broker_uri=order.broker,
            server_ca=order.server_ca.decode("ascii"),
            device_cert=own.chain_pem.decode("ascii"),
            device_key=own.key_pem.decode("ascii"),
            family=unit.family,
            hardware=unit.hardware,
            wifi_ssid=unit.wifi_ssid,
            wifi_password=unit.wifi_password,
            apn=unit.apn,
            trust_roots=order.trust_roots,
        )
    )


def write(box: Path, order: Order) -> str:
    """Make the folder, in place of one that is there. The SHA-256 of its image. Raises OSError, ImageTooLargeError.

    Whoever looks sees the whole folder or none; what a power cut leaves is a draft, and the next run clears it away.
    """
    files = contents(order)
    final, draft = box / order.unit.code, box / f"{DRAFT}{order.unit.code}"
    draft.mkdir(mode=0o700)
    for name, data in files.items():
        descriptor = os.open(draft / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, keys.PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    replaced = box / f"{REPLACED}{order.unit.code}"
    with contextlib.suppress(FileNotFoundError):
        final.rename(replaced)
    draft.rename(final)
    remove(replaced)
    return sha256(files[IMAGE]).hexdigest()


def look(box: Path, code: str) -> Found:
    """What is there. Files beside key and certificate can be made anew, so they do not count."""
    folder = box / code
    if not os.path.lexists(folder):
        return Found(State.ABSENT)
    own = read(box, code)
    return Found(State.SOUND, own.serial) if own else Found(State.BROKEN)


def read(box: Path, code: str) -> Credentials | None:
    """Key and certificate of a folder; None unless they are there, fit together, and are this gateway's."""
    folder = box / code
    key_pem, chain = _bytes(folder / KEY), _bytes(folder / CHAIN)
    if folder.is_symlink() or not key_pem or not chain:
        return None
    return fitting(code, key_pem, chain)


def fitting(code: str, key_pem: bytes, chain_pem: bytes) -> Credentials | None:
    """They, when they are whole and belong to each other and to this gateway."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
        certificate, issuer = x509.load_pem_x509_certificates(chain_pem)
        certificate.verify_directly_issued_by(issuer)
        [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        return None
    fit = key.public_key() == certificate.public_key() and name.value == code
    whole = chain_pem == b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (certificate, issuer))
    return _credentials(key_pem, chain_pem, certificate) if fit and whole else None


def mend(box: Path, order: Order) -> tuple[str, bool]:
    """Have the other files fit key and certificate, which stay. The image's SHA-256, and whether anything was written.

    So a second run with another password for the network makes new images, and no new identities.
    """
    folder, unit = box / order.unit.code, order.unit
    wanted = {SERVER_CA: order.server_ca, IMAGE: image(order)}
    wrong = {name: data for name, data in wanted.items() if _bytes(folder / name) != data}
    drawn = drawn_label(box, unit.code, unit.family, unit.hardware).encode()
    if _bytes(folder / LABEL) != drawn:
        wrong[LABEL] = drawn
    for name, data in wrong.items():
        keys.write_private(folder / name, data)
    return sha256(wanted[IMAGE]).hexdigest(), bool(wrong)


def drawn_label(box: Path, code: str, family: str, hardware: str) -> str:
    """The label as it lies in the folder; drawn anew, which takes milliseconds, when that is not there or another's."""
    there = (_bytes(box / code / LABEL) or b"").decode("utf-8", "replace")
    return there if label.shows(there, code, family, hardware) else label.svg(code, family, hardware)


def clear_drafts(box: Path) -> None:
    """What a run that was killed was just at. Its certificate is in the journal, or was never given."""
    for leftover in box.iterdir():
        if leftover.name.startswith((DRAFT, REPLACED)):
            remove(leftover)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _credentials(key_pem: bytes, chain_pem: bytes, certificate: x509.Certificate) -> Credentials:
    return Credentials(
        key_pem,
        chain_pem,
        serial_text(certificate),
        fingerprint_text(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _bytes(path: Path) -> bytes | None:
    """Of a plain file that is not larger than any of ours; a link could lead anywhere."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_FILE_BYTES else None
