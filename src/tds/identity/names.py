"""Whose certificate it is: the common name (RFC 5280, 4.1.2.6), which the broker takes as user name and client id."""

import re
from typing import Final

from tds.fleet.codes import RESERVED_PREFIX, is_code, is_reserved

SERVICE_PATTERN: Final = r"_[a-z][a-z0-9-]{0,62}\Z"  # no gateway's code begins with an underscore
MAX_SHOWN_CHARS: Final = 80  # of a wrong name in a sentence

_SERVICE: Final = re.compile(SERVICE_PATTERN)


class NameRefusedError(Exception):
    """Nobody may have this name; the text is a sentence."""


def gateway_name(text: str) -> str:
    """The same text when a gateway may be called so; raises NameRefusedError."""
    if not is_code(text):
        raise NameRefusedError(
            f"{shown(text)} is no gateway code: 1 to 64 ASCII letters, digits, dots, dashes or underscores, "
            "the first a letter or digit."
        )
    if is_reserved(text):
        raise NameRefusedError(f"{shown(text)} begins with {RESERVED_PREFIX!r}, which is kept for the platform itself.")
    return text


def service_name(text: str) -> str:
    """The same text when a service may be called so; raises NameRefusedError."""
    if not _SERVICE.match(text):
        raise NameRefusedError(
            f"{shown(text)} is no name of a service: an underscore, then small letters, digits or dashes, "
            "as in _consumer."
        )
    return text


def shown(text: str) -> str:
    """Of what somebody sent, for a sentence: quoted, escaped and cut."""
    return ascii(text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…")
