"""Documents that are signed: what is believed, and each way of faking one."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.updates.signed import jws, manifest, ticket, trust
from tds.updates.signed.jws import Kind
from tds.updates.signed.keys import PrivateKey, PublicKey, from_base64url, load_or_make, to_base64url
from tds.updates.signed.manifest import Manifest
from tds.updates.signed.refusal import DocumentRefusedError, Refusal
from tds.updates.signed.ticket import Ticket
from tds.updates.signed.trust import TrustedKey, TrustSet, Use

NOW: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROOT: Final = PrivateKey.new()
SPARE_ROOT: Final = PrivateKey.new()
RELEASE: Final = PrivateKey.new()
ASSIGNMENT: Final = PrivateKey.new()
STRANGER: Final = PrivateKey.new()
YEAR: Final = timedelta(days=365)
MANIFEST: Final = Manifest(
    product="dcu",
    families=("dcu-0080",),
    chip="esp32",
    hardware=("A", "B"),
    version="1.1.0",
    counter=1_001_000,
    size=1_048_576,
    sha256="ab" * 32,
    min_source_counter=0,
    released_at=int(NOW.timestamp()),
)
TICKET: Final = Ticket(
    execution_id="e-1",
    gateway_code="GW-1",
    manifest_sha256="cd" * 32,
    seq=7,
    iat=int(NOW.timestamp()),
    exp=int((NOW + timedelta(days=1)).timestamp()),
    not_before=int(NOW.timestamp()),
)


def trusted(version: int = 1, *, revoked: tuple[str, ...] = (), until: datetime = NOW + YEAR) -> TrustSet:
    def key(of: PrivateKey, use: Use) -> TrustedKey:
        return TrustedKey.of(of.public, use, NOW - YEAR, NOW + YEAR)

    return TrustSet(
        version=version,
        iat=int(NOW.timestamp()),
        exp=int(until.timestamp()),
        keys=(key(RELEASE, Use.RELEASE), key(ASSIGNMENT, Use.ASSIGNMENT)),
        revoked=revoked,
    )


def signed(header: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes] = RELEASE.sign) -> str:
    parts = [to_base64url(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, to_base64url(sign(".".join(parts).encode()))])


def _always(signature: bytes) -> Callable[[bytes], bytes]:
    return lambda _what: signature


def refusal(text: str, trust_set: TrustSet | None = None, now: datetime = NOW) -> Refusal:
    with pytest.raises(DocumentRefusedError) as refused:
        manifest.read(text, trust_set or trusted(), now)
    assert str(refused.value).endswith(".")
    return refused.value.reason


HEADER: Final = {"alg": "ES256", "kid": RELEASE.kid, "typ": Kind.MANIFEST.typ}
CLAIMS: Final = msgspec.to_builtins(MANIFEST)


def test_what_was_signed_is_read_again() -> None:
    assert manifest.read(manifest.make(MANIFEST, RELEASE), trusted(), NOW) == (MANIFEST, RELEASE.kid)
    assert ticket.read(ticket.make(TICKET, ASSIGNMENT), trusted(), NOW) == TICKET
    assert trust.read(trust.make(trusted(), ROOT), [ROOT.public], NOW) == trusted()


def test_another_library_of_jws_agrees() -> None:
    """Checked against RFC 7515's own example of ES256, A.3."""
    key = PublicKey(
        from_base64url("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        from_base64url("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    )
    text = (
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
        "nVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    what, _, signature = text.rpartition(".")
    assert key.verifies(from_base64url(signature), what.encode())
    assert not key.verifies(from_base64url(signature), what.encode() + b" ")


def test_a_thumbprint_is_as_in_rfc_7638() -> None:
    key = RELEASE.public
    written = f'{{"crv":"P-256","kty":"EC","x":"{to_base64url(key.x)}","y":"{to_base64url(key.y)}"}}'
    assert key.kid == to_base64url(hashlib.sha256(written.encode()).digest())


def test_attack_alg_none() -> None:
    text = signed(HEADER | {"alg": "none"}, CLAIMS).rpartition(".")[0] + "."
    assert refusal(text) is Refusal.MALFORMED


def test_attack_hmac_with_the_public_key() -> None:
    def sign(what: bytes) -> bytes:
        return hmac.digest(RELEASE.public.pem(), what, "sha256") * 2

    assert refusal(signed(HEADER | {"alg": "HS256"}, CLAIMS, sign)) is Refusal.MALFORMED
    assert refusal(signed(HEADER, CLAIMS, sign)) is Refusal.SIGNATURE_INVALID


@pytest.mark.parametrize("member", ["jwk", "jku", "x5c", "crit", "b64", "zip"])
def test_attack_a_key_of_the_attackers_in_the_header(member: str) -> None:
    assert refusal(signed(HEADER | {member: STRANGER.public.text}, CLAIMS, STRANGER.sign)) is Refusal.MALFORMED


def test_attack_a_header_with_two_algorithms() -> None:
    header = to_base64url(f'{{"alg":"none","alg":"ES256","kid":"{RELEASE.kid}","typ":"{Kind.MANIFEST.typ}"}}'.encode())
    what = f"{header}.{to_base64url(json.dumps(CLAIMS).encode())}"
    assert refusal(f"{what}.{to_base64url(RELEASE.sign(what.encode()))}") is Refusal.MALFORMED


def test_a_header_that_is_a_list_of_pairs_is_none() -> None:
    assert refusal(signed([[name, value] for name, value in HEADER.items()], CLAIMS)) is Refusal.MALFORMED  # type: ignore[arg-type]


def test_attack_one_text_in_two_writings() -> None:
    """Tickets name a manifest by its text's hash: a second text for one document would be a second name."""
    text = manifest.make(MANIFEST, RELEASE)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(text[-1])
    other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]  # the same 64 bytes, nearly
    for written in (text + "=", text[:-1] + other, text.replace(".", ".\n", 1), text + " "):
        assert refusal(written) is Refusal.MALFORMED


def test_attack_a_ticket_as_a_manifest() -> None:
    assert refusal(signed(HEADER | {"typ": Kind.TICKET.typ}, CLAIMS)) is Refusal.MALFORMED


def test_attack_the_servers_key_signs_a_release() -> None:
    header = HEADER | {"kid": ASSIGNMENT.kid}
    assert refusal(signed(header, CLAIMS, ASSIGNMENT.sign)) is Refusal.KEY_UNKNOWN


def test_attack_a_release_key_signs_a_ticket() -> None:
    with pytest.raises(DocumentRefusedError) as refused:
        ticket.read(ticket.make(TICKET, RELEASE), trusted(), NOW)
    assert refused.value.reason is Refusal.KEY_UNKNOWN


def test_attack_a_key_that_nobody_knows() -> None:
    assert refusal(manifest.make(MANIFEST, STRANGER)) is Refusal.KEY_UNKNOWN
    assert refusal(signed(HEADER, CLAIMS, STRANGER.sign)) is Refusal.SIGNATURE_INVALID


def test_attack_a_rotated_out_key() -> None:
    text = manifest.make(MANIFEST, RELEASE)
    assert refusal(text, trusted(2, revoked=(RELEASE.kid,))) is Refusal.KEY_REVOKED
    assert refusal(text, now=NOW + YEAR) is Refusal.KEY_OUT_OF_TIME
    assert refusal(text, now=NOW - YEAR - timedelta(seconds=1)) is Refusal.KEY_OUT_OF_TIME


def test_attack_signatures_of_zeros() -> None:
    for signature in (bytes(64), b"\x00" * 63 + b"\x01", b"\xff" * 64):
        assert refusal(signed(HEADER, CLAIMS, _always(signature))) is Refusal.SIGNATURE_INVALID


@given(st.data())
def test_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    text = bytearray(manifest.make(MANIFEST, RELEASE).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= 1 << data.draw(st.integers(0, 7))
    refusal(text.decode("latin-1"))


@given(st.text(max_size=4_000) | st.binary(max_size=4_000).map(lambda junk: junk.decode("latin-1")))
def test_junk_is_refused(junk: str) -> None:
    refusal(junk)


def test_what_is_too_long_or_too_deep_is_refused_unread() -> None:
    assert refusal("a" * 1_000_000) is Refusal.MALFORMED
    deep = to_base64url(b"[" * 100)
    assert refusal(f"{deep}.{deep}.{to_base64url(bytes(64))}") is Refusal.MALFORMED


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("counter", 0),
        ("counter", 1.0),
        ("counter", "1"),
        ("counter", True),
        ("counter", 2**31),
        ("version", "1.1"),
        ("version", "01.1.0"),
        ("version", "1.0.0\n"),
        ("sha256", "AB" * 32),
        ("sha256", "ab" * 31),
        ("size", 0),
        ("size", 2**40),
        ("families", []),
        ("families", ["../../etc"]),
        ("hardware", []),
        ("hardware", ["*x"]),
        ("released_at", -1),
        ("chip", ""),
    ],
)
def test_claims_that_are_out_of_bounds_are_refused_although_they_are_signed(member: str, value: object) -> None:
    assert refusal(signed(HEADER, CLAIMS | {member: value})) is Refusal.MALFORMED


def test_what_a_document_lacks_makes_it_malformed_and_what_it_has_beyond_is_ignored() -> None:
    assert manifest.read(signed(HEADER, CLAIMS | {"more": [1]}), trusted(), NOW)[0] == MANIFEST
    for name in CLAIMS:
        assert (
            refusal(signed(HEADER, {key: value for key, value in CLAIMS.items() if key != name})) is Refusal.MALFORMED
        )


class TestTrustSet:
    def reason(self, text: str, *, former: TrustSet | None = None, now: datetime | None = NOW) -> Refusal:
        with pytest.raises(DocumentRefusedError) as refused:
            trust.read(text, [ROOT.public, SPARE_ROOT.public], now, former=former)
        return refused.value.reason

    def test_attack_a_trust_set_rolled_back(self) -> None:
        assert self.reason(trust.make(trusted(1), ROOT), former=trusted(2)) is Refusal.REPLAYED

    def test_attack_a_second_truth_of_the_same_version(self) -> None:
        other = trusted(2, revoked=(RELEASE.kid,))
        assert self.reason(trust.make(other, ROOT), former=trusted(2)) is Refusal.REPLAYED
        again = trust.read(trust.make(trusted(2), SPARE_ROOT), [SPARE_ROOT.public], NOW, former=trusted(2))
        assert again == trusted(2)

    def test_attack_frozen_in_an_old_set(self) -> None:
        text = trust.make(trusted(until=NOW), ROOT)
        assert self.reason(text) is Refusal.EXPIRED
        assert trust.read(text, [ROOT.public], None) == trusted(until=NOW)  # whoever has no clock can't tell

    def test_attack_a_release_key_makes_itself_a_root(self) -> None:
        assert self.reason(trust.make(trusted(), RELEASE)) is Refusal.KEY_UNKNOWN

    def test_the_spare_root_puts_the_stolen_one_out(self) -> None:
        after = trust.read(
            trust.make(trusted(2, revoked=(ROOT.kid,)), SPARE_ROOT), [ROOT.public, SPARE_ROOT.public], NOW
        )
        assert self.reason(trust.make(trusted(3), ROOT), former=after) is Refusal.KEY_REVOKED

    def test_a_root_that_revokes_itself_is_refused(self) -> None:
        assert self.reason(trust.make(trusted(2, revoked=(ROOT.kid,)), ROOT)) is Refusal.KEY_REVOKED

    def test_attack_a_key_under_another_ones_name(self) -> None:
        claims = json.loads(msgspec.json.encode(trusted()))
        claims["keys"][0] |= {"x": to_base64url(STRANGER.public.x), "y": to_base64url(STRANGER.public.y)}
        text = signed({"alg": "ES256", "kid": ROOT.kid, "typ": Kind.TRUST.typ}, claims, ROOT.sign)
        assert self.reason(text) is Refusal.MALFORMED

    def test_a_key_that_is_no_point_of_the_curve_is_refused(self) -> None:
        claims = json.loads(msgspec.json.encode(trusted()))
        claims["keys"][0] |= {"x": to_base64url(bytes(32)), "y": to_base64url(bytes(31) + b"\x01")}
        text = signed({"alg": "ES256", "kid": ROOT.kid, "typ": Kind.TRUST.typ}, claims, ROOT.sign)
        assert self.reason(text) is Refusal.MALFORMED

    def test_the_largest_set_fits(self) -> None:
        keys = tuple(
            TrustedKey.of(PrivateKey.new().public, Use.ASSIGNMENT, NOW, datetime(9999, 12, 31, tzinfo=UTC))
            for _ in range(8)
        )
        revoked = tuple(PrivateKey.new().kid for _ in range(8))
        full = TrustSet(version=2**31 - 1, iat=253402300799, exp=253402300799, keys=keys, revoked=revoked)
        assert len(trust.make(full, ROOT)) <= Kind.TRUST.max_bytes


def test_a_command_of_the_longest_documents_fits_a_gateways_buffer() -> None:
    names = tuple(f"{n}" + "f" * 30 for n in range(8))
    longest = Manifest(
        "p" * 31, names, "c" * 31, names, "1.0.0-" + "a" * 25, 2**31 - 1, 2**26, "f" * 64, 2**31 - 1, 253402300799
    )
    assert len(manifest.make(longest, RELEASE)) <= Kind.MANIFEST.max_bytes
    largest = Ticket("e" * 64, "G" * 64, "f" * 64, 2**53 - 1, *[253402300799] * 3)
    assert len(ticket.make(largest, ASSIGNMENT)) <= Kind.TICKET.max_bytes


def test_a_manifest_that_a_gateway_could_not_take_is_never_made() -> None:
    with pytest.raises(ValueError, match="the most that a gateway takes"):
        jws.make(Kind.MANIFEST, CLAIMS | {"notes": "x" * 2_000}, RELEASE)


def test_two_processes_that_make_a_key_at_once_have_one(tmp_path: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        kids = {key.kid for key in pool.map(load_or_make, [tmp_path / "keys" / "a.key"] * 8)}
    assert len(kids) == 1
    assert PublicKey.load(tmp_path / "keys" / "a.pub").kid in kids
    assert (tmp_path / "keys" / "a.key").stat().st_mode & 0o777 == 0o600
    assert {file.name for file in (tmp_path / "keys").iterdir()} == {"a.key", "a.pub"}


def test_a_private_key_never_shows_itself() -> None:
    assert repr(RELEASE) == f"PrivateKey({RELEASE.kid})"
