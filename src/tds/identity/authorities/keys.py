"""Private keys: ECDSA on P-256 (FIPS 186-5), which mbedTLS on an ESP32 handles well."""

import os
import tempfile
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tds.owners import denied

PRIVATE_MODE = 0o600


class KeyUnusableError(Exception):
    """A key file that is missing, damaged or of another kind; the text is a sentence."""


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 without a password (RFC 5208): who may read the file may use the key."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in a PEM file. Raises KeyUnusableError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except PermissionError as error:
        raise KeyUnusableError(f"The key {path} can't be read: {denied(path)}.") from error
    except OSError as error:
        raise KeyUnusableError(f"The key {path} can't be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusableError(f"{path} holds no private key without a password in PEM form.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyUnusableError(f"{path} holds a key of another kind; ECDSA on P-256 is needed.")
    return key


def write_private(path: Path, contents: bytes) -> None:
    """Whole or not at all, and readable by its owner alone from the first byte on.

    What root writes belongs to the folder's owner: a broker's files are its account's, however early we are killed.
    """
    _write(path, contents, PRIVATE_MODE)


def write_public(path: Path, contents: bytes) -> None:
    _write(path, contents, 0o644)


def _write(path: Path, contents: bytes, mode: int) -> None:
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _give_to_owner_of(path.parent, descriptor)
            os.fchmod(descriptor, mode)
            file.write(contents)
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, path)  # noqa: PTH105  # both on one folder
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """As root: whoever has the folder must be able to read what is in it, from the moment that it is there."""
    owner, file = folder.stat(), os.fstat(descriptor)
    if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (file.st_uid, file.st_gid):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
