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
from tds.updates.releases import desk
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
def take(
    text: str, roots: Sequence[PublicKey], *, by: "User | str", now: datetime, new_root: PublicKey | None = None
) -> TrustSet:
    """Keep it, and give it out from now on; what its revoked keys signed is withdrawn. Raises DocumentRefusedError.

    `new_root` is the one of `roots` that is named with it, to be believed from now on: that is written down too.
    """
    text = text.strip()
    row = models.TrustSet.objects.select_for_update().order_by("-version").first()
    found = trust.read(text, roots, now, former=current())
    if new_root is not None:
        _refuse_as_root(new_root, found)
    if row is None or found.version != row.version:
        row = models.TrustSet.objects.create(version=found.version, document=text, expires_at=found.expires_at)
        _withdraw_revoked(found, by=by, now=now)
    elif new_root is None:
        return found
    detail: audit.Detail = {"expires": f"{found.expires_at:%Y-%m-%d}"}
    if new_root is not None:
        detail["root"] = new_root.kid
    subject = audit.Subject(audit.TRUST_SET, str(found.version), row.pk)
    audit.note(AuditAction.TRUST_SET_TAKEN, subject, by=by, detail=detail)
    return found


def _withdraw_revoked(trust_set: TrustSet, *, by: "User | str", now: datetime) -> None:
    """What a revoked key signed is handed out to nobody: gateways hear of the revocation up to a day later."""
    why = _("Its key is revoked by trust set %(version)d.") % {"version": trust_set.version}
    signed = models.Release.objects.filter(key_id__in=trust_set.revoked).exclude(status=models.ReleaseStatus.WITHDRAWN)
    for release in signed.order_by("pk"):
        desk.withdraw(release, why, by=by, now=now)


def _refuse_as_root(root: PublicKey, trust_set: TrustSet) -> None:
    """What a root key is mistaken for: whoever has it could then say which keys are believed."""
    use = next((key.use for key in trust_set.keys if key.kid == root.kid), None)
    if use is not None:
        raise DocumentRefusedError(
            Refusal.KEY_UNKNOWN,
            f"Key {root.kid} is the {use.value} key of trust set {trust_set.version} and no root key: name the public "
            "half of the one that signs trust sets, root.pub.",
        )
    if root.kid in trust_set.revoked:
        raise DocumentRefusedError(
            Refusal.KEY_REVOKED, f"Root key {root.kid} is revoked by trust set {trust_set.version}: name another one."
        )


def ensure_desk(release_keys: Path, folder: UpdatesFolder, now: datetime) -> None:
    """What a person with one machine would do by hand, done for them: keys, and a trust set that names them.

    Raises KeyUnusableError, DocumentRefusedError, OSError.
    """
    if _has_a_ceremony(release_keys / ROOT_KEY, folder):
        return
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


def _has_a_ceremony(desk_root: Path, folder: UpdatesFolder) -> bool:
    """Whether the trust set, or the root keys before there is one, are somebody's who holds the keys elsewhere.

    Such a home may be started as a desk by mistake, without TDS_MODE: a set of a desk's root would be given out that no
    gateway takes, in place of the one that they have, and the next one of the real root would not follow it.
    """
    own = keys.PrivateKey.load(desk_root).kid if desk_root.exists() else None
    row = newest()
    believed = {root.kid for root in folder.roots()} if row is None else {split(Kind.TRUST, row.document).kid}
    return bool(believed) and own not in believed


def _names(trust_set: TrustSet, wanted: Sequence[tuple[PublicKey, Use]]) -> bool:
    named = {(key.kid, key.use) for key in trust_set.keys}
    return all((key.kid, use) in named for key, use in wanted)
