"""JWS in compact serialisation (RFC 7515), ES256 and nothing else. Pure.

Stricter than the RFC: the header has `alg`, `kid` and `typ` and nothing else, so that there is nothing to negotiate,
and there is one text for one document, since documents are called by the hash of theirs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tds.updates.signed.keys import SIGNATURE_BYTES, PrivateKey, PublicKey, from_base64url, to_base64url
from tds.updates.signed.refusal import DocumentRefusedError, Refusal

MAX_HEADER_CHARS: Final = 256
MAX_SHOWN_CHARS: Final = 40  # of what a stranger wrote, in a sentence
PARTS: Final = 3


class Kind(Enum):
    """A kind of document: its `typ`, and how long its text may be (bytes)."""

    TRUST = ("tds-trust+jws", 3_072)
    MANIFEST = ("tds-manifest+jws", 1_536)
    TICKET = ("tds-ticket+jws", 1_024)

    def __init__(self, typ: str, max_bytes: int) -> None:
        self.typ = typ
        self.max_bytes = max_bytes

    @property
    def title(self) -> str | Promise:
        return _TITLES[self]


_TITLES: Final[dict[Kind, str | Promise]] = {
    Kind.TRUST: gettext_lazy("trust set"),
    Kind.MANIFEST: gettext_lazy("manifest"),
    Kind.TICKET: gettext_lazy("ticket"),
}


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
                _(
                    "The signature of the %(document)s is not that of key %(key)s: it was changed, or somebody else "
                    "signed it."
                )
                % {"document": self.kind.title, "key": self.kid},
            )
        return self.payload


def split(kind: Kind, text: str) -> Jws:
    """Take a document apart. Raises DocumentRefusedError."""
    if len(text) > kind.max_bytes:
        raise _malformed(
            _("The %(document)s has %(bytes)d bytes; at most %(most)d are taken.")
            % {"document": kind.title, "bytes": len(text), "most": kind.max_bytes}
        )
    parts = text.split(".")
    if len(parts) != PARTS or len(parts[0]) > MAX_HEADER_CHARS:
        raise _malformed(
            _("The %(document)s is no JWS in compact form: three parts with dots between them.")
            % {"document": kind.title}
        )
    try:
        header, payload, signature = (from_base64url(part) for part in parts)
    except ValueError:
        raise _malformed(
            _("The %(document)s is no JWS in compact form: a part of it is not in base64url.")
            % {"document": kind.title}
        ) from None
    if len(signature) != SIGNATURE_BYTES:
        raise _malformed(
            _("The signature of the %(document)s has %(bytes)d bytes; ES256 has %(wanted)d.")
            % {"document": kind.title, "bytes": len(signature), "wanted": SIGNATURE_BYTES}
        )
    kid = _kid(kind, header)
    return Jws(kind, kid, payload, f"{parts[0]}.{parts[1]}".encode(), signature)


def make(kind: Kind, claims: Mapping[str, Any], key: PrivateKey) -> str:
    """Sign. Raises ValueError when the text is longer than its kind may be."""
    header = {"alg": "ES256", "kid": key.kid, "typ": kind.typ}
    signed = f"{_encode(header)}.{_encode(claims)}"
    text = f"{signed}.{to_base64url(key.sign(signed.encode()))}"
    if len(text) > kind.max_bytes:
        raise ValueError(
            f"The {kind.title} would have {len(text)} bytes; {kind.max_bytes} are the most that a gateway "
            f"takes: name fewer or shorter things in it."
        )
    return text


def _kid(kind: Kind, header: bytes) -> str:
    document = {"document": kind.title}
    try:
        found = json.loads(header.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _malformed(_("The header of the %(document)s is not JSON with each member once.") % document) from None
    if not isinstance(found, dict) or sorted(found) != ["alg", "kid", "typ"]:
        raise _malformed(_("The header of the %(document)s must have alg, kid and typ and nothing else.") % document)
    if found["alg"] != "ES256":
        raise _malformed(_("The %(document)s is not signed with ES256.") % document)
    if found["typ"] != kind.typ:
        typ = repr(str(found["typ"])[:MAX_SHOWN_CHARS])
        raise _malformed(_("This is no %(document)s: its typ is %(typ)s.") % (document | {"typ": typ}))
    if not isinstance(found["kid"], str):
        raise _malformed(_("The %(document)s does not name its key.") % document)
    return found["kid"]


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _value in members}) != len(members):
        raise ValueError("A member is there twice.")
    return dict(members)


def _encode(value: Mapping[str, Any]) -> str:
    return to_base64url(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _malformed(sentence: str) -> DocumentRefusedError:
    return DocumentRefusedError(Refusal.MALFORMED, sentence)
