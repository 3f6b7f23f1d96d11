"""Signed documents whose text, signature or claims are not as they must be."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.update_cases import (
    MANIFEST,
    MANIFEST_CLAIMS,
    RELEASE,
    STRANGER,
    Case,
    forged,
)
from tests.update_signing import P256_ORDER, Document, base64url, written

MAX_CHARS: Final = 1_536  # of a manifest


def texts_that_are_forged() -> Iterator[Case]:
    good = Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE)
    text = str(good)
    yield forged("no text", "")
    yield forged("no dot", text.replace(".", ""))
    yield forged("two dots", "..")
    yield forged("one part", good.header)
    yield forged("two parts", f"{good.header}.{good.claims}")
    yield forged("no signature", replace(good, signature=""))
    yield forged("no claims", replace(good, claims="").signed_again(RELEASE))
    yield forged("four parts", f"{text}.")
    yield forged(
        "the JSON serialisation",
        json.dumps({"protected": good.header, "payload": good.claims, "signature": good.signature}),
    )
    for name, changed in {
        "a space before": f" {text}",
        "a line feed behind": f"{text}\n",
        "U+0000 behind": f"{text}\0",
        "a letter that is not ASCII": f"{text[:-1]}é",
    }.items():
        yield forged(name, changed)
    yield forged("a signature with padding", f"{text}==")
    yield forged("a header with padding", replace(good, header=padded(good.header)).signed_again(RELEASE))
    yield forged("claims with padding", replace(good, claims=padded(good.claims)).signed_again(RELEASE))
    yield forged("unused bits of the signature that are not 0", text[:-1] + after(text[-1]))
    for spaces in (b"", b" ", b"  "):  # whichever ends with bits of which no byte is made
        claims = base64url(written(MANIFEST_CLAIMS) + spaces)
        if len(claims) % 4:
            loose = replace(good, claims=claims[:-1] + after(claims[-1])).signed_again(RELEASE)
            yield forged(f"unused bits of the claims that are not 0, of {len(claims) % 4} characters", loose)
    whole = base64url(written(MANIFEST_CLAIMS) + b" " * (-len(written(MANIFEST_CLAIMS)) % 3))
    yield forged("a character that no byte is made of", replace(good, claims=f"{whole}A").signed_again(RELEASE))
    plain = base64url(written(MANIFEST_CLAIMS | {"notes": "~~~???>>>"}))
    yield forged("plain base64", replace(good, claims=plain.replace("-", "+").replace("_", "/")).signed_again(RELEASE))
    yield forged(
        "a line feed within the claims",
        replace(good, claims=f"{good.claims[:40]}\n{good.claims[40:]}").signed_again(RELEASE),
    )
    yield forged("a signature of 63 bytes", replace(good, signature=base64url(b"\1" * 63)))
    yield forged("a signature of 65 bytes", replace(good, signature=base64url(b"\1" * 65)))
    der = b"\x30\x44\x02\x20" + b"\1" * 32 + b"\x02\x20" + b"\1" * 32
    yield forged("a signature in DER", replace(good, signature=base64url(der)))
    yield forged("1 MB", Document.of(MANIFEST, written(MANIFEST_CLAIMS) + b" " * 750_000, RELEASE))
    yield forged("1 MB of dots", "." * 1_000_000)


def padded(part: str) -> str:
    return part + "=" * (-len(part) % 4 or 4)


def after(character: str) -> str:
    """The next one of the alphabet: another last bit."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(character) + 1]


def signatures_that_are_forged() -> Iterator[Case]:
    good = Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE)
    signature = RELEASE.sign(f"{good.header}.{good.claims}".encode())
    r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
    order = P256_ORDER
    pairs = {
        "r and s of 0": (0, 0),
        "r of 0": (0, s),
        "s of 0": (r, 0),
        "r of 1 and s of 1": (1, 1),
        "r and s of the group's order": (order, order),
        "r beyond the group's order": (2**256 - 1, s),
        "s beyond the group's order": (r, 2**256 - 1),
        "r and s in each other's place": (s, r),
    }
    for name, (forged_r, forged_s) in pairs.items():
        document = replace(good, signature=base64url(forged_r.to_bytes(32) + forged_s.to_bytes(32)))
        yield forged(name, document, "signature_invalid")
    other_s = replace(good, signature=base64url(r.to_bytes(32) + (order - s).to_bytes(32)))
    yield Case("the other s of the same signature", "manifest", str(other_s), accepted=MANIFEST_CLAIMS)
    for byte in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[byte] ^= 1
        name = f"one flipped bit in byte {byte} of the signature"
        yield forged(name, replace(good, signature=base64url(bytes(changed))), "signature_invalid")
    lower = base64url(written(MANIFEST_CLAIMS | {"counter": 6}))
    yield forged("one flipped bit of the claims", replace(good, claims=lower), "signature_invalid")
    header = base64url(b" " + json.dumps({"alg": "ES256", "kid": RELEASE.kid, "typ": MANIFEST}).encode())
    yield forged("the same header in another text", replace(good, header=header), "signature_invalid")
    other = Document.of(MANIFEST, MANIFEST_CLAIMS | {"counter": 8}, RELEASE)
    yield forged("the signature of another manifest", replace(good, signature=other.signature), "signature_invalid")
    yield forged(
        "signed over the claims alone",
        replace(good, signature=base64url(RELEASE.sign(good.claims.encode()))),
        "signature_invalid",
    )
    yield forged("signed by somebody else", good.signed_again(STRANGER), "signature_invalid")
    yield forged(
        "claims that are no JSON, signed by nobody", replace(good, claims=base64url(b"{")), "signature_invalid"
    )


def lengths() -> Iterator[Case]:
    """The longest that is taken, and the next."""
    former = Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE)
    for spaces in range(1, MAX_CHARS):
        longer = Document.of(MANIFEST, written(MANIFEST_CLAIMS) + b" " * spaces, RELEASE)
        if len(str(longer)) > MAX_CHARS:
            break
        former = longer
    yield Case(f"{len(str(former)):,} characters", "manifest", str(former), accepted=MANIFEST_CLAIMS)
    yield forged(f"{len(str(longer)):,} characters", longer)


def cases() -> Iterator[Case]:
    yield from texts_that_are_forged()
    yield from lengths()
    yield from signatures_that_are_forged()
