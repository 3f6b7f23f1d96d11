"""The signed permission for one gateway to install one release now, and the command that it goes in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from django.conf import settings

from tds.updates.folders import UpdatesFolder
from tds.updates.signed import ticket
from tds.updates.signed.keys import PrivateKey, from_base64url
from tds.updates.signed.ticket import Ticket

LIFE: Final = timedelta(hours=24)  # of a ticket, from when it may be used; then another one is signed
RENEW_BEFORE: Final = timedelta(minutes=30)  # its end, so that it does not end on its way
MAX_COMMAND_BYTES: Final = 3_072

_keys: dict[tuple[str, int], PrivateKey] = {}  # one, by its file and when that was written


@dataclass(frozen=True, slots=True)
class Draft:
    """What a ticket is made of."""

    execution_id: str
    gateway_code: str
    manifest_sha256: str
    seq: int
    not_before: datetime


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


def sign(drafts: Sequence[Draft], key: PrivateKey, now: datetime) -> list[str]:
    """Some 50 µs each."""
    return [ticket.make(_ticket(draft, now), key) for draft in drafts]


def _ticket(draft: Draft, now: datetime) -> Ticket:
    begins = max(now, draft.not_before)
    return Ticket(
        draft.execution_id,
        draft.gateway_code,
        draft.manifest_sha256,
        draft.seq,
        int(now.timestamp()),
        int((begins + LIFE).timestamp()),
        int(begins.timestamp()),
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
