"""Where the certificate authorities are kept: PEM files, and which of them are in use.

The root's key may be taken away (exported to a medium in a safe, then removed): it is needed again for a rotation only.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tds.identity.authorities import keys, tls_files
from tds.identity.authorities.authority import DEVICE_DAYS, Authority, Kind, Root, make_issuing, make_root
from tds.owners import denied

STATE: Final = tls_files.AUTHORITIES
ROOT_CERTIFICATE: Final = "root.crt"
ROOT_KEY: Final = "root.key"
BEGUN: Final = ".begun"  # there while the first authorities are made: what a cut-off try left may be overwritten
LABEL_BYTES: Final = 4
MAX_AUTHORITIES: Final = 64  # of a kind, ever
OVERLAP_DAYS: Final = DEVICE_DAYS  # after a rotation both are trusted: whatever the old one signed ends by itself
DAY: Final = timedelta(days=1)


class FolderUnusableError(Exception):
    """The authorities can't be made, read or changed; the text is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of an issuing authority. `trusted_until` None: for as long as its certificate lasts."""

    name: str
    kind: Kind
    trusted_until: str | None = None  # RFC 3339

    def trusted(self, now: datetime) -> bool:
        return self.trusted_until is None or now < datetime.fromisoformat(self.trusted_until)


class AuthorityFolder:
    """One folder of authorities; its owner alone may enter it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether authorities were made here. Raises FolderUnusableError when we are not let in to see."""
        return self._is_there(STATE)

    def init(self, now: datetime) -> None:
        """Make root, device authority and service authority. Raises FolderUnusableError when they are there."""
        with self._changing():
            if self.exists():
                raise FolderUnusableError(
                    f"{self.path} holds certificate authorities already; ./tds ca show lists them. Making others would "
                    "turn every gateway away."
                )
            left = sorted(file.name for file in self.path.glob("*.key"))
            if left and not self._is_there(BEGUN):
                raise FolderUnusableError(
                    f"{self.path} has keys of authorities ({', '.join(left)}) and no {STATE}; take that from a backup. "
                    "New authorities would overwrite them, and turn every gateway away."
                )
            keys.write_private(self.path / BEGUN, b"")
            label = secrets.token_hex(LABEL_BYTES)
            root = make_root(keys.new_key(), label, now)
            self._write_root(root)
            known = [self._make(root, kind, 1, label, now) for kind in Kind]
            self._write_state(label, known)
            (self.path / BEGUN).unlink(missing_ok=True)

    def rotate(self, kind: Kind, now: datetime, *, overlap_days: float = OVERLAP_DAYS) -> str:
        """Make the next authority of a kind; those before it stay trusted until the overlap ends. Its name.

        Raises FolderUnusableError: the root's key must be here.
        """
        with self._changing():
            label, known = self._state()
            root = self.root()
            if root.key is None:
                raise FolderUnusableError(
                    f"The root's key is not here; put it back as {self.path / ROOT_KEY} for the rotation, then take it "
                    "away again: ./tds ca export-root."
                )
            number = 1 + sum(1 for each in known if each.kind is kind)
            if number > MAX_AUTHORITIES:
                raise FolderUnusableError(f"There were {MAX_AUTHORITIES} authorities of this kind; make a new root.")
            made = self._make(root, kind, number, label, now)
            end = now + overlap_days * DAY
            self._write_state(label, [*(self._ending(each, kind, end) for each in known), made])
            return made.name

    def root(self) -> Root:
        """With its key when that is here."""
        certificate = self._certificate(ROOT_CERTIFICATE)
        path = self.path / ROOT_KEY
        if not self._is_there(ROOT_KEY):
            return Root(certificate)
        root = Root(certificate, self._key(ROOT_KEY))
        if root.key is not None and root.key.public_key() != certificate.public_key():
            raise FolderUnusableError(
                f"{path} is not the key of {ROOT_CERTIFICATE} beside it; put the right one there."
            )
        return root

    def export_root(self) -> bytes:
        """Certificate and key of the root in PEM, for a medium that is kept elsewhere."""
        root = self.root()
        if root.key is None:
            raise FolderUnusableError("The root's key is not here; it was exported before.")
        return _pem(root.certificate) + keys.pem(root.key)

    def remove_root_key(self) -> None:
        """Raises FolderUnusableError."""
        try:
            (self.path / ROOT_KEY).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def device(self) -> Authority:
        """The authority that issues to gateways now."""
        return self._current(Kind.DEVICE)

    def service(self) -> Authority:
        """The authority that issues to servers and services now."""
        return self._current(Kind.SERVICE)

    def devices(self, now: datetime) -> list[Authority]:
        """All whose gateways are let in at `now`, the oldest first."""
        return [self._authority(name) for name in self._names(Kind.DEVICE, now)]

    def device_names(self, now: datetime) -> list[str]:
        """Of the same, without a look at their keys."""
        return self._names(Kind.DEVICE, now)

    def services(self, now: datetime) -> list[Authority]:
        return [self._authority(name) for name in self._names(Kind.SERVICE, now)]

    def trusted_until(self, name: str) -> datetime | None:
        """The end of an authority's overlap; None when nothing was said of its end."""
        _label, known = self._state()
        found = next((each.trusted_until for each in known if each.name == name), None)
        return datetime.fromisoformat(found) if found else None

    def anchors_pem(self, now: datetime) -> bytes:
        """What a server trusts in gateways: the device authorities alone, each by its own name."""
        return b"".join(_pem(self._certificate(f"{name}.anchor.crt")) for name in self._names(Kind.DEVICE, now))

    def server_ca_pem(self, now: datetime) -> bytes:
        """What a gateway trusts in servers: the root, and the service authorities for those that stop at them."""
        services = [self._certificate(f"{name}.crt") for name in self._names(Kind.SERVICE, now)]
        return b"".join(map(_pem, [self._certificate(ROOT_CERTIFICATE), *services]))

    def stamp(self) -> str:
        """The same text for as long as nothing changed: which authorities there are, and until when."""
        try:
            return (self.path / STATE).read_text(encoding="ascii")
        except OSError as error:
            raise self._unreadable(STATE, error) from error

    def _names(self, kind: Kind, now: datetime) -> list[str]:
        """Of the authorities of a kind that are trusted at `now`. Needs no key."""
        _label, known = self._state()
        names = [each.name for each in known if each.kind is kind and each.trusted(now)]
        return [name for name in names if now < self._certificate(f"{name}.crt").not_valid_after_utc]

    def _current(self, kind: Kind) -> Authority:
        _label, known = self._state()
        return self._authority([each.name for each in known if each.kind is kind][-1])

    def _authority(self, name: str) -> Authority:
        certificate = self._certificate(f"{name}.crt")
        key = self._key(f"{name}.key")
        if key.public_key() != certificate.public_key():
            raise FolderUnusableError(f"{self.path / name}.key is not the key of the certificate beside it.")
        return Authority(name, certificate, self._certificate(f"{name}.anchor.crt"), key)

    def _make(self, root: Root, kind: Kind, number: int, label: str, now: datetime) -> Known:
        authority = make_issuing(root, keys.new_key(), kind, number, label=label, now=now)
        keys.write_private(self.path / f"{authority.name}.key", keys.pem(authority.key))
        keys.write_public(self.path / f"{authority.name}.crt", _pem(authority.certificate))
        keys.write_public(self.path / f"{authority.name}.anchor.crt", _pem(authority.anchor))
        return Known(authority.name, kind)

    def _write_root(self, root: Root) -> None:
        if root.key is not None:
            keys.write_private(self.path / ROOT_KEY, keys.pem(root.key))
        keys.write_public(self.path / ROOT_CERTIFICATE, _pem(root.certificate))

    @staticmethod
    def _ending(known: Known, kind: Kind, end: datetime) -> Known:
        if known.kind is not kind or (known.trusted_until and datetime.fromisoformat(known.trusted_until) <= end):
            return known
        return Known(known.name, kind, end.isoformat())

    def _state(self) -> tuple[str, list[Known]]:
        try:
            document = json.loads((self.path / STATE).read_text(encoding="ascii"))
            known = [Known(e["name"], Kind(e["kind"]), e["trusted_until"]) for e in document["authorities"]]
            kinds = {each.kind for each in known}
            for each in known:
                each.trusted(datetime.now().astimezone())
        except OSError as error:
            raise self._unreadable(STATE, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise FolderUnusableError(f"{self.path / STATE} is damaged; take it from a backup.") from error
        if kinds != set(Kind):
            raise FolderUnusableError(f"{self.path / STATE} lacks an authority; take it from a backup.")
        return document["label"], known

    def _write_state(self, label: str, known: list[Known]) -> None:
        document = {"label": label, "authorities": [asdict(each) for each in known]}
        keys.write_private(self.path / STATE, json.dumps(document, indent=1).encode("ascii"))

    def _certificate(self, name: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate((self.path / name).read_bytes())
        except OSError as error:
            raise self._unreadable(name, error) from error
        except ValueError as error:
            raise FolderUnusableError(f"{self.path / name} holds no certificate; take it from a backup.") from error

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        try:
            return keys.read_key(self.path / name)
        except keys.KeyUnusableError as error:
            raise FolderUnusableError(str(error)) from error

    def _unreadable(self, name: str, error: OSError) -> FolderUnusableError:
        if not self.exists():
            return FolderUnusableError(
                f"There is no certificate authority in {self.path}; make one with: ./tds ca init"
            )
        return FolderUnusableError(f"{self.path / name} can't be read: {_why(self.path / name, error)}.")

    def _unwritable(self, error: OSError) -> FolderUnusableError:
        return FolderUnusableError(f"{self.path} can't be written: {_why(self.path, error)}.")

    def _is_there(self, name: str) -> bool:
        # Path.exists() tells of a folder that is closed to us by a PermissionError, and of all else by False.
        try:
            return (self.path / name).exists()
        except OSError as error:
            path = self.path / name
            raise FolderUnusableError(f"{path} can't be looked for: {_why(path, error)}.") from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time: two that begin together must not each make a root."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            os.close(lock)


def _why(path: Path, error: OSError) -> str:
    return denied(path) if isinstance(error, PermissionError) else str(error.strerror)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
