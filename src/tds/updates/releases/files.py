"""Images on disk by their SHA-256. A file is there whole under its name, or not at all."""

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from django.utils.translation import gettext as _

from tds.updates.releases.chips import MAX_IMAGE_BYTES
from tds.updates.releases.figures import grouped
from tds.updates.releases.image import PIECE_BYTES, ImageRefusedError, Source, Unfit

FOLDER_MODE: Final = 0o755
FILE_MODE: Final = 0o444  # nobody changes it any more; no secret
SUFFIX: Final = ".bin"
PARTIAL: Final = ".partial-"  # begins the name of what is not whole yet
PARTIAL_S: Final = 3_600.0  # an upload that is older was given up: whoever made it is gone
_NAME: Final = re.compile(r"[0-9a-f]{64}\Z")


class StoreError(Exception):
    """The disk did not take it. The text is a sentence for an operator."""

    @classmethod
    def of(cls, folder: Path | str, error: OSError) -> Self:
        told = _("The image can't be kept in %(folder)s: %(why)s. Nothing of it is left.")
        return cls(told % {"folder": folder, "why": error.strerror or error})


@dataclass(frozen=True, slots=True)
class Artifacts:
    """`$TDS_HOME/updates/artifacts`."""

    folder: Path

    def path(self, sha256: str) -> Path:
        """Raises ValueError for what is no SHA-256: it comes from strangers, and becomes a path."""
        if not _NAME.match(sha256):
            raise ValueError("That is no SHA-256.")
        return self.folder / f"{sha256}{SUFFIX}"

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def open(self, sha256: str) -> int:
        """A descriptor for reading, which its caller closes. Raises OSError."""
        return os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    @contextlib.contextmanager
    def receive(self, source: Source) -> Iterator["Received"]:
        """Takes what comes to a file without a name yet; `keep` gives it one. Without that it is gone afterwards.

        Raises StoreError, ImageRefusedError for one that no slot could hold.
        """
        path = self.folder / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            with path.open("x+b") as file:
                try:
                    received = Received(self, path, file, *_copied(source, file))
                    yield received
                finally:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError.of(self.folder, error) from error

    def remove_all_but(self, wanted: Collection[str], now_s: float) -> list[str]:
        """Those that no release has, and uploads that were given up. Returns what was removed, by hash.

        `wanted` is asked of the database in a transaction that no upload is in: see `desk.clean`.
        """
        removed = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            if _NAME.match(path.stem) and path.stem not in wanted:
                path.unlink(missing_ok=True)
                removed.append(path.stem)
        for path in self.folder.glob(f"{PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):
                if now_s - path.stat().st_mtime >= PARTIAL_S:
                    path.unlink()
        return sorted(removed)


@dataclass(frozen=True, slots=True)
class Received:
    """What came, complete and without its name; `file` is at its start."""

    owner: Artifacts
    path: Path
    file: BinaryIO
    sha256: str
    size: int

    def keep(self) -> None:
        """Under its hash from now on, also after a power cut. What is there already is the same. Raises OSError."""
        os.fchmod(self.file.fileno(), FILE_MODE)
        os.fsync(self.file.fileno())
        self.path.rename(self.owner.path(self.sha256))
        folder = os.open(self.owner.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _copied(source: Source, file: BinaryIO) -> tuple[str, int]:
    """Its SHA-256 and size. Raises ImageRefusedError, OSError."""
    digest, size = hashlib.sha256(), 0
    while piece := source.read(PIECE_BYTES):
        size += len(piece)
        if size > MAX_IMAGE_BYTES:
            raise ImageRefusedError(
                Unfit.TOO_LARGE,
                _("It has more than %(most)s bytes, which no slot holds: it was not read to its end.")
                % {"most": grouped(MAX_IMAGE_BYTES)},
            )
        digest.update(piece)
        file.write(piece)
    file.flush()
    file.seek(0)
    return digest.hexdigest(), size
