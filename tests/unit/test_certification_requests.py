"""Requests that openssl makes, and what is refused in them."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.identity.enrolment.requests import (
    MAX_REQUEST_BYTES,
    RequestRefusedError,
    common_name,
    public_key,
    read_request,
)


def made(tmp_path: Path, *words: str, subject: str = "/CN=GW-1", key: tuple[str, ...] = ("ec", "P-256")) -> bytes:
    """A request in DER, of a key that openssl makes."""
    kind, what = key
    option = f"ec_paramgen_curve:{what}" if kind == "ec" else f"rsa_keygen_bits:{what}"
    file = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", file], check=True, capture_output=True
    )
    command = ["openssl", "req", "-new", "-key", str(file), "-subj", subject, "-outform", "DER", *words]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_a_plain_request_is_taken(tmp_path: Path) -> None:
    request = read_request(made(tmp_path))
    assert common_name(request) == "GW-1"
    assert public_key(request).curve.name == "secp256r1"


@pytest.mark.parametrize("digest", ["-sha384", "-sha512"])
def test_other_good_digests_are_taken(tmp_path: Path, digest: str) -> None:
    assert common_name(read_request(made(tmp_path, digest))) == "GW-1"


@pytest.mark.parametrize(
    "key", [("RSA", "1024"), ("RSA", "3072"), ("ec", "secp256k1"), ("ec", "P-384"), ("ec", "prime192v1")]
)
def test_a_request_with_a_weak_or_other_key_is_refused(tmp_path: Path, key: tuple[str, str]) -> None:
    with pytest.raises(RequestRefusedError, match=r"P-256|PKCS #10"):
        read_request(made(tmp_path, key=key))


def test_a_request_signed_with_sha1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestRefusedError, match="SHA-256"):
        read_request(made(tmp_path, "-sha1"))


def test_a_request_with_a_broken_signature_is_refused(tmp_path: Path) -> None:
    good = bytearray(made(tmp_path))
    good[-3] ^= 1
    with pytest.raises(RequestRefusedError, match=r"signature|PKCS #10"):
        read_request(bytes(good))


def test_a_request_whose_name_was_changed_after_signing_is_refused(tmp_path: Path) -> None:
    changed = made(tmp_path, subject="/CN=GW-1").replace(b"GW-1", b"GW-2")
    with pytest.raises(RequestRefusedError, match="signature"):
        read_request(changed)


@pytest.mark.parametrize(
    "extension",
    [
        "subjectAltName=DNS:GW-2",
        "basicConstraints=critical,CA:TRUE",
        "extendedKeyUsage=serverAuth",
        "keyUsage=keyCertSign",
    ],
)
def test_a_request_with_extra_extensions_is_refused(tmp_path: Path, extension: str) -> None:
    with pytest.raises(RequestRefusedError, match="extensions"):
        read_request(made(tmp_path, "-addext", extension))


@pytest.mark.parametrize(
    "subject",
    [
        "/O=TDS",
        "/O=TDS/CN=GW-1",
        "/CN=GW-1/CN=GW-2",
        "/CN=GW-1+OU=x",
        "/CN=_consumer",
        "/CN=tds-consumer",
        "/CN=+",
        "/CN=#",
        "/CN=$SYS",
        "/CN=GW 1",
        "/CN=GW\\/1",
        "/CN=*",
        "/emailAddress=a@example.org",
    ],
)
def test_a_request_with_another_subject_than_a_code_is_refused(tmp_path: Path, subject: str) -> None:
    multi = ("-multivalue-rdn",) if "+O" in subject else ()
    with pytest.raises(RequestRefusedError, match=r"subject|code|kept"):
        read_request(made(tmp_path, "-utf8", *multi, subject=subject))


def test_a_request_with_a_look_alike_of_a_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestRefusedError, match=r"no gateway code"):
        read_request(made(tmp_path, "-utf8", subject="/CN=GW-\N{CYRILLIC SMALL LETTER A}"))


def test_what_follows_a_request_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestRefusedError, match="PKCS #10"):
        read_request(made(tmp_path) + b"more")


def test_a_request_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(RequestRefusedError, match="at most"):
        read_request(b"\x30" * (MAX_REQUEST_BYTES + 1))


@given(st.binary(max_size=400))
def test_junk_is_a_sentence(junk: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        read_request(junk)
