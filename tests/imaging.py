"""Images for tests: of tiny ELFs by esptool's own elf2image, and of programs by firmware/tools/pack_image.py."""

import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pack_image

ESPTOOL: Final = (sys.executable, "-m", "esptool")
LIMIT_S: Final = 60
BUILT_AT: Final = 1_764_000_000
_PROGBITS: Final = 1
_STRTAB: Final = 3
_ALLOC: Final = 2
_WRITE: Final = 1
_EXECUTE: Final = 4
_XTENSA, _RISCV = 94, 243


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a chip has flash for data and for code, and RAM."""

    machine: int
    drom: int
    irom: int
    dram: int


CHIPS: Final = {
    "esp32": Memory(_XTENSA, 0x3F400020, 0x400D0020, 0x3FFB0000),
    "esp32s3": Memory(_XTENSA, 0x3C000020, 0x42000020, 0x3FC90000),
    "esp32c3": Memory(_RISCV, 0x3C000020, 0x42000020, 0x3FC80000),
}


def described(project: str = "dcu-0080", version: str = "1.1.0", secure_version: int = 0) -> bytes:
    """An app descriptor; the ELF's hash is put in by elf2image."""
    data = pack_image.descriptor(project, version, secure_version, BUILT_AT, b"")
    return data[:144] + bytes(32) + data[176:]


def tiny_elf(chip: str, descriptor: bytes, *, code_bytes: int = 4_096) -> bytes:
    """What a linker would write, as far as elf2image looks at it."""
    memory = CHIPS[chip]
    sections = (
        (".flash.appdesc", _ALLOC, memory.drom, descriptor),
        (".flash.text", _ALLOC | _EXECUTE, memory.irom + 0x10000, bytes(range(256)) * (code_bytes // 256)),
        (".dram0.data", _ALLOC | _WRITE, memory.dram, b"some data of a program..".ljust(64, b".")),
    )
    names = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in sections) + b".shstrtab\0"
    headers = [struct.pack("<10I", *([0] * 10))]
    body = b""
    for name, flags, address, data in sections:
        at, offset = names.index(name.encode() + b"\0"), 52 + len(body)
        headers.append(struct.pack("<10I", at, _PROGBITS, flags, address, offset, len(data), 0, 0, 4, 0))
        body += data
    at, offset = names.index(b".shstrtab\0"), 52 + len(body)
    headers.append(struct.pack("<10I", at, _STRTAB, 0, 0, offset, len(names), 0, 0, 1, 0))
    body += names
    entry, table = memory.irom + 0x10000, 52 + len(body)
    identity = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", identity, 2, memory.machine, 1, entry, 0, table, 0, 52, 0, 0, 40, len(headers), 4
    )
    return header + body + b"".join(headers)


def elf2image(folder: Path, chip: str = "esp32", *words: str, elf: bytes | None = None, name: str = "app") -> Path:
    """An image as a build with ESP-IDF ends with it."""
    source, target = folder / f"{name}.elf", folder / f"{name}.bin"
    source.write_bytes(tiny_elf(chip, described()) if elf is None else elf)
    options = ("--flash-mode", "dio", "--flash-size", "4MB", "--elf-sha256-offset", "0xb0", *words)
    _esptool("--chip", chip, "elf2image", *options, "--output", str(target), str(source))
    return target


def packed(
    program: bytes = b"#!/bin/sh\n",
    project: str = "dcu-0080",
    version: str = "1.1.0",
    *,
    secure_version: int = 0,
    chip_id: int = pack_image.HOST_CHIP_ID,
) -> bytes:
    """A program as a slot of this machine takes it."""
    descriptor = pack_image.descriptor(project, version, secure_version, BUILT_AT, program)
    return pack_image.pack(program, descriptor, chip_id)


def image_info(path: Path, chip: str = "esp32") -> tuple[int, str]:
    """What esptool says of it: how it ended, and its words."""
    ended = _run("--chip", chip, "image-info", str(path))
    return ended.returncode, ended.stdout + ended.stderr


def _esptool(*words: str) -> None:
    ended = _run(*words)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ESPTOOL, *words], capture_output=True, text=True, check=False, timeout=LIMIT_S)
