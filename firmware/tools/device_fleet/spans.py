"""Spans of time as people type them: 10s, 5m, 2h."""

import re
from typing import Final

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN: Final = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*([smhd]?)", re.ASCII)


def seconds(text: str) -> float:
    """Raises ValueError with a sentence."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no span of time; write a number with s, m, h or d, such as 90s or 5m.")
    return float(match[1]) * _UNITS_S[match[2]]


def shown(span_s: float) -> str:
    """Short, for a column: 7 s, 12 min, 3 h."""
    for unit, of_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if span_s >= 2 * of_s:
            return f"{span_s / of_s:.0f} {unit}"
    return f"{span_s:.0f} s"
