"""The charts' cursor: what a page has seen already. Opaque to whoever holds it. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
_FORM: Final = re.compile(r"1\.([0-9]{1,15})\.([0-9]{1,15})")


class Cursor(NamedTuple):
    """When the answer was made, and from which hour on things could still change unnoticed then."""

    made_at: datetime
    open_since: datetime

    def __str__(self) -> str:
        return f"1.{(self.made_at - EPOCH) // MILLISECOND}.{(self.open_since - EPOCH) // MILLISECOND}"


def parse_cursor(text: str) -> Cursor | None:
    """The cursor, or None for a text that is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    try:
        made_at, open_since = (EPOCH + int(digits) * MILLISECOND for digits in found.groups())
    except OverflowError:
        return None
    return Cursor(made_at, open_since)
