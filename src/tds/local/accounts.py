"""Which account database and broker run as, and where their files go: PostgreSQL refuses to run as root."""

import os
import pwd
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from tds.local.refusal import CannotStartError

FALLBACK_ACCOUNT: Final = "nobody"
OUTSIDE: Final = Path("/var/lib/tds")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account that a program is started as. None stands for "as we are"."""

    name: str
    uid: int
    gid: int


def service_account(name: str) -> Account | None:
    """The account of that name when we are root; None for an ordinary user, who starts everything as himself."""
    if os.geteuid() != 0:
        return None
    for candidate in (name, FALLBACK_ACCOUNT):
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        return Account(candidate, entry.pw_uid, entry.pw_gid)
    raise CannotStartError(f"There is no account {name!r} to run as; install the package that brings it (make setup).")


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether the account may pass through every folder down to this one. Access lists are not looked at."""
    if account is None:
        return True
    return all(_passable(account, place) for place in (folder, *folder.parents) if place.exists())


def _passable(account: Account, folder: Path) -> bool:
    found = folder.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def outside_folder(home: Path) -> Path:
    """Where the data of this home goes when the account can't reach the home itself."""
    return OUTSIDE / sha256(os.fsencode(home)).hexdigest()[:16]


def data_folder(home: Path, name: str, account: Account | None) -> Path:
    """The folder for one program's files, made and linked at first use: `$TDS_HOME/<name>` always leads there."""
    inside = home / name
    if inside.is_symlink() or inside.exists():
        real = inside.resolve()
        if real.is_dir() and can_enter(account, real.parent):
            return real
        raise CannotStartError(
            f"{inside} leads to {real}, which the account {account.name if account else os.geteuid()!r} can't enter; "
            f"open the folders above it (chmod a+x) or move {inside} away to start afresh."
        )
    home.mkdir(parents=True, exist_ok=True)
    if can_enter(account, home):
        inside.mkdir(mode=0o755)
        return inside
    real = outside_folder(home) / name
    _keep_what_is_there(real)
    real.mkdir(mode=0o755, parents=True)
    inside.symlink_to(real)
    print(f"{name}: {account.name if account else ''} can't enter {home}, so its data goes to {real}", flush=True)  # noqa: T201
    return real


def _keep_what_is_there(folder: Path) -> None:
    """A home that was deleted leaves its data here. Its passwords are gone, but it is not ours to delete."""
    if not folder.exists():
        return
    number = 1
    while (kept := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    folder.rename(kept)
    print(f"{folder.name}: data of an earlier, deleted folder was kept as {kept}", flush=True)  # noqa: T201


def give(path: Path, account: Account | None) -> None:
    """The file or folder itself: in a folder that is the account's own, a link could lead to anybody's file."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
