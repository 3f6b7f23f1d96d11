"""Keys that sign documents: ECDSA on P-256 (FIPS 186-5). Each is called by its JWK thumbprint (RFC 7638)."""

import contextlib
import hashlib
import json
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tds.identity.authorities.keys import KeyUnusableError, new_key, pem, read_key, write_private, write_public

COORDINATE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64  # R and S: RFC 7518, 3.4
FOLDER_MODE: Final = 0o700
KEY_SUFFIX: Final = ".key"
PUBLIC_SUFFIX: Final = ".pub"
MAX_PUBLIC_FILE_BYTES: Final = 4_096
_SHA256: Final = ec.ECDSA(hashes.SHA256())


def to_base64url(data: bytes) -> str:
    """Without padding (RFC 7515, 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Only what `to_base64url` writes: no padding, no other characters, unused bits 0. Raises ValueError."""
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, Base64Error) as error:
        raise ValueError("It is not in base64url.") from error
    if to_base64url(data) != text:
        raise ValueError("It is not in base64url as it is written once and for all.")
    return data


@dataclass(frozen=True, slots=False)
class PublicKey:
    """A point on P-256; `x` and `y` are 32 bytes each."""

    x: bytes
    y: bytes

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Self:
        numbers = key.public_numbers()
        return cls(numbers.x.to_bytes(COORDINATE_BYTES, "big"), numbers.y.to_bytes(COORDINATE_BYTES, "big"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """As `text` gives it. Raises ValueError, also for what is no point of the curve."""
        point = from_base64url(text)
        if len(point) != 2 * COORDINATE_BYTES:
            raise ValueError(f"A public key has {2 * COORDINATE_BYTES} bytes; this has {len(point)}.")
        key = cls(point[:COORDINATE_BYTES], point[COORDINATE_BYTES:])
        key._point  # noqa: B018  # is there one?
        return key

    @classmethod
    def load(cls, path: Path) -> Self:
        """A PEM file, SubjectPublicKeyInfo (RFC 5480). Raises KeyUnusableError."""
        try:
            with path.open("rb") as file:
                found = serialization.load_pem_public_key(file.read(MAX_PUBLIC_FILE_BYTES))
        except OSError as error:
            raise KeyUnusableError(f"The public key {path} can't be read: {error.strerror}.") from error
        except ValueError as error:
            raise KeyUnusableError(f"{path} holds no public key in PEM form.") from error
        if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP256R1):
            raise KeyUnusableError(f"{path} holds a key of another kind; ECDSA on P-256 is needed.")
        return cls.of(found)

    @property
    def text(self) -> str:
        """base64url of x and y, as a factory image has it."""
        return to_base64url(self.x + self.y)

    @cached_property
    def kid(self) -> str:
        jwk = {"crv": "P-256", "kty": "EC", "x": to_base64url(self.x), "y": to_base64url(self.y)}
        written = json.dumps(jwk, separators=(",", ":"), sort_keys=True)  # RFC 7638, 3
        return to_base64url(hashlib.sha256(written.encode()).digest())

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """`signature` is R and S, `signed` what was signed."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]))
        try:
            self._point.verify(encode_dss_signature(r, s), signed, _SHA256)
        except (InvalidSignature, ValueError):
            return False
        return True

    def pem(self) -> bytes:
        return self._point.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def _point(self) -> ec.EllipticCurvePublicKey:
        x, y = int.from_bytes(self.x, "big"), int.from_bytes(self.y, "big")
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


@dataclass(frozen=True, slots=False)
class PrivateKey:
    """What signs. Its text form is nobody's: a log shows its `kid`."""

    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> Self:
        return cls(new_key())

    @classmethod
    def load(cls, path: Path) -> Self:
        """A PEM file, PKCS #8. Raises KeyUnusableError."""
        return cls(read_key(path))

    @cached_property
    def public(self) -> PublicKey:
        return PublicKey.of(self.key.public_key())

    @property
    def kid(self) -> str:
        return self.public.kid

    def sign(self, what: bytes) -> bytes:
        """R and S, 64 bytes."""
        r, s = decode_dss_signature(self.key.sign(what, _SHA256))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")

    def save(self, path: Path) -> None:
        """`<name>.key` for its owner alone, and `<name>.pub` beside it. Raises OSError."""
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        write_private(path, pem(self.key))
        write_public(path.with_suffix(PUBLIC_SUFFIX), self.public.pem())

    def __repr__(self) -> str:
        return f"PrivateKey({self.kid})"


def load_or_make(path: Path) -> PrivateKey:
    """The key of that file, which is made when it is missing. Raises KeyUnusableError, OSError."""
    if not os.path.lexists(path):
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        write_private(draft, pem(new_key()))
        with contextlib.suppress(FileExistsError):  # another process was first: its key is everybody's
            os.link(draft, path)
        draft.unlink()
    key = PrivateKey.load(path)
    public = path.with_suffix(PUBLIC_SUFFIX)
    if not public.exists():
        write_public(public, key.public.pem())
    return key
