"""The trust set: which keys are believed, signed by a root key that stays offline. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

import msgspec
from django.utils.translation import gettext as _
from msgspec import Meta

from tds.updates.signed import claims, jws
from tds.updates.signed.claims import Counter, KeyId, Moment
from tds.updates.signed.jws import Kind
from tds.updates.signed.keys import COORDINATE_BYTES, PrivateKey, PublicKey, from_base64url, to_base64url
from tds.updates.signed.refusal import DocumentRefusedError, Refusal

MAX_ROOTS = 2  # the one in use, and one that waits in another place


class Use(StrEnum):
    RELEASE = "release"  # signs manifests
    ASSIGNMENT = "assignment"  # signs tickets


class TrustedKey(msgspec.Struct, frozen=True):
    """A key, what it may sign, and from when until when (`nbf` inclusive, `exp` exclusive)."""

    kid: KeyId
    use: Use
    x: str
    y: str
    nbf: Moment
    exp: Moment

    @classmethod
    def of(cls, key: PublicKey, use: Use, not_before: datetime, expires: datetime) -> Self:
        x, y = to_base64url(key.x), to_base64url(key.y)
        return cls(key.kid, use, x, y, int(not_before.timestamp()), int(expires.timestamp()))

    def public(self) -> PublicKey:
        """Raises ValueError: it is none, or it is not called so."""
        key = PublicKey.from_text(to_base64url(_coordinate(self.x) + _coordinate(self.y)))
        if key.kid != self.kid:
            raise ValueError("A key of the trust set is not called by its thumbprint.")
        return key


class TrustSet(msgspec.Struct, frozen=True):
    version: Counter
    iat: Moment
    exp: Moment
    keys: Annotated[tuple[TrustedKey, ...], Meta(min_length=1, max_length=claims.MAX_NAMES)]
    revoked: Annotated[tuple[KeyId, ...], Meta(max_length=claims.MAX_NAMES)]

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.exp, UTC)

    def key_for(self, use: Use, kid: str, now: datetime) -> PublicKey:
        """The key that signed a document, if it is to be believed now. Raises DocumentRefusedError."""
        if kid in self.revoked:
            raise DocumentRefusedError(
                Refusal.KEY_REVOKED,
                _("Key %(key)s is revoked by trust set %(version)d: sign with another one.")
                % {"key": kid, "version": self.version},
            )
        found = next((key for key in self.keys if key.kid == kid and key.use is use), None)
        if found is None:
            raise DocumentRefusedError(
                Refusal.KEY_UNKNOWN,
                _(
                    "Key %(key)s is no %(use)s key of trust set %(version)d: sign with one that is, or make a trust "
                    "set that has it (./tds trust make)."
                )
                % {"key": kid, "version": self.version, "use": use.value},
            )
        if not found.nbf <= now.timestamp() < found.exp:
            raise DocumentRefusedError(
                Refusal.KEY_OUT_OF_TIME,
                _("Key %(key)s is good from %(first)s until %(last)s and not now.")
                % {"key": kid, "first": _date(found.nbf), "last": _date(found.exp)},
            )
        return found.public()


def make(trust_set: TrustSet, root: PrivateKey) -> str:
    """The signed text. Raises ValueError when a gateway could not take it."""
    for key in trust_set.keys:
        key.public()
    if len({(key.kid, key.use) for key in trust_set.keys}) != len(trust_set.keys):
        raise ValueError("A key is in the trust set twice for the same use.")
    return jws.make(Kind.TRUST, msgspec.to_builtins(trust_set), root)


def read(text: str, roots: Sequence[PublicKey], now: datetime | None, *, former: TrustSet | None = None) -> TrustSet:
    """What a root key signed. `now` is None where the time is not known. Raises DocumentRefusedError.

    `former` is the one that is there: an older one is refused, and so is one that a root signed which it revoked. The
    same version with other contents would make two truths, and is refused too.
    """
    found = jws.split(Kind.TRUST, text)
    if former and found.kid in former.revoked:
        raise DocumentRefusedError(Refusal.KEY_REVOKED, f"Root key {found.kid} is revoked.")
    root = next((key for key in roots if key.kid == found.kid), None)
    if root is None:
        raise DocumentRefusedError(
            Refusal.KEY_UNKNOWN, f"The trust set is signed by {found.kid}, which is no root key that is known here."
        )
    trust_set = claims.read(Kind.TRUST, found.check(root), TrustSet)
    _check_keys(trust_set.keys)
    if found.kid in trust_set.revoked:
        raise DocumentRefusedError(Refusal.KEY_REVOKED, "A trust set can't revoke the root key that signed it.")
    if former and (trust_set.version < former.version or (trust_set.version == former.version and trust_set != former)):
        raise DocumentRefusedError(
            Refusal.REPLAYED, f"Trust set {trust_set.version} does not follow {former.version}: its version only grows."
        )
    if now is not None and now.timestamp() >= trust_set.exp:
        raise DocumentRefusedError(
            Refusal.EXPIRED, f"Trust set {trust_set.version} ended on {_date(trust_set.exp)}: make a new one."
        )
    return trust_set


def _check_keys(keys: Iterable[TrustedKey]) -> None:
    try:
        for key in keys:
            key.public()
    except ValueError as error:
        raise DocumentRefusedError(Refusal.MALFORMED, str(error)) from error


def _coordinate(text: str) -> bytes:
    found = from_base64url(text)
    if len(found) != COORDINATE_BYTES:
        raise ValueError(f"A coordinate has {COORDINATE_BYTES} bytes; this has {len(found)}.")
    return found


def _date(moment_s: int) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d}"
