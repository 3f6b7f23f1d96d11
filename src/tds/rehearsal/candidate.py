"""What is rehearsed: an image from a file, or a release of this platform with its own manifest."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tds.rehearsal.refusal import RehearsalRefusedError
from tds.updates.releases import image
from tds.updates.releases.image import ImageFacts, ImageRefusedError
from tds.updates.signed.keys import PublicKey

if TYPE_CHECKING:
    from tds.updates.models import Release

HOST: Final = "host"
SUFFIX: Final = ".bin"


@dataclass(frozen=True, slots=True)
class Candidate:
    image: Path
    facts: ImageFacts
    product: str
    manifest: str = ""  # its own, signed; "": the rehearsal signs one
    key: PublicKey | None = None  # that signed it
    min_source_counter: int = 0
    base_counter: int = 0  # of what devices run before

    @property
    def name(self) -> str:
        return f"{self.product} {self.facts.version}"


def find(text: str, artifacts: Path) -> Candidate:
    """A path of an image, or a release as `tds release show` takes it; its image is in `artifacts`.

    Raises RehearsalRefusedError.
    """
    path = Path(text)
    if path.suffix == SUFFIX or path.is_file():
        facts = _facts(path)
        return Candidate(path, facts, _product(facts))
    return _of_release(text, artifacts)


def after(base: Path | None, candidate: Candidate) -> Candidate:
    """The same for devices that run `base` before; None: a first version. Raises RehearsalRefusedError."""
    counter = 0
    if base is not None:
        facts = _facts(base)
        if facts.project != candidate.facts.project:
            raise RehearsalRefusedError(
                f"{base} is of project {facts.project}, and the release of {candidate.facts.project}."
            )
        if facts.sha256 == candidate.facts.sha256:
            raise RehearsalRefusedError(f"{base} is the release itself: there would be nothing to do.")
        counter = facts.secure_version
    if candidate.min_source_counter > counter:
        raise RehearsalRefusedError(
            f"{candidate.name} wants devices to run counter {candidate.min_source_counter} or later before, and they "
            f"would have {counter}: name such an image with --from."
        )
    return replace(candidate, base_counter=counter)


def _of_release(text: str, artifacts: Path) -> Candidate:
    from tds.updates.releases import finding
    from tds.updates.releases.files import Artifacts

    try:
        release = finding.find(text)
    except finding.NotFoundError as error:
        raise RehearsalRefusedError(f"{error} Or name an image's file, {text}.bin.") from error
    path = Artifacts(artifacts).path(release.sha256)
    key, least = _key(release), release.min_source_counter
    return Candidate(path, _facts(path), release.product, release.manifest, key, least)


def _key(release: "Release") -> PublicKey:
    from tds.updates.releases import trust_sets
    from tds.updates.signed.trust import Use

    trusted = trust_sets.current()
    found = [key for key in trusted.keys if key.kid == release.key_id and key.use is Use.RELEASE] if trusted else []
    if not found or (trusted and release.key_id in trusted.revoked):
        raise RehearsalRefusedError(f"{release} is signed with a key that this platform does not trust any more.")
    return found[0].public()


def _facts(path: Path) -> ImageFacts:
    try:
        with path.open("rb") as file:
            facts = image.read(file)
    except ImageRefusedError as error:
        raise RehearsalRefusedError(f"{path}: {error}") from error
    except OSError as error:
        raise RehearsalRefusedError(f"{path} can't be read: {error.strerror}.") from error
    if facts.chip != HOST:
        raise RehearsalRefusedError(
            f"{path} is for {facts.chip}, and a rehearsal runs devices as programs of this machine: pack the same "
            "firmware as one (firmware/tools/pack_image.py)."
        )
    return facts


def _product(facts: ImageFacts) -> str:
    from tds.updates.releases.products import PRODUCTS, product_of

    product = product_of(facts.project)
    if product is None:
        families = ", ".join(family for families in PRODUCTS.values() for family in families)
        raise RehearsalRefusedError(f"It is of project {facts.project}, which is no family: {families}.")
    return product
