"""Signs revocation lists: the worker's part, which has the authorities' keys.

Told by PostgreSQL that a gateway or a certificate changed, and each minute without being told, it compares what the
lists must have with what they have, and signs anew where that differs.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from cryptography.hazmat.primitives import serialization

from tds.identity.access import canary
from tds.identity.authorities import crl
from tds.identity.authorities.authority import Authority
from tds.identity.authorities.folder import AuthorityFolder, FolderUnusableError
from tds.identity.revocation import listed
from tds.identity.revocation.listed import Listed, Standing
from tds.identity.revocation.notices import CERTIFICATES, FLEET, Notices

logger = logging.getLogger("tds.worker")

LOCK_CLASS: Final = 0x7D5
LOCK: Final = 0x1D  # two workers sign one after the other
UNASKED_EVERY_S: Final = 60.0
SIGNED_EVERY_S: Final = 1.0  # at most: a box of gateways that is retired one by one is one list a second
WAIT_S: Final = 1.0  # at once: then it is seen whether to stop
SAY_EVERY_S: Final = 3_600.0  # that it still can't be done


class Signed(NamedTuple):
    """Which authorities signed, and the revision of their new lists."""

    revision: int
    issuers: tuple[str, ...]


@dataclass(slots=True)
class Revoking:
    """One lane of the worker, with a connection to itself."""

    folder: AuthorityFolder
    now: Callable[[], datetime]
    clock: Callable[[], float] = monotonic
    trouble: str = ""  # why lists can't be signed, as a sentence
    _connection: psycopg.Connection[Any] | None = None
    _notices: Notices | None = None
    _changed: bool = True
    _looked_at: float = float("-inf")
    _signed_at: float = float("-inf")
    _said_at: float = float("-inf")
    _known: tuple[str, list[str]] = ("", [])  # the folder's stamp, and whose keys `_authorities` has
    _authorities: list[Authority] = field(default_factory=list)

    def turn(self, connection: psycopg.Connection[Any]) -> None:
        """Wait up to WAIT_S for news, and sign what is to be signed."""
        if self._notices is None or connection is not self._connection:
            self._connection, self._notices = connection, Notices(connection, FLEET, CERTIFICATES)
            self._changed = True
        self._changed = self._notices.wait(0 if self._changed else WAIT_S) or self._changed
        resting_s = SIGNED_EVERY_S - (self.clock() - self._signed_at)
        if self._changed and resting_s > 0:
            Event().wait(resting_s)  # more that comes meanwhile is in the same list
            self._notices.wait(0)
        if self._changed or self.clock() - self._looked_at >= UNASKED_EVERY_S:
            # Before the look: what changes during it is another change.
            self._changed, self._looked_at = False, self.clock()
            self._look(connection)

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        now = self.now()
        try:
            signed = sign_due(connection, self._trusted(now), now=now)
        except FolderUnusableError as error:
            self._say(str(error))
            return
        self.trouble = ""
        if signed.issuers:
            self._signed_at = self.clock()
            logger.info("Revocation lists: revision %d signed by %s", signed.revision, ", ".join(signed.issuers))

    def _trusted(self, now: datetime) -> list[Authority]:
        """Those of `now`. Keys are read again only when something changed in the folder, or others are trusted."""
        known = self.folder.stamp(), self.folder.device_names(now)
        if known != self._known:
            self._authorities = self.folder.devices(now)
            self._known = known
        return self._authorities

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble or self.clock() - self._said_at >= SAY_EVERY_S:
            self._said_at = self.clock()
            logger.warning("No revocation list can be signed: %s", trouble)
        self.trouble = trouble


def sign_due(connection: psycopg.Connection[Any], authorities: Sequence[Authority], *, now: datetime) -> Signed:
    """Sign for every authority whose list is not what it must be, in one transaction with what is written down."""
    names = [authority.name for authority in authorities]
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_CLASS, LOCK))
        lists = listed.read_lists(connection)
        standings = listed.read(connection, names, now=now)
        if gone := sorted(lists.keys() - set(names)):
            # Brokers stop trusting those: what they have issued is refused without a list.
            connection.execute("DELETE FROM tds_new_revocationlist WHERE issuer = ANY(%s)", (gone,))
        due = [a for a in authorities if _is_due(a, lists.get(a.name), standings[a.name], now)]
        if not due:
            return Signed(0, ())
        revision = _next_revision(connection)
        for authority in due:
            last = lists.get(authority.name)
            _sign(connection, authority, last, standings[authority.name], revision=revision, now=now)
    return Signed(revision, tuple(authority.name for authority in due))


def _is_due(authority: Authority, last: Listed | None, standings: Sequence[Standing], now: datetime) -> bool:
    if last is None or not canary.usable(last.canary, authority, now):
        return True
    return listed.is_due(last, listed.change(standings), now)


def _next_revision(connection: psycopg.Connection[Any]) -> int:
    """One more than any that was ever used: a list that is deleted takes its own along."""
    row = connection.execute(
        """SELECT 1 + greatest(0, (SELECT max(revision) FROM tds_new_revocationlist),
                               (SELECT max(revision) FROM tds_new_brokeraccess),
                               (SELECT max(listed_in) FROM tds_new_certificate WHERE listed_in IS NOT NULL))"""
    ).fetchone()
    return int(row[0]) if row else 1


def _sign(  # noqa: PLR0913  # all that goes into a list
    connection: psycopg.Connection[Any],
    authority: Authority,
    last: Listed | None,
    standings: Sequence[Standing],
    *,
    revision: int,
    now: datetime,
) -> None:
    kept = last.canary if last and canary.usable(last.canary, authority, now) else canary.make(authority, now)
    begins = listed.this_update(now, last.this_update if last else None)
    ends = listed.next_update(now)
    refused = [canary.entry(kept), *listed.entries(standings, now)]
    signed = crl.sign(authority, refused, number=revision, now=begins, next_update=ends)
    changed = listed.change(standings)
    for ids, value in ((changed.added, revision), (changed.dropped, None)):
        if ids:
            connection.execute("UPDATE tds_new_certificate SET listed_in = %s WHERE id = ANY(%s)", (value, ids))
    connection.execute(
        """INSERT INTO tds_new_revocationlist (issuer, revision, this_update, next_update, pem, anchor, canary)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (issuer) DO UPDATE SET revision = EXCLUDED.revision, this_update = EXCLUDED.this_update,
               next_update = EXCLUDED.next_update, pem = EXCLUDED.pem, anchor = EXCLUDED.anchor,
               canary = EXCLUDED.canary""",
        (
            authority.name,
            revision,
            begins,
            ends,
            signed.public_bytes(serialization.Encoding.PEM).decode("ascii"),
            authority.anchor.public_bytes(serialization.Encoding.PEM).decode("ascii"),
            kept,
        ),
    )
