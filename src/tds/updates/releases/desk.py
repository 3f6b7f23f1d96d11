"""What the platform's operators do with releases: take one in, publish it, withdraw it. Each deed leaves its trace."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from django.core.exceptions import PermissionDenied
from django.db import connection as django_connection
from django.db import transaction
from django.utils.translation import gettext as _

from tds.fleet import audit
from tds.fleet.models import AuditAction, User
from tds.updates.models import MAX_DETAIL_CHARS, Release, ReleaseKind, ReleaseStatus
from tds.updates.releases import image, preflight
from tds.updates.releases.figures import grouped
from tds.updates.releases.files import Artifacts, Received
from tds.updates.releases.image import ImageFacts, ImageRefusedError, Source
from tds.updates.releases.preflight import Before
from tds.updates.signed import manifest as manifests
from tds.updates.signed.manifest import Manifest
from tds.updates.signed.refusal import DocumentRefusedError
from tds.updates.signed.trust import TrustSet

MAX_NOTES_CHARS: Final = 20_000
IN_DATABASE: Final = ("project", "version", "built", "idf", "secure_version", "elf_sha256", "min_chip_revision")
# One upload at a time decides, and none while files are removed: of two with the same counter the second is refused by
# its sentence, and no file goes whose release is about to be written.
_LOCK: Final = 0x7D5_0A11


@dataclass(frozen=True, slots=True)
class Refused:
    """Why, in a word that scripts know, and in a sentence."""

    reason: str
    sentence: str


class ReleaseRefusedError(Exception):
    """All that is wrong; the text is their sentences."""

    def __init__(self, *refusals: Refused) -> None:
        super().__init__(" ".join(refusal.sentence for refusal in refusals))
        self.refusals = refusals


@dataclass(frozen=True, slots=True)
class Uploaded:
    release: Release
    again: bool  # it was there already, with the same manifest


def upload(  # noqa: PLR0913  # what an upload is made of
    manifest_text: str,
    file: Source,
    *,
    by: "User | str",
    now: datetime,
    trusted: TrustSet,
    artifacts: Artifacts,
    kind: ReleaseKind = ReleaseKind.APPLICATION,
    notes: str = "",
) -> Uploaded:
    """Take a release in, not yet published. Raises ReleaseRefusedError, files.StoreError, PermissionDenied."""
    require_operator(by)
    if len(notes) > MAX_NOTES_CHARS:
        told = _("The notes have %(has)s characters; %(most)s are taken.")
        raise refused("notes_too_long", told % {"has": grouped(len(notes)), "most": grouped(MAX_NOTES_CHARS)})
    check_text(notes)
    text = manifest_text.strip()
    manifest, kid = _believed(text, trusted, now)
    try:
        with artifacts.receive(file) as received:
            facts = image.read(received.file)
            with transaction.atomic():
                _take_turn()
                if found := Release.objects.filter(manifest_sha256=manifests.hash_of(text)).first():
                    return Uploaded(_again(found, facts, received), again=True)
                _check(facts, manifest, kind)
                release = _row(manifest, facts, text, kid)
                release.kind, release.notes = kind, notes
                release.uploaded_by = by if isinstance(by, User) else None
                release.save(force_insert=True)
                _note(AuditAction.RELEASE_UPLOADED, release, by=by)
                received.keep()  # before the commit: a release without its file would be worse than the reverse
                return Uploaded(release, again=False)
    except ImageRefusedError as error:
        raise refused(error.reason, str(error)) from error


@transaction.atomic
def publish(release: Release, *, by: "User | str", now: datetime, trusted: TrustSet, artifacts: Artifacts) -> Release:
    """From now on it may be rolled out, and is the newest. Raises ReleaseRefusedError, PermissionDenied."""
    require_operator(by)
    release = Release.objects.select_for_update().get(pk=release.pk)
    if release.status == ReleaseStatus.PUBLISHED:
        return release
    if release.status == ReleaseStatus.WITHDRAWN:
        raise _withdrawn(release)
    _believed(release.manifest, trusted, now)  # its key may have been revoked since
    if not artifacts.has(release.sha256):
        told = _("The image of %(release)s is not in %(folder)s: upload it once more.")
        raise refused("no_file", told % {"release": release, "folder": artifacts.folder})
    release.status, release.published_at = ReleaseStatus.PUBLISHED, now
    release.save(update_fields=("status", "published_at"))
    _note(AuditAction.RELEASE_PUBLISHED, release, by=by)
    return release


@transaction.atomic
def withdraw(release: Release, why: str, *, by: "User | str", now: datetime) -> Release:
    """Nobody gets it from now on: who conducts rollouts halts those of it by itself, a moment later.

    Raises ReleaseRefusedError, PermissionDenied.
    """
    require_operator(by)
    why = why.strip()
    if not 0 < len(why) <= MAX_DETAIL_CHARS:
        told = _("Say why it is withdrawn, in 1 to %(most)s characters.")
        raise refused("no_reason", told % {"most": MAX_DETAIL_CHARS})
    check_text(why)
    release = Release.objects.select_for_update().get(pk=release.pk)
    if release.status == ReleaseStatus.WITHDRAWN:
        return release
    release.status, release.withdrawn_at, release.withdrawn_why = ReleaseStatus.WITHDRAWN, now, why
    release.save(update_fields=("status", "withdrawn_at", "withdrawn_why"))
    _note(AuditAction.RELEASE_WITHDRAWN, release, by=by, why=why)
    return release


def clean(connection: psycopg.Connection[Any], artifacts: Artifacts, now: datetime) -> Sequence[str]:
    """Remove the files that no release has. Returns their hashes. Raises OSError."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = psycopg.Cursor(connection).execute("SELECT sha256 FROM tds_new_release")
        return artifacts.remove_all_but(frozenset(sha256 for (sha256,) in found), now.timestamp())


def _believed(text: str, trusted: TrustSet, now: datetime) -> tuple[Manifest, str]:
    try:
        return manifests.read(text, trusted, now)
    except DocumentRefusedError as error:
        raise refused(error.reason, str(error)) from error


def _again(found: Release, facts: ImageFacts, received: Received) -> Release:
    """The same manifest once more: with its own image it is no error, and mends a file that was lost."""
    if found.sha256 != facts.sha256:
        told = _("%(release)s is there with this manifest, and this is not its image.")
        raise refused("hash_mismatch", told % {"release": found})
    if found.status == ReleaseStatus.WITHDRAWN:
        raise _withdrawn(found)
    if not received.owner.has(found.sha256):
        received.keep()
    return found


def _check(facts: ImageFacts, manifest: Manifest, kind: ReleaseKind) -> None:
    rows = Release.objects.filter(product=manifest.product, chip=manifest.chip, kind=kind).values_list(
        "version", "counter", "image__secure_version", "families"
    )
    earlier = [
        Before(version, counter, int(secure or 0), tuple(families)) for version, counter, secure, families in rows
    ]
    if found := preflight.objections(facts, manifest, earlier):
        raise ReleaseRefusedError(*(Refused(each.reason, each.sentence) for each in found))


def _row(manifest: Manifest, facts: ImageFacts, text: str, kid: str) -> Release:
    said = asdict(facts)
    return Release(
        product=manifest.product,
        version=manifest.version,
        counter=manifest.counter,
        families=list(manifest.families),
        chip=manifest.chip,
        hardware=list(manifest.hardware),
        size=manifest.size,
        sha256=manifest.sha256,
        min_source_counter=manifest.min_source_counter,
        released_at=manifest.released,
        manifest=text,
        manifest_sha256=manifests.hash_of(text),
        key_id=kid,
        image={name: said[name] for name in IN_DATABASE},
    )


def _take_turn() -> None:
    """Until the end of the transaction."""
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def _note(action: AuditAction, release: Release, *, by: "User | str", why: str = "") -> None:
    detail: audit.Detail = {"chip": release.chip, "counter": release.counter, "sha256": release.sha256}
    if why:
        detail["why"] = why
    audit.note(action, audit.Subject(audit.RELEASE, str(release), release.pk), by=by, detail=detail)


def require_operator(by: "User | str") -> None:
    """A word is the command line, whose user has the machine."""
    if isinstance(by, User) and not by.is_platform_operator:
        raise PermissionDenied(_("Only operators of the platform can do this."))


def check_text(text: str) -> None:
    """Raises ReleaseRefusedError: PostgreSQL keeps no text with U+0000, nor with half a character."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise refused(
            "unkeepable_text", _("The text has a character that can't be kept: write it without control characters.")
        )


def _withdrawn(release: Release) -> ReleaseRefusedError:
    told = _("%(release)s is withdrawn for good (%(why)s): make another release.")
    return refused("withdrawn", told % {"release": release, "why": release.withdrawn_why})


def refused(reason: str, sentence: str) -> ReleaseRefusedError:
    """One sentence, to be raised."""
    return ReleaseRefusedError(Refused(str(reason), sentence))
