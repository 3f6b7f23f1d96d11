"""Where the platform keeps what updates need, below its home."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tds.identity.authorities.keys import KeyUnusableError, write_public
from tds.updates.signed import keys
from tds.updates.signed.keys import PrivateKey, PublicKey
from tds.updates.signed.trust import MAX_ROOTS

ASSIGNMENT_KEY: Final = "assignment.key"
ROOTS: Final = "roots"
FOLDER_MODE: Final = 0o755  # images and public keys are no secret; the key in it is its owner's alone


@dataclass(frozen=True, slots=True)
class UpdatesFolder:
    """`$TDS_HOME/updates`: images by their hash, the key that signs tickets, the root keys that are believed."""

    path: Path

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def assignment_key_file(self) -> Path:
        return self.path / ASSIGNMENT_KEY

    def assignment_key(self) -> PrivateKey:
        """Made when it is first asked for. Raises KeyUnusableError, OSError."""
        self._make()
        return keys.load_or_make(self.assignment_key_file)

    def roots(self) -> tuple[PublicKey, ...]:
        """The root keys, the oldest first. Raises KeyUnusableError."""
        found = sorted((self.path / ROOTS).glob("*.pub"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        if len(found) > MAX_ROOTS:
            raise KeyUnusableError(f"{self.path / ROOTS} holds {len(found)} root keys; at most {MAX_ROOTS} are used.")
        return tuple(PublicKey.load(file) for file in found)

    def roots_with(self, root: PublicKey) -> tuple[PublicKey, ...]:
        """As `roots` would be with that one too. Raises KeyUnusableError."""
        known = self.roots()
        if root in known:
            return known
        if len(known) == MAX_ROOTS:
            raise KeyUnusableError(
                f"There are {MAX_ROOTS} root keys already, as many as a gateway keeps. Remove the file of one that is "
                f"revoked or lost from {self.path / ROOTS} first."
            )
        return (*known, root)

    def add_root(self, root: PublicKey) -> None:
        """From now on its trust sets are taken, and units that are provisioned believe it. Raises KeyUnusableError."""
        if self.roots_with(root) == self.roots():
            return
        self._make()
        (self.path / ROOTS).mkdir(mode=FOLDER_MODE, exist_ok=True)
        write_public(self.path / ROOTS / f"{root.kid[:16]}.pub", root.pem())

    def _make(self) -> None:
        self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def roots_text(roots: tuple[PublicKey, ...]) -> str:
    """As a factory image has them, under `trust_roots`."""
    return ",".join(root.text for root in roots)
