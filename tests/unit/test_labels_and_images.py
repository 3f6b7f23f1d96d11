"""What sticks on a unit and what is written into it, read back by the rules of their formats."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.fleet.codes import CODE_PATTERN
from tds.identity.factory import label, nvs
from tds.identity.factory.nvs import FACTORY_PARTITION_BYTES, KEYS, MAX_KEY_CHARS, NAMESPACE, Facts, ImageTooLargeError
from tests import nvs_reading, qr_reading

CODES = st.from_regex(re.compile(CODE_PATTERN), fullmatch=True)
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=32)


def facts(**changed: str) -> Facts:
    whole = {
        "gateway_code": "GW-1",
        "broker_uri": "mqtts://mqtt.example.com:8883",
        "server_ca": "-----BEGIN CERTIFICATE-----\n" + "A" * 1_600 + "\n",
        "device_cert": "-----BEGIN CERTIFICATE-----\n" + "B" * 1_300 + "\n",
        "device_key": "-----BEGIN PRIVATE KEY-----\n" + "C" * 200 + "\n",
        "family": "dcu-8000-sim",
        "hardware": "C",
        "wifi_ssid": "São João ☕",
        "wifi_password": "=doze palavras",
        "apn": "claro.com.br",
        "trust_roots": "D" * 86,
    }
    return Facts(**(whole | changed))


def test_a_label_says_in_its_code_what_is_written_on_it() -> None:
    drawn = label.svg("GW-0001", "dcu-0080", "C")
    assert qr_reading.read(drawn) == "tds:GW-0001?family=dcu-0080&hardware=C"
    assert "".join(ET.fromstring(drawn).itertext()).endswith("GW-0001dcu-0080C")


@pytest.mark.parametrize("length", [1, 7, 14, 15, 22, 23, 44, 45, 64])
def test_codes_of_every_length_have_room_on_it(length: int) -> None:
    code = ("GW-" + "0123456789" * 7)[:length]
    root = ET.fromstring(label.svg(code, "dcu-8000-sim", "x" * 32))
    texts = root.findall(".//{http://www.w3.org/2000/svg}text")
    for text in texts:
        size = float(text.attrib["font-size"])
        assert float(text.attrib["x"]) + len(text.text or "") * size * label.CHAR_WIDTH <= 500
        assert size <= float(text.attrib["y"]) <= 250
    assert "".join(text.text or "" for text in texts) == f"{code}dcu-8000-sim{'x' * 32}"


@given(CODES, st.sampled_from(["", "dcu-0080", "relay-mfr"]), PRINTABLE)
def test_any_label_is_whole_xml_and_reads_back(code: str, family: str, hardware: str) -> None:
    drawn = label.svg(code, family, hardware)
    assert qr_reading.read(drawn) == label.content(code, family, hardware)
    assert "".join(ET.fromstring(drawn).itertext()).rstrip("\n").endswith(f"{family}{hardware}")
    assert label.shows(drawn, code, family, hardware)
    assert not label.shows(drawn[:-9], code, family, hardware)
    assert not label.shows(drawn, f"{code}x", family, hardware)


def test_an_image_is_the_partition_that_a_chip_reads() -> None:
    image = nvs.image(facts())
    assert len(image) == FACTORY_PARTITION_BYTES
    found = nvs_reading.read(image)
    assert found.pop((NAMESPACE, "format")) == 1
    assert found == {(NAMESPACE, key): getattr(facts(), key) for key in KEYS}


def test_what_was_not_said_is_not_in_the_image() -> None:
    found = nvs_reading.read(
        nvs.image(facts(apn="", wifi_ssid="", wifi_password="", family="", hardware="", trust_roots=""))
    )
    names = {key for _namespace, key in found}
    assert names == {"format", "gateway_code", "broker_uri", "server_ca", "device_cert", "device_key"}


def test_the_same_facts_make_the_same_image() -> None:
    assert nvs.image(facts()) == nvs.image(facts())


def test_namespace_and_keys_are_as_long_as_nvs_allows() -> None:
    assert all(len(name) <= MAX_KEY_CHARS for name in (NAMESPACE, *KEYS))


def test_chains_that_just_fit_are_written_and_longer_ones_are_a_sentence() -> None:
    most = nvs.MAX_TEXT_BYTES - 1
    found = nvs_reading.read(nvs.image(facts(server_ca="A" * most, device_cert="B" * most)))
    assert found[NAMESPACE, "server_ca"] == "A" * most
    for key in ("server_ca", "device_cert"):
        with pytest.raises(ImageTooLargeError, match=rf"^The image of a unit has no room: {key} takes 3,969 .*\.$"):
            nvs.image(facts(**{key: "A" * (most + 1)}))


def test_room_is_looked_for_with_the_longest_row_there_can_be() -> None:
    issuer = "-----BEGIN CERTIFICATE-----\n" + "B" * 700 + "\n"
    nvs.check_room("A" * 3_967, issuer)
    with pytest.raises(ImageTooLargeError):
        nvs.check_room("A" * 3_968, issuer)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=32), st.text("ab =+-@", max_size=63))
def test_any_network_reads_back(ssid: str, password: str) -> None:
    found = nvs_reading.read(nvs.image(facts(wifi_ssid=ssid, wifi_password=password)))
    assert found.get((NAMESPACE, "wifi_ssid"), "") == ssid
    assert found.get((NAMESPACE, "wifi_password"), "") == password


def test_a_secret_is_in_no_text_of_the_facts() -> None:
    assert "doze palavras" not in repr(facts())
    assert "PRIVATE" not in repr(facts())
