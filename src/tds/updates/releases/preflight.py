"""Whether a release may be taken in: its image, its signed manifest and the releases before it, together. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.utils.translation import gettext as _

from tds.updates.releases.figures import grouped
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
    SECURE_VERSION_ABOVE_COUNTER = "secure_version_above_counter"
    SOURCE_TOO_NEW = "source_too_new"


@dataclass(frozen=True, slots=True)
class Objected:
    """The sentence ends the line of who uploaded it: what is wrong, and what to do."""

    reason: Objection
    sentence: str


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier release of the same product, chip and kind."""

    version: str
    counter: int
    secure_version: int
    families: tuple[str, ...]


SHOWN_CHARS: Final = 12  # of a hash

# ESP-IDF takes a version from `git describe --always --tags --dirty`: what was changed and not committed ends with
# -dirty, what is beyond its tag has the distance and the commit; our own builds for a desk say debug or dev.
_WORDS: Final = re.compile(r"(?:^|[-+.])(dirty|debug|dev)(?:[-+.]|$)", re.IGNORECASE)
_BEYOND_ITS_TAG: Final = re.compile(r"-\d+-g[0-9a-f]{4,40}(?:-dirty)?$")
_NO_TAG: Final = re.compile(r"^[0-9a-f]{7,40}(?:-dirty)?$")


def objections(image: ImageFacts, manifest: Manifest, earlier: Sequence[Before]) -> list[Objected]:
    """All that is wrong, so that it is put right in one go; empty when nothing is."""
    return [
        *_of_the_bytes(image, manifest),
        *_of_the_target(image, manifest),
        *_of_the_version(image, manifest),
        *_of_the_order(image, manifest, earlier),
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
            _(
                "The file has %(has)s bytes, and the manifest is of one with %(says)s: upload the file that the "
                "manifest was built from."
            )
            % {"has": grouped(image.size), "says": grouped(manifest.size)},
        )
    if image.sha256 != manifest.sha256:
        yield Objected(
            Objection.HASH_MISMATCH,
            _(
                "The file's SHA-256 begins with %(has)s, the manifest's with %(says)s: upload the file that the "
                "manifest was built from."
            )
            % {"has": image.sha256[:SHOWN_CHARS], "says": manifest.sha256[:SHOWN_CHARS]},
        )


def _of_the_target(image: ImageFacts, manifest: Manifest) -> Iterator[Objected]:
    if image.chip != manifest.chip:
        yield Objected(
            Objection.WRONG_CHIP,
            _("The image is for %(has)s, and the manifest is for %(says)s: build one anew.")
            % {"has": image.chip, "says": manifest.chip},
        )
    families = PRODUCTS.get(manifest.product)
    if families is None:
        yield Objected(
            Objection.WRONG_PRODUCT,
            _("There is no product %(product)s; there are: %(products)s. Build the manifest with one of them.")
            % {"product": manifest.product, "products": ", ".join(PRODUCTS)},
        )
    elif strangers := [family for family in manifest.families if family not in families]:
        yield Objected(
            Objection.WRONG_FAMILY,
            _("Product %(product)s has no family %(strangers)s; it has: %(families)s.")
            % {"product": manifest.product, "strangers": ", ".join(strangers), "families": ", ".join(families)},
        )
    if image.project not in manifest.families:
        yield Objected(
            Objection.WRONG_FAMILY,
            _("The image is of project %(project)s, and the manifest is for %(families)s.")
            % {"project": image.project, "families": ", ".join(manifest.families)},
        )


def _of_the_version(image: ImageFacts, manifest: Manifest) -> Iterator[Objected]:
    if image.version != manifest.version:
        yield Objected(
            Objection.VERSION_MISMATCH,
            _(
                "The image says that it is %(has)s, and the manifest %(says)s: devices report what the image says. "
                "Build the manifest from this image."
            )
            % {"has": image.version, "says": manifest.version},
        )
    if mark := debug_mark(image.version) or debug_mark(manifest.version):
        yield Objected(
            Objection.DEBUG_BUILD,
            _("Version %(version)s is no release (%(mark)s): build it from a clean tree at its tag.")
            % {"version": image.version, "mark": mark},
        )


def _of_the_order(image: ImageFacts, manifest: Manifest, earlier: Sequence[Before]) -> Iterator[Objected]:
    if manifest.min_source_counter >= manifest.counter:
        yield Objected(
            Objection.SOURCE_TOO_NEW,
            _(
                "The manifest wants gateways to run %(least)d or later before, which is not below its own counter "
                "%(counter)d: nobody could ever take it."
            )
            % {"least": manifest.min_source_counter, "counter": manifest.counter},
        )
    if image.secure_version > manifest.counter:
        yield Objected(
            Objection.SECURE_VERSION_ABOVE_COUNTER,
            _(
                "Its secure version is %(secure)d, and the manifest's counter %(counter)d: a gateway that runs it "
                "would refuse the releases between. Build the manifest with --counter %(secure)d or higher."
            )
            % {"secure": image.secure_version, "counter": manifest.counter},
        )
    # A gateway is of one family: what was released for others says nothing about what it may take.
    shared = [before for before in earlier if not set(manifest.families).isdisjoint(before.families)]
    if not shared:
        return
    last = max(shared, key=lambda before: before.counter)
    if manifest.counter <= last.counter:
        yield Objected(
            Objection.COUNTER_NOT_GREATER,
            _(
                "Its counter is %(counter)d, and %(version)s, the last release for %(families)s on %(chip)s, has "
                "%(last)d: build the manifest with a higher one."
            )
            % {
                "counter": manifest.counter,
                "version": last.version,
                "families": ", ".join(each for each in manifest.families if each in last.families),
                "chip": manifest.chip,
                "last": last.counter,
            },
        )
    secured = max(shared, key=lambda before: before.secure_version)
    if image.secure_version < secured.secure_version:
        yield Objected(
            Objection.SECURE_VERSION_LOWER,
            _(
                "Its secure version is %(secure)d, and %(version)s has %(last)d: chips that ran that would never boot "
                "this."
            )
            % {"secure": image.secure_version, "version": secured.version, "last": secured.secure_version},
        )
