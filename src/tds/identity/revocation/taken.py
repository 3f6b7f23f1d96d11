"""How far the brokers have taken in that a gateway is refused, or let in again. Pure.

The worker signs a list with the gateway's certificates and notes its revision in `listed_in`; each broker's agent notes
the newest revision that its broker holds, once the session is cut, and as of which moment it goes by the database.

A session outlives its certificate: one that ended lets nobody in, and may have somebody in who is to be cut. Those that
ended long ago, and those of an authority that is trusted no more, are on no list: whose they are is cut by an agent's
look that comes after the word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    NO_CERTIFICATE = "no_certificate"  # there is nothing that could let it in, or have let it in
    SIGNING = "signing"  # the worker's turn
    SPREADING = "spreading"  # the turn of the brokers named
    NO_BROKER = "no_broker"  # no agent has ever said anything
    DONE = "done"


class Held(NamedTuple):
    """A certificate of the gateway. `ended`: its time is over; `fallen_off`: for so long that no list has it."""

    issuer: str
    revoked: bool
    listed_in: int | None
    ended: bool = False
    fallen_off: bool = False


class Broker(NamedTuple):
    """See BrokerAccess. `as_of` None: it is not known."""

    name: str
    revision: int
    applied_at: datetime
    as_of: datetime | None = None

    def has_looked(self, since: datetime) -> bool:
        return self.as_of is not None and self.as_of >= since


@dataclass(frozen=True, slots=True)
class Taken:
    """`after`: from the word to the last broker, where it is known."""

    stage: Stage
    behind: tuple[str, ...] = ()
    after: timedelta | None = None


def taken(  # noqa: PLR0913  # all that is known
    held: Sequence[Held],
    revisions: dict[str, int],
    brokers: Sequence[Broker],
    *,
    admitted: bool,
    changed_at: datetime | None,
    password: bool = False,
    looked_since: datetime | None = None,
) -> Taken:
    """`revisions`: of the newest list of each trusted authority; `admitted`: whether the gateway is to be let in.

    `password`: it has one, or had one; `looked_since`: a moment after the word, by which an agent's look counts. None:
    nobody knows when the word was given, and it is taken for long ago.
    """
    trusted = [each for each in held if not revisions or each.issuer in revisions]
    listable = [each for each in trusted if not (each.ended if admitted else each.fallen_off)]
    by_look = password or (not admitted and len(listable) < len(held))
    if not listable and not by_look:
        return Taken(Stage.NO_CERTIFICATE)
    if any(_unsigned(each, admitted=admitted) for each in listable):
        return Taken(Stage.SIGNING)
    if not brokers:
        return Taken(Stage.NO_BROKER)
    listed = [revisions.get(each.issuer, 0) if admitted else each.listed_in or 0 for each in listable]
    wanted = max(listed, default=0)
    since = looked_since if by_look else None
    if behind := tuple(
        broker.name
        for broker in brokers
        if broker.revision < wanted or (since is not None and not broker.has_looked(since))
    ):
        return Taken(Stage.SPREADING, behind)
    # A broker that holds a later revision says when it took that one, and not when it took ours; nor when it looked.
    known = changed_at is not None and not by_look and all(broker.revision == wanted for broker in brokers)
    after = max(broker.applied_at for broker in brokers) - changed_at if known and changed_at else None
    return Taken(Stage.DONE, after=after if after is not None and after >= timedelta(0) else None)


def _unsigned(held: Held, *, admitted: bool) -> bool:
    refused = not admitted or held.revoked
    return refused != (held.listed_in is not None)
