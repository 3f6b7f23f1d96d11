"""Whom a revocation list must have: from the state of certificates and gateways to what each authority signs.

A certificate is refused when it is revoked, which is for ever, or while its gateway is not active. That is read from
the database each time, so nothing that was missed stays missed; `listed_in` says what the last signed lists have of it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from tds.fleet.models import GatewayStatus
from tds.identity.authorities.authority import BACKDATED
from tds.identity.authorities.crl import Reason, Revoked
from tds.identity.authorities.server_files import LIST_DAYS

SIGNED_ANEW: Final = timedelta(days=1)
# A list has what ended by itself for a while longer: a broker whose clock was set back would let it in again.
KEPT_AFTER_END: Final = timedelta(days=30)
SECOND: Final = timedelta(seconds=1)


class Standing(NamedTuple):
    """What is known of a certificate that is refused, or that the last list has. `listed_in` None: it has it not."""

    id: int
    issuer: str
    serial: str
    status: str  # of its gateway
    revoked_at: datetime | None = None
    reason: str = ""
    listed_in: int | None = None


class Listed(NamedTuple):
    """The newest list of an authority, in short."""

    issuer: str
    this_update: datetime
    anchor: str
    canary: str


class Change(NamedTuple):
    """By which certificates, each by its row's id, an authority's next list differs from its last."""

    added: list[int]
    dropped: list[int]

    def __bool__(self) -> bool:
        return bool(self.added or self.dropped)


def is_refused(standing: Standing) -> bool:
    return standing.revoked_at is not None or standing.status != GatewayStatus.ACTIVE


def entry(standing: Standing, now: datetime) -> Revoked:
    """Of a refused certificate. Whoever is disabled may come back: that is a hold (RFC 5280, 5.3.1)."""
    serial = int(standing.serial, 16)
    if standing.revoked_at is not None:
        return Revoked(serial, standing.revoked_at, reason_of(standing.reason))
    held = standing.status == GatewayStatus.DISABLED
    # Since when it is held nobody asks: verifiers look at the serial number alone.
    return Revoked(serial, now, Reason.certificate_hold if held else Reason.cessation_of_operation)


def reason_of(text: str) -> Reason:
    """By its name in RFC 5280; whatever else somebody wrote into the row is a revocation all the same."""
    try:
        reason = Reason(text)
    except ValueError:
        return Reason.unspecified
    # The one that would take a certificate off a list has no place on a complete one.
    return Reason.unspecified if reason is Reason.remove_from_crl else reason


def change(standings: Iterable[Standing]) -> Change:
    """Of the certificates of one authority."""
    added, dropped = [], []
    for standing in standings:
        if is_refused(standing) and standing.listed_in is None:
            added.append(standing.id)
        elif not is_refused(standing) and standing.listed_in is not None:
            dropped.append(standing.id)
    return Change(added, dropped)


def entries(standings: Iterable[Standing], now: datetime) -> list[Revoked]:
    return [entry(standing, now) for standing in standings if is_refused(standing)]


def is_due(last: Listed | None, changed: Change, now: datetime) -> bool:
    """Whether an authority must sign: something changed, a day is over, or the clock went back behind the last one."""
    if last is None or changed:
        return True
    return not last.this_update <= now < last.this_update + SIGNED_ANEW


def this_update(now: datetime, last: datetime | None) -> datetime:
    """From when the next list holds: whole seconds, later than the last, and never in the future.

    OpenSSL takes the later of two lists, and refuses everybody for one that is not valid yet. So it is dated a little
    back, for brokers whose clocks are behind; and when the clock itself was set back, earlier than the last.
    """
    wanted = (now - BACKDATED).replace(microsecond=0)
    if last is None or last < wanted:
        return wanted
    return last + SECOND if last + SECOND <= now else wanted


def next_update(now: datetime) -> datetime:
    """From when on a verifier refuses everybody (RFC 5280, 6.3.3): so long may nobody be there to sign."""
    return (now + timedelta(days=LIST_DAYS)).replace(microsecond=0)


def read(connection: psycopg.Connection[Any], issuers: Sequence[str], *, now: datetime) -> dict[str, list[Standing]]:
    """By authority, every certificate that its list has or must have. What ended long ago falls off unasked."""
    rows = connection.execute(
        """SELECT c.id, c.issuer, c.serial, g.status, c.revoked_at, c.revocation_reason, c.listed_in
           FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
           WHERE c.issuer = ANY(%(issuers)s) AND c.not_after > %(kept_since)s
             AND (c.revoked_at IS NOT NULL OR g.status <> 'active' OR c.listed_in IS NOT NULL)
           ORDER BY c.id""",
        {"issuers": list(issuers), "kept_since": now - KEPT_AFTER_END},
    )
    found: dict[str, list[Standing]] = {issuer: [] for issuer in issuers}
    for row in rows:
        standing = Standing(*row)
        found[standing.issuer].append(standing)
    return found


def read_lists(connection: psycopg.Connection[Any]) -> dict[str, Listed]:
    rows = connection.execute("SELECT issuer, this_update, anchor, canary FROM tds_new_revocationlist")
    return {row[0]: Listed(row[0], row[1].astimezone(UTC), *row[2:]) for row in rows}
