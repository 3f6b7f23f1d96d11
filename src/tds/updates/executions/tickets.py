"""The signed permission for one gateway to install one release now, and the command that it goes in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg
from django.conf import settings

from tds.identity.authorities.keys import KeyUnusableError
from tds.updates.folders import UpdatesFolder
from tds.updates.signed import jws, ticket
from tds.updates.signed.jws import Kind
from tds.updates.signed.keys import PrivateKey, from_base64url
from tds.updates.signed.refusal import DocumentRefusedError
from tds.updates.signed.ticket import Ticket
from tds.updates.signed.trust import TrustSet, Use

LIFE: Final = timedelta(hours=24)  # of a ticket, from when it may be used; then another one is signed
RENEW_BEFORE: Final = timedelta(minutes=30)  # its end, so that it does not end on its way
# After a maintenance window's end, for what is on its way then. As long as that, or it was renewed for ever before it.
WINDOW_SLACK: Final = RENEW_BEFORE
MAX_COMMAND_BYTES: Final = 3_072

_NEWEST_TRUST_SET: Final = "SELECT document FROM tds_new_trustset ORDER BY version DESC LIMIT 1"
_keys: dict[tuple[str, int], PrivateKey] = {}  # one, by its file and when that was written


@dataclass(frozen=True, slots=True)
class Draft:
    """What a ticket is made of."""

    execution_id: str
    gateway_code: str
    manifest_sha256: str
    seq: int
    not_before: datetime
    closes: datetime | None = None  # its maintenance window

    def begins(self, now: datetime) -> datetime:
        """What is spread beyond the window is spread over it instead."""
        begins = max(now, self.not_before)
        if self.closes is not None and begins >= self.closes > now:
            begins = now + (begins - now) % (self.closes - now)
        return begins

    def until(self, now: datetime) -> datetime:
        usual = self.begins(now) + LIFE
        return usual if self.closes is None else min(usual, self.closes + WINDOW_SLACK)


def assignment_key() -> PrivateKey:
    """The server's own, made when it is first needed. Raises KeyUnusableError, OSError."""
    folder = UpdatesFolder(settings.ENV.home / "updates")
    file = folder.assignment_key_file
    try:
        which = str(file), file.stat().st_mtime_ns
    except FileNotFoundError:
        return folder.assignment_key()
    if which not in _keys:
        key = folder.assignment_key()
        _keys.clear()
        _keys[which] = key
    return _keys[which]


def signing_key(connection: psycopg.Connection[Any], now: datetime) -> PrivateKey:
    """The server's own, if gateways believe it: a ticket that is signed with another one is refused by all of them.

    Before there is a trust set no gateway can be updated anyway. Raises KeyUnusableError, OSError.
    """
    row = psycopg.Cursor(connection).execute(_NEWEST_TRUST_SET).fetchone()
    if row is None:
        return assignment_key()
    file = UpdatesFolder(settings.ENV.home / "updates").assignment_key_file
    if not file.exists():  # a new one is made by a person, who makes a trust set with it
        raise KeyUnusableError(
            f"The key that signs tickets, {file}, is missing: restore it from the backup, or make another one "
            "(./tds trust assignment-key) and a trust set that has it."
        )
    key = assignment_key()
    trusted = msgspec.json.decode(jws.split(Kind.TRUST, row[0]).payload, type=TrustSet)
    try:
        trusted.key_for(Use.ASSIGNMENT, key.kid, now)
    except DocumentRefusedError as error:
        raise KeyUnusableError(f"No ticket is signed with {file}, which no gateway would believe. {error}") from error
    return key


def sign(drafts: Sequence[Draft], key: PrivateKey, now: datetime) -> list[str]:
    """Some 50 µs each."""
    return [ticket.make(_ticket(draft, now), key) for draft in drafts]


def _ticket(draft: Draft, now: datetime) -> Ticket:
    return Ticket(
        draft.execution_id,
        draft.gateway_code,
        draft.manifest_sha256,
        draft.seq,
        int(now.timestamp()),
        int(draft.until(now).timestamp()),
        int(draft.begins(now).timestamp()),
    )


def is_over(text: str, now: datetime) -> bool:
    """Whether a ticket of ours is, or will be on its way. Also what is none."""
    try:
        ends = msgspec.json.decode(from_base64url(text.split(".")[1]), type=_Ends).exp
    except (IndexError, ValueError, msgspec.DecodeError):
        return True
    return now.timestamp() >= ends - RENEW_BEFORE.total_seconds()


class _Ends(msgspec.Struct):
    exp: int


def command(  # noqa: PLR0913  # its members
    *, execution_id: str, version: str, sha256: str, manifest: str, ticket: str, base_url: str
) -> bytes:
    """The same over MQTT and HTTP. Raises ValueError when it is larger than a gateway takes."""
    document: dict[str, Any] = {
        "execution_id": execution_id,
        "version": version,
        "url": f"{base_url}/ota/v1/artifacts/{sha256}.bin",
        "manifest": manifest,
        "ticket": ticket,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    if len(text) > MAX_COMMAND_BYTES:
        raise ValueError(f"The command has {len(text)} bytes; a gateway takes at most {MAX_COMMAND_BYTES}.")
    return text
