"""What the fleet puts into the slots of a device, and when."""

import os
import struct
import time
import zlib
from pathlib import Path

import pytest

import pack_image
from device_fleet import boot, slots
from device_fleet.boot import Boot
from device_fleet.refusal import FleetRefusedError


def make_boot(folder: Path, content: bytes, *, anew: bool = False) -> Boot:
    """The family's program is these bytes."""
    program = folder / "programs" / "dcu-0080"
    program.parent.mkdir(exist_ok=True)
    program.write_bytes(content)
    described = pack_image.descriptor("dcu-0080", "1.0.0", 1_000_000, 0, content)
    image = folder / "image.bin"
    image.write_bytes(pack_image.pack(content, described, pack_image.HOST_CHIP_ID))
    return Boot(folder / "launcher", folder / boot.PROGRAMS, {"dcu-0080": image}, trial_s=60, spread_s=10, anew=anew)


def test_a_device_that_was_never_updated_has_the_program_as_it_was_built_last(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    first = make_boot(tmp_path, b"the first program")
    first.install(folder, "dcu-0080")
    assert (folder / "slot0.bin").read_bytes() == first.images["dcu-0080"].read_bytes()
    assert (folder / "slot0.bin").stat().st_mode & 0o777 == 0o600
    before = (folder / "slot0.bin").stat().st_ino
    make_boot(tmp_path, b"the first program").install(folder, "dcu-0080")
    assert (folder / "slot0.bin").stat().st_ino == before
    second = make_boot(tmp_path, b"another program")
    second.install(folder, "dcu-0080")
    assert (folder / "slot0.bin").read_bytes() == second.images["dcu-0080"].read_bytes()


def test_one_that_was_updated_keeps_what_it_has_unless_it_is_flashed_anew(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    make_boot(tmp_path, b"the first program").install(folder, "dcu-0080")
    had = (folder / "slot0.bin").read_bytes()
    head = struct.pack("<II", 2, slots.OTADATA_MAGIC)
    (folder / "otadata.bin").write_bytes(
        head + struct.pack("<I", zlib.crc32(head, slots.CRC_FROM)) + b"\xff\xff\x00\xff"
    )
    make_boot(tmp_path, b"another program").install(folder, "dcu-0080")
    assert (folder / "slot0.bin").read_bytes() == had
    anew = make_boot(tmp_path, b"another program", anew=True)
    anew.install(folder, "dcu-0080")
    assert (folder / "slot0.bin").read_bytes() == anew.images["dcu-0080"].read_bytes()
    assert not slots.was_updated(folder)


def test_a_program_that_is_larger_than_a_slot_is_a_sentence(tmp_path: Path) -> None:
    begun = make_boot(tmp_path, b"program")
    begun.images["dcu-0080"].write_bytes(bytes(slots.SLOT_BYTES + 1))
    with pytest.raises(FleetRefusedError, match="larger than a slot, which has 8,388,608 bytes"):
        begun.install(tmp_path / "slots", "dcu-0080")


def test_a_program_that_nobody_started_for_long_is_cleared_away(tmp_path: Path) -> None:
    for name, age_s in (("old", boot.UNUSED_S + 60), ("new", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    boot.clear_unused(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    boot.clear_unused(tmp_path / "none")
