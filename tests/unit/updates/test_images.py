"""What is taken for an image and what is not: ours and esptool's own verdict on the same files."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Final

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

import pack_image
from tds.updates.releases import chips, image
from tds.updates.releases.descriptor import Descriptor
from tds.updates.releases.image import ImageFacts, ImageRefusedError, Unfit
from tests import imaging

pytestmark = pytest.mark.usefixtures("english")

ROOT: Final = Path(__file__).parents[3]
SMALL: Final = imaging.packed(b"#!/bin/sh\nexit\n")


def read(data: bytes) -> ImageFacts:
    return image.read(io.BytesIO(data))


def refusal(data: bytes) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        read(data)
    assert str(caught.value).endswith((".", ")."))
    return caught.value


def sealed(data: bytes) -> bytes:
    """Changed, and hashed anew: what only somebody who means it could make."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By elf2image, for an ESP32."""
    return imaging.elf2image(tmp_path_factory.mktemp("images"))


@pytest.mark.parametrize("chip", imaging.CHIPS)
def test_an_image_of_elf2image_is_read_as_esptool_reads_it(tmp_path: Path, chip: str) -> None:
    elf = imaging.tiny_elf(chip, imaging.described("dcu-8000-sim", "2.10.3", secure_version=7))
    path = imaging.elf2image(tmp_path, chip, "--min-rev-full", "3", elf=elf)
    with path.open("rb") as file:
        facts = image.read(file)
    status, said = imaging.image_info(path, chip)
    assert status == 0
    for line in (
        f"Chip ID: {facts.chip_id} ({facts.chip.upper().replace('ESP32', 'ESP32-', 1).rstrip('-')})",
        f"Segments: {facts.segments}",
        f"Image size: {facts.size} bytes",
        f"Validation hash: {facts.appended_sha256} (valid)",
        f"Project name: {facts.project}",
        f"App version: {facts.version}",
        f"Compile time: {facts.built}",
        f"ELF file SHA256: {facts.elf_sha256}",
        f"ESP-IDF: {facts.idf}",
        f"Secure version: {facts.secure_version}",
        "Minimal chip revision: v0.3",
    ):
        assert line in said
    assert (facts.chip, facts.project, facts.version, facts.secure_version) == (chip, "dcu-8000-sim", "2.10.3", 7)
    assert facts.min_chip_revision == 3
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.elf_sha256 == hashlib.sha256(elf).hexdigest()


def test_a_packed_program_is_read_as_esptool_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "app.bin"
    path.write_bytes(imaging.packed(bytes(200_001), "relay-mfr", "1.2.0"))
    with path.open("rb") as file:
        facts = image.read(file)
    status, said = imaging.image_info(path)
    assert status == 0
    assert f"Validation hash: {facts.appended_sha256} (valid)" in said
    assert (facts.chip, facts.chip_id, facts.project, facts.version) == ("host", 0xFFFE, "relay-mfr", "1.2.0")


def test_chips_are_named_as_esptool_names_them() -> None:
    from esptool.targets import CHIP_DEFS

    named = {getattr(chip, "IMAGE_CHIP_ID", None): name for name, chip in CHIP_DEFS.items()}
    named.pop(None)
    assert {number: name for number, name in chips.CHIPS.items() if name != chips.HOST} == named


def test_the_slot_is_as_large_as_the_partition_tables_say() -> None:
    for table in ROOT.glob("firmware/devices/*/partitions.csv"):
        sizes = [line.split(",")[4].strip() for line in table.read_text().splitlines() if line.startswith("ota_")]
        assert [int(size, 0) for size in sizes] == [chips.SLOT_BYTES] * 2


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"", Unfit.EMPTY, "is empty"),
        (imaging.tiny_elf("esp32", imaging.described()), Unfit.ELF, "elf2image"),
        (b"\x1f\x8b\x08" + bytes(100), Unfit.ARCHIVE, "gzip"),
        (b"\x1f\x8b", Unfit.ARCHIVE, "gzip"),
        (b"MZ" + bytes(1_000), Unfit.NOT_AN_IMAGE, "begins with 0x4d"),
        (bytes(1_000), Unfit.NOT_AN_IMAGE, "begins with 0x00"),
        (b"\xe9", Unfit.TRUNCATED, "its header"),
        (b"\xff" * 4_096 + SMALL, Unfit.NOT_AN_IMAGE, "begins with 0xff"),
    ],
    ids=["empty", "an ELF", "gzip", "two bytes", "a Windows program", "zeros", "one byte", "a whole flash"],
)
def test_what_is_no_image_is_refused_by_name(data: bytes, reason: Unfit, says: str) -> None:
    found = refusal(data)
    assert found.reason == reason
    assert says in str(found)


def test_a_zip_is_refused_by_name() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.bin", SMALL)
    found = refusal(packed.getvalue())
    assert found.reason == Unfit.ARCHIVE
    assert "zip" in str(found)


def test_an_image_truncated_anywhere_is_refused() -> None:
    for size in range(1, len(SMALL)):
        assert refusal(SMALL[:size]).reason == Unfit.TRUNCATED, size


def test_an_image_of_elf2image_truncated_at_each_boundary_is_refused(built: Path) -> None:
    data = built.read_bytes()
    boundaries = {24, 32, 288, len(data) - 32, len(data) - 33, *range(4_096, len(data), 4_096)}
    for size in sorted({near for at in boundaries for near in (at - 1, at, at + 1)}):
        assert refusal(data[:size]).reason == Unfit.TRUNCATED, size


def test_one_flipped_bit_anywhere_is_refused() -> None:
    for bit in range(8 * len(SMALL)):
        flipped = bytearray(SMALL)
        flipped[bit // 8] ^= 1 << bit % 8
        refusal(bytes(flipped))


def test_one_flipped_bit_is_refused_by_esptool_too(built: Path, tmp_path: Path) -> None:
    data = bytearray(built.read_bytes())
    data[40_000] ^= 1
    path = tmp_path / "flipped.bin"
    path.write_bytes(data)
    assert refusal(bytes(data)).reason == Unfit.CHECKSUM
    assert "invalid" in imaging.image_info(path)[1]


def test_a_checksum_that_does_not_fit_is_refused_though_the_hash_fits() -> None:
    data = bytearray(SMALL)
    data[-33] ^= 1
    assert refusal(sealed(bytes(data))).reason == Unfit.CHECKSUM


@pytest.mark.parametrize("more", [b"\0", b"\xff" * 4_096, SMALL])
def test_trailing_bytes_are_refused(more: bytes) -> None:
    assert refusal(SMALL + more).reason == Unfit.TRAILING


def test_an_image_without_a_hash_at_its_end_is_refused(tmp_path: Path) -> None:
    path = imaging.elf2image(tmp_path, "esp32", "--dont-append-digest")
    assert refusal(path.read_bytes()).reason == Unfit.NO_HASH


def test_an_image_of_an_unknown_chip_is_refused() -> None:
    assert refusal(imaging.packed(chip_id=0x1234)).reason == Unfit.CHIP_UNKNOWN


def test_a_boot_loader_is_refused(tmp_path: Path) -> None:
    elf = imaging.tiny_elf("esp32", b"a boot loader has no app descriptor".ljust(256, b"\0"))
    found = refusal(imaging.elf2image(tmp_path, elf=elf).read_bytes())
    assert found.reason == Unfit.NO_DESCRIPTOR
    assert "boot loader" in str(found)


def test_an_image_as_large_as_its_slot_fits_and_one_block_more_does_not(tmp_path: Path) -> None:
    room = chips.SLOT_BYTES - len(imaging.packed(bytes(4), chip_id=0)) + 4
    assert read(imaging.packed(bytes(room), chip_id=0)).size == chips.SLOT_BYTES
    for language, most in (("en", "the slot of esp32 has 1,507,328."), ("pt-br", "a partição do esp32 tem 1.507.328.")):
        with translation.override(language):
            found = refusal(imaging.packed(bytes(room + 16), chip_id=0))
        assert found.reason == Unfit.TOO_LARGE
        assert most in str(found)
    assert read(imaging.packed(bytes(room + 16))).chip == "host"


def test_an_image_of_a_gigabyte_is_refused_after_its_head() -> None:
    head = bytearray(SMALL)
    head[28:32] = (1 << 30).to_bytes(4, "little")
    source = io.BytesIO(bytes(head))
    with pytest.raises(ImageRefusedError) as caught:
        image.read(source)
    assert caught.value.reason == Unfit.TOO_LARGE
    assert source.tell() == 32


@pytest.mark.parametrize(
    ("at", "data", "reason"),
    [
        (1, b"\0", Unfit.SEGMENTS),
        (1, b"\x11", Unfit.SEGMENTS),
        (28, b"\xff\xff\xff\xff", Unfit.SEGMENTS),
        (28, b"\xfc\xff\xff\xff", Unfit.TOO_LARGE),
        (28, b"\x01\x01\0\0", Unfit.SEGMENTS),
        (32, b"\0\0\0\0", Unfit.HASH),  # a magic whose bytes make no difference to the checksum
    ],
)
def test_a_head_that_lies_is_refused(at: int, data: bytes, reason: Unfit) -> None:
    assert refusal(SMALL[:at] + data + SMALL[at + len(data) :]).reason == reason


@pytest.mark.parametrize("text", [b"\xff\xfe", b"1.0\x1b[2J", b"x" * 32, b""])
def test_texts_that_are_none_are_refused(text: bytes) -> None:
    described = bytearray(imaging.described())
    described[16:48] = text.ljust(32, b"\0")
    data = pack_image.pack(b"\0" * 4, bytes(described), 0)
    assert refusal(data).reason == Unfit.NO_DESCRIPTOR


def test_when_it_was_built_is_a_moment_or_nothing() -> None:
    def built_at(text: str) -> str:
        found = Descriptor("p", "v", text, "", 0, "").built_at
        return found.isoformat() if found else ""

    assert built_at("Nov 24 2025 16:00:00") == "2025-11-24T16:00:00+00:00"
    assert built_at("Feb  9 2026 06:07:08") == "2026-02-09T06:07:08+00:00"
    assert built_at("") == built_at("Foo 24 2025 16:00:00") == built_at("Feb 30 2025 16:00:00") == ""


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    refusal(data)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_a_damaged_image_is_refused_or_still_says_what_it_is(damage: list[tuple[int, int]], seal: bool) -> None:
    data = bytearray(SMALL)
    for at, value in damage:
        data[at] = value
    try:
        facts = read(sealed(bytes(data)) if seal else bytes(data))
    except ImageRefusedError:
        pass
    else:
        assert facts.size == len(SMALL)
        assert (facts.project + facts.version + facts.built + facts.idf).isprintable()


@given(st.lists(st.integers(1, 97), max_size=40))
@settings(max_examples=50, deadline=None)
def test_a_file_that_comes_in_small_pieces_is_the_same(sizes: list[int]) -> None:
    class Dripping(io.RawIOBase):
        def __init__(self) -> None:
            self._rest, self._sizes = SMALL, list(sizes)

        def read(self, size: int = -1, /) -> bytes:
            size = min(size, self._sizes.pop()) if self._sizes else size
            piece, self._rest = self._rest[:size], self._rest[size:]
            return piece

    assert image.read(Dripping()) == read(SMALL)
