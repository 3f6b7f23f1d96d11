"""Whose a file or folder is: for the sentence to a person whose account may not use it."""

import os
import pwd
from pathlib import Path


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
