"""Whom :8070 shows itself as and whom it trusts, kept up with the files: nobody restarts it for a rotation."""

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tds.identity.authorities import server_files, tls_files
from tds.identity.authorities.folder import AuthorityFolder, FolderUnusableError
from tds.ota_server import authorities, tls
from tds.ota_server.authorities import Authorities

logger = logging.getLogger("tds.ota")


@dataclass(frozen=True, slots=True)
class Held:
    """What one look found, and what it was made of."""

    authorities: Authorities
    context: ssl.SSLContext
    made_of: tuple[object, ...]


class Files:
    """`folder` is this server's own: it makes the certificate there when that is missing, ends soon or does not fit."""

    def __init__(
        self, folder: Path, ca_folder: AuthorityFolder, hosts: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self._folder, self._ca_folder, self._hosts, self._now = folder, ca_folder, hosts, now
        self._trouble = ""
        self._held = self._read(self._now())

    @property
    def authorities(self) -> Authorities:
        return self._held.authorities

    @property
    def context(self) -> ssl.SSLContext:
        return self._held.context

    def look(self) -> None:
        """Take in what changed. What can't be read is said once, and what was held before goes on."""
        try:
            now = self._now()
            if self._made_of(now) != self._held.made_of:
                self._held = self._read(now)
                logger.info("Took in other certificates; gateways are trusted of: %s", self._named())
            self._trouble = ""
        except (FolderUnusableError, OSError) as error:
            if str(error) != self._trouble:
                logger.error("%s The certificates from before stay in use.", error)  # noqa: TRY400  # a sentence
            self._trouble = str(error)

    def _read(self, now: datetime) -> Held:
        """Raises FolderUnusableError, OSError."""
        if not tls_files.fit(self._folder, self._ca_folder.stamp(), self._hosts, now):
            server_files.write(self._folder, self._ca_folder, self._hosts, now)
        else:
            server_files.write_trust(self._folder, self._ca_folder, now)
        made_of = self._made_of(now)
        read = authorities.read(self._ca_folder, now)
        chain, key = self._folder / tls_files.CHAIN, self._folder / tls_files.KEY
        return Held(read, tls.server_context(chain, key, read.anchors_pem), made_of)

    def _made_of(self, now: datetime) -> tuple[object, ...]:
        """Cheap, and another whenever something else would be read: an overlap ends without any file changing."""
        stamp = self._ca_folder.stamp()
        return (
            stamp,
            self._ca_folder.anchors_pem(now),
            self._modified(tls_files.CHAIN),
            self._modified(tls_files.KEY),
            tls_files.fit(self._folder, stamp, self._hosts, now),
        )

    def _modified(self, name: str) -> int:
        return (self._folder / name).stat().st_mtime_ns

    def _named(self) -> str:
        return ", ".join(sorted(self.authorities.trusted))
