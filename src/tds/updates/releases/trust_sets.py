"""The trust set that is given out: taken in when a root signed it and its version grew."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from tds.fleet import audit
from tds.fleet.models import AuditAction, User
from tds.updates import models
from tds.updates.folders import UpdatesFolder
from tds.updates.signed import keys, trust
from tds.updates.signed.jws import Kind, split
from tds.updates.signed.keys import PublicKey
from tds.updates.signed.refusal import DocumentRefusedError, Refusal
from tds.updates.signed.trust import TrustedKey, TrustSet, Use

# Of what `tds up` makes by itself on a desk.
DESK_VALID: Final = timedelta(days=365)
DESK_CLOCKS: Final = timedelta(days=1)  # that another machine's clock may be behind
DESK_RENEW: Final = timedelta(days=60)
ROOT_KEY: Final = "root.key"
RELEASE_KEY: Final = "release.key"


def current() -> TrustSet | None:
    """What is given out. It was judged when it was taken in."""
    row = newest()
    return None if row is None else msgspec.json.decode(split(Kind.TRUST, row.document).payload, type=TrustSet)


def newest() -> models.TrustSet | None:
    return models.TrustSet.objects.order_by("-version").first()


def usable(now: datetime) -> TrustSet:
    """The current one, which has not expired. Raises DocumentRefusedError."""
    found = current()
    if found is None:
        raise DocumentRefusedError(
            Refusal.KEY_UNKNOWN,
            _(
                "There is no trust set yet, so no key is believed: make one with ./tds trust make, and take it in "
                "with ./tds trust upload."
            ),
        )
    if found.expires_at <= now:
        raise DocumentRefusedError(
            Refusal.EXPIRED,
            _("Trust set %(version)d ended on %(day)s: make a new one.")
            % {"version": found.version, "day": f"{found.expires_at:%Y-%m-%d}"},
        )
    return found


@transaction.atomic
def take(text: str, roots: Sequence[PublicKey], *, by: "User | str", now: datetime) -> TrustSet:
    """Keep it, and give it out from now on. Raises DocumentRefusedError."""
    text = text.strip()
    row = models.TrustSet.objects.select_for_update().order_by("-version").first()
    found = trust.read(text, roots, now, former=current())
    if row is not None and found.version == row.version:
        return found
    taken = models.TrustSet.objects.create(version=found.version, document=text, expires_at=found.expires_at)
    subject = audit.Subject(audit.TRUST_SET, str(found.version), taken.pk)
    audit.note(AuditAction.TRUST_SET_TAKEN, subject, by=by, detail={"expires": f"{found.expires_at:%Y-%m-%d}"})
    return found


def ensure_desk(release_keys: Path, folder: UpdatesFolder, now: datetime) -> None:
    """What a person with one machine would do by hand, done for them: keys, and a trust set that names them.

    Raises KeyUnusableError, DocumentRefusedError, OSError.
    """
    root, release = (keys.load_or_make(release_keys / name) for name in (ROOT_KEY, RELEASE_KEY))
    folder.add_root(root.public)
    wanted = ((release.public, Use.RELEASE), (folder.assignment_key().public, Use.ASSIGNMENT))
    former = current()
    if former is not None and former.expires_at - now > DESK_RENEW and _names(former, wanted):
        return
    until = now + DESK_VALID
    made = TrustSet(
        version=1 if former is None else former.version + 1,
        iat=int(now.timestamp()),
        exp=int(until.timestamp()),
        keys=tuple(TrustedKey.of(key, use, now - DESK_CLOCKS, until) for key, use in wanted),
        revoked=former.revoked if former else (),
    )
    take(trust.make(made, root), folder.roots(), by=audit.COMMAND_LINE, now=now)


def _names(trust_set: TrustSet, wanted: Sequence[tuple[PublicKey, Use]]) -> bool:
    named = {(key.kid, key.use) for key in trust_set.keys}
    return all((key.kid, use) in named for key, use in wanted)
