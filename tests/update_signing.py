"""Documents as anybody could write them: signed by test keys, with any header and any text, right or wrong.

What makes the platform's own documents is not used: it would refuse to write most of these.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SP 800-186, 3.2.1.3
# RFC 6979: the same text has the same signature, so that the vectors are the same each time they are written.
REPEATABLE: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Key:
    """A key whose secret everybody knows: for tests alone."""

    name: str

    @cached_property
    def _private(self) -> ec.EllipticCurvePrivateKey:
        digest = hashlib.sha256(f"a key for tests: {self.name}".encode()).digest()
        return ec.derive_private_key(int.from_bytes(digest) % (P256_ORDER - 1) + 1, ec.SECP256R1())

    @cached_property
    def point(self) -> bytes:
        numbers = self._private.public_key().public_numbers()
        return numbers.x.to_bytes(32) + numbers.y.to_bytes(32)

    @cached_property
    def kid(self) -> str:
        return thumbprint(self.point)

    def sign(self, what: bytes) -> bytes:
        r, s = decode_dss_signature(self._private.sign(what, REPEATABLE))
        return r.to_bytes(32) + s.to_bytes(32)


def thumbprint(point: bytes) -> str:
    """RFC 7638."""
    x, y = base64url(point[:32]), base64url(point[32:])
    return base64url(hashlib.sha256(written({"crv": "P-256", "kty": "EC", "x": x, "y": y})).digest())


@dataclass(frozen=True)
class Document:
    """The three parts of a JWS, each as it will stand there."""

    header: str
    claims: str
    signature: str

    @classmethod
    def of(cls, typ: str, claims: Mapping[str, Any] | bytes, key: Key, /, **header: Any) -> Self:
        """Well signed. `header` adds to the header's members, or replaces one."""
        return cls.with_header(written({"alg": "ES256", "kid": key.kid, "typ": typ} | header), claims, key)

    @classmethod
    def with_header(cls, header: bytes, claims: Mapping[str, Any] | bytes, key: Key) -> Self:
        parts = base64url(header), base64url(claims if isinstance(claims, bytes) else written(claims))
        return cls(*parts, base64url(key.sign(".".join(parts).encode())))

    def signed_again(self, key: Key) -> Self:
        """Over the parts as they are, so that nothing but they are wrong."""
        signature = base64url(key.sign(f"{self.header}.{self.claims}".encode()))
        return type(self)(self.header, self.claims, signature)

    def __str__(self) -> str:
        return f"{self.header}.{self.claims}.{self.signature}"
