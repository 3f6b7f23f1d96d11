"""What a device has in its slots, read beside it."""

import hashlib
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random

import pytest

from device_fleet import slots
from device_fleet.slots import State
from tds.environment import ROOT

PACK = ROOT / "firmware" / "tools" / "pack_image.py"
MARKS = {State.ABORTED: 0, State.INVALID: 1, State.VALID: 2, State.PENDING: 3}


def entry(seq: int, *marked: State) -> bytes:
    head = struct.pack("<II", seq, slots.OTADATA_MAGIC)
    marks = bytearray(b"\xff" * 4)
    for state in marked:
        marks[MARKS[state]] = 0
    return (head + struct.pack("<I", zlib.crc32(head, 0xFFFFFFFF)) + marks).ljust(slots.SECTOR_BYTES, b"\xff")


def written(folder: Path, first: bytes, second: bytes = b"") -> tuple[State, ...]:
    (folder / "otadata.bin").write_bytes(first + second.ljust(slots.SECTOR_BYTES, b"\xff"))
    return slots.states(folder)


def image(folder: Path, *, at: int) -> bytes:
    program, packed = folder / "program", folder / f"slot{at}.bin"
    program.write_bytes(Random(1).randbytes(10_001))
    words = [sys.executable, str(PACK), str(program), str(packed), "--project", "dcu-0080", "--version", "1.0.0"]
    subprocess.run(words, check=True)
    return packed.read_bytes()


def test_without_a_word_the_image_is_the_factorys(tmp_path: Path) -> None:
    assert slots.states(tmp_path) == (State.UNDEFINED, State.UNDEFINED)
    assert written(tmp_path, b"\xff" * slots.SECTOR_BYTES) == (State.UNDEFINED, State.UNDEFINED)


@pytest.mark.parametrize(
    ("marked", "state"),
    [
        ((), State.NEW),
        ((State.PENDING,), State.PENDING),
        ((State.PENDING, State.VALID), State.VALID),
        ((State.PENDING, State.INVALID), State.INVALID),
        ((State.PENDING, State.ABORTED), State.ABORTED),
        ((State.VALID, State.ABORTED), State.ABORTED),
    ],
)
def test_what_failed_once_wins(tmp_path: Path, marked: tuple[State, ...], state: State) -> None:
    assert written(tmp_path, entry(2, *marked)) == (State.UNDEFINED, state)


def test_the_newest_word_of_a_slot_counts(tmp_path: Path) -> None:
    assert written(tmp_path, entry(2, State.VALID), entry(4)) == (State.UNDEFINED, State.NEW)
    assert written(tmp_path, entry(4), entry(2, State.VALID)) == (State.UNDEFINED, State.NEW)
    assert written(tmp_path, entry(3), entry(2, State.VALID)) == (State.NEW, State.VALID)


def test_a_file_ends_behind_what_was_written_last(tmp_path: Path) -> None:
    (tmp_path / "otadata.bin").write_bytes(entry(2)[:12])
    assert slots.states(tmp_path) == (State.UNDEFINED, State.NEW)


def test_a_word_that_power_cut_short_is_none(tmp_path: Path) -> None:
    torn = bytearray(entry(2, State.VALID))
    torn[5] ^= 1
    assert written(tmp_path, bytes(torn)) == (State.UNDEFINED, State.UNDEFINED)


def test_the_hash_is_of_the_image_and_not_of_what_is_behind_it(tmp_path: Path) -> None:
    data = image(tmp_path, at=1)
    assert slots.sha256_of(tmp_path, 1) == hashlib.sha256(data).hexdigest()
    (tmp_path / "slot1.bin").write_bytes(data + b"\xff" * 4_096)
    assert slots.sha256_of(tmp_path, 1) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("data", [b"", b"\xe9", b"\xff" * 100_000, b"\xe9\x10" + bytes(60), b"\xe9\x02" + bytes(22)])
def test_what_is_no_whole_image_has_no_hash(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "slot0.bin").write_bytes(data)
    assert slots.sha256_of(tmp_path, 0) == ""


def test_an_image_that_was_cut_has_no_hash(tmp_path: Path) -> None:
    data = image(tmp_path, at=0)
    (tmp_path / "slot0.bin").write_bytes(data[:-1])
    assert slots.sha256_of(tmp_path, 0) == ""


def test_one_bit_is_flipped(tmp_path: Path) -> None:
    before = image(tmp_path, at=1)
    assert slots.flip_a_bit(tmp_path, 1, Random(3))
    after = (tmp_path / "slot1.bin").read_bytes()
    assert sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True)) == 1
    assert not slots.flip_a_bit(tmp_path, 0, Random(3))
