import pytest

from tds.fleet.codes import is_code
from tds.ingest.topics import (
    MAX_CODE_CHARS,
    MAX_TOPIC_CHARS,
    TopicCodes,
    gateway_code_in,
    parse_topic,
    telemetry_topic,
)

LONGEST = "g" * MAX_CODE_CHARS


def test_a_telemetry_topic_names_gateway_and_device() -> None:
    assert parse_topic("telemetry/GW-TEST-001/D01/data") == TopicCodes(gateway="GW-TEST-001", device="D01")


def test_the_longest_topic_is_accepted() -> None:
    topic = telemetry_topic(LONGEST, LONGEST)

    assert len(topic) == MAX_TOPIC_CHARS
    assert parse_topic(topic) == TopicCodes(LONGEST, LONGEST)


@pytest.mark.parametrize("code", ["0", "a", "Z9", "a.b_c-d", "9...", LONGEST])
def test_a_code_is_letters_digits_dots_underscores_and_dashes(code: str) -> None:
    assert is_code(code)
    assert parse_topic(telemetry_topic(code, code)) == TopicCodes(code, code)


@pytest.mark.parametrize("code", ["", ".a", "_a", "-a", "a b", "a/b", "a+", "#", "é", "٣", "a\n", "a\0", LONGEST + "g"])
def test_other_texts_are_no_code(code: str) -> None:
    assert not is_code(code)
    assert parse_topic(telemetry_topic(code, "D01")) is None
    assert parse_topic(telemetry_topic("GW", code)) is None


@pytest.mark.parametrize(
    "topic",
    [
        *("", "telemetry", "telemetry/a/data", "telemetry/a/b/data/", "telemetry/a/b/data\n", "x/telemetry/a/b/data"),
        *("/telemetry/a/b/data", "TELEMETRY/a/b/data", "telemetry/a/b/c/data", "telemetry/+/+/data", "t" * 65_535),
    ],
)
def test_other_shapes_are_no_telemetry_topic(topic: str) -> None:
    assert parse_topic(topic) is None


def test_the_gateway_is_known_even_when_the_rest_of_the_topic_is_wrong() -> None:
    assert gateway_code_in("telemetry/GW-1/not a code/data") == "GW-1"
    assert gateway_code_in("telemetry/GW-1/D01/x/data") == "GW-1"


@pytest.mark.parametrize("topic", ["", "telemetry/GW-1", "telemetry/not a code/D01/data", "x/telemetry/GW-1/D01/data"])
def test_no_gateway_is_made_up_from_a_wrong_topic(topic: str) -> None:
    assert gateway_code_in(topic) is None


def test_a_code_with_a_gateway_code_in_front_is_not_cut_to_it() -> None:
    assert gateway_code_in(f"telemetry/{LONGEST}g/D01/data") is None
