"""A release as a person names it on the command line: its number, its version, or both product and version."""

import re
from typing import Final

from django.db.models import Q

from tds.updates.models import Release

MAX_SHOWN: Final = 5
_NUMBER: Final = re.compile(r"#?([0-9]{1,18})\Z")


class NotFoundError(Exception):
    """The text is a sentence."""


def find(text: str) -> Release:
    """`7` or `#7` by its number, `1.1.0`, `dcu@1.1.0`, `dcu@1.1.0@dcu-0080`, `dcu@1.1.0@host`. Raises NotFoundError."""
    if number := _NUMBER.match(text):
        found = list(Release.objects.filter(pk=int(number[1])))
    else:
        found = list(Release.objects.filter(_named(text))[: MAX_SHOWN + 1])
    if len(found) == 1:
        return found[0]
    if not found:
        raise _none(text)
    shown = ", ".join(
        f"#{one.pk} ({one} for {', '.join(one.families)} on {one.chip}, {one.kind})" for one in found[:MAX_SHOWN]
    )
    more = ", …" if len(found) > MAX_SHOWN else ""
    raise NotFoundError(
        f"{text!r} is more than one release; name it by its number, or as PRODUCT@VERSION@FAMILY: {shown}{more}."
    )


def _named(text: str) -> Q:
    """Version, or product and version, and maybe what it is for: a family or a chip. Raises NotFoundError."""
    match text.split("@"):
        case [version] if version:
            return Q(version=version)
        case [product, version] if product and version:
            return Q(product=product, version=version)
        case [product, version, of] if product and version and of:
            return Q(product=product, version=version) & (Q(chip=of) | Q(families__contains=[of]))
        case _:
            raise _none(text)


def _none(text: str) -> NotFoundError:
    return NotFoundError(f"There is no release {text!r}; ./tds release list shows all.")
