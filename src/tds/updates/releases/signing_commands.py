"""`tds release keygen | build-manifest | sign`: what is done where the release key is kept, away from the server."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tds.fleet.commands import Json, fail, say

if TYPE_CHECKING:
    from tds.updates.signed.manifest import Manifest

release_app = typer.Typer(no_args_is_help=True, help="Firmware: keys, signed manifests, and what gateways are given.")

KEY_FILE: Final = {True: "root.key", False: "release.key"}
MAX_MANIFEST_FILE_BYTES: Final = 16_384
STEP: Final = 1_000  # of minor and patch numbers, in a counter that is made of a version


@release_app.command("keygen")
def keygen(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where the key goes [default: $TDS_HOME/release-keys].")
    ] = None,
    *,
    root: Annotated[
        bool, typer.Option("--root", help="The root key, which signs trust sets, and not releases.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key that signs releases. Do it on the machine that builds them; the platform never needs it."""
    from django.conf import settings

    from tds.updates.signed.keys import PUBLIC_SUFFIX, PrivateKey

    if folder is None and settings.TDS_PRODUCTION:
        fail(
            "TDS_MODE is production, and this key belongs on another machine, where releases are built: make it there, "
            "or name a FOLDER that is not the server's."
        )
    file = (folder or settings.ENV.home / "release-keys") / KEY_FILE[root]
    if file.exists() or file.is_symlink():
        fail(
            f"{file} is there already; name another folder. Who loses a key that gateways believe can't sign for them."
        )
    key = PrivateKey.new()
    try:
        key.save(file)
    except OSError as error:
        fail(f"{file} can't be written: {error.strerror}.")
    public = file.with_suffix(PUBLIC_SUFFIX)
    say(
        {"kid": key.kid, "key": str(file), "public": str(public)},
        f"Key {key.kid} is in {file}; keep it off the server, with a copy in another place. Its public half: {public}. "
        "Next: " + ("./tds trust upload FILE --root " if root else "./tds trust make … --release ") + f"{public}",
        as_json=as_json,
    )


@release_app.command("build-manifest")
def build_manifest(  # noqa: PLR0913  # one option each
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The .bin that gateways get.")],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where the manifest goes, to look at and to sign.")],
    *,
    product: Annotated[str, typer.Option(help="What it is for: dcu, relay.")],
    family: Annotated[
        list[str] | None, typer.Option(help="A family that it runs on [default: the image's project]. Repeat it.")
    ] = None,
    hardware: Annotated[
        list[str] | None, typer.Option(help="A hardware revision that it runs on [default: any]. Repeat it.")
    ] = None,
    counter: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Grows with each release: a gateway never goes below it again [default: 1002003 for version 1.2.3, "
            "or the image's own secure version where that is higher].",
        ),
    ] = None,
    min_source_counter: Annotated[
        int, typer.Option(min=0, help="Gateways that run less than this must take a release between first.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Say what an image is: version, chip, size and hash come out of the image itself."""
    import msgspec

    from tds.updates.releases.image import ImageRefusedError, read

    try:
        with image.open("rb") as file:
            facts = read(file)
    except ImageRefusedError as error:
        fail(f"{image}: {error}")
    except OSError as error:
        fail(f"{image} can't be read: {error.strerror}.")
    claims = {
        "product": product,
        "families": family or [facts.project],
        "chip": facts.chip,
        "hardware": hardware or ["*"],
        "version": facts.version,
        "counter": counter or max(counter_of(facts.version), facts.secure_version),
        "size": facts.size,
        "sha256": facts.sha256,
        "min_source_counter": min_source_counter,
        "released_at": int(datetime.now(UTC).timestamp()),
    }
    manifest = _valid(msgspec.json.encode(claims))
    try:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    except OSError as error:
        fail(f"{out} can't be written: {error.strerror}.")
    say(
        claims,
        f"{out} says: {product} {manifest.version} (counter {manifest.counter}) for {', '.join(manifest.families)} on "
        f"{manifest.chip}. Look at it, then sign it: ./tds release sign {out} --key release.key",
        as_json=as_json,
    )


@release_app.command("sign")
def sign(
    manifest: Annotated[Path, typer.Argument(metavar="FILE", help="A manifest, of ./tds release build-manifest.")],
    *,
    key: Annotated[Path, typer.Option(metavar="KEY", help="The release key, of ./tds release keygen.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="[default: FILE with .jws]", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign a manifest: with the image it is what ./tds release upload takes."""
    from tds.identity.authorities.keys import KeyUnusableError
    from tds.updates.signed import manifest as manifests
    from tds.updates.signed.keys import PrivateKey

    target = out or manifest.with_suffix(".jws")
    try:
        with manifest.open("rb") as file:
            claims = _valid(file.read(MAX_MANIFEST_FILE_BYTES))
        signer = PrivateKey.load(key)
        text = manifests.make(claims, signer)
        target.write_text(f"{text}\n", encoding="ascii")
    except (KeyUnusableError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename} can't be read or written: {error.strerror}.")
    say(
        {"file": str(target), "kid": signer.kid, "manifest_sha256": manifests.hash_of(text)},
        f"{target} is signed with key {signer.kid}. Next: ./tds release upload IMAGE {target}",
        as_json=as_json,
    )


def counter_of(version: str) -> int:
    """1.2.3 gives 1,002,003. Of a version that has more, or larger numbers, a person must say the counter."""
    parts = re.fullmatch(r"(\d{1,4})\.(\d{1,3})\.(\d{1,3})", version)
    counter = 0
    for part in parts.groups() if parts else ():
        counter = counter * STEP + int(part)
    if not counter:
        fail(
            f"No counter can be made of version {version}: say it with --counter, higher than that of the last release."
        )
    return counter


def _valid(claims: bytes) -> "Manifest":
    from tds.updates.signed import claims as rules
    from tds.updates.signed.jws import Kind
    from tds.updates.signed.manifest import Manifest
    from tds.updates.signed.refusal import DocumentRefusedError

    try:
        return rules.read(Kind.MANIFEST, claims, Manifest)
    except DocumentRefusedError as error:
        fail(str(error))
