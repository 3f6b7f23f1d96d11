"""Boxes of gateways as a factory gets them, without a database. The benchmarks use it too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from tds.identity.authorities import keys, server_files
from tds.identity.authorities.authority import DEVICE_DAYS
from tds.identity.authorities.folder import AuthorityFolder

HOSTS: Final = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Maker:
    """The authorities of one platform, and the box that they fill."""

    folder: Path
    authorities: AuthorityFolder

    @classmethod
    def new(cls, folder: Path) -> "Maker":
        authorities = AuthorityFolder(folder / "ca")
        authorities.init(datetime.now(UTC))
        (folder / "box").mkdir()
        return cls(folder, authorities)

    @property
    def box(self) -> Path:
        return self.folder / "box"

    def provision(self, code: str, *, now: datetime | None = None, days: float = DEVICE_DAYS) -> Path:
        """The gateway's folder, as `tds provision` fills it."""
        now = now or datetime.now(UTC)
        key, device = keys.new_key(), self.authorities.device()
        leaf = device.issue_device(key.public_key(), code, now, days=days)
        folder = self.box / code
        folder.mkdir(exist_ok=True)
        keys.write_private(folder / "gateway.key", keys.pem(key))
        chain = leaf.public_bytes(Encoding.PEM) + device.certificate.public_bytes(Encoding.PEM)
        keys.write_public(folder / "gateway.crt", chain)
        keys.write_public(folder / "ca.pem", self.authorities.server_ca_pem(datetime.now(UTC)))
        return folder

    def server_files(self, hosts: Sequence[str] = HOSTS) -> Path:
        folder = self.folder / "tls"
        server_files.write(folder, self.authorities, hosts, datetime.now(UTC))
        return folder
