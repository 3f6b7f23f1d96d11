"""JWS in compact serialisation (RFC 7515), ES256 and nothing else. Pure.

Stricter than the RFC: the header has `alg`, `kid` and `typ` and nothing else, so that there is nothing to negotiate,
and there is one text for one document, since documents are called by the hash of theirs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from tds.updates.signed.keys import SIGNATURE_BYTES, PrivateKey, PublicKey, from_base64url, to_base64url
from tds.updates.signed.refusal import DocumentRefusedError, Refusal

MAX_HEADER_CHARS: Final = 256
PARTS: Final = 3


class Kind(Enum):
    """A kind of document: its `typ`, and how long its text may be (bytes)."""

    TRUST = ("tds-trust+jws", 3_072)
    MANIFEST = ("tds-manifest+jws", 1_536)
    TICKET = ("tds-ticket+jws", 1_024)

    def __init__(self, typ: str, max_bytes: int) -> None:
        self.typ = typ
        self.max_bytes = max_bytes


@dataclass(frozen=True, slots=True)
class Jws:
    """Taken apart; nothing in it is to be believed before `check`."""

    kind: Kind
    kid: str
    payload: bytes
    signed: bytes
    signature: bytes

    def check(self, key: PublicKey) -> bytes:
        """The payload. Raises DocumentRefusedError."""
        if key.kid != self.kid or not key.verifies(self.signature, self.signed):
            raise DocumentRefusedError(
                Refusal.SIGNATURE_INVALID,
                f"The signature of the {self.kind.name.lower()} is not that of key {self.kid}: it was changed, or "
                f"somebody else signed it.",
            )
        return self.payload


def split(kind: Kind, text: str) -> Jws:
    """Take a document apart. Raises DocumentRefusedError."""
    name = kind.name.lower()
    if len(text) > kind.max_bytes:
        raise _malformed(f"The {name} has {len(text)} bytes; at most {kind.max_bytes} are taken.")
    parts = text.split(".")
    if len(parts) != PARTS or len(parts[0]) > MAX_HEADER_CHARS:
        raise _malformed(f"The {name} is no JWS in compact form: three parts with dots between them.")
    try:
        header, payload, signature = (from_base64url(part) for part in parts)
    except ValueError:
        raise _malformed(f"The {name} is no JWS in compact form: a part of it is not in base64url.") from None
    if len(signature) != SIGNATURE_BYTES:
        raise _malformed(f"The signature of the {name} has {len(signature)} bytes; ES256 has {SIGNATURE_BYTES}.")
    kid = _kid(kind, header)
    return Jws(kind, kid, payload, f"{parts[0]}.{parts[1]}".encode(), signature)


def make(kind: Kind, claims: Mapping[str, Any], key: PrivateKey) -> str:
    """Sign. Raises ValueError when the text is longer than its kind may be."""
    header = {"alg": "ES256", "kid": key.kid, "typ": kind.typ}
    signed = f"{_encode(header)}.{_encode(claims)}"
    text = f"{signed}.{to_base64url(key.sign(signed.encode()))}"
    if len(text) > kind.max_bytes:
        raise ValueError(
            f"The {kind.name.lower()} would have {len(text)} bytes; {kind.max_bytes} are the most that a gateway "
            f"takes: name fewer or shorter things in it."
        )
    return text


def _kid(kind: Kind, header: bytes) -> str:
    name = kind.name.lower()
    try:
        found = json.loads(header.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _malformed(f"The header of the {name} is not JSON with each member once.") from None
    if not isinstance(found, dict) or sorted(found) != ["alg", "kid", "typ"]:
        raise _malformed(f"The header of the {name} must have alg, kid and typ and nothing else.")
    if found["alg"] != "ES256":
        raise _malformed(f"The {name} is not signed with ES256.")
    if found["typ"] != kind.typ:
        raise _malformed(f"This is no {name}: its typ is {str(found['typ'])[:40]!r}.")
    if not isinstance(found["kid"], str):
        raise _malformed(f"The {name} does not name its key.")
    return found["kid"]


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _value in members}) != len(members):
        raise ValueError("A member is there twice.")
    return dict(members)


def _encode(value: Mapping[str, Any]) -> str:
    return to_base64url(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _malformed(sentence: str) -> DocumentRefusedError:
    return DocumentRefusedError(Refusal.MALFORMED, sentence)
