"""What becomes of a row of a box: from what the database, the folder and the journal know of its gateway. Pure.

A certificate is never taken from a gateway that may be at work with it: whoever wants that says so (`reissue`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tds.fleet.models import GatewayStatus
from tds.identity.factory.unit_folder import Credentials, Found, State
from tds.identity.factory.units import Unit
from tds.identity.models import How
from tds.identity.names import shown


class Given(NamedTuple):
    """A certificate of a gateway, as the database has it."""

    id: int
    serial: str
    how: str
    not_after: datetime
    revoked: bool
    trusted: bool  # its issuer is among the authorities whose gateways are let in

    def good(self, now: datetime) -> bool:
        return not self.revoked and self.trusted and now < self.not_after


class Registered(NamedTuple):
    """A gateway that is not retired."""

    id: int
    tenant: str  # its slug
    status: str
    seen: bool  # it has sent something
    certificates: Sequence[Given]


@dataclass(frozen=True, slots=True)
class InBox:
    """What the box knows of a unit."""

    folder: Found
    journaled: Credentials | None = None
    listed_serial: str = ""  # in units.json


@dataclass(frozen=True, slots=True)
class Keep:
    """It is done."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Its certificate was given and its folder was not made."""

    gateway_id: int
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Issue:
    """It gets a key and a certificate. `gateway_id` None: it is to be registered. `superseded`: to be revoked.

    `unrevoked`: serial numbers of what it had, good or not, when this was decided; if that changes, it no longer holds.
    """

    gateway_id: int | None = None
    superseded: tuple[Given, ...] = ()
    unrevoked: frozenset[str] = frozenset()


class RowRefusedError(Exception):
    """The rest of a sentence that begins with the line."""


def decide(
    unit: Unit, registered: Registered | None, in_box: InBox, *, now: datetime, reissue: bool
) -> Keep | Resume | Issue:
    """What is to be done for a row. Raises RowRefusedError."""
    code = shown(unit.code)
    if registered is None:
        return Issue()
    if registered.tenant != unit.tenant:
        raise RowRefusedError(
            f"gateway {code} is registered already, in another tenant ({registered.tenant}). Correct the row; or, if "
            f"its owner changes, retire it there first: ./tds gateway retire {unit.code}"
        )
    good = [given for given in registered.certificates if given.good(now)]
    in_folder = _in_folder(registered, in_box)
    if in_folder and _done(in_folder, good, now):
        return Keep()
    if registered.status != GatewayStatus.ACTIVE:
        raise RowRefusedError(
            f"gateway {code} is {registered.status}; enable it first (./tds gateway enable {unit.code}), or take the "
            "row out."
        )
    own = in_box.journaled
    if own and own.serial in {given.serial for given in good}:
        return Resume(registered.id, own)
    unrevoked = frozenset(given.serial for given in registered.certificates if not given.revoked)
    issue = Issue(registered.id, tuple(good), unrevoked)
    if reissue:
        return issue
    if in_folder:
        others = f" Certificate {good[0].serial}, which it has now, is revoked then." if good else ""
        raise RowRefusedError(
            f"the certificate of gateway {code} in this box was revoked or has run out, or its authority is no longer "
            f"trusted; with --reissue it gets another.{others}"
        )
    if not good or _never_left(registered, in_box, good):
        return issue
    raise RowRefusedError(
        f"gateway {code} has a certificate already (serial number {good[0].serial}), and its key is not in this box. "
        "Take the row out; or, if that key is lost, use --reissue: the old certificate is revoked, and the unit gets "
        "another."
    )


def _in_folder(registered: Registered, in_box: InBox) -> Given | None:
    """The certificate that lies in the folder with its key, when it is one of this gateway."""
    if in_box.folder.state is not State.SOUND:
        return None
    return next((given for given in registered.certificates if given.serial == in_box.folder.serial), None)


def _done(in_folder: Given, good: Sequence[Given], now: datetime) -> bool:
    """Whether the folder's certificate is good, or did its work: the gateway renewed with it, and needs it no more.

    One that was revoked is never that, whatever else the gateway has: its folder must not go to a board again.
    """
    renewed = any(given.how == How.RENEWAL for given in good)
    return in_folder.good(now) or (renewed and not in_folder.revoked)


def _never_left(registered: Registered, in_box: InBox, good: Sequence[Given]) -> bool:
    """Whether all that is good was made in this box and never used: then to lose it harms nobody.

    That the folder is broken says nothing of it: another box, or a board that claimed, may hold the good one.
    """
    of_box = all(given.serial == in_box.listed_serial and given.how == How.FACTORY for given in good)
    return of_box and not registered.seen
