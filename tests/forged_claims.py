"""Documents that are well signed and whose claims are not as they must be."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.update_cases import MANIFEST_CLAIMS, TICKET_CLAIMS, Case, manifest, ticket
from tests.update_signing import written

ANY_TYPE: Final[tuple[Any, ...]] = (None, True, [], {}, "")
NO_INTEGERS: Final = (1.0, 1.5, "1", -1)
NO_NAMES: Final = ("", "n" * 32, "-a", ".", "a b", "a/b", "é", "a\0", "a\n", 1)
NO_HASHES: Final = ("a" * 63, "a" * 65, "A" * 64, "g" * 64, "0x" + "a" * 62, "a" * 63 + "\n", 7)
NO_VERSIONS: Final = (
    *(
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "01.0.0",
        "1.00.0",
        "1.0.-1",
        "1.0.0 ",
        " 1.0.0",
        "1.0.0-",
        "1.0.0+",
        "1.0.0-a..b",
    ),
    *("1.0.0-01", "1.0.0+a+b", "1.0.0-a_b", "1.0.0-é", "1.0.٣", "1.0.0\n", "1.0.0-" + "a" * 26, "a.b.c", "*", 1),
)
MANIFEST_FORGERIES: Final[Mapping[str, tuple[Any, ...]]] = {
    "product": (*NO_NAMES, "*"),
    "chip": NO_NAMES,
    "families": ("dcu-0080", [], ["f"] * 9, [1], [["f"]], [None], *([name] for name in NO_NAMES), ["f", "*"]),
    "hardware": ("*", [], ["A"] * 9, [1], *([name] for name in NO_NAMES), ["**"], ["A", ""]),
    "version": NO_VERSIONS,
    "counter": (*NO_INTEGERS, 0, 2**31, 2**63, 10**60),
    "min_source_counter": (*NO_INTEGERS, 2**31),
    "size": (*NO_INTEGERS, 0, 64 * 1024**2 + 1),
    "sha256": NO_HASHES,
    "released_at": (*NO_INTEGERS, 253_402_300_800, "2025-11-26T00:00:00Z"),
}
TICKET_FORGERIES: Final[Mapping[str, tuple[Any, ...]]] = {
    "execution_id": ("e" * 65, "a b", "a\0", "é", "a\n", "a/b", '"', 1),
    "gateway_code": ("G" * 65, "-G", "G 1", "G/1", "é", "G\0", "G\n", "#", 1),
    "manifest_sha256": NO_HASHES,
    "seq": (*NO_INTEGERS, 0, 2**53, 2**63, 2**64, 10**60),
    "iat": (*NO_INTEGERS, 253_402_300_800),
    "exp": (*NO_INTEGERS, 253_402_300_800),
    "not_before": (*NO_INTEGERS, 253_402_300_800),
}
MAX_LEVELS: Final = 16  # bounds.h: JSON_MAX_DEPTH, CLAIMS_MAX_TOKENS
MAX_TOKENS: Final = 160


def shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}… ({len(text)} characters)"


def members(kind: str) -> Iterator[Case]:
    """Each member left out, of each wrong type, and out of its bounds."""
    make = manifest if kind == "manifest" else ticket
    good = MANIFEST_CLAIMS if kind == "manifest" else TICKET_CLAIMS
    for member, values in (MANIFEST_FORGERIES if kind == "manifest" else TICKET_FORGERIES).items():
        less = {name: value for name, value in good.items() if name != member}
        yield make(f"a {kind} without {member}", less, refused="malformed")
        found = {json.dumps(value): value for value in (*values, *ANY_TYPE)}  # 1 is not True
        for i, value in enumerate(found.values()):
            yield make(f"a {kind} with {member} {shown(value)} ({i})", good | {member: value}, refused="malformed")


def numbers() -> Iterator[Case]:
    """As texts that Python's own encoder does not write."""
    for number in ("1e0", "1E0", "7.0", "1e400", "-7", "+7", "07", "0x7", "NaN", "Infinity", "7 7", "", "7_0", "٧"):
        text = written(MANIFEST_CLAIMS).replace(b'"counter":7', b'"counter":' + number.encode())
        yield manifest(f"a counter written as {number!r}", text, refused="malformed")
    for value in ("NaN", "Infinity", "-Infinity", "01", "'x'", "undefined"):
        text = written(MANIFEST_CLAIMS)[:-1] + b',"x":' + value.encode() + b"}"
        yield manifest(f"a member that is not known yet is {value}", text, refused="malformed")


def texts() -> Iterator[Case]:
    good = written(MANIFEST_CLAIMS)
    for name, text in {
        "empty": b"",
        "a space": b" ",
        "a list": written([MANIFEST_CLAIMS]),
        "a text": written(good.decode()),
        "null": b"null",
        "an empty object": b"{}",
        "cut short": good[:-1],
        "with more behind them": good + b"{}",
        "with a comma too many": good[:-1] + b",}",
        "with a comment": good[:-1] + b"/* */}",
        "with a byte order mark": b"\xef\xbb\xbf" + good,
        "in UTF-16": good.decode().encode("utf-16"),
        "with a byte that is no UTF-8": good[:-1] + b',"x":"\xff"}',
        "with an overlong NUL": good[:-1] + b',"x":"\xc0\x80"}',
        "with half a surrogate pair": good[:-1] + b',"x":"\\ud800"}',
        "with a line feed in a text": good[:-1] + b',"x":"\n"}',
        "with U+0000 behind": good + b"\0",
        "of which the last of two members counts": good[:-1] + b',"counter":"7"}',
    }.items():
        yield manifest(f"claims that are {name}", text, refused="malformed")


def nested(levels: int) -> bytes:
    return written(MANIFEST_CLAIMS)[:-1] + b',"x":' + b"[" * levels + b"]" * levels + b"}"


def bounds() -> Iterator[Case]:
    """What a device has memory for, and what it doesn't: the platform's own documents never come near it."""
    yield manifest("claims as deep as devices take", nested(MAX_LEVELS - 1), accepted=MANIFEST_CLAIMS)
    yield manifest("claims deeper than devices take", nested(MAX_LEVELS), refused="malformed", by_devices=True)
    yield manifest("claims nested 200 deep", nested(200), refused="malformed", by_devices=True)
    yield manifest("claims nested 10,000 deep", nested(10_000), refused="malformed")
    taken = 1 + 2 * len(MANIFEST_CLAIMS) + 4  # of the object, its members, what is in the two lists
    for name, more, verdict in (
        ("claims with as much in them as devices take", 0, {"accepted": MANIFEST_CLAIMS}),
        ("claims with more in them than devices take", 1, {"refused": "malformed", "by_devices": True}),
    ):
        filler = ",".join("1" * (MAX_TOKENS - taken - 2 + more))
        yield manifest(name, written(MANIFEST_CLAIMS)[:-1] + f',"x":[{filler}]}}'.encode(), **verdict)


def cases() -> Iterator[Case]:
    yield from members("manifest")
    yield from members("ticket")
    yield from numbers()
    yield from texts()
    yield from bounds()
