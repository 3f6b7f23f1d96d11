"""What a broker must have on disk to refuse whom it must, and how it gets there."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import psycopg

from tds.fleet.codes import is_code, is_reserved
from tds.identity.access.broker_rules import GATEWAY_PASSWORDS, password_file
from tds.identity.access.slow_round import Kept
from tds.identity.authorities.tls_files import DEVICE_ANCHORS, REVOKED
from tds.owners import ForeignFileError, read_kept

MARK: Final = "in-force.json"  # what the broker has taken in, as far as we saw it
ROUND: Final = "cut-again.json"  # how far the agent's round has come (slow_round.py)
UNKNOWN: Final = -1
MODES: Final = {DEVICE_ANCHORS: 0o644, REVOKED: 0o644, GATEWAY_PASSWORDS: 0o600}


class Passwords(Enum):
    """Of the listeners where gateways come in with one."""

    NONE = "there are no such listeners"
    TAKEN = "each gateway's own"
    OVER = "nobody's any more"


@dataclass(frozen=True, slots=True)
class Access:
    """What the database says. `revision` is of the newest list; `files` has contents by name."""

    revision: int
    files: Mapping[str, bytes]
    canaries: tuple[str, ...]

    @property
    def mark(self) -> tuple[int, str]:
        return self.revision, self.digest

    @property
    def digest(self) -> str:
        found = hashlib.sha256()
        for name in sorted(self.files):
            found.update(hashlib.sha256(self.files[name]).digest())
        return found.hexdigest()


def read_access(connection: psycopg.Connection[Any], passwords: Passwords) -> Access | None:
    """None while no list was ever signed."""
    rows = connection.execute(
        "SELECT revision, anchor, pem, canary FROM tds_new_revocationlist ORDER BY issuer"
    ).fetchall()
    if not rows:
        return None
    files = {
        DEVICE_ANCHORS: "".join(anchor for _, anchor, _, _ in rows),
        REVOKED: "".join(pem for _, _, pem, _ in rows),
    }
    if passwords is not Passwords.NONE:
        files[GATEWAY_PASSWORDS] = password_file(_users(connection) if passwords is Passwords.TAKEN else {})
    contents = {name: text.encode("ascii") for name, text in files.items()}
    return Access(max(row[0] for row in rows), contents, tuple(canary for *_, canary in rows))


def _users(connection: psycopg.Connection[Any]) -> dict[str, str]:
    found = connection.execute(
        """SELECT g.code, p.hash FROM tds_new_gatewaypassword AS p JOIN tds_new_gateway AS g ON g.id = p.gateway_id
           WHERE g.status = 'active' ORDER BY g.code"""
    )
    return {code: kept for code, kept in found if not is_reserved(code)}


def differing(folder: Path, access: Access) -> list[str]:
    """The names of the files that are not there as they should be. Raises OSError."""
    return [name for name, contents in access.files.items() if _contents(folder / name) != contents]


def put(folder: Path, access: Access, names: list[str]) -> None:
    """Write these files, each in one step. They get the folder's owner, who is the broker's account. Raises OSError."""
    for name in names:
        _put(folder / name, access.files[name], MODES[name])


def mark(folder: Path, access: Access) -> None:
    """Write down that the broker has taken in these files, and that nobody whom they refuse is left. Raises OSError."""
    _mark(folder, *access.mark)


def mark_begun(folder: Path, leaving: Collection[str] = ()) -> None:
    """To be called before a file changes: whoever is killed then leaves no word that all is done. Raises OSError.

    `leaving` are codes whose password goes with the change; they are known until the mark that all is done.
    """
    _mark(folder, marked(folder)[0], "", sorted({*leaving, *marked_leaving(folder)}))


def mark_unknown(folder: Path) -> None:
    """To be called when the broker let in whom it must refuse: nobody knows since when. Raises OSError."""
    _mark(folder, UNKNOWN, "", marked_leaving(folder))


def marked_leaving(folder: Path) -> list[str]:
    """Codes that had a password before what is under way began, and are to be cut off."""
    try:
        found = json.loads(read_kept(folder / MARK))["leaving"]
        return [str(code) for code in found]
    except (OSError, ForeignFileError, ValueError, KeyError, TypeError):
        return []


def leaving(folder: Path, access: Access) -> list[str]:
    """The codes whose password on disk is not theirs any more. Raises OSError."""
    if GATEWAY_PASSWORDS not in access.files:
        return []
    kept = set(access.files[GATEWAY_PASSWORDS].splitlines())
    there = (_contents(folder / GATEWAY_PASSWORDS) or b"").splitlines()
    codes = [line.partition(b":")[0].decode("ascii", "replace") for line in there if line not in kept]
    return [code for code in codes if is_code(code)]  # what else stands there is nobody's to cut off, or to write down


def marked(folder: Path) -> tuple[int, str]:
    """The revision and digest of what the broker has taken in; -1 when nothing is known of it.

    The digest is empty while something is under way from that revision on.
    """
    try:
        found = json.loads(read_kept(folder / MARK))
        return int(found["revision"]), str(found["sha256"])
    except (OSError, ForeignFileError, ValueError, KeyError, TypeError):
        return UNKNOWN, ""


def stamp(folder: Path) -> tuple[int, int]:
    """The same for as long as nobody wrote a mark, as whoever makes a broker's certificates anew does."""
    try:
        found = (folder / MARK).stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def kept_round(folder: Path) -> Kept | None:
    try:
        found = json.loads(read_kept(folder / ROUND))
        moment = datetime.fromisoformat(found["again_up_to"])
        return Kept(moment, str(found["after"])) if moment.tzinfo else None
    except (OSError, ForeignFileError, ValueError, KeyError, TypeError):
        return None


def keep_round(folder: Path, kept: Kept) -> None:
    """Raises OSError."""
    document = {"again_up_to": kept.again_up_to.isoformat(), "after": kept.after}
    _put(folder / ROUND, json.dumps(document).encode("ascii"), 0o600)


def _mark(folder: Path, revision: int, digest: str, leaving: Sequence[str] = ()) -> None:
    document = {"revision": revision, "sha256": digest, "leaving": list(leaving)}
    _put(folder / MARK, json.dumps(document).encode("ascii"), 0o600)


def _contents(path: Path) -> bytes | None:
    """None when it is not there, or is not a file that the folder's owner keeps: then it is made anew."""
    try:
        return read_kept(path)
    except (FileNotFoundError, ForeignFileError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link
            return None
        raise


def _put(path: Path, contents: bytes, mode: int) -> None:
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            owner = path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, mode)
            file.write(contents)
            file.flush()
            os.fsync(descriptor)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
