"""The list of a factory: what is taken, and one sentence, with its line, for each way to get it wrong."""

import time
import tracemalloc
from collections.abc import Iterable
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tds.identity.factory.unit_cells import COLUMNS
from tds.identity.factory.units import (
    MAX_CSV_BYTES,
    MAX_FINDINGS,
    MAX_LINE_BYTES,
    MAX_LINES,
    MAX_UNITS,
    Unit,
    UnitsRefusedError,
    units_of,
)

HEADER: Final = ",".join(COLUMNS)
ROW: Final = {
    "gateway_code": "GW-1",
    "tenant": "acme",
    "site": "Porto Velho",
    "family": "dcu-0080",
    "hardware": "C",
    "wifi_ssid": "oficina",
    "wifi_password": "doze palavras",
    "apn": "",
    "broker": "mqtt.example.com",
}


def csv(*rows: dict[str, str] | str, separator: str = ",", columns: Iterable[str] = COLUMNS) -> str:
    lines = [row if isinstance(row, str) else separator.join(row[name] for name in columns) for row in rows]
    return "\n".join([separator.join(columns), *lines]) + "\n"


def row(**changed: str) -> dict[str, str]:
    return ROW | changed


def taken(text: str | bytes) -> tuple[Unit, ...]:
    return units_of(text if isinstance(text, bytes) else text.encode())


def refused(text: str | bytes) -> list[str]:
    with pytest.raises(UnitsRefusedError) as caught:
        taken(text)
    for sentence in caught.value.sentences:
        assert sentence.startswith(("Line ", "The file ")), sentence
        assert sentence.endswith((".", *COLUMNS)), sentence
        assert sentence.isprintable(), sentence
    return list(caught.value.sentences)


def only(text: str | bytes) -> str:
    [sentence] = refused(text)
    return sentence


def test_a_row_says_what_a_unit_is() -> None:
    assert taken(csv(row())) == (
        Unit(
            line=2,
            code="GW-1",
            tenant="acme",
            site="Porto Velho",
            family="dcu-0080",
            hardware="C",
            wifi_ssid="oficina",
            wifi_password="doze palavras",
            apn="",
            broker="mqtts://mqtt.example.com:8883",
        ),
    )


def test_only_the_code_and_the_tenant_are_needed() -> None:
    assert taken("gateway_code,tenant\nGW-1,acme\n") == (Unit(line=2, code="GW-1", tenant="acme"),)


def test_columns_come_in_any_order_and_their_names_as_people_write_them() -> None:
    [unit] = taken('"Tenant";" Gateway Code ";Wi_Fi_SSID\n'.replace("Wi_Fi_SSID", "WIFI-SSID") + "acme;GW-1;oficina\n")
    assert (unit.code, unit.tenant, unit.wifi_ssid) == ("GW-1", "acme", "oficina")


def test_semicolons_are_what_excel_writes_in_brazil() -> None:
    text = csv(row(site="Porto Velho, setor 2"), separator=";")
    assert taken(text)[0].site == "Porto Velho, setor 2"
    assert taken("sep=;\r\n" + text.replace("\n", "\r\n"))[0].line == 3


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", "\ufeff".encode()])
def test_utf_8_is_taken_with_and_without_a_bom(bom: bytes, end: str) -> None:
    text = csv(row(site="São Luís", wifi_ssid="redação")).replace("\n", end)
    assert [(unit.site, unit.wifi_ssid) for unit in taken(bom + text.encode())] == [("São Luís", "redação")]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_latin_1_is_refused_with_the_line_and_how_to_save_it(encoding: str) -> None:
    sentence = only(csv(row(), row(gateway_code="GW-2", site="São Luís")).encode(encoding))
    assert sentence.startswith("Line 3 is not UTF-8 (byte 0xE3 at its byte 12)")
    assert "CSV UTF-8 (comma delimited)" in sentence
    assert "LibreOffice" in sentence


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_refused(encoding: str) -> None:
    sentence = only(csv(row()).encode(encoding))
    assert "UTF-16" in sentence or "control character" in sentence or "names no column" in sentence


def test_one_name_composed_and_decomposed_is_one_site() -> None:
    first, second = taken(csv(row(site="S\u00e3o Paulo"), row(gateway_code="GW-2", site="Sa\u0303o Paulo")))
    assert first.site == second.site == "S\u00e3o Paulo"


def test_empty_lines_and_emptied_rows_are_passed_over() -> None:
    text = f"\n{HEADER}\n\n,,,,,,,,\n" + csv(row()).partition("\n")[2] + "\n ;;\n"
    assert [unit.line for unit in taken(text)] == [5]


def test_a_repeated_row_is_a_sentence_with_both_lines() -> None:
    assert "Line 3: 'GW-1' is in line 2 already" in only(csv(row(), row(wifi_ssid="outra")))


def test_codes_that_are_one_folder_on_windows_are_a_repetition() -> None:
    assert "Line 4: 'gw-1' is in line 2 already" in only(csv(row(), row(gateway_code="GW-2"), row(gateway_code="gw-1")))


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "wifi_password"])
@pytest.mark.parametrize("formula", ["=cmd|' /C calc'!A0", "＝1+1", ' =HYPERLINK("http://x")'])
def test_a_formula_is_refused_in_every_cell(column: str, formula: str) -> None:
    text = csv(row(**{column: '"' + formula.replace('"', '""') + '"'}))
    assert f"Line 2, {column}: " in only(text)
    assert "formula" in only(text)


@pytest.mark.parametrize("column", ["gateway_code", "tenant", "site", "family", "hardware", "apn", "broker"])
@pytest.mark.parametrize("start", ["+", "-", "@", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_calculate_is_refused(column: str, start: str) -> None:
    assert "formula" in only(csv(row(**{column: f"{start}1+1"})))


def test_a_tab_is_refused() -> None:
    for column in ("gateway_code", "site", "wifi_ssid", "wifi_password"):
        assert "control character" in only(csv(row(**{column: "a\tbcdefgh"})))


@pytest.mark.parametrize("password", ["=cmd|calc!A0", "+55 11 9999", "-segredo-", "@casa1234", "a,b;c 'd' $e%"])
def test_a_password_may_begin_as_a_formula_does(password: str) -> None:
    assert taken(csv(row(wifi_password=f'"{password}"')))[0].wifi_password == password


@pytest.mark.parametrize("name", ["@casa", "+rede", "-_-"])
def test_a_network_may_be_called_so(name: str) -> None:
    assert taken(csv(row(wifi_ssid=name)))[0].wifi_ssid == name


@pytest.mark.parametrize("password", ["curta", "x" * 65, "senhação", " com espaço", "com espaco ", "a" * 63 + "é"])
def test_a_password_that_is_none_is_refused_and_never_told(password: str) -> None:
    sentence = only(csv(row(wifi_password=password)))
    assert "Line 2, wifi_password: it " in sentence
    assert password.strip() not in sentence


def test_a_password_is_in_no_text_of_a_unit() -> None:
    [unit] = taken(csv(row()))
    assert ROW["wifi_password"] not in repr(unit)


def test_a_password_without_a_network_is_refused() -> None:
    assert "no wifi_ssid" in only(csv(row(wifi_ssid="")))
    assert "no wifi_ssid" in only("gateway_code,tenant,wifi_password\nGW-1,acme,12345678\n")


def test_64_hexadecimal_digits_are_a_password_and_none_is_an_open_network() -> None:
    assert taken(csv(row(wifi_password="0F" * 32)))[0].wifi_password == "0F" * 32
    assert taken(csv(row(wifi_password="")))[0].wifi_password == ""


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("gateway_code", "GW 1"),
        ("gateway_code", "../GW-1"),
        ("gateway_code", "GW/1"),
        ("gateway_code", "GW-#"),
        ("gateway_code", "_consumer"),
        ("gateway_code", "TDS-1"),
        ("gateway_code", "tds-consumer"),
        ("gateway_code", "G" * 65),
        ("gateway_code", "ＧＷ-1"),
        ("gateway_code", "index.html"),
        ("gateway_code", "Index-2.html"),
        ("gateway_code", "units.json"),
        ("gateway_code", "nul"),
        ("gateway_code", "COM1.a"),
        ("gateway_code", "GW-1."),
        ("gateway_code", ""),
        ("tenant", "a b"),
        ("tenant", "é"),
        ("tenant", "a" * 51),
        ("tenant", " "),
        ("site", "x" * 201),
        ("site", "a\u202eb"),
        ("site", "a\u200bb"),
        ("family", "dcu-9999"),
        ("family", "DCU-0080"),
        ("hardware", "x" * 33),
        ("hardware", "é"),
        ("wifi_ssid", "x" * 33),
        ("wifi_ssid", "é" * 17),
        ("wifi_ssid", "oficina "),
        ("wifi_ssid", "a\x00b"),
        ("apn", "claro com br"),
        ("apn", "a" * 64),
        ("apn", ".br"),
        ("broker", "mqtt://mqtt.example.com"),
        ("broker", "mqtts://user:secret@mqtt.example.com"),
        ("broker", "mqtt.example.com:0"),
        ("broker", "mqtt.example.com:65536"),
        ("broker", "mqtt.example.com:８８８３"),
        ("broker", "mqtts://mqtt.example.com/path"),
        ("broker", "[::g]"),
        ("broker", "::1"),
        ("broker", "a..b"),
        ("broker", "a" * 64 + ".com"),
        ("broker", "ex\u0430mple.com"),
    ],
)
def test_a_cell_of_another_form_is_refused(column: str, cell: str) -> None:
    assert f"Line 2, {column}: " in only(csv(row(**{column: cell})))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mqtt.example.com", "mqtts://mqtt.example.com:8883"),
        ("mqtts://mqtt.example.com/", "mqtts://mqtt.example.com:8883"),
        ("192.0.2.7:18883", "mqtts://192.0.2.7:18883"),
        ("[2001:db8::1]", "mqtts://[2001:db8::1]:8883"),
        ("", ""),
    ],
)
def test_a_broker_is_a_host_with_or_without_a_port(written: str, meant: str) -> None:
    assert taken(csv(row(broker=written)))[0].broker == meant


def test_every_finding_of_a_file_is_told_at_once() -> None:
    sentences = refused(csv(row(family="x", hardware="é"), row(gateway_code="GW-2"), row(gateway_code="a b")))
    assert [sentence[:16] for sentence in sentences] == ["Line 2, family: ", "Line 2, hardware", "Line 4, gateway_"]


def test_of_very_many_findings_the_rest_is_counted() -> None:
    with pytest.raises(UnitsRefusedError) as caught:
        taken(csv(*(row(gateway_code=f"GW-{n}", family="x") for n in range(1_000))))
    assert len(caught.value.sentences) == MAX_FINDINGS
    assert str(caught.value).endswith(f"There are {1_000 - MAX_FINDINGS} more findings.")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("gateway_code,site", "no column tenant"),
        ("tenant", "no column gateway_code"),
        ("a,b", "no column gateway_code and no column tenant"),
        ("gateway_code\ttenant", "no column"),
        ("gateway_code,tenant,wifi_pasword", "'wifi_pasword' is no column"),
        ("gateway_code,tenant,site,Site", "'site' is there twice"),
        ('gateway_code,tenant,"site', "no column"),
    ],
)
def test_a_header_of_another_form_is_refused(header: str, told: str) -> None:
    assert told in only(f"{header}\nGW-1,acme\n")


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", "sep=;\n", "  \n;;\n"])
def test_a_file_with_nothing_in_it_is_refused(text: str) -> None:
    assert "is empty" in only(text)


def test_a_file_with_a_header_alone_is_refused() -> None:
    assert "no unit below it" in only(csv())


@pytest.mark.parametrize("cells", ["GW-1", "GW-1,acme", "GW-1,acme,,,,,,,,x"])
def test_a_row_with_too_few_or_too_many_cells_is_refused(cells: str) -> None:
    assert "where the header has 9 columns" in only(csv(cells))


def test_empty_cells_beyond_the_header_are_passed_over_and_full_ones_are_not() -> None:
    assert len(taken("gateway_code,tenant,\nGW-1,acme,,,\n")) == 1
    assert "a column without a name" in only("gateway_code,tenant,\nGW-1,acme,x\n")


@pytest.mark.parametrize("cells", ['"GW-1,acme,,,,,,,', 'GW-1,"ac"me,,,,,,,', 'GW-1,acme,"a\nb",,,,,,'])
def test_a_quote_that_is_not_closed_is_refused_with_its_line(cells: str) -> None:
    assert any("Line 2 has a quotation mark" in sentence for sentence in refused(csv(cells)))


def test_a_quoted_cell_holds_separators_and_quotes() -> None:
    assert taken(csv(row(site='"Setor ""B"", sala 2"')))[0].site == 'Setor "B", sala 2'


def test_a_file_of_an_old_mac_is_refused() -> None:
    assert refused(csv(row()).replace("\n", "\r"))


def costs(data: bytes) -> tuple[str, int, float]:
    """The first sentence, peak memory in bytes, and the seconds."""
    tracemalloc.start()
    began = time.perf_counter()
    try:
        [sentence, *_] = refused(data)
        return sentence, tracemalloc.get_traced_memory()[1], time.perf_counter() - began
    finally:
        tracemalloc.stop()


MIB: Final = 1024**2


def test_100_mb_are_refused_unread() -> None:
    data = bytes(100 * MIB)
    sentence, peak, _seconds = costs(data)
    assert sentence.startswith(f"The file is larger than {MAX_CSV_BYTES:,} bytes")
    assert peak < MIB


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"x" * MAX_CSV_BYTES, id="one endless line"),
        pytest.param(b"\n" * MAX_CSV_BYTES, id="nothing but line ends"),
        pytest.param(b"gateway_code,tenant\n" + b'"' * (MAX_CSV_BYTES - 20), id="nothing but quotes"),
        pytest.param(b"gateway_code,tenant\n" + b"=\n" * 4_000_000, id="nothing but formulas"),
        pytest.param(b"," * MAX_LINE_BYTES + b"\n" + b"x" * 1_000_000, id="nothing but columns"),
    ],
)
def test_a_hostile_file_takes_little_memory_and_time(data: bytes) -> None:
    _sentence, peak, seconds = costs(data)
    assert peak < 2 * MIB  # beyond the file itself
    assert seconds < 10


def test_one_line_that_is_too_long_is_refused() -> None:
    assert f"Line 3 is longer than {MAX_LINE_BYTES:,} bytes" in only(csv(row(), "x" * (MAX_LINE_BYTES + 1)))


def test_one_line_too_many_is_refused() -> None:
    text = csv(row()) + "\n" * (MAX_LINES - 2)
    assert len(taken(text)) == 1
    assert f"more than {MAX_LINES:,} lines" in only(text + "\n")


def test_one_unit_too_many_is_refused() -> None:
    head, line = "gateway_code,tenant\n", "GW-{},acme\n"
    text = head + "".join(line.format(number) for number in range(MAX_UNITS))
    assert len(taken(text)) == MAX_UNITS
    assert f"more than {MAX_UNITS:,} units" in only(text + line.format(MAX_UNITS))


def judged(data: bytes) -> tuple[tuple[Unit, ...], tuple[str, ...]]:
    try:
        return taken(data), ()
    except UnitsRefusedError as error:
        return (), error.sentences


@given(st.binary(max_size=2_000))
@example(b"\xff\xfe")
@example(b"sep=;")
def test_any_bytes_are_units_or_sentences(data: bytes) -> None:
    for wrapped in (data, b"gateway_code;tenant;site;wifi_ssid;wifi_password\n" + data):
        units, sentences = judged(wrapped)
        assert bool(units) != bool(sentences)
        assert all(sentence.isprintable() for sentence in sentences)


CELLS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


@given(st.dictionaries(st.sampled_from(COLUMNS), CELLS), st.sampled_from(",;"))
def test_any_cells_are_a_unit_or_sentences(changed: dict[str, str], separator: str) -> None:
    """What is taken is fit for a folder, a topic, an image and a page."""

    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    written: dict[str, Any] = {name: quoted(cell) for name, cell in (ROW | changed).items()}
    units, sentences = judged(csv(written, separator=separator).encode())
    assert len(units) + len(sentences[:1]) == 1
    for unit in units:
        assert "/" not in unit.code
        assert not unit.code.startswith((".", "_"))
        texts = (unit.code, unit.tenant, unit.site, unit.family, unit.hardware, unit.wifi_ssid, unit.apn, unit.broker)
        assert not any(text.startswith(("=", "\t")) or "\n" in text for text in texts)
