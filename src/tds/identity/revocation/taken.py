"""How far the brokers have taken in that a gateway is refused, or let in again. Pure.

The worker signs a list with the gateway's certificates and notes its revision in `listed_in`; each broker's agent notes
the newest revision that its broker holds, once the session is cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    NO_CERTIFICATE = "no_certificate"  # there is nothing that could let it in
    SIGNING = "signing"  # the worker's turn
    SPREADING = "spreading"  # the turn of the brokers named
    NO_BROKER = "no_broker"  # no agent has ever said anything
    DONE = "done"


class Held(NamedTuple):
    """A certificate of the gateway that has not run out."""

    issuer: str
    revoked: bool
    listed_in: int | None


class Broker(NamedTuple):
    name: str
    revision: int
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """`after`: from the word to the last broker, where it is known."""

    stage: Stage
    behind: tuple[str, ...] = ()
    after: timedelta | None = None


def taken(
    held: Sequence[Held],
    revisions: dict[str, int],
    brokers: Sequence[Broker],
    *,
    admitted: bool,
    changed_at: datetime | None,
) -> Taken:
    """`revisions`: of the newest list of each trusted authority; `admitted`: whether the gateway is to be let in."""
    if revisions:
        held = [each for each in held if each.issuer in revisions]  # by the others nobody is let in
    if not held:
        return Taken(Stage.NO_CERTIFICATE)
    if any(_unsigned(each, admitted=admitted) for each in held):
        return Taken(Stage.SIGNING)
    if not brokers:
        return Taken(Stage.NO_BROKER)
    listed = [revisions.get(each.issuer, 0) if admitted else each.listed_in or 0 for each in held]
    wanted = max(listed)
    if behind := tuple(broker.name for broker in brokers if broker.revision < wanted):
        return Taken(Stage.SPREADING, behind)
    # A broker that holds a later revision says when it took that one, and not when it took ours.
    known = changed_at is not None and all(broker.revision == wanted for broker in brokers)
    after = max(broker.applied_at for broker in brokers) - changed_at if known and changed_at else None
    return Taken(Stage.DONE, after=after if after is not None and after >= timedelta(0) else None)


def _unsigned(held: Held, *, admitted: bool) -> bool:
    refused = not admitted or held.revoked
    return refused != (held.listed_in is not None)
