"""The ticket: this gateway may install that manifest now. Signed by the server. Pure."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from tds.fleet.codes import CODE_PATTERN
from tds.updates.signed import claims, jws
from tds.updates.signed.claims import Hash, Moment
from tds.updates.signed.jws import Kind
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.trust import TrustSet, Use


class Ticket(msgspec.Struct, frozen=True):
    execution_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
    gateway_code: Annotated[str, Meta(pattern=CODE_PATTERN)]
    manifest_sha256: Hash
    seq: Annotated[int, Meta(ge=1, le=claims.MAX_SEQ)]
    iat: Moment
    exp: Moment
    not_before: Moment


def make(ticket: Ticket, key: PrivateKey) -> str:
    """The signed text."""
    return jws.make(Kind.TICKET, msgspec.to_builtins(ticket), key)


def read(text: str, trusted: TrustSet, now: datetime) -> Ticket:
    """As a gateway does. Raises DocumentRefusedError; whether it has expired is the caller's to ask."""
    found = jws.split(Kind.TICKET, text)
    return claims.read(Kind.TICKET, found.check(trusted.key_for(Use.ASSIGNMENT, found.kid, now)), Ticket)
