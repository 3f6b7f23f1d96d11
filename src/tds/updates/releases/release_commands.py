"""`tds release upload | publish | withdraw | forgive | list | show`: what is done where the platform is.

See signing_commands for the rest.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import Json, fail, iso, say
from tds.fleet.counted import counted
from tds.updates.releases.signing_commands import release_app

if TYPE_CHECKING:
    from tds.updates.models import Release
    from tds.updates.releases.files import Artifacts

__all__ = ("release_app",)  # with all its commands

MAX_MANIFEST_CHARS: Final = 4_096
MAX_LISTED: Final = 200
MAX_UNSIGNED: Final = 20
Named = Annotated[
    str,
    typer.Argument(
        metavar="RELEASE", help="Its number, its version, or PRODUCT@VERSION[@FAMILY]; see ./tds release list."
    ),
]


@release_app.command("upload")
def upload(  # noqa: PLR0913  # one option each
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The .bin that gateways get.")],
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Its manifest, of ./tds release sign.")],
    *,
    notes: Annotated[str, typer.Option(help="What is new, for people.")] = "",
    hello: Annotated[
        bool, typer.Option("--hello", help="A tiny image to try a device with (hello.bin); never rolled out.")
    ] = False,
    and_publish: Annotated[bool, typer.Option("--publish", help="Publish it too.")] = False,
    as_json: Json = False,
) -> None:
    """Check a release, and take it in. Nobody gets it before it is published."""
    from django.utils import timezone

    from tds.fleet import audit
    from tds.updates.models import ReleaseKind, ReleaseStatus
    from tds.updates.releases import desk, trust_sets
    from tds.updates.releases.desk import ReleaseRefusedError
    from tds.updates.releases.files import StoreError
    from tds.updates.signed.refusal import DocumentRefusedError

    now, kind = timezone.now(), ReleaseKind.HELLO if hello else ReleaseKind.APPLICATION
    by, files = audit.COMMAND_LINE, artifacts()
    try:
        with manifest.open(encoding="ascii", errors="replace") as text, image.open("rb") as file:
            trusted = trust_sets.usable(now)
            found = desk.upload(
                text.read(MAX_MANIFEST_CHARS),
                file,
                by=by,
                now=now,
                trusted=trusted,
                artifacts=files,
                kind=kind,
                notes=notes,
            )
        release = found.release
        if and_publish:
            release = desk.publish(release, by=by, now=now, trusted=trusted, artifacts=files)
    except ReleaseRefusedError as error:
        refuse(error, as_json=as_json)
    except (DocumentRefusedError, StoreError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename} can't be read: {error.strerror}.")
    there = "was there already" if found.again else "is taken in"
    after = (
        "It is published." if release.status == ReleaseStatus.PUBLISHED else f"Next: ./tds release publish {release.pk}"
    )
    say(
        described(release) | {"again": found.again},
        f"Release #{release.pk}, {release} for {', '.join(release.families)} on {release.chip}, {there}. {after}",
        as_json=as_json,
    )


@release_app.command("publish")
def publish(release: Named, *, as_json: Json = False) -> None:
    """Give it to whoever asks for the newest, and let it be rolled out."""
    from django.utils import timezone

    from tds.fleet import audit
    from tds.updates.releases import desk, trust_sets
    from tds.updates.releases.desk import ReleaseRefusedError
    from tds.updates.signed.refusal import DocumentRefusedError

    now, found = timezone.now(), find(release)
    try:
        trusted = trust_sets.usable(now)
        found = desk.publish(found, by=audit.COMMAND_LINE, now=now, trusted=trusted, artifacts=artifacts())
    except ReleaseRefusedError as error:
        refuse(error, as_json=as_json)
    except DocumentRefusedError as error:
        fail(str(error))
    say(described(found), f"Release #{found.pk}, {found}, is published.", as_json=as_json)


@release_app.command("withdraw")
def withdraw(
    release: Named,
    *,
    why: Annotated[str, typer.Option(help="For whoever looks at it later.")],
    as_json: Json = False,
) -> None:
    """Nobody gets it any more, for good. Rollouts of it halt by themselves; gateways that run it keep it."""
    from django.utils import timezone

    from tds.fleet import audit
    from tds.updates.releases import desk
    from tds.updates.releases.desk import ReleaseRefusedError

    try:
        found = desk.withdraw(find(release), why, by=audit.COMMAND_LINE, now=timezone.now())
    except ReleaseRefusedError as error:
        refuse(error, as_json=as_json)
    say(
        described(found),
        f"Release #{found.pk}, {found}, is withdrawn ({found.withdrawn_why}). Rollouts of it that run halt within "
        "seconds; a gateway that is downloading it gives it up, and one that runs it keeps it.",
        as_json=as_json,
    )


@release_app.command("forgive")
def forgive(
    release: Named,
    *,
    why: Annotated[str, typer.Option(help="For whoever looks at it later.")],
    family: Annotated[str | None, typer.Option(help="On this one alone.")] = None,
    hardware: Annotated[str | None, typer.Option(help="On this revision alone.")] = None,
    as_json: Json = False,
) -> None:
    """It rolled back for a reason that is not its own: rollouts take it there again, until it rolls back once more."""
    from django.utils import timezone

    from tds.fleet import audit
    from tds.updates.releases import forgiving
    from tds.updates.releases.desk import ReleaseRefusedError

    found, now = find(release), timezone.now()
    try:
        rows = forgiving.forgive(found, why, by=audit.COMMAND_LINE, now=now, family=family, hardware=hardware)
    except ReleaseRefusedError as error:
        refuse(error, as_json=as_json)
    where = ", ".join(f"{row.family} {row.hardware}".strip() for row in rows)
    say(
        {
            "id": found.pk,
            "forgiven": [
                {"family": row.family, "hardware": row.hardware, "rolled_back": row.rolled_back} for row in rows
            ],
        },
        f"Release #{found.pk}, {found}, is forgiven on {where}. For those that rollouts took out there: "
        "./tds rollout retry",
        as_json=as_json,
    )


@release_app.command("list")
def list_releases(
    *,
    product: Annotated[str, typer.Option(help="Of this one alone.")] = "",
    as_json: Json = False,
) -> None:
    """The releases, the newest of each product first."""
    from tds.updates.models import Release

    rows = Release.objects.filter(product=product) if product else Release.objects.all()
    found = [described(row) for row in rows[:MAX_LISTED]]
    lines = [
        f"#{one['id']:<4} {one['product']:<8} {one['version']:<16} {one['counter']:<10} {one['chip']:<8} "
        f"{one['kind']:<12} {one['status']:<10} {', '.join(one['families'])}"
        for one in found
    ]
    say({"releases": found}, "\n".join(lines) or "There is no release yet: ./tds release upload", as_json=as_json)


@release_app.command("show")
def show(release: Named, *, as_json: Json = False) -> None:
    """One release, with all that its manifest and its image say."""
    from tds.updates import shown

    found = find(release)
    document = described(found) | {"image": found.image, "notes": found.notes, "manifest": found.manifest}
    width = max(map(len, document))
    lines = [f"{name:<{width}}  {value}" for name, value in document.items() if value not in ("", None)]
    unsigned = shown.unsigned(found)
    count = unsigned.count()
    taken = [
        {"gateway": each.gateway.code, "tenant": each.gateway.tenant.slug, "at": iso(each.fetched_at)}
        for each in unsigned.select_related("gateway__tenant")[:MAX_UNSIGNED]
    ]
    if count:
        take = counted(count, "gateway takes", "gateways take")
        believe = "it believes" if count == 1 else "they believe"
        lines.append(f"{take} the unsigned file alone, and never reported that {believe} a key:")
        lines += [f"  {each['gateway']} of {each['tenant']}, last at {each['at']}" for each in taken]
    lines += ["  …"] if count > len(taken) else []
    say(document | {"unsigned_count": count, "unsigned": taken}, "\n".join(lines), as_json=as_json)


def described(release: "Release") -> dict[str, Any]:
    return {
        "id": release.pk,
        "product": release.product,
        "version": release.version,
        "counter": release.counter,
        "kind": str(release.kind),
        "status": str(release.status),
        "chip": release.chip,
        "families": release.families,
        "hardware": release.hardware,
        "size": release.size,
        "sha256": release.sha256,
        "manifest_sha256": release.manifest_sha256,
        "key_id": release.key_id,
        "min_source_counter": release.min_source_counter,
        "released_at": iso(release.released_at),
        "uploaded_at": iso(release.uploaded_at),
        "published_at": iso(release.published_at),
        "withdrawn_at": iso(release.withdrawn_at),
        "withdrawn_why": release.withdrawn_why,
    }


def find(text: str) -> "Release":
    from tds.updates.releases import finding

    try:
        return finding.find(text)
    except finding.NotFoundError as error:
        fail(str(error))


def artifacts() -> "Artifacts":
    from django.conf import settings

    from tds.updates.folders import UpdatesFolder
    from tds.updates.releases.files import Artifacts

    return Artifacts(UpdatesFolder(settings.ENV.home / "updates").artifacts)


def refuse(error: Exception, *, as_json: bool) -> None:
    """Ends the command. Each refusal is a line; scripts get their words."""
    import json

    from tds.updates.releases.desk import ReleaseRefusedError

    assert isinstance(error, ReleaseRefusedError)  # noqa: S101  # it is loaded with Django, as late as it can be
    refusals = [{"reason": one.reason, "sentence": one.sentence} for one in error.refusals]
    if as_json:
        typer.echo(json.dumps({"refused": refusals}, ensure_ascii=False))
    fail("\n".join(one["sentence"] for one in refusals))
