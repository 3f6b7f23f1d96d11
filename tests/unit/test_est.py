"""Bodies, credentials and answers of EST, and what becomes of anything else."""

import base64
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.identity.authorities import authority, keys
from tds.identity.enrolment import est
from tds.identity.enrolment.http_refusal import RefusedError

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def refusal_of(work: Callable[[], object]) -> RefusedError | None:
    try:
        work()
    except RefusedError as refusal:
        return refusal
    return None


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@given(st.binary(min_size=1, max_size=2_000), st.sampled_from(["", "\n", "\r\n", " \t"]))
def test_what_is_encoded_is_read_again_however_its_lines_end(der: bytes, ending: str) -> None:
    assert est.decoded(est.encoded(der).replace(b"\n", ending.encode())) == der


@given(st.binary(max_size=300))
def test_any_body_is_read_or_refused_with_a_sentence(body: bytes) -> None:
    refusal = refusal_of(lambda: est.decoded(body))
    assert refusal is None or (refusal.status == 400 and refusal.sentence.endswith("."))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nMIH=\n-----END CERTIFICATE REQUEST-----\n", "PEM"),
        (b"MIH=MIH=", "no base64"),
        (b"MIH", "no base64"),
        (b"M-_=", "no base64"),  # the alphabet for URLs is another
        (b"\xff\xfe", "no base64"),
        (b"%" * 100, "no base64"),
    ],
)
def test_a_body_of_another_kind_is_refused_with_what_to_do(body: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        est.decoded(body)


def test_credentials_may_hold_colons_and_other_letters() -> None:
    given_ones = est.credentials(basic("GW-1:a:bç"))
    assert (given_ones.user, given_ones.secret) == ("GW-1", "a:bç")


def test_the_secret_is_not_in_what_a_log_would_show() -> None:
    assert "7KQF" not in repr(est.credentials(basic("GW-1:7KQF-2M9D-XW3T-8HBA-4N6P")))


@given(st.one_of(st.none(), st.text(max_size=700)))
def test_any_header_is_read_or_refused_as_unauthorized(header: str | None) -> None:
    refusal = refusal_of(lambda: est.credentials(header))
    assert refusal is None or refusal.status == 401


@pytest.mark.parametrize(
    "header", [None, "", "Bearer abc", "Basic", "Basic !!!", basic("no colon"), "Basic /w==", basic(":" * 600)]
)
def test_missing_or_malformed_credentials_are_unauthorized(header: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        est.credentials(header)
    assert refused.value.status == 401


def test_the_attributes_are_what_openssl_reads_as_p_256() -> None:
    shown = subprocess.run(
        ["openssl", "asn1parse", "-inform", "DER"], input=est.CSR_ATTRIBUTES, check=True, capture_output=True
    ).stdout.decode()
    assert "id-ecPublicKey" in shown
    assert "prime256v1" in shown
    assert "ecdsa-with-SHA256" in shown


def test_certificates_are_what_openssl_reads_as_pkcs_7() -> None:
    chain = [authority.make_root(keys.new_key(), label, NOW).certificate for label in ("one", "two")]
    body = est.certificates(chain)
    assert max(map(len, body.splitlines())) <= 76
    der = subprocess.run(["openssl", "base64", "-d"], input=body, check=True, capture_output=True).stdout
    shown = subprocess.run(
        ["openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout"], input=der, check=True, capture_output=True
    ).stdout.decode()
    names = {line.rpartition("= ")[2] for line in shown.splitlines() if line.startswith("subject")}
    assert names == {"TDS root one", "TDS root two"}  # a set in DER: it has an order of its own


@pytest.mark.parametrize("content_type", ["application/pkcs10", "Application/PKCS10 "])
def test_the_content_type_is_that_of_requests(content_type: str) -> None:
    est.check_type(content_type)


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(RefusedError, match="application/pkcs10") as refused:
        est.check_type(content_type)
    assert refused.value.status == 415
