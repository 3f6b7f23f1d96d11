"""The images that devices come with from the factory: the families' programs as `make firmware` built them."""

import os
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pack_image
from device_fleet.platform_home import ROOT
from device_fleet.refusal import FleetRefusedError

VERSION: Final = ROOT / "firmware" / "version.txt"


def packed(programs: Path, families: Iterable[str], folder: Path) -> dict[str, Path]:
    """By family. The same program gives the same image. Raises FleetRefusedError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        version = VERSION.read_text(encoding="ascii").strip()
        return {family: _packed(programs / family, family, version, folder) for family in families}
    except (OSError, ValueError, struct.error) as error:
        raise FleetRefusedError(f"No image can be made of the programs in {programs}: {error}.") from None


def _packed(program: Path, family: str, version: str, folder: Path) -> Path:
    # Debug information is most of a program, and nothing that a slot should hold; without binutils it stays in.
    contents = pack_image.stripped(program) if shutil.which("strip") else pack_image.read(program)
    built_at = int(program.stat().st_mtime)
    described = pack_image.descriptor(family, version, pack_image.counter_of(version), built_at, contents)
    image = folder / f"{family}-{version}.bin"
    draft = image.with_suffix(f".{os.getpid()}")
    draft.write_bytes(pack_image.pack(contents, described, pack_image.HOST_CHIP_ID))
    draft.replace(image)
    return image
