"""What a request wants of a file: all, a part, nothing new (RFC 9110, 13 and 14). Pure.

One range is answered as such. Several are answered with the whole file, which RFC 9110, 14.2, allows: nobody who
downloads firmware needs them, and with many small or overlapping ones a small request could cause a large answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_DIGITS: Final = 18  # of a position: more than any file has, and cheap to read
_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*\Z", re.ASCII)
_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e]*")')


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to before `end`; `is_part` when the client asked for a part."""

    start: int
    end: int
    is_part: bool = False


class NotModifiedError(Exception):
    """304: the client has it."""


class UnsatisfiableError(Exception):
    """416: there is nothing in the file where the client wants something."""


def wanted(headers: Mapping[str, str], etag: str, size: int, *, parts: bool = True) -> Span:
    """`etag` is strong, with its quotes; `parts`: the method is GET, of which alone there are some (RFC 9110, 14.2).

    Raises NotModifiedError, UnsatisfiableError.
    """
    if (known := headers.get("If-None-Match")) is not None and _knows(known, etag):
        raise NotModifiedError
    asked = headers.get("Range")
    # A weak tag, or a date, says too little to put two parts together (RFC 9110, 13.1.5).
    if not parts or asked is None or headers.get("If-Range", etag).strip() != etag:
        return Span(0, size)
    return _span(asked, size)


def _knows(listed: str, etag: str) -> bool:
    return listed.strip() == "*" or any(found[2] == etag for found in _TAG.finditer(listed))


def _span(asked: str, size: int) -> Span:
    found = _ONE_RANGE.match(asked)
    if found is None or not (found[1] or found[2]):
        return Span(0, size)  # several, another unit, or nonsense: as if it were not there
    first, last = _position(found[1]), _position(found[2])
    if first is None:
        suffix = min(last or 0, size)
        if not suffix:
            raise UnsatisfiableError
        return Span(size - suffix, size, is_part=True)
    if last is not None and last < first:
        return Span(0, size)
    if first >= size:
        raise UnsatisfiableError
    return Span(first, size if last is None else min(last + 1, size), is_part=True)


def _position(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS
