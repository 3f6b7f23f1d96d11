"""The list of units that a factory makes: a CSV, judged as a whole before anything is written. Pure.

A row is one unit. Every finding names its line, because the person who reads it has the file open in a spreadsheet.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tds.identity import names
from tds.identity.factory.unit_cells import COLUMNS, REQUIRED, UNNAMED, CellRefusedError, value

# At a bound the file is refused as a whole, with a sentence.
MAX_CSV_BYTES: Final = 8 * 1024**2
MAX_LINE_BYTES: Final = 4_096
MAX_UNITS: Final = 20_000
MAX_LINES: Final = 50_000  # with empty ones between the units
MAX_FINDINGS: Final = 20  # sentences told; of the rest the number

BOM: Final = "\ufeff".encode()
WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")  # UTF-16, which Excel calls "Unicode text"
HOW_TO_SAVE: Final = (
    "In Excel save it as “CSV UTF-8 (comma delimited)”, in LibreOffice with the character set “Unicode (UTF-8)”, "
    "and try again."
)
SEPARATORS: Final = ",;"  # the second is Excel's where a comma is in the numbers, as in Brazil
EXCELS_OWN: Final = re.compile(r"sep=.\Z", re.IGNORECASE)  # a first line before the header


@dataclass(frozen=True, slots=True)
class Unit:
    """A row that keeps every rule. What is empty was not said."""

    line: int
    code: str
    tenant: str
    site: str = ""
    family: str = ""
    hardware: str = ""
    wifi_ssid: str = ""
    wifi_password: str = field(default="", repr=False)
    apn: str = ""
    broker: str = ""  # mqtts://host:port


class UnitsRefusedError(Exception):
    """Sentences, each with its line; `more` is how many there would be beyond them."""

    def __init__(self, *sentences: str, more: int = 0) -> None:
        self.sentences = sentences
        self.more = more
        rest = [f"There are {more:,} more findings."] if more else []
        super().__init__("\n".join([*sentences, *rest]))


class Findings:
    """Sentences up to a bound; beyond it they are counted."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.more = 0

    def add(self, sentence: str) -> None:
        if len(self.sentences) < MAX_FINDINGS:
            self.sentences.append(sentence)
        else:
            self.more += 1

    def refuse(self) -> None:
        """Raises UnitsRefusedError when there are any."""
        if self.sentences:
            raise UnitsRefusedError(*self.sentences, more=self.more)


class _Header(NamedTuple):
    separator: str
    columns: tuple[str, ...]


def units_of(data: bytes) -> tuple[Unit, ...]:
    """The units of a CSV in UTF-8, with or without BOM, its cells separated by commas or semicolons.

    Raises UnitsRefusedError: no row is taken unless every row can be.
    """
    if len(data) > MAX_CSV_BYTES:
        raise UnitsRefusedError(
            f"The file is larger than {MAX_CSV_BYTES:,} bytes; a list of {MAX_UNITS:,} units is not. Split it."
        )
    if data.startswith(WIDE_BOMS):
        raise UnitsRefusedError(f"Line 1 is in UTF-16, which Excel calls “Unicode text”. {HOW_TO_SAVE}")
    lines = _lines(data.removeprefix(BOM))
    header = _header(lines)
    findings = Findings()
    units: list[Unit] = []
    seen: dict[str, int] = {}
    for number, text in lines:
        unit = _unit(number, text, header, findings)
        if unit is None:
            continue
        # They become folders: Windows and macOS take GW-1 and gw-1 for the same.
        first = seen.setdefault(unit.code.casefold(), number)
        if first != number:
            findings.add(
                f"Line {number}: {names.shown(unit.code)} is in line {first} already, and a unit has one row; take one "
                "of them out."
            )
        units.append(unit)
        if len(units) > MAX_UNITS:
            raise UnitsRefusedError(f"Line {number}: there are more than {MAX_UNITS:,} units; split the file.")
    findings.refuse()
    if not units:
        raise UnitsRefusedError("The file has a header and no unit below it; add a row for each unit.")
    return tuple(units)


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Line by line: a file of nothing but line ends must not take much memory either."""
    stream = io.BytesIO(data)
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number > MAX_LINES:
            raise UnitsRefusedError(
                f"The file has more than {MAX_LINES:,} lines; split it, or take the empty ones out."
            )
        if len(line) > MAX_LINE_BYTES:
            raise UnitsRefusedError(
                f"Line {number} is longer than {MAX_LINE_BYTES:,} bytes, which no unit is; name the right file."
            )
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnitsRefusedError(
                f"Line {number} is not UTF-8 (byte 0x{line[error.start]:02X} at its byte {error.start + 1}), as in a "
                f"file saved as Latin-1 or Windows-1252. {HOW_TO_SAVE}"
            ) from None
        text = text.removesuffix("\n").removesuffix("\r")
        if text.strip(" \t;,"):  # Excel keeps rows that were emptied, with their separators
            yield number, text


def _header(lines: Iterator[tuple[int, str]]) -> _Header:
    number, text = next(lines, (1, ""))
    if EXCELS_OWN.match(text):  # what it says is seen in the header anyway
        number, text = next(lines, (number + 1, ""))
    if not text:
        raise UnitsRefusedError(f"The file is empty; its first line names the columns: {','.join(COLUMNS)}")
    header = max(
        (_header_with(separator, number, text) for separator in SEPARATORS),
        key=lambda each: len(set(each.columns) & set(COLUMNS)),
    )
    missing = [name for name in REQUIRED if name not in header.columns]
    if missing:
        raise UnitsRefusedError(
            f"Line {number} names no column {' and no column '.join(missing)}; the first line of the file names the "
            f"columns, with commas or semicolons between them: {','.join(COLUMNS)}"
        )
    findings = Findings()
    for place, name in enumerate(header.columns, start=1):
        if name not in (UNNAMED, *COLUMNS):
            findings.add(
                f"Line {number}, column {place}: {names.shown(name)} is no column of a unit; use: {', '.join(COLUMNS)}."
            )
        elif name != UNNAMED and name in header.columns[: place - 1]:
            findings.add(f"Line {number}, column {place}: {names.shown(name)} is there twice; take one of them out.")
    findings.refuse()
    return header


def _header_with(separator: str, number: int, text: str) -> _Header:
    try:
        return _Header(separator, tuple(map(_column, _cells(number, text, separator))))
    except UnitsRefusedError:  # "a";"b" with commas is no CSV at all
        return _Header(separator, ())


def _column(cell: str) -> str:
    return cell.strip().casefold().replace(" ", "_").replace("-", "_")


def _cells(number: int, text: str, separator: str) -> list[str]:
    """Of one line: no value has a line end in it, so that where a cell goes on in the next line a quote is missing."""
    try:
        rows = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:
        rows = []
    if len(rows) != 1:
        raise UnitsRefusedError(
            f"Line {number} has a quotation mark that is not closed or stands inside of a cell, or a line end in a "
            'cell; quote a cell as "…", and write a " inside of it twice.'
        )
    return rows[0]


def _unit(number: int, text: str, header: _Header, findings: Findings) -> Unit | None:
    """The unit of a line; None when something was found against it."""
    try:
        cells = _cells(number, text, header.separator)
    except UnitsRefusedError as error:
        findings.add(str(error))
        return None
    if not _fit(cells, header.columns):
        findings.add(
            f"Line {number} has {len(cells)} cells where the header has {len(header.columns)} columns; leave a cell "
            "empty, but keep its separator, and quote a value that has a separator in it."
        )
        return None
    found = findings.more + len(findings.sentences)
    values = {}
    for column, cell in zip(header.columns, cells, strict=False):
        try:
            values[column] = value(column, cell)
        except CellRefusedError as refused:
            findings.add(f"Line {number}, {column or 'a column without a name'}: {refused}")
    without_network = "wifi_ssid" not in header.columns or values.get("wifi_ssid") == ""
    if values.get("wifi_password") and without_network:
        findings.add(f"Line {number}, wifi_password: there is a password and no wifi_ssid; name the network.")
    if findings.more + len(findings.sentences) > found:
        return None
    values.pop(UNNAMED, None)
    return Unit(number, values.pop("gateway_code"), values.pop("tenant"), **values)


def _fit(cells: Sequence[str], columns: Sequence[str]) -> bool:
    return len(cells) >= len(columns) and not any(cell.strip() for cell in cells[len(columns) :])
