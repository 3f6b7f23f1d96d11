"""What becomes of a row of a box: from what the database, the folder and the journal know of its gateway. Pure.

A certificate is never taken from a gateway that may be at work with it: whoever wants that says so (`reissue`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tds.fleet.models import GatewayStatus
from tds.identity.models import How
from tds.identity.names import shown
from tds.identity.unit_folder import Credentials, Found, State
from tds.identity.units import Unit


class Given(NamedTuple):
    """A certificate of a gateway, as the database has it."""

    id: int
    serial: str
    how: str
    not_after: datetime
    revoked: bool

    def good(self, now: datetime) -> bool:
        return not self.revoked and now < self.not_after


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
    """It gets a key and a certificate. `gateway_id` None: it is to be registered. `superseded`: to be revoked."""

    gateway_id: int | None = None
    superseded: tuple[Given, ...] = ()


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
    known = {given.serial for given in registered.certificates}
    sound = in_box.folder.state is State.SOUND and in_box.folder.serial in known
    if sound and good:
        return Keep()
    if registered.status != GatewayStatus.ACTIVE:
        raise RowRefusedError(
            f"gateway {code} is {registered.status}; enable it first (./tds gateway enable {unit.code}), or take the "
            "row out."
        )
    own = in_box.journaled
    if own and own.serial in {given.serial for given in good}:
        return Resume(registered.id, own)
    if not good:
        if sound and not reissue:
            raise RowRefusedError(
                f"the certificate of gateway {code} in this box was revoked or has run out; with --reissue it gets "
                "another."
            )
        return Issue(registered.id)
    if reissue or _never_left(registered, in_box, good):
        return Issue(registered.id, tuple(good))
    raise RowRefusedError(
        f"gateway {code} has a certificate already (serial number {good[0].serial}), and its key is not in this box. "
        "Take the row out; or, if that key is lost, use --reissue: the old certificate is revoked, and the unit gets "
        "another."
    )


def _never_left(registered: Registered, in_box: InBox, good: Sequence[Given]) -> bool:
    """Whether what is good was made in this box and never used: then to lose it harms nobody."""
    of_box = in_box.folder.state is State.BROKEN or in_box.listed_serial in {given.serial for given in good}
    return of_box and not registered.seen and all(given.how == How.FACTORY for given in good)
