"""What a release is refused for, before anybody sees it: image, manifest and the release before it."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from django.utils import translation

from tds.updates.releases import image, preflight
from tds.updates.releases.preflight import Before, Objection
from tests import imaging
from tests.releasing import manifest_of

DATA: Final = imaging.packed(version="1.2.0", secure_version=3)
LAST: Final = Before("1.1.0", 11, 3, ("dcu-0080",))
FINE: Final[dict[str, Any]] = {"counter": 12}


def reasons(data: bytes = DATA, earlier: Sequence[Before] = (LAST,), **manifest: Any) -> list[Objection]:
    facts = image.read(io.BytesIO(data))
    found = preflight.objections(facts, manifest_of(DATA, **FINE | manifest), earlier)
    assert all(each.sentence.endswith(".") for each in found)
    return [each.reason for each in found]


def test_a_release_that_fits_is_not_objected_to() -> None:
    assert reasons() == []
    assert reasons(earlier=()) == []


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"sha256": "0" * 64}, [Objection.HASH_MISMATCH]),
        ({"size": 1_000}, [Objection.SIZE_MISMATCH]),
        ({"chip": "esp32"}, [Objection.WRONG_CHIP]),
        ({"product": "toaster"}, [Objection.WRONG_PRODUCT]),
        ({"product": "relay"}, [Objection.WRONG_FAMILY]),
        ({"families": ("dcu-all",)}, [Objection.WRONG_FAMILY]),
        ({"families": ("dcu-0080", "relay-mfr")}, [Objection.WRONG_FAMILY]),
        ({"version": "1.2.1"}, [Objection.VERSION_MISMATCH]),
        ({"counter": 11}, [Objection.COUNTER_NOT_GREATER]),
        ({"counter": 10}, [Objection.COUNTER_NOT_GREATER]),
        ({"min_source_counter": 12}, [Objection.SOURCE_TOO_NEW]),
    ],
)
def test_a_manifest_that_is_of_something_else_is_objected_to(other: dict[str, Any], expected: list[Objection]) -> None:
    assert reasons(**other) == expected


def test_a_mix_of_manifest_a_with_image_b_is_refused() -> None:
    found = reasons(imaging.packed(b"another program", version="1.2.0", secure_version=3))
    assert Objection.HASH_MISMATCH in found


def test_an_image_of_another_chip_is_refused() -> None:
    assert Objection.WRONG_CHIP in reasons(imaging.packed(version="1.2.0", secure_version=3, chip_id=9))


def test_a_lower_secure_version_is_refused() -> None:
    assert reasons(earlier=[replace(LAST, secure_version=4)]) == [Objection.SECURE_VERSION_LOWER]


def test_a_secure_version_above_the_counter_is_refused() -> None:
    """Gateways take the secure version of what runs for their floor: they would refuse what is released between."""
    data = imaging.packed(version="1.2.0", secure_version=13)
    facts = image.read(io.BytesIO(data))
    found = preflight.objections(facts, manifest_of(data, **FINE), [LAST])
    assert [each.reason for each in found] == [Objection.SECURE_VERSION_ABOVE_COUNTER]
    assert preflight.objections(facts, manifest_of(data, counter=13), [LAST]) == []


def test_a_counter_is_judged_among_releases_that_share_a_family() -> None:
    other = replace(LAST, counter=12, secure_version=9, families=("dcu-8000-sim",))
    assert reasons(earlier=[other]) == []
    assert reasons(earlier=[other, LAST]) == []
    both = replace(other, families=("dcu-8000-sim", "dcu-0080"))
    assert reasons(earlier=[both, LAST]) == [Objection.COUNTER_NOT_GREATER, Objection.SECURE_VERSION_LOWER]
    shared = ("dcu-0080", "dcu-8000-sim")
    assert reasons(earlier=[other, LAST], families=shared) == [
        Objection.COUNTER_NOT_GREATER,
        Objection.SECURE_VERSION_LOWER,
    ]


def test_the_highest_secure_version_counts_wherever_it_was() -> None:
    first = replace(LAST, counter=5, secure_version=4)
    assert reasons(earlier=[first, LAST]) == [Objection.SECURE_VERSION_LOWER]


def test_the_refusal_of_a_counter_names_whose_release_has_it() -> None:
    facts = image.read(io.BytesIO(DATA))
    with translation.override("en"):
        [found] = preflight.objections(facts, manifest_of(DATA, counter=11), [LAST])
        assert found.sentence == (
            "Its counter is 11, and 1.1.0, the last release for dcu-0080 on host, has 11: build the manifest with a "
            "higher one."
        )
    with translation.override("pt-br"):
        [found] = preflight.objections(facts, manifest_of(DATA, counter=11), [LAST])
        assert found.sentence.startswith("O contador dela é 11")


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(reasons(product="toaster", chip="esp32", version="9.9.9", counter=1)) == 5


@pytest.mark.parametrize(
    ("version", "mark"),
    [
        ("1.2.0", ""),
        ("1.2.0-rc.1", ""),
        ("1.2.0+build.5", ""),
        ("1.2.0-device.1", ""),
        ("1.2.0-dirty", "dirty"),
        ("1.2.0-rc.1-dirty", "dirty"),
        ("1.2.0+debug", "debug"),
        ("1.2.0-Debug.3", "Debug"),
        ("1.2.0-dev", "dev"),
        ("1.2.0-3-g1a2b3c4", "3-g1a2b3c4"),
        ("1a2b3c4", "1a2b3c4"),
    ],
)
def test_a_debug_build_shows_in_its_version(version: str, mark: str) -> None:
    assert preflight.debug_mark(version) == mark


def test_a_debug_build_is_refused() -> None:
    data = imaging.packed(version="1.2.0-dirty", secure_version=3)
    facts = image.read(io.BytesIO(data))
    found = preflight.objections(facts, manifest_of(data, **FINE), [LAST])
    assert [each.reason for each in found] == [Objection.DEBUG_BUILD]
