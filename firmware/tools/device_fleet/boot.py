"""How devices are started from slots, as by a chip's boot loader, so that they can be updated."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_fleet import slots
from device_fleet.refusal import FleetRefusedError

LAUNCHER: Final = "launcher"
IMAGES: Final = ".images"  # in the folder of all devices: what they have from the factory
PROGRAMS: Final = ".programs"  # and what they execute, each once: by the SHA-256 of its image
UNUSED_S: Final = 7 * 86_400  # a program that nobody started for so long is cleared away
BOARD_TRIAL_S: Final = 300  # as a board has it (core/update.h)
LATER_S: Final = 30  # than the program's own, the launcher's patience with a trial ends


@dataclass(frozen=True, slots=True)
class Boot:
    """`images` by family; `spread_s`: within which a device asks for trust set and update after its start."""

    launcher: Path
    programs: Path
    images: Mapping[str, Path]
    trial_s: int
    spread_s: int
    anew: bool = False  # the factory's image, whatever was installed since

    def install(self, folder: Path, family: str) -> None:
        """A device that was never updated has the program as it is now; another one keeps what it has. Raises
        FleetRefusedError."""
        image = self.images[family]
        if not self.anew and slots.was_updated(folder):
            return
        try:
            if self.anew or slots.sha256_of(folder, 0) != _sha256(image):
                slots.install(folder, image)
        except (OSError, ValueError) as error:
            raise FleetRefusedError(f"{image} can't be installed in {folder}: {error}.") from None

    def words(self, folder: Path) -> list[str]:
        """That a device's command line begins with, in place of its program."""
        trial = str(self.trial_s + LATER_S)
        return [str(self.launcher), "--trial", trial, "--programs", str(self.programs), str(folder)]

    @property
    def program_words(self) -> list[str]:
        return ["--trial", str(self.trial_s), "--update-spread", str(self.spread_s)]


def clear_unused(programs: Path) -> None:
    """A program that is cleared away while it runs goes on, and the next start makes it anew."""
    for path in programs.glob("*"):
        try:
            if path.lstat().st_mtime < time.time() - UNUSED_S:
                path.unlink()
        except OSError:
            continue  # another fleet was faster, or it is none of ours


def _sha256(image: Path) -> str:
    return hashlib.sha256(image.read_bytes()).hexdigest()
