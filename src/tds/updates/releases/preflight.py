"""Whether a release may be taken in: its image, its signed manifest and the releases before it, together. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tds.updates.releases.image import ImageFacts
from tds.updates.releases.products import PRODUCTS
from tds.updates.signed.manifest import Manifest


class Objection(StrEnum):
    HASH_MISMATCH = "hash_mismatch"
    SIZE_MISMATCH = "size_mismatch"
    WRONG_CHIP = "wrong_chip"
    WRONG_PRODUCT = "wrong_product"
    WRONG_FAMILY = "wrong_family"
    VERSION_MISMATCH = "version_mismatch"
    COUNTER_NOT_GREATER = "counter_not_greater"
    DEBUG_BUILD = "debug_build"
    SECURE_VERSION_LOWER = "secure_version_lower"
    SOURCE_TOO_NEW = "source_too_new"


@dataclass(frozen=True, slots=True)
class Objected:
    """The sentence ends the line of who uploaded it: what is wrong, and what to do."""

    reason: Objection
    sentence: str


@dataclass(frozen=True, slots=True)
class Before:
    """The last release of the same product, chip and kind; the first one has none."""

    version: str
    counter: int
    secure_version: int


# ESP-IDF takes a version from `git describe --always --tags --dirty`: what was changed and not committed ends with
# -dirty, what is beyond its tag has the distance and the commit; our own builds for a desk say debug or dev.
_WORDS: Final = re.compile(r"(?:^|[-+.])(dirty|debug|dev)(?:[-+.]|$)", re.IGNORECASE)
_BEYOND_ITS_TAG: Final = re.compile(r"-\d+-g[0-9a-f]{4,40}(?:-dirty)?$")
_NO_TAG: Final = re.compile(r"^[0-9a-f]{7,40}(?:-dirty)?$")


def objections(image: ImageFacts, manifest: Manifest, before: Before | None) -> list[Objected]:
    """All that is wrong, so that it is put right in one go; empty when nothing is."""
    return [
        *_of_the_bytes(image, manifest),
        *_of_the_target(image, manifest),
        *_of_the_version(image, manifest),
        *_of_the_order(image, manifest, before),
    ]


def debug_mark(version: str) -> str:
    """What in a version says that it is no release; empty when nothing does."""
    if found := _WORDS.search(version):
        return found[1]
    if found := _BEYOND_ITS_TAG.search(version) or _NO_TAG.search(version):
        return found[0].strip("-")
    return ""


def _of_the_bytes(image: ImageFacts, manifest: Manifest) -> Iterator[Objected]:
    if image.size != manifest.size:
        yield Objected(
            Objection.SIZE_MISMATCH,
            f"The file has {image.size:,} bytes, and the manifest is of one with {manifest.size:,}: upload the file "
            "that the manifest was built from.",
        )
    if image.sha256 != manifest.sha256:
        yield Objected(
            Objection.HASH_MISMATCH,
            f"The file's SHA-256 begins with {image.sha256[:12]}, the manifest's with {manifest.sha256[:12]}: upload "
            "the file that the manifest was built from.",
        )


def _of_the_target(image: ImageFacts, manifest: Manifest) -> Iterator[Objected]:
    if image.chip != manifest.chip:
        yield Objected(
            Objection.WRONG_CHIP,
            f"The image is for {image.chip}, and the manifest is for {manifest.chip}: build one anew.",
        )
    families = PRODUCTS.get(manifest.product)
    if families is None:
        yield Objected(
            Objection.WRONG_PRODUCT,
            f"There is no product {manifest.product}; there are {' and '.join(PRODUCTS)}: build the manifest with one.",
        )
    elif strangers := [family for family in manifest.families if family not in families]:
        yield Objected(
            Objection.WRONG_FAMILY,
            f"{', '.join(strangers)} is no family of product {manifest.product}, which has {', '.join(families)}.",
        )
    if image.project not in manifest.families:
        yield Objected(
            Objection.WRONG_FAMILY,
            f"The image is of project {image.project}, and the manifest is for {', '.join(manifest.families)}.",
        )


def _of_the_version(image: ImageFacts, manifest: Manifest) -> Iterator[Objected]:
    if image.version != manifest.version:
        yield Objected(
            Objection.VERSION_MISMATCH,
            f"The image says that it is {image.version}, and the manifest {manifest.version}: devices report what the "
            "image says. Build the manifest from this image.",
        )
    if mark := debug_mark(image.version) or debug_mark(manifest.version):
        yield Objected(
            Objection.DEBUG_BUILD,
            f"Version {image.version} is no release ({mark}): build it from a clean tree at its tag.",
        )


def _of_the_order(image: ImageFacts, manifest: Manifest, before: Before | None) -> Iterator[Objected]:
    if manifest.min_source_counter >= manifest.counter:
        yield Objected(
            Objection.SOURCE_TOO_NEW,
            f"The manifest wants gateways to run {manifest.min_source_counter} or later before, which is not below its "
            f"own counter {manifest.counter}: nobody could ever take it.",
        )
    if before is None:
        return
    if manifest.counter <= before.counter:
        yield Objected(
            Objection.COUNTER_NOT_GREATER,
            f"Its counter is {manifest.counter}, and {before.version}, the last release for this product and chip, has "
            f"{before.counter}: build the manifest with a higher one.",
        )
    if image.secure_version < before.secure_version:
        yield Objected(
            Objection.SECURE_VERSION_LOWER,
            f"Its secure version is {image.secure_version}, and {before.version} has {before.secure_version}: chips "
            "that ran that would never boot this.",
        )
