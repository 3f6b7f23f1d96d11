"""Spans of time as people type them: `0`, `90m`, `36h`, `30d`."""

import re
from typing import Final

MAX_SPAN_S: Final = 3_660 * 86_400  # ten years; more is a slip of the finger

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd]?)", re.ASCII)


def span_ms(text: str) -> int:
    """The span in milliseconds; a ValueError that says what is accepted otherwise."""
    match = _SPAN.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else -1.0
    if not 0 <= seconds <= MAX_SPAN_S:
        raise ValueError(f"{text!r} is no span of time; write a number with s, m, h or d, such as 90m, 36h or 30d.")
    return round(seconds * 1000)
