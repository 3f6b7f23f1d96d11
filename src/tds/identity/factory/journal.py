"""Keys and certificates of a box that the database knows and the disk may not have yet.

They are written and synced before the transaction that records the certificates commits. So there is never a
certificate without its key: what a killed run had given is found here by the next one, and its folder is made.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from tds.identity.authorities import keys
from tds.identity.factory.unit_folder import Credentials, fitting, remove

JOURNAL: Final = ".journal"
MAX_LINE_BYTES: Final = 32_768  # of a unit: key and chain take 2 kB


class Journal:
    """Of one box, by whoever holds the box's lock."""

    def __init__(self, box: Path) -> None:
        self.folder = box / JOURNAL

    def read(self, without: Collection[str] = ()) -> dict[str, Credentials]:
        """By code, the newest of each. A last line that a power cut tore was never committed, and is left out.

        Codes of `without` are passed over unread: to look at a key takes a good part of a millisecond.
        """
        found: dict[str, Credentials] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as file:
                while line := file.readline(MAX_LINE_BYTES):
                    entry = _entry(line, without)
                    if entry is not None:
                        code, own = entry
                        found[code] = own
        return found

    def write(self, given: Mapping[str, Credentials]) -> None:
        """Durable when this returns. Raises OSError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        number = 1 + max((int(path.stem) for path in self.folder.glob("*.jsonl") if path.stem.isdecimal()), default=0)
        lines = (
            json.dumps({"code": code, "key": own.key_pem.decode("ascii"), "chain": own.chain_pem.decode("ascii")})
            for code, own in given.items()
        )
        keys.write_private(self.folder / f"{number:06}.jsonl", "".join(f"{line}\n" for line in lines).encode("ascii"))
        sync_folders([self.folder, self.folder.parent])

    def keep(self, missing: Mapping[str, Credentials]) -> None:
        """When all other folders are on the disk: forget all but these. Raises OSError.

        A unit that was given its certificate, and is not in the list of the run that goes on, has its key here alone.
        """
        before = list(self.folder.glob("*.jsonl"))
        if not missing:
            remove(self.folder)
            return
        self.write(missing)
        for path in before:
            path.unlink()


def sync_folders(folders: Iterable[Path]) -> None:
    """That a file is there is kept in its folder, which has to be synced as well."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _entry(line: bytes, without: Collection[str]) -> tuple[str, Credentials] | None:
    try:
        document = json.loads(line)
        code = str(document["code"])
        if code in without:
            return None
        own = fitting(code, document["key"].encode("ascii"), document["chain"].encode("ascii"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return (code, own) if own else None
