"""A unit's label: 50 × 25 mm, a QR code and the same in letters. It sticks on the case: never a secret on it. Pure."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Final
from urllib.parse import quote

import segno

WIDTH_MM: Final = 50
HEIGHT_MM: Final = 25
QUIET_MODULES: Final = 4  # ISO/IEC 18004, 9.1: light around the code
ERROR_CORRECTION: Final = "m"  # 15 % of it may be scratched
UNITS_A_MM: Final = 10  # of the drawing
QR_SIDE: Final = 250
TEXT_LEFT: Final = 250
TEXT_WIDTH: Final = 240
CHAR_WIDTH: Final = 0.62  # of a monospaced font, in its size
LARGEST: Final = 34
SMALLEST: Final = 17
SMALL: Final = 19
LINE: Final = 1.25  # of the size


def content(code: str, family: str, hardware: str) -> str:
    """What the code says, as a URI: any library takes it apart, and a person can read it.

    `tds:GW-0001?family=dcu-0080&hardware=C`; what is not known is left out.
    """
    known = [f"{name}={quote(text, safe='')}" for name, text in (("family", family), ("hardware", hardware)) if text]
    return f"tds:{code}" + ("?" + "&".join(known) if known else "")


def svg(code: str, family: str, hardware: str) -> str:
    """The label as an SVG of its own, which a page can also hold inside. Black on white, whatever is around it."""
    said = content(code, family, hardware)
    matrix = segno.make_qr(said, error=ERROR_CORRECTION, boost_error=False).matrix
    side = len(matrix) + 2 * QUIET_MODULES
    width, height = WIDTH_MM * UNITS_A_MM, HEIGHT_MM * UNITS_A_MM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{WIDTH_MM}mm" '
        f'height="{HEIGHT_MM}mm" role="img"><title>{escape(code)}</title><desc>{escape(said)}</desc>'
        f'<path fill="#fff" d="M0 0h{width}v{height}H0z"/>'
        f'<path transform="scale({QR_SIDE / side:.4f})" stroke="#000" shape-rendering="crispEdges" '
        f'd="{_lines(matrix)}"/>'
        f'<g font-family="ui-monospace,Menlo,Consolas,monospace" fill="#000">{_letters(code, family, hardware)}</g>'
        "</svg>\n"
    )


def shows(drawn: str, code: str, family: str, hardware: str) -> bool:
    """Whether this is a whole label of such a unit: to see on a second run without drawing it again."""
    return f"<desc>{escape(content(code, family, hardware))}</desc>" in drawn and drawn.endswith("</svg>\n")


def _lines(matrix: Sequence[Sequence[int]]) -> str:
    """The dark modules, row by row: a stroke of width 1 lies half above and half below its line."""
    drawn = []
    for y, row in enumerate(matrix, start=QUIET_MODULES):
        x = QUIET_MODULES
        for dark, run in groupby(row):
            length = len(list(run))
            if dark:
                drawn.append(f"M{x} {y}.5h{length}")
            x += length
    return "".join(drawn)


def _letters(code: str, family: str, hardware: str) -> str:
    size = max(SMALLEST, min(LARGEST, int(TEXT_WIDTH / (CHAR_WIDTH * len(code)))))
    at_once = int(TEXT_WIDTH / (CHAR_WIDTH * size))
    parts = [code[start : start + at_once] for start in range(0, len(code), at_once)]
    lines = [(part, size, True) for part in parts]
    for text in filter(None, (family, hardware)):
        at_once = int(TEXT_WIDTH / (CHAR_WIDTH * SMALL))
        lines += [(text[start : start + at_once], SMALL, False) for start in range(0, len(text), at_once)]
    y = (HEIGHT_MM * UNITS_A_MM - sum(size * LINE for _text, size, _bold in lines)) / 2
    drawn = []
    for text, its_size, bold in lines:
        y += its_size * LINE
        weight = ' font-weight="700"' if bold else ""
        drawn.append(
            f'<text x="{TEXT_LEFT}" y="{y - its_size * (LINE - 1):.0f}" font-size="{its_size}"{weight} '
            f'xml:space="preserve">{escape(text)}</text>'
        )
    return "".join(drawn)
