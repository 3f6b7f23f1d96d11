"""Whether the brokers' certificates are there and still fit. Looks at files only: cryptography is for who makes them.

What makes them is a program of its own (`certificates.py`), run when something is missing, ends soon, or the machine is
called otherwise than before: a second start does without.
"""

import socket
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from tds.environment import Environment, Mode, server_names
from tds.identity.authorities import tls_files
from tds.identity.authorities.tls_files import AUTHORITIES
from tds.local.refusal import CannotStartError
from tds.owners import denied

TLS: Final = "tls"  # of a broker's folder


def hosts(environment: Environment) -> tuple[str, ...]:
    return server_names(environment, socket.gethostname())


def has_authority(environment: Environment) -> bool:
    """Raises PermissionError when we are not let in to see."""
    return (environment.ca_folder / AUTHORITIES).exists()


def refuse_without_authority(environment: Environment) -> None:
    """In production a person makes the authorities, and takes the root's key away. Raises CannotStartError."""
    try:
        there = has_authority(environment)
    except PermissionError as error:
        what = f"The certificate authorities in {environment.ca_folder} can't be used"
        raise CannotStartError(f"{what}: {denied(environment.ca_folder)}.") from error
    if environment.mode is Mode.PRODUCTION and not there:
        raise CannotStartError(
            f"There is no certificate authority in {environment.ca_folder}, and without one no gateway can come in by "
            "TLS; make one with ./tds ca init, then start again."
        )


def to_make(folders: Iterable[Path], authorities: Path, names: Sequence[str], *, now: datetime) -> list[Path]:
    """Those of the folders whose files are missing, end soon, or are for other names or authorities."""
    try:
        stamp = (authorities / AUTHORITIES).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return list(folders)
    return [folder for folder in folders if not tls_files.fit(folder, stamp, names, now)]
