"""A release as a person names it on the command line: its number, its version, or both product and version."""

import re
from typing import Final

from tds.updates.models import Release

MAX_SHOWN: Final = 5
_NUMBER: Final = re.compile(r"#?([0-9]{1,18})\Z")


class NotFoundError(Exception):
    """The text is a sentence."""


def find(text: str) -> Release:
    """`7` or `#7` by its number, `1.1.0`, `dcu@1.1.0`, `dcu@1.1.0@host`. Raises NotFoundError."""
    if number := _NUMBER.match(text):
        found = list(Release.objects.filter(pk=int(number[1])))
    else:
        parts = text.split("@")
        fields = ("version",) if len(parts) == 1 else ("product", "version", "chip")
        if len(parts) > len(fields) or not all(parts):
            raise _none(text)
        found = list(Release.objects.filter(**dict(zip(fields, parts, strict=False)))[: MAX_SHOWN + 1])
    if len(found) == 1:
        return found[0]
    if not found:
        raise _none(text)
    shown = ", ".join(f"#{one.pk} ({one} for {one.chip}, {one.kind})" for one in found[:MAX_SHOWN])
    raise NotFoundError(f"{text!r} is more than one release; name it by its number: {shown}.")


def _none(text: str) -> NotFoundError:
    return NotFoundError(f"There is no release {text!r}; ./tds release list shows all.")
