"""Signed documents that are good, that name the wrong key, and whose header is not as it must be."""

import hmac
import json
from collections.abc import Iterator
from dataclasses import replace

from tests.update_cases import (
    ASSIGNMENT,
    FORMER,
    FUTURE,
    MANIFEST,
    MANIFEST_CLAIMS,
    NOW,
    RELEASE,
    REVOKED,
    ROOT,
    STRANGER,
    TICKET,
    TICKET_CLAIMS,
    TRUST,
    TRUST_SET,
    Case,
    forged,
    manifest,
    ticket,
)
from tests.update_signing import Document, Key, base64url, written


def good_documents() -> Iterator[Case]:
    yield manifest("a manifest", accepted=MANIFEST_CLAIMS)
    yield ticket("a ticket", accepted=TICKET_CLAIMS)
    backwards = dict(reversed(MANIFEST_CLAIMS.items()))
    spaced = json.dumps(backwards, indent=2).encode()
    yield manifest("members in another order, with spaces", spaced, accepted=MANIFEST_CLAIMS)
    header = f' {{ "typ" : "{MANIFEST}", "kid": "{RELEASE.kid}",\r\n\t"alg":"ES\\u0032\\u0035\\u0036" }} '
    document = Document.with_header(header.encode(), MANIFEST_CLAIMS, RELEASE)
    yield Case(
        "a header in another order, with spaces and escapes", "manifest", str(document), accepted=MANIFEST_CLAIMS
    )
    news = {"notes": {"en": ["first", None, 1.5]}, "product ": "other"}
    yield manifest("members that are not known yet", MANIFEST_CLAIMS | news, accepted=MANIFEST_CLAIMS)
    twice = written(MANIFEST_CLAIMS)[:-1] + b',"counter":8}'
    yield manifest("a claim that is given twice: the last one counts", twice, accepted=MANIFEST_CLAIMS | {"counter": 8})
    most = MANIFEST_CLAIMS | {"product": "p" * 31, "chip": "c" * 31, "families": [f"{i}" * 31 for i in range(8)]}
    most |= {"hardware": ["*", *"ABCDEFG"], "counter": 2**31 - 1, "min_source_counter": 2**31 - 1}
    most |= {"size": 64 * 1024**2, "version": "1.0.0-alpha.1+build.01234567.ab", "released_at": 253_402_300_799}
    yield manifest("the most that a manifest can say", most, accepted=most)
    least = MANIFEST_CLAIMS | {"families": ["f"], "hardware": ["*"], "size": 1, "counter": 1, "version": "0.0.0"}
    least |= {"released_at": 0}
    yield manifest("the least that a manifest can say", least, accepted=least)
    most = TICKET_CLAIMS | {
        "seq": 2**53 - 1,
        "execution_id": "e" * 64,
        "gateway_code": "G" * 64,
        "exp": 253_402_300_799,
    }
    yield ticket("the most that a ticket can say", most, accepted=most)
    yield manifest("a former key, and the time is not known", key=FORMER, now=None, accepted=MANIFEST_CLAIMS)
    yield manifest("a key on its last second", key=FORMER, now=NOW - 1, accepted=MANIFEST_CLAIMS)
    yield manifest("a key from its first second on", key=FUTURE, now=NOW + 1, accepted=MANIFEST_CLAIMS)


def keys_that_do_not_count() -> Iterator[Case]:
    yield manifest("a key that is revoked", key=REVOKED, refused="key_revoked")
    yield manifest("a key that is revoked, and the time is not known", key=REVOKED, now=None, refused="key_revoked")
    yield manifest("a key that nobody knows", key=STRANGER, refused="key_unknown")
    yield manifest("an assignment key signs a manifest", key=ASSIGNMENT, refused="key_unknown")
    yield ticket("a release key signs a ticket", key=RELEASE, refused="key_unknown")
    yield manifest("a root key signs a manifest", key=ROOT, refused="key_unknown")
    yield manifest("a key that was rotated out", key=FORMER, refused="key_out_of_time")
    yield manifest("a key whose time has not come", key=FUTURE, refused="key_out_of_time")
    yield forged(
        "a header that names another's key",
        Document.of(MANIFEST, MANIFEST_CLAIMS, STRANGER, kid=RELEASE.kid),
        "signature_invalid",
    )
    for name, kid in (
        ("an empty kid", ""),
        ("a kid that is cut short", RELEASE.kid[:-1]),
        ("a kid with more behind it", f"{RELEASE.kid}A"),
        ("a kid of 90 characters", "k" * 90),
        ("a kid with U+0000 behind it", f"{RELEASE.kid}\0"),
    ):
        yield forged(name, Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, kid=kid), "key_unknown")
    yield forged(
        "a kid in capitals", Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, kid=RELEASE.kid.upper()), "key_unknown"
    )


def headers_that_are_forged() -> Iterator[Case]:
    good = Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE)
    yield forged("alg none", replace(Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, alg="none"), signature=""))
    yield forged("alg none with a signature", Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, alg="none"))
    hs256 = Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, alg="HS256")
    signed = f"{hs256.header}.{hs256.claims}".encode()
    secret = hmac.digest(RELEASE.point, signed, "sha256")
    yield forged("HS256 with the public key as its secret", replace(hs256, signature=base64url(secret)))
    yield forged("HS256 with a signature of 64 bytes", replace(hs256, signature=base64url(secret + secret)))
    for alg in ("ES384", "es256", "ES256 ", "ES256\0", "", None, 256, ["ES256"]):
        yield forged(f"alg {json.dumps(alg)}", Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, alg=alg))
    jwk = {"kty": "EC", "crv": "P-256", "x": base64url(STRANGER.point[:32]), "y": base64url(STRANGER.point[32:])}
    for member, value in {
        "crit": ["exp"],
        "jwk": jwk,
        "jku": "https://example.com/keys",
        "x5c": [],
        "b64": True,
        "cty": "JWT",
        "Alg": "ES256",
    }.items():
        yield forged(
            f"a header with {member} as well", Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, **{member: value})
        )
    for member in ("alg", "kid", "typ"):
        less = {name: value for name, value in json.loads(header_of(RELEASE)).items() if name != member}
        yield forged(f"a header without {member}", Document.with_header(written(less), MANIFEST_CLAIMS, RELEASE))
    twice = {
        "alg": '"alg":"ES256"',
        "kid": f'"kid":"{RELEASE.kid}"',
        "typ": f'"typ":"{MANIFEST}"',
        "alg none": '"alg":"none"',
        "alg, escaped,": '"\\u0061lg":"ES256"',
    }
    for name, member in twice.items():
        header = header_of(RELEASE)[:-1] + f",{member}}}".encode()
        yield forged(f"a header with {name} twice", Document.with_header(header, MANIFEST_CLAIMS, RELEASE))
    first = b'{"alg":"none",' + header_of(RELEASE)[1:]
    yield forged("a header with alg none first", Document.with_header(first, MANIFEST_CLAIMS, RELEASE))
    for name, kid in (("a number", 1), ("null", None), ("a list", [RELEASE.kid]), ("an object", {"kid": RELEASE.kid})):
        yield forged(f"a kid that is {name}", Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, kid=kid))
    for name, header in {
        "is a list": written(["ES256", RELEASE.kid, MANIFEST]),
        "is a text": b'"ES256"',
        "is empty": b"",
        "is no JSON": b"alg=ES256",
        "has more behind it": header_of(RELEASE) + b"{}",
        "has a comma too many": header_of(RELEASE)[:-1] + b",}",
        "begins with a byte order mark": b"\xef\xbb\xbf" + header_of(RELEASE),
        "is in UTF-16": header_of(RELEASE).decode().encode("utf-16"),
        "is no UTF-8": header_of(RELEASE)[:-2] + b'\xff"}',
        "has half a surrogate pair": header_of(RELEASE)[:-2] + b'\\ud800"}',
        "is nested 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
        "nests 90 deep": b'{"alg":' + b"[" * 90 + b"]" * 90 + b"}",
        "is longer than 256 characters": header_of(RELEASE)[:-1] + b" " * 180 + b"}",
    }.items():
        yield forged(f"a header that {name}", Document.with_header(header, MANIFEST_CLAIMS, RELEASE))
    yield forged("a ticket given as a manifest", Document.of(TICKET, TICKET_CLAIMS, ASSIGNMENT))
    yield forged("a manifest given as a ticket", good, kind="ticket")
    yield forged("a trust set given as a manifest", Document.of(TRUST, TRUST_SET, ROOT))
    for typ in (
        "JWT",
        "",
        "TDS-MANIFEST+JWS",
        "application/tds-manifest+jws",
        f"{MANIFEST}\0",
        "t" * 90,
        None,
        1,
        [MANIFEST],
    ):
        yield forged(f"typ {json.dumps(typ)[:40]}", Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE, typ=typ))


def header_of(key: Key, typ: str = MANIFEST) -> bytes:
    return written({"alg": "ES256", "kid": key.kid, "typ": typ})


def cases() -> Iterator[Case]:
    yield from good_documents()
    yield from keys_that_do_not_count()
    yield from headers_that_are_forged()
