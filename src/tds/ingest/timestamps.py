"""When a reading was measured: the one form of time that is accepted, as an instant in UTC."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

MAX_AHEAD: Final = timedelta(minutes=10)  # clocks drift; beyond this one is wrong
MAX_TIMESTAMP_CHARS: Final = len("2026-02-18T15:30:00.123456789-03:00")
TIMESTAMPS_REMEMBERED: Final = 1_024  # full: the one unused for longest goes

# [0-9] and not \d, which takes digits of every script. No second 60 and no hour 24: an instant has one name.
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


def parse_timestamp(text: str) -> datetime | None:
    """The instant in UTC, cut to the microsecond; None for any other form and for dates that do not exist."""
    # The length comes first, so that no 64 KiB text is ever remembered.
    return _parse(text) if len(text) <= MAX_TIMESTAMP_CHARS else None


# Gateways send what they measured together under one timestamp, one message a device.
@lru_cache(maxsize=TIMESTAMPS_REMEMBERED)
def _parse(text: str) -> datetime | None:
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        # fromisoformat takes many more forms, hence the pattern; digits beyond the sixth it drops, as we want.
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # no such day; or the offset leads out of the years 1 to 9999
        return None
