"""What a device under the launcher has in its slots, and which of them it executes: read from its folder and from the
kernel, whatever the device says of itself.

The layout is the launcher's own (common/port/posix/otadata.c) and ESP-IDF's ("App Image Format").
"""

import hashlib
import os
import re
import shutil
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

SLOTS: Final = 2
SECTOR_BYTES: Final = 4_096
ENTRY_BYTES: Final = 16
ERASED: Final = b"\xff"
OTADATA_MAGIC: Final = 0x4F534454
CRC_FROM: Final = 0xFFFFFFFF
MARKS_AT: Final = 12
MARK_MIN_BITS: Final = 6  # of a byte that is programmed to 0
IMAGE_MAGIC: Final = 0xE9
HEADER_BYTES: Final = 24
HASH_APPENDED_AT: Final = 23  # in the header
SEGMENT_HEAD_BYTES: Final = 8
MAX_SEGMENTS: Final = 16
BLOCK_BYTES: Final = 16
HASH_BYTES: Final = 32
PIECE_BYTES: Final = 1024 * 1024
SLOT_BYTES: Final = 8 * 1024 * 1024  # the launcher's own, unless it is told another
_RUN: Final = re.compile(r"slot([01])\.run(?: \(deleted\))?")
_SHARED: Final = re.compile(r"[0-9a-f]{64}(?: \(deleted\))?")  # the image's hash
_SLOT: Final = re.compile(rb"TDS_BOOT_SLOT=([01])")  # as the launcher tells the program


class State(StrEnum):
    """ESP-IDF's, of a slot's image."""

    NEW = "new"
    PENDING = "pending"  # it runs on trial
    VALID = "valid"
    INVALID = "invalid"
    ABORTED = "aborted"
    UNDEFINED = "undefined"  # no word of it: the factory's


# In the order in which they win.
_MARKS: Final = (State.ABORTED, State.INVALID, State.VALID, State.PENDING)


@dataclass(frozen=True, slots=True)
class Runs:
    """What a device executes."""

    slot: int
    sha256: str  # of the image in that slot, as its file was; "": there is none
    state: State

    @property
    def confirmed(self) -> bool:
        return self.state in (State.VALID, State.UNDEFINED)


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def executed(launcher_pid: int) -> int | None:
    """The slot, by the program file of the launcher's child; None: there is none at this moment."""
    for child in children(launcher_pid):
        process = Path(f"/proc/{child}")
        try:
            name = process.joinpath("exe").readlink().name
            if found := _RUN.fullmatch(name):
                return int(found[1])
            said = process.joinpath("environ").read_bytes().split(b"\0") if _SHARED.fullmatch(name) else []
        except OSError:
            continue
        for each in said:
            if started := _SLOT.fullmatch(each):
                return int(started[1])
    return None


def install(folder: Path, image: Path) -> None:
    """As a factory's flash tool: the first slot, and no word of another one. The launcher looks at it before it starts
    it. Raises OSError, and ValueError with a sentence."""
    if image.stat().st_size > SLOT_BYTES:
        raise ValueError(f"{image} is larger than a slot, which has {SLOT_BYTES:,} bytes")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / "slot0.new"
    with open(draft, "wb", opener=_for_us_alone) as to, image.open("rb") as source:
        shutil.copyfileobj(source, to)
    (folder / "otadata.bin").unlink(missing_ok=True)
    draft.replace(_file(folder, 0))


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def was_updated(folder: Path) -> bool:
    """There is a word of an image beside the factory's."""
    return any(state is not State.UNDEFINED for state in states(folder))


def states(folder: Path) -> tuple[State, ...]:
    """Of the slots, each by the newest word of it."""
    newest: dict[int, tuple[int, State]] = {}
    try:
        data = (folder / "otadata.bin").read_bytes()
    except OSError:
        data = b""
    data = data.ljust(2 * SECTOR_BYTES, ERASED)  # behind a file's end is what was never written
    for at in (0, SECTOR_BYTES):
        entry = data[at : at + ENTRY_BYTES]
        seq, magic, crc = struct.unpack_from("<III", entry)
        slot = (seq - 1) % SLOTS
        good = seq and magic == OTADATA_MAGIC and crc == zlib.crc32(entry[:8], CRC_FROM)
        if good and seq > newest.get(slot, (0, State.NEW))[0]:
            newest[slot] = (seq, _state(entry[MARKS_AT:]))
    return tuple(newest[slot][1] if slot in newest else State.UNDEFINED for slot in range(SLOTS))


def _state(marks: bytes) -> State:
    for mark, state in zip(marks, _MARKS, strict=True):
        if 8 - mark.bit_count() >= MARK_MIN_BITS:
            return state
    return State.NEW


def written_bytes(folder: Path, slot: int) -> int:
    try:
        return _file(folder, slot).stat().st_size
    except OSError:
        return 0


def sha256_of(folder: Path, slot: int) -> str:
    try:
        with _file(folder, slot).open("rb") as file:
            left = _image_bytes(file.fileno())
            found = hashlib.sha256()
            while left and (piece := file.read(min(PIECE_BYTES, left))):
                found.update(piece)
                left -= len(piece)
            return found.hexdigest() if file.tell() and not left else ""
    except (OSError, struct.error):
        return ""


def flip_a_bit(folder: Path, slot: int, chance: Random) -> bool:
    """Of what is written there. False: nothing is."""
    size = written_bytes(folder, slot)
    if not size:
        return False
    at = chance.randrange(size)
    with _file(folder, slot).open("r+b", buffering=0) as file:
        (byte,) = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([byte ^ 1 << chance.randrange(8)]), at)
    return True


def _file(folder: Path, slot: int) -> Path:
    return folder / f"slot{slot}.bin"


def _image_bytes(descriptor: int) -> int:
    """0: there is no image."""
    header = os.pread(descriptor, HEADER_BYTES, 0)
    if len(header) < HEADER_BYTES or header[0] != IMAGE_MAGIC or not 0 < header[1] <= MAX_SEGMENTS:
        return 0
    end = HEADER_BYTES
    for _ in range(header[1]):
        _address, length = struct.unpack("<II", os.pread(descriptor, SEGMENT_HEAD_BYTES, end))
        end += SEGMENT_HEAD_BYTES + length
    end += BLOCK_BYTES - end % BLOCK_BYTES  # with its checksum at the end
    return end + (HASH_BYTES if header[HASH_APPENDED_AT] else 0)
