"""Whose a file or folder is: for the sentence to who may not use it, and for what root reads of another account."""

import os
import pwd
import stat
from pathlib import Path
from typing import Final

MAX_KEPT_BYTES: Final = 256 * 1024 * 1024  # of a file that another account keeps: a list of 5 million certificates


class ForeignFileError(Exception):
    """What stands in a folder is not its owner's own file; the text is a sentence."""


def read_kept(path: Path) -> bytes:
    """A file in a folder of an account that we may not trust with what we can read. Raises ForeignFileError, OSError.

    Root reads what the broker's account keeps, and what root copies from there becomes that account's again: a link to
    a key would make the key its own, and a pipe would hold us for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found, folder = os.fstat(descriptor), path.parent.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != folder.st_uid or found.st_nlink != 1:
            raise ForeignFileError(f"{path} is not a plain file of {account_name(folder.st_uid)}'s own.")
        if found.st_size > MAX_KEPT_BYTES:
            raise ForeignFileError(f"{path} has {found.st_size} bytes; at most {MAX_KEPT_BYTES} are read.")
        return file.read(MAX_KEPT_BYTES)


def denied(path: Path) -> str:
    """What to tell whoever got a PermissionError for this path: which place is closed, whose it is, what to do.

    Part of a sentence, without a full stop.
    """
    place, owner = _closed(path)
    us = account_name(os.geteuid())
    if owner is None or owner == os.geteuid():
        return f"{place} is closed to {us}; open it (chmod u+rwx), or ask who closed it"
    name = account_name(owner)
    return f"{place} belongs to {name} and is closed to {us}; do this as {name} (sudo -u {name} …)"


def account_name(uid: int) -> str:
    """As people call that account; its number when it has no name here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"  # sudo -u takes it so


def _closed(path: Path) -> tuple[Path, int | None]:
    """The place on the way to `path` that keeps us out, and its owner's number; None when not even that can be seen.

    Where we may look at the path itself, it is what may not be read or written; where it is not there yet, the folder
    that it would be in.
    """
    place, owner = Path("/"), None
    for step in reversed((path.absolute(), *path.absolute().parents)):
        try:
            found = step.stat()
        except OSError:
            break
        place, owner = step, found.st_uid
    return place, owner
