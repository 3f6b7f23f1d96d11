"""The manifest: these bytes are that release for this product, chip and hardware. Signed offline. Pure."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from tds.updates.signed import claims, jws
from tds.updates.signed.claims import Counter, Hash, Moment, Name, Revision, Version
from tds.updates.signed.jws import Kind
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.trust import TrustSet, Use


class Manifest(msgspec.Struct, frozen=True):
    product: Name
    families: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=claims.MAX_NAMES)]
    chip: Name
    hardware: Annotated[tuple[Revision, ...], Meta(min_length=1, max_length=claims.MAX_NAMES)]
    version: Version
    counter: Counter
    size: Annotated[int, Meta(ge=1, le=claims.MAX_IMAGE_BYTES)]  # bytes
    sha256: Hash
    min_source_counter: Annotated[int, Meta(ge=0, le=claims.MAX_COUNTER)]
    released_at: Moment

    @property
    def released(self) -> datetime:
        return datetime.fromtimestamp(self.released_at, UTC)


def make(manifest: Manifest, key: PrivateKey) -> str:
    """The signed text. Raises ValueError when a gateway could not take it."""
    return jws.make(Kind.MANIFEST, msgspec.to_builtins(manifest), key)


def read(text: str, trusted: TrustSet, now: datetime) -> tuple[Manifest, str]:
    """The manifest, and the `kid` of who signed it. Raises DocumentRefusedError."""
    found = jws.split(Kind.MANIFEST, text)
    payload = found.check(trusted.key_for(Use.RELEASE, found.kid, now))
    return claims.read(Kind.MANIFEST, payload, Manifest), found.kid


def hash_of(text: str) -> str:
    """By which a ticket names a manifest."""
    return hashlib.sha256(text.encode()).hexdigest()
