#!/usr/bin/env python3
"""Packs a host program as an ESP-format image, as a slot of the launcher takes it (common/port/posix/launcher).

The layout is ESP-IDF's (esp_app_format.h, esp_app_desc.h; ESP-IDF Programming Guide, "App Image Format"): a header, a
segment with the app descriptor, a segment with the program, a checksum and SHA-256. `esptool image-info` reads it. The
chip id is none of Espressif's, so that no chip takes it; `--chip-id 0` says ESP32, for tests of who refuses what.

    pack_image.py build/dcu-0080 dcu-0080.bin --project dcu-0080 --version 1.2.0
"""

import argparse
import hashlib
import re
import struct
import subprocess
import sys
import tempfile
import time
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

HOST_CHIP_ID: Final = 0xFFFE  # core/image.h
HEADER_MAGIC: Final = 0xE9
DESCRIPTOR_MAGIC: Final = 0xABCD5432
CHECKSUM_START: Final = 0xEF
BLOCK_BYTES: Final = 16
# Flash that an ESP32 maps for data (technical reference manual, table 3-4), at the segment's own place in the image.
DROM_ADDRESS: Final = 0x3F400000
MAX_TEXT_BYTES: Final = 31
MAX_PROGRAM_BYTES: Final = 64 * 1024 * 1024
STEP: Final = 1_000  # of minor and patch numbers, in a counter that is made of a version


def read(path: Path) -> bytes:
    program = path.read_bytes()
    if not 0 < len(program) <= MAX_PROGRAM_BYTES:
        raise ValueError(f"{path} has {len(program):,} bytes; 1 to {MAX_PROGRAM_BYTES:,} are allowed.")
    return program


def stripped(path: Path) -> bytes:
    """Without what only debuggers read: most of it. Raises OSError where there is no `strip`, and ValueError."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / path.name
        words = ["strip", "-o", str(out), str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"{path} can't be stripped: {done.stderr.strip()}")
        return read(out)


def counter_of(version: str) -> int:
    """1.2.3 gives 1,002,003, as `./tds release build-manifest` reckons; 0 of what is no such version."""
    parts = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,3})\.([0-9]{1,3})", version)
    counter = 0
    for part in parts.groups() if parts else ():
        counter = counter * STEP + int(part)
    return counter


def text(value: str, size: int) -> bytes:
    encoded = value.encode()
    if not encoded.isascii() or len(encoded) >= size or not value.isprintable():
        raise ValueError(f"'{value}' does not fit: {size - 1} printable ASCII characters are allowed.")
    return encoded.ljust(size, b"\0")


def descriptor(project: str, version: str, secure_version: int, built_at: int, program: bytes) -> bytes:
    built = time.gmtime(built_at)
    packed = struct.pack("<II8x", DESCRIPTOR_MAGIC, secure_version)
    packed += text(version, 32) + text(project, 32)
    packed += text(time.strftime("%H:%M:%S", built), 16) + text(time.strftime("%b %d %Y", built), 16)
    packed += text("host", 32) + hashlib.sha256(program).digest()
    packed += struct.pack("<HHB3x72x", 0, 0xFFFF, 16)  # any eFuse block; pages of 64 KiB
    return packed


def segment(offset: int, data: bytes) -> bytes:
    return struct.pack("<II", DROM_ADDRESS + offset + 8, len(data)) + data


def pack(program: bytes, described: bytes, chip_id: int) -> bytes:
    """The whole image. Segments are a multiple of 4 long, as a boot loader wants them: a program may end with zeros."""
    program += bytes(-len(program) % 4)
    image = struct.pack("<BBBBIB3xHBHH4xB", HEADER_MAGIC, 2, 2, 0x20, DROM_ADDRESS + 32, 0xEE, chip_id, 0, 0, 0xFFFF, 1)
    image += segment(len(image), described)
    image += segment(len(image), program)
    checksum = reduce(xor, described + program, CHECKSUM_START)
    image += bytes(BLOCK_BYTES - 1 - len(image) % BLOCK_BYTES) + bytes([checksum])
    return image + hashlib.sha256(image).digest()


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Packs a host program as an image for a slot of the launcher.")
    parser.add_argument("program", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--project", required=True, help="the family: dcu-0080, …")
    parser.add_argument("--version", required=True)
    parser.add_argument(
        "--secure-version", type=int, help="the counter against going back (1002003 of 1.2.3; 0 of other versions)"
    )
    parser.add_argument("--strip", action="store_true", help="leave out what only debuggers read, by binutils")
    parser.add_argument("--built-at", type=int, default=None, help="Unix seconds; now, unless given")
    parser.add_argument("--chip-id", type=lambda number: int(number, 0), default=HOST_CHIP_ID)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    built_at = int(time.time()) if options.built_at is None else options.built_at
    try:
        program = stripped(options.program) if options.strip else read(options.program)
        secure = counter_of(options.version) if options.secure_version is None else options.secure_version
        described = descriptor(options.project, options.version, secure, built_at, program)
        options.image.write_bytes(pack(program, described, options.chip_id))
    except (OSError, ValueError, struct.error, OverflowError) as error:
        print(f"pack_image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
