"""A release rolled back somewhere for a reason that is not its own: what is remembered of it is forgiven."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from tds.fleet import audit
from tds.fleet.models import AuditAction, User
from tds.updates.models import MAX_DETAIL_CHARS, KnownBad, Release
from tds.updates.releases import desk


@transaction.atomic
def forgive(  # noqa: PLR0913  # what, where, who, why
    release: Release,
    why: str,
    *,
    by: "User | str",
    now: datetime,
    family: str | None = None,
    hardware: str | None = None,
) -> list[KnownBad]:
    """All that it did until now; or on this family, or this hardware revision, alone. Returns what is forgiven.

    Raises ReleaseRefusedError, PermissionDenied.
    """
    desk.require_operator(by)
    why = why.strip()
    if not 0 < len(why) <= MAX_DETAIL_CHARS:
        told = _("Say why it is forgiven, in 1 to %(most)s characters.")
        raise desk.refused("no_reason", told % {"most": MAX_DETAIL_CHARS})
    desk.check_text(why)
    found = KnownBad.objects.select_for_update().filter(release=release, rolled_back__gt=0)
    if family is not None:
        found = found.filter(family=family)
    if hardware is not None:
        found = found.filter(hardware=hardware)
    rows = [row for row in found.order_by("family", "hardware") if not row.is_forgiven]
    if not rows:
        told = _("There is nothing to forgive: %(release)s did not roll back there, or it is forgiven already.")
        raise desk.refused("nothing_to_forgive", told % {"release": release})
    for row in rows:
        row.forgiven_at = max(now, row.last_at)  # of another machine's clock
        row.save(update_fields=("forgiven_at",))
        subject = audit.Subject(audit.RELEASE, str(release), release.pk)
        detail: audit.Detail = {"family": row.family, "hardware": row.hardware, "rolled_back": row.rolled_back}
        audit.note(AuditAction.RELEASE_FORGIVEN, subject, by=by, detail=detail | {"why": why})
    return rows
