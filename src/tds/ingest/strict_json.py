"""JSON exactly as RFC 8259 has it. Slower than msgspec, and able to say what is wrong."""

import json
import re
from typing import Final, NoReturn

MAX_NESTING: Final = 32  # levels; the object at the top is level 1

# Left to right every escape is taken whole, so that `\\ud800` (a backslash, then letters) is not mistaken for one.
_ESCAPES: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
)
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class NotJsonError(ValueError):
    """Holds a sentence for whoever wrote the sender."""


def nested_within(payload: bytes, levels: int) -> bool:
    """Whether JSON text nests at most so deep. Linear and without recursion; for text that is no JSON any answer."""
    # Escaped pairs first (a run of backslashes is read in twos from the left), then every second part between
    # quotation marks lies outside the strings.
    outside = payload.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(outside).translate(None, _ALL_BUT_BRACKETS).replace(b"{", b"[").replace(b"}", b"]")
    if b"[" * (levels + 1) in brackets:  # the usual attack, refused before 32 rounds over 64 KiB
        return False
    for _ in range(levels):  # each round takes the innermost level of every branch away
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == before:  # none left, or what is left matches nothing
            break
    return not brackets


def load_object(payload: bytes) -> dict[str, object]:
    """The object at the top; of a key given twice the last value. Numbers come as float, too large ones as infinity."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise NotJsonError(f"The payload is not UTF-8 at byte {error.start}; send UTF-8.") from None
    if text.startswith("\ufeff"):
        raise NotJsonError("The payload begins with a byte order mark; send it without.")
    if not nested_within(payload, MAX_NESTING):
        raise NotJsonError(f"The payload nests deeper than {MAX_NESTING} levels or its brackets do not match.")
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJsonError(f"The payload is no JSON at character {error.pos}: {error.msg.strip(' :')}.") from None
    if any(found.lastgroup for found in _ESCAPES.finditer(text)):
        raise NotJsonError("The payload has a \\u escape of half a surrogate pair; send both halves or plain UTF-8.")
    if not isinstance(value, dict):
        raise NotJsonError("The payload is JSON but no object; send one that begins with '{'.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise NotJsonError(f"The payload has the word {name}, which is no JSON; leave a failed measurement out.")


def _whole_number(digits: str) -> float:
    # float and not int, which refuses more than 4,300 digits. `+ 0.0` because the integer -0 is 0, as msgspec has it.
    return float(digits) + 0.0


_DECODER: Final = json.JSONDecoder(parse_int=_whole_number, parse_float=float, parse_constant=_refuse_constant)
