"""Certificates as openssl sees them: who is trusted as what, and what an authority never signs."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from tds.identity import names
from tds.identity.authorities import crl, keys, server_files, tls_files
from tds.identity.authorities.authority import BACKDATED, Authority, Kind, serial_text
from tds.identity.authorities.folder import ROOT_KEY, STATE, AuthorityFolder, FolderUnusableError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> AuthorityFolder:
    made = AuthorityFolder(tmp_path / "ca")
    made.init(NOW)
    return made


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def device(authority: Authority, code: str = "GW-1", now: datetime = NOW) -> x509.Certificate:
    return authority.issue_device(keys.new_key().public_key(), code, now)


def openssl(tmp_path: Path, leaf: x509.Certificate, trusted: bytes, *words: str, at: datetime = NOW) -> str:
    """What `openssl verify` says of a certificate."""
    (tmp_path / "leaf.pem").write_bytes(pem(leaf))
    (tmp_path / "trusted.pem").write_bytes(trusted)
    command = ["openssl", "verify", "-attime", f"{at.timestamp():.0f}", "-CAfile", f"{tmp_path}/trusted.pem", *words]
    done = subprocess.run([*command, f"{tmp_path}/leaf.pem"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_device_is_trusted_as_a_client_and_not_as_a_server(folder: AuthorityFolder, tmp_path: Path) -> None:
    leaf, anchors = device(folder.device()), folder.anchors_pem(NOW)
    assert openssl(tmp_path, leaf, anchors, "-purpose", "sslclient").endswith("OK\n")
    assert "unsuitable certificate purpose" in openssl(tmp_path, leaf, anchors, "-purpose", "sslserver")


def test_a_device_is_also_trusted_through_the_root(folder: AuthorityFolder, tmp_path: Path) -> None:
    (tmp_path / "issuing.pem").write_bytes(pem(folder.device().certificate))
    said = openssl(
        tmp_path, device(folder.device()), pem(folder.root().certificate), "-untrusted", str(tmp_path / "issuing.pem")
    )
    assert said.endswith("OK\n")


def test_a_server_is_trusted_for_its_hosts_and_not_as_a_client(folder: AuthorityFolder, tmp_path: Path) -> None:
    leaf = folder.service().issue_server(keys.new_key().public_key(), ["localhost", "127.0.0.1", "::1"], NOW)
    trusted = folder.server_ca_pem(NOW)
    for words in (["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        assert openssl(tmp_path, leaf, trusted, "-purpose", "sslserver", *words).endswith("OK\n")
    assert "hostname mismatch" in openssl(tmp_path, leaf, trusted, "-verify_hostname", "example.org")
    assert "unsuitable certificate purpose" in openssl(tmp_path, leaf, trusted, "-purpose", "sslclient")


def test_a_service_does_not_pass_for_a_device_by_bringing_its_authority_along(
    folder: AuthorityFolder, tmp_path: Path
) -> None:
    leaf = folder.service().issue_service(keys.new_key().public_key(), "_consumer", NOW)
    (tmp_path / "brought.pem").write_bytes(pem(folder.service().certificate) + pem(folder.root().certificate))
    said = openssl(tmp_path, leaf, folder.anchors_pem(NOW), "-untrusted", str(tmp_path / "brought.pem"))
    assert "unable to get local issuer certificate" in said or "self-signed certificate in certificate chain" in said


def test_a_certificate_holds_from_five_minutes_ago_to_its_end(folder: AuthorityFolder, tmp_path: Path) -> None:
    leaf, anchors = device(folder.device()), folder.anchors_pem(NOW)
    assert openssl(tmp_path, leaf, anchors, at=NOW - BACKDATED + timedelta(seconds=1)).endswith("OK\n")
    assert "not yet valid" in openssl(tmp_path, leaf, anchors, at=NOW - BACKDATED - timedelta(seconds=5))
    assert "expired" in openssl(tmp_path, leaf, anchors, at=NOW + 731 * DAY)


def test_no_certificate_outlives_its_authority(folder: AuthorityFolder) -> None:
    """Two thirds of its life would else be over after its authority's end, when nobody lets it in to renew."""
    end = folder.device().certificate.not_valid_after_utc
    assert device(folder.device(), now=end - 100 * DAY).not_valid_after_utc == end
    assert device(folder.device(), now=end - 800 * DAY).not_valid_after_utc < end


def test_a_revoked_certificate_is_on_the_list_with_its_reason(folder: AuthorityFolder, tmp_path: Path) -> None:
    authority, anchors = folder.device(), folder.anchors_pem(NOW)
    good, bad = device(authority, "GW-1"), device(authority, "GW-2")
    revoked = [crl.Revoked(bad.serial_number, NOW, crl.Reason.certificate_hold)]
    signed = crl.sign(authority, revoked, number=7, now=NOW, next_update=NOW + 30 * DAY)
    (tmp_path / "list.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    words = ("-crl_check", "-CRLfile", str(tmp_path / "list.pem"))
    assert openssl(tmp_path, good, anchors, *words).endswith("OK\n")
    assert "certificate revoked" in openssl(tmp_path, bad, anchors, *words)
    assert "CRL has expired" in openssl(tmp_path, good, anchors, *words, at=NOW + 31 * DAY)
    shown = subprocess.run(
        ["openssl", "crl", "-in", tmp_path / "list.pem", "-text", "-noout"], capture_output=True, text=True, check=True
    ).stdout
    assert "Certificate Hold" in shown
    assert "X509v3 CRL Number: \n                7" in shown


def test_an_old_authority_is_trusted_within_the_overlap_and_not_after(folder: AuthorityFolder, tmp_path: Path) -> None:
    old = device(folder.device())
    assert folder.rotate(Kind.DEVICE, NOW, overlap_days=90) == "device-2"
    new = device(folder.device())
    within, after = NOW + 89 * DAY, NOW + 91 * DAY
    for leaf in (old, new):
        assert openssl(tmp_path, leaf, folder.anchors_pem(within), at=within).endswith("OK\n")
    assert openssl(tmp_path, new, folder.anchors_pem(after), at=after).endswith("OK\n")
    assert "error" in openssl(tmp_path, old, folder.anchors_pem(after), at=after)
    assert folder.trusted_until("device-1") == NOW + 90 * DAY
    assert folder.trusted_until("device-2") is None
    assert folder.service().name == "service-1"


def test_gateways_trust_servers_of_both_authorities_within_the_overlap(folder: AuthorityFolder, tmp_path: Path) -> None:
    old = folder.service().issue_server(keys.new_key().public_key(), ["localhost"], NOW)
    pinned_before = folder.server_ca_pem(NOW)
    folder.rotate(Kind.SERVICE, NOW)
    new = folder.service().issue_server(keys.new_key().public_key(), ["localhost"], NOW)
    assert openssl(tmp_path, old, folder.server_ca_pem(NOW)).endswith("OK\n")
    # A gateway that never heard of the rotation goes through the root: the server sends its authority along.
    (tmp_path / "sent.pem").write_bytes(pem(folder.service().certificate))
    assert openssl(tmp_path, new, pinned_before, "-untrusted", str(tmp_path / "sent.pem")).endswith("OK\n")


def test_without_the_roots_key_all_goes_on_but_a_rotation(folder: AuthorityFolder) -> None:
    exported = folder.export_root()
    folder.remove_root_key()
    device(folder.device())
    with pytest.raises(FolderUnusableError, match=r"put it back as .*root\.key"):
        folder.rotate(Kind.DEVICE, NOW)
    with pytest.raises(FolderUnusableError, match="exported before"):
        folder.export_root()
    (folder.path / ROOT_KEY).write_bytes(exported)  # as it was exported, certificate and all
    assert folder.rotate(Kind.DEVICE, NOW) == "device-2"


def test_a_second_authority_is_not_made_over_the_first(folder: AuthorityFolder) -> None:
    before = folder.anchors_pem(NOW)
    with pytest.raises(FolderUnusableError, match="already"):
        folder.init(NOW)
    assert folder.anchors_pem(NOW) == before


def test_authorities_whose_list_was_lost_are_not_overwritten(folder: AuthorityFolder) -> None:
    before = (folder.path / "device-1.key").read_bytes()
    (folder.path / STATE).unlink()
    with pytest.raises(FolderUnusableError, match="backup"):
        folder.init(NOW)
    assert (folder.path / "device-1.key").read_bytes() == before


def test_a_first_try_that_was_cut_off_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = AuthorityFolder(tmp_path / "ca")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(AuthorityFolder, "_write_state", full)
        with pytest.raises(FolderUnusableError, match="No space left"):
            made.init(NOW)
    made.init(NOW)
    assert made.device().name == "device-1"


def test_keys_are_readable_by_their_owner_alone(folder: AuthorityFolder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700
    files = list(folder.path.glob("*.key"))
    assert len(files) == 3
    for file in (*files, folder.path / STATE):
        assert file.stat().st_mode & 0o777 == 0o600


def test_damaged_and_missing_files_are_sentences(folder: AuthorityFolder) -> None:
    with pytest.raises(FolderUnusableError, match=r"\./tds ca init"):
        AuthorityFolder(folder.path / "nothing").device()
    (folder.path / "device-1.key").write_bytes(keys.pem(keys.new_key()))
    with pytest.raises(FolderUnusableError, match="not the key of the certificate"):
        folder.device()
    (folder.path / "device-1.key").unlink()
    with pytest.raises(FolderUnusableError, match="can't be read"):
        folder.device()
    (folder.path / STATE).write_text('{"label": "x", "authorities": []}')
    with pytest.raises(FolderUnusableError, match="backup"):
        folder.device()
    (folder.path / STATE).write_bytes(b"\x00\xff")
    with pytest.raises(FolderUnusableError, match="backup"):
        folder.device()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "+",
        "#",
        "GW/1",
        "GW+1",
        "GW#",
        "$SYS",
        "_consumer",
        "GW 1",
        "GW\x001",
        "*",
        "GW-*",
        "ＧＷ-1",
        "GW-1а",
        "G" * 65,
        "tds-consumer",
        "TDS-STATUS",
        "GW-1\n",
        "-GW",
        ".GW",
    ],
)
def test_no_certificate_for_a_name_that_no_gateway_may_have(folder: AuthorityFolder, name: str) -> None:
    with pytest.raises(names.NameRefusedError):
        device(folder.device(), name)


@pytest.mark.parametrize("name", ["consumer", "_", "_Consumer", "_a b", "GW-1", "_#", "_é"])
def test_no_certificate_for_a_name_that_no_service_may_have(folder: AuthorityFolder, name: str) -> None:
    with pytest.raises(names.NameRefusedError):
        folder.service().issue_service(keys.new_key().public_key(), name, NOW)


def test_a_certificate_says_who_it_is_by_its_common_name_alone(folder: AuthorityFolder) -> None:
    leaf = device(folder.device(), "GW-0.1_a")
    assert [(a.oid, a.value) for a in leaf.subject] == [(NameOID.COMMON_NAME, "GW-0.1_a")]
    assert len(serial_text(leaf)) == 40
    assert device(folder.device()).serial_number != device(folder.device()).serial_number


def test_server_files_stay_until_hosts_authorities_or_time_change(folder: AuthorityFolder, tmp_path: Path) -> None:
    place, hosts = tmp_path / "tls", ["localhost", "127.0.0.1"]
    assert not tls_files.fit(place, folder.stamp(), hosts, NOW)
    server_files.write(place, folder, hosts, NOW)
    assert tls_files.fit(place, folder.stamp(), hosts, NOW)
    assert not tls_files.fit(place, folder.stamp(), [*hosts, "tds.example.org"], NOW)
    assert not tls_files.fit(place, folder.stamp(), hosts, NOW + 300 * DAY)
    folder.rotate(Kind.DEVICE, NOW)
    assert not tls_files.fit(place, folder.stamp(), hosts, NOW)
    before = (place / tls_files.REVOKED).read_bytes()
    server_files.write(place, folder, hosts, NOW)
    assert tls_files.fit(place, folder.stamp(), hosts, NOW)
    after = (place / tls_files.REVOKED).read_bytes()
    assert after.startswith(before), "the list of the first authority is another process's"
    assert after.count(b"BEGIN X509 CRL") == 2
    (place / tls_files.CHAIN).unlink()
    assert not tls_files.fit(place, folder.stamp(), hosts, NOW)
