"""Whether the disks that keep readings have room. Below the reserve nothing is acknowledged any more."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

LOOK_EVERY_S: Final = 1.0
ENOUGH_AGAIN: Final = 1.2  # times the reserve: at its edge ingest would stop and start at every batch


class Room:
    """Looks at the file systems of some folders. Those that are not there (yet) do not count."""

    def __init__(
        self,
        folders: Sequence[Path],
        reserve_bytes: int,
        *,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._folders = tuple(folders)
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes
        self._now_s = now_s
        self._looked_at_s = float("-inf")
        self._shortage = ""

    def shortage(self) -> str:
        """What is wrong, in a sentence; empty while there is room. Cheap: it looks once a second at most."""
        now_s = self._now_s()
        if now_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._shortage = self._look()
        return self._shortage

    def lacks(self, more_bytes: int) -> str:
        """For upkeep that writes so much more: why it should not, for then ingest would stop. It looks at each call."""
        needed = self._reserve_bytes + more_bytes
        for folder, free in self._free():
            if free < needed:
                return (
                    f"Only {free / 1e6:.0f} MB are free where {folder} is; with {more_bytes / 1e6:.0f} MB more, less "
                    f"than TDS_DISK_RESERVE_BYTES ({self._reserve_bytes / 1e6:.0f} MB) would be left."
                )
        return ""

    def _look(self) -> str:
        needed = self._reserve_bytes * (ENOUGH_AGAIN if self._shortage else 1)
        for folder, free in self._free():
            if free < needed:
                return (
                    f"Only {free / 1e6:.0f} MB are free where {folder} is, and TDS_DISK_RESERVE_BYTES keeps "
                    f"{self._reserve_bytes / 1e6:.0f} MB: nothing is acknowledged until there is room again."
                )
        return ""

    def _free(self) -> Iterator[tuple[Path, int]]:
        for folder in self._folders:
            try:
                free = self._free_bytes(folder)
            except OSError:
                continue
            yield folder, free
