"""The folder of a box of units: who may use it, what is in it, and the list for whoever works with it.

box-42/
    index.html   the labels, to look at and to print; of many units also index-2.html …
    units.json   what is in the box, without any secret
    GW-0001/     a unit (unit_folder.py)
    .journal/    while a run is under way, or after one that was cut off, until all that it gave has its folder
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tds.fleet.codes import is_code
from tds.identity.authorities import keys
from tds.identity.factory import unit_folder
from tds.identity.factory.journal import JOURNAL, Journal, sync_folders
from tds.identity.factory.unit_folder import Credentials
from tds.owners import denied

LIST: Final = "units.json"
FORMAT: Final = "tds-box-1"
MAX_LIST_BYTES: Final = 64 * 1024**2  # a unit takes 600 bytes
SPARE_BYTES: Final = 64 * 1024**2  # of the disk, beyond what the units take

FIELDS: Final = (
    *("code", "tenant", "site", "family", "hardware", "broker", "apn"),
    *("serial", "sha256", "not_before", "not_after", "image_sha256"),
)

Entry = dict[str, str]  # of a unit, with all FIELDS; what was not said is ""


class BoxRefusedError(Exception):
    """The folder can't be this box; the text is a sentence."""


class Box:
    """A box whose lock is held; made by `opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name
        self.journal = Journal(path)
        self.settled: set[str] = set()  # codes of the units that this run made, completed or kept

    def entries(self) -> dict[str, Entry]:
        """What the list says, by code. Of a list that can't be read: nothing, and the folders speak for themselves."""
        document = _document(self.path / LIST) or {}
        units = document.get("units")
        whole = [each for each in units if isinstance(each, dict)] if isinstance(units, list) else []
        entries = ({name: str(each.get(name, "")) for name in FIELDS} for each in whole)
        return {entry["code"]: entry for entry in entries if is_code(entry["code"])}

    def write_list(self, entries: Sequence[Entry]) -> None:
        document = {"format": FORMAT, "box": self.name, "units": list(entries)}
        text = json.dumps(document, ensure_ascii=False, indent=1)
        keys.write_private(self.path / LIST, text.encode())

    def clear(self) -> None:
        """What a run that was cut off left half done."""
        unit_folder.clear_drafts(self.path)

    def finish(
        self,
        entries: Sequence[Entry],
        pages: Iterable[tuple[str, str]],
        still_good: Callable[[Collection[str]], Collection[str]],
    ) -> dict[str, Credentials]:
        """Write the list and the pages, have all on the disk, and only then forget what the journal has of it.

        `still_good` says of serial numbers which let a gateway in. What it has yet to keep of units that this run's
        list leaves out comes back, by code. Raises OSError.
        """
        self.write_list(entries)
        written = set()
        for name, page in pages:
            keys.write_private(self.path / name, page.encode())
            written.add(name)
        for old in self.path.glob("index-*.html"):
            if old.name not in written:
                old.unlink()
        os.sync()  # one call for thousands of small files
        sync_folders([self.path])
        missing = self._missing(still_good)
        self.journal.keep(missing)
        return missing

    def _missing(self, still_good: Callable[[Collection[str]], Collection[str]]) -> dict[str, Credentials]:
        """What a run that was cut off had given, and this one, with another list, made no folder for.

        A certificate that was revoked since, ran out, or was never recorded needs its key no more.
        """
        journaled = self.journal.read(without=self.settled)
        found = {code: own for code, own in journaled.items() if unit_folder.look(self.path, code).serial != own.serial}
        good = still_good([own.serial for own in found.values()]) if found else ()
        return {code: own for code, own in found.items() if own.serial in good}


def check(path: Path, codes: Iterable[str]) -> None:
    """Whether the folder can become, or go on as, the box of these units. Writes nothing. Raises BoxRefusedError."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise BoxRefusedError(f"{path} is no folder; name a new one with --out.")
    if path.is_dir() and any(path.iterdir()) and not _is_box(path):
        raise BoxRefusedError(f"{path} has other files in it and is no box; name a new folder with --out.")
    place = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise BoxRefusedError(f"{place} can't be written: {denied(place)}, or name a folder of yours with --out.")
    missing = sum(not (path / code).exists() for code in codes)
    free, needed = shutil.disk_usage(place).free, missing * unit_folder.BYTES_ON_DISK + SPARE_BYTES
    if free < needed:
        raise BoxRefusedError(
            f"{missing:,} units take {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free at {place}; make room."
        )


@contextmanager
def opened(path: Path) -> Iterator[Box]:
    """The box, made when it is new, for one run at a time. Raises BoxRefusedError, OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
        except BlockingIOError:
            raise BoxRefusedError(f"Another run is filling {path}; wait for it, and do this again.") from None
        os.fchmod(descriptor, 0o700)
        yield Box(path)
    finally:
        with contextlib.suppress(OSError):  # has something in it
            path.rmdir()
        os.close(descriptor)


def disk_sentence(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{path} can't be used: {denied(Path(error.filename or path))}, or name a folder of yours with --out."
    what = "the disk is full; make room" if error.errno == errno.ENOSPC else f"{error.strerror}; mend that"
    return f"{path} can't be written: {what}, and the same command goes on where it stopped."


def _is_box(path: Path) -> bool:
    return (path / JOURNAL).is_dir() or _document(path / LIST) is not None


def _document(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_LIST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None
