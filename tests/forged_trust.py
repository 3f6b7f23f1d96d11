"""Trust sets: good ones, ones that follow another, and forged ones."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from tests.forged_claims import NO_INTEGERS, shown
from tests.update_cases import (
    ASSIGNMENT,
    DAY_S,
    MANIFEST,
    MANIFEST_CLAIMS,
    NOW,
    OTHER_ROOT,
    RELEASE,
    ROOT,
    STRANGER,
    TRUST,
    TRUST_SET,
    Case,
    Claims,
    trusted,
)
from tests.update_signing import Document, Key, base64url, thumbprint, written

THERE: Final = str(Document.of(TRUST, TRUST_SET, ROOT))  # what a device has that is asked to take the next one
NEXT: Final = TRUST_SET | {"version": 3}


def trust(name: str, claims: Mapping[str, Any] | bytes = TRUST_SET, key: Key = ROOT, **case: Any) -> Case:
    return Case(name, "trust", str(Document.of(TRUST, claims, key)), **case)


def good_sets() -> Iterator[Case]:
    yield trust("the first set", accepted=TRUST_SET)
    yield trust("a set signed by the other root", key=OTHER_ROOT, accepted=TRUST_SET)
    yield trust("a set that follows", NEXT, there=THERE, accepted=NEXT)
    yield trust("a set that follows, signed by the other root", NEXT, OTHER_ROOT, there=THERE, accepted=NEXT)
    far = TRUST_SET | {"version": 2**31 - 1}
    yield trust("a set that follows by far", far, there=THERE, accepted=far)
    yield trust("the set that is there", there=THERE, accepted=TRUST_SET)
    yield trust("the set that is there, signed by the other root", key=OTHER_ROOT, there=THERE, accepted=TRUST_SET)
    yield trust(
        "an expired set, and the time is not known", TRUST_SET | {"exp": 0}, now=None, accepted=TRUST_SET | {"exp": 0}
    )
    yield trust("a set on its last second", TRUST_SET | {"exp": NOW + 1}, accepted=TRUST_SET | {"exp": NOW + 1})
    bare = {"version": 1, "iat": 0, "exp": NOW + 1, "keys": [trusted(RELEASE, "release")], "revoked": []}
    yield trust("the least that a set can say", bare, accepted=bare)
    keys = [trusted(Key(f"assignment {i}"), "assignment", 0, 253_402_300_799) for i in range(8)]
    most = TRUST_SET | {"version": 2**31 - 1, "keys": keys, "revoked": [Key(f"revoked {i}").kid for i in range(8)]}
    yield trust("the most that a set can say", most, accepted=most)
    both = TRUST_SET | {"keys": [trusted(RELEASE, "release"), trusted(RELEASE, "assignment")]}
    yield trust("one key for two uses", both, accepted=both)
    news = TRUST_SET | {"notes": [{"x": 1}], "keys": [trusted(RELEASE, "release") | {"alg": "ES256"}]}
    known = TRUST_SET | {"keys": [trusted(RELEASE, "release")]}
    yield trust("members that are not known yet", news, accepted=known)
    yield trust(
        "a revoked key that nobody ever had",
        TRUST_SET | {"revoked": ["-" * 43]},
        accepted=TRUST_SET | {"revoked": ["-" * 43]},
    )


def sets_that_do_not_follow() -> Iterator[Case]:
    yield trust("a trust set that goes back", TRUST_SET | {"version": 1}, there=THERE, refused="replayed")
    other = TRUST_SET | {"keys": [trusted(STRANGER, "release")]}
    yield trust("the same version with other keys", other, there=THERE, refused="replayed")
    yield trust(
        "the same version without what is revoked", TRUST_SET | {"revoked": []}, there=THERE, refused="replayed"
    )
    expired = TRUST_SET | {"version": 3, "exp": NOW}
    yield trust("an expired set", expired, there=THERE, refused="expired")
    yield trust("an expired set, and there is none yet", TRUST_SET | {"exp": NOW - DAY_S}, refused="expired")
    yield trust(
        "a set that goes back and is expired", TRUST_SET | {"version": 1, "exp": NOW}, there=THERE, refused="replayed"
    )
    without = str(Document.of(TRUST, TRUST_SET | {"revoked": [OTHER_ROOT.kid]}, ROOT))
    yield trust("a root that was revoked", NEXT, OTHER_ROOT, there=without, refused="key_revoked")
    yield trust("the root that is left", NEXT, there=without, accepted=NEXT)
    own = NEXT | {"revoked": [ROOT.kid]}
    yield trust("a set that revokes the root that signed it", own, there=THERE, refused="key_revoked")
    yield trust("a set that revokes a root, signed by the other", own, OTHER_ROOT, there=THERE, accepted=own)


def sets_of_others() -> Iterator[Case]:
    good = Document.of(TRUST, TRUST_SET, ROOT)
    yield trust("a root that nobody knows", key=STRANGER, refused="key_unknown")
    for key in (RELEASE, ASSIGNMENT):
        yield trust(
            f"a set signed by an {key.name} key of the former one", NEXT, key, there=THERE, refused="key_unknown"
        )
    forged = Document.of(TRUST, TRUST_SET, STRANGER, kid=ROOT.kid)
    yield Case("a stranger's set in a root's name", "trust", str(forged), "signature_invalid")
    flipped = replace(good, claims=base64url(written(NEXT)))
    yield Case("a version that was raised", "trust", str(flipped), "signature_invalid", there=THERE)
    for name, document in {
        "alg none": replace(Document.of(TRUST, TRUST_SET, ROOT, alg="none"), signature=""),
        "a manifest given as a trust set": Document.of(MANIFEST, MANIFEST_CLAIMS, RELEASE),
        "a manifest signed by a root": Document.of(MANIFEST, MANIFEST_CLAIMS, ROOT),
        "a header with jwk as well": Document.of(TRUST, TRUST_SET, ROOT, jwk=trusted(STRANGER, "release")),
        "a signature with padding": replace(good, signature=f"{good.signature}=="),
    }.items():
        yield Case(name, "trust", str(document), "malformed")
    yield Case("an empty text", "trust", "", "malformed")
    filler = b" " * ((3_073 - len(str(good))) * 3 // 4 + 1)
    yield trust("3,073 characters", written(TRUST_SET) + filler, refused="malformed")
    yield trust("1 MB", written(TRUST_SET) + b" " * 750_000, refused="malformed")
    deep = written(TRUST_SET)[:-1] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    yield trust("claims nested 10,000 deep", deep, refused="malformed")
    yield trust("claims that are a list", written([TRUST_SET]), refused="malformed")
    yield trust("claims that are cut short", written(TRUST_SET)[:-1], refused="malformed")


def keys_that_are_forged() -> Iterator[Claims]:
    """What stands in the place of a key."""
    good = trusted(RELEASE, "release")
    for member in good:
        yield {name: value for name, value in good.items() if name != member}
    yield good | {"kid": STRANGER.kid}
    yield good | {"kid": good["kid"][:-1]}
    yield good | {"x": trusted(STRANGER, "release")["x"]}
    off_curve = bytes([*RELEASE.point[:-1], RELEASE.point[-1] ^ 1])
    yield good | {"kid": thumbprint(off_curve), "y": base64url(off_curve[32:])}
    nowhere = b"\xff" * 64
    yield good | {"kid": thumbprint(nowhere), "x": base64url(nowhere[:32]), "y": base64url(nowhere[32:])}
    zero = bytes(64)
    yield good | {"kid": thumbprint(zero), "x": base64url(zero[:32]), "y": base64url(zero[32:])}
    for text in (
        f"{good['x']}=",
        good["x"][:-1],
        f"{good['x']}A",
        base64url(RELEASE.point[:31]),
        f" {good['x']}",
        f"{good['x']}\0",
        "",
        7,
    ):
        yield good | {"x": text}
    for use in ("", "Release", "root", "release\0", None, 1, ["release"]):
        yield good | {"use": use}
    for moment in (*NO_INTEGERS, None, 253_402_300_800):
        yield good | {"nbf": moment}
        yield good | {"exp": moment}


def members_that_are_forged() -> Iterator[Case]:
    for i, key in enumerate(keys_that_are_forged()):
        yield trust(
            f"forged key {i}: {shown(key)}",
            TRUST_SET | {"keys": [trusted(ASSIGNMENT, "assignment"), key]},
            refused="malformed",
        )
    forgeries: Mapping[str, tuple[Any, ...]] = {
        "version": (*NO_INTEGERS, 0, 2**31, True, None),
        "iat": (*NO_INTEGERS, None),
        "exp": (*NO_INTEGERS, None, 253_402_300_800),
        "keys": ([], [trusted(RELEASE, "release")] * 9, {}, None, ["key"], [[]], RELEASE.kid),
        "revoked": (
            [STRANGER.kid] * 9,
            None,
            {},
            "",
            [""],
            [1],
            [f"{STRANGER.kid}="],
            [STRANGER.kid[:-1]],
            [f"{STRANGER.kid}A"],
        ),
    }
    for member, values in forgeries.items():
        less = {name: value for name, value in TRUST_SET.items() if name != member}
        yield trust(f"a set without {member}", less, refused="malformed")
        for i, value in enumerate(values):
            yield trust(f"forged {member} {i}: {shown(value)}", TRUST_SET | {member: value}, refused="malformed")


def cases() -> Iterator[Case]:
    yield from good_sets()
    yield from sets_that_do_not_follow()
    yield from sets_of_others()
    yield from members_that_are_forged()
