"""Root reads what the broker's account keeps: whoever got hold of that account plants a link, a pipe, a text there."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from django.utils import timezone

from tds.identity.access import broker_files
from tds.identity.access.broker_files import Access
from tds.identity.access.broker_rules import GATEWAY_PASSWORDS
from tds.identity.authorities import server_files
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.authorities.tls_files import REVOKED
from tds.local.apart import shared_folder
from tds.owners import ForeignFileError, read_kept

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what another account may not")

BROKER = pwd.getpwnam("nobody")
WITH_PASSWORDS = Access(1, {GATEWAY_PASSWORDS: b""}, ())


@pytest.fixture
def authorities(tmp_path: Path) -> AuthorityFolder:
    made = AuthorityFolder(tmp_path / "ca")
    made.init(timezone.now())
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    """The broker's own, as its account has it."""
    with shared_folder("planted") as made:
        tls = made / "tls"
        tls.mkdir(mode=0o700)
        os.chown(tls, BROKER.pw_uid, BROKER.pw_gid)
        yield tls


def planted(path: Path, text: str) -> None:
    path.write_text(text)
    os.chown(path, BROKER.pw_uid, BROKER.pw_gid)


def test_a_list_that_is_a_link_to_an_authority_s_key_does_not_become_the_key(
    folder: Path, authorities: AuthorityFolder
) -> None:
    [key] = authorities.path.glob("device-*.key")
    (folder / REVOKED).symlink_to(key)
    server_files.write(folder, authorities, ["localhost"], timezone.now())
    lists = (folder / REVOKED).read_bytes()
    assert b"PRIVATE KEY" not in lists
    x509.load_pem_x509_crl(lists)
    assert not (folder / REVOKED).is_symlink()
    assert "PRIVATE KEY" in key.read_text()


def test_a_second_name_of_a_key_is_no_list_either(folder: Path, authorities: AuthorityFolder, tmp_path: Path) -> None:
    key = folder / "another-s.key"  # as a kernel lets them make it whose fs.protected_hardlinks is 0
    planted(key, "-----BEGIN PRIVATE KEY-----")
    os.link(key, folder / REVOKED)
    server_files.write(folder, authorities, ["localhost"], timezone.now())
    assert b"PRIVATE KEY" not in (folder / REVOKED).read_bytes()


def test_of_a_list_only_what_is_a_list_stays(folder: Path, authorities: AuthorityFolder) -> None:
    now = timezone.now()
    server_files.write(folder, authorities, ["localhost"], now)
    before = (folder / REVOKED).read_text()
    planted(folder / REVOKED, before + "what somebody wrote behind it\n")
    server_files.write(folder, authorities, ["localhost"], now)
    assert (folder / REVOKED).read_text() == before


def test_a_pipe_in_the_place_of_a_list_holds_nobody_up(folder: Path, authorities: AuthorityFolder) -> None:
    os.mkfifo(folder / REVOKED)
    server_files.write(folder, authorities, ["localhost"], timezone.now())
    assert (folder / REVOKED).is_file()


def test_passwords_that_are_a_link_to_a_key_are_not_written_down_as_codes(
    folder: Path, authorities: AuthorityFolder
) -> None:
    [key] = authorities.path.glob("device-*.key")
    (folder / GATEWAY_PASSWORDS).symlink_to(key)
    assert broker_files.leaving(folder, WITH_PASSWORDS) == []
    assert broker_files.differing(folder, WITH_PASSWORDS) == [GATEWAY_PASSWORDS]
    broker_files.put(folder, WITH_PASSWORDS, [GATEWAY_PASSWORDS])
    assert not (folder / GATEWAY_PASSWORDS).is_symlink()
    assert "PRIVATE KEY" in key.read_text()


def test_a_line_that_is_no_code_is_nobody_s_password(folder: Path) -> None:
    planted(folder / GATEWAY_PASSWORDS, "GW-1:$7$1$a$b\nMIGHAgEAMBMGByqGSM49\n/etc/shadow:x\n")
    assert broker_files.leaving(folder, WITH_PASSWORDS) == ["GW-1", "MIGHAgEAMBMGByqGSM49"]


def test_a_file_of_another_account_is_not_read(folder: Path) -> None:
    (folder / "root-s").write_text("secret")
    with pytest.raises(ForeignFileError, match="is not a plain file of nobody's own"):
        read_kept(folder / "root-s")
