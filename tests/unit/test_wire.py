"""What the vectors do not hold: what a refusal says to people, and the payload that tells its gateway over HTTP."""

import string
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tds.ingest.reasons import SENTENCES, Reason, sentence
from tds.ingest.rules import MAX_QUOTED_CHARS, quoted
from tds.ingest.timestamps import parse_timestamp
from tds.ingest.wire import (
    MAX_PAYLOAD_BYTES,
    Message,
    Refusal,
    gateway_code_of,
    judge,
    judge_body,
    timestamp_of,
)

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=90)
TOPIC: Final = "telemetry/GW-1/D01/data"
GOOD: Final = (
    '{"gateway_code": "GW-1", "device_code": "D01", "timestamp": "2026-02-18T15:30:00-03:00",'
    ' "leituras": [{"tipo": "energia", "valor": 123.45, "unidade": "kWh"}, {"tipo": "t", "valor": 7}]}'
)
MAX_DETAIL_CHARS: Final = 250


def refused(payload: str | bytes, topic: str = TOPIC) -> Refusal:
    raw = payload.encode() if isinstance(payload, str) else payload
    verdict = judge(topic, raw, now=NOW, retention=RETENTION)
    assert isinstance(verdict, Refusal)
    return verdict


def test_the_time_of_a_message_is_in_utc() -> None:
    verdict = judge(TOPIC, GOOD.encode(), now=NOW, retention=RETENTION)

    assert isinstance(verdict, Message)
    assert verdict.time == NOW
    assert verdict.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("7}", '"warm"}', "leituras[1].valor is the text 'warm'; send a JSON number."),
        ("7}", "true}", "leituras[1].valor is the word true; send a JSON number."),
        ("7}", "1e999}", "leituras[1].valor is too large for a float64; send a smaller number."),
        ('"t", "valor": 7', '"t"', "leituras[1].valor is missing or null; send a JSON number."),
        ('"kWh"', "5", "leituras[0].unidade is a number; send a text of 0 to 16 characters."),
        ('"t"', '"a\\u200bb"', "leituras[1].tipo has the control or format character U+200B; leave it out."),
        ('{"tipo": "t", "valor": 7}', "[]", "leituras[1] is a list; send an object."),
        ('"GW-1"', '"GW-2"', "gateway_code is the text 'GW-2' but the topic says 'GW-1'; send the same code in both."),
        ('"D01"', "null", "device_code is null; send it in every message."),
        ('"device_code": "D01", ', "", "device_code is missing; send it in every message."),
        (
            "2026-02-18T15:30:00-03:00",
            "18/02/2026 15:30",
            (
                "timestamp is the text '18/02/2026 15:30'; "
                "send a date and time that exist, as in 2026-02-18T15:30:00-03:00."
            ),
        ),
        (
            "15:30:00-03:00",
            "19:00:00Z",
            (
                "timestamp is the text '2026-02-18T19:00:00Z', 0:30:00 ahead of the server "
                "(2026-02-18T18:30:00+00:00); set the clock."
            ),
        ),
        ("valor", "x", "leituras[0].valor is missing or null; send a JSON number."),
        ("123.45", "NaN", "The payload has the word NaN, which is no JSON; leave a failed measurement out."),
    ],
)
def test_a_refusal_says_where_it_is_and_what_to_do(old: str, new: str, detail: str) -> None:
    assert old in GOOD
    assert refused(GOOD.replace(old, new)).detail == detail


def test_a_repeated_reading_names_both_places() -> None:
    detail = refused(GOOD.replace("}]", '}, {"tipo": "energia", "valor": 1, "unidade": "kWh"}]')).detail

    assert detail == "leituras[2] has the tipo and unidade of leituras[0]; send each pair once a message."


@pytest.mark.parametrize("filler", ["x", "\\n", "\\u200b", "😀", "\\udb40\\udc41", "'", '\\"'])
@pytest.mark.parametrize("place", ["GW-1", "D01", "2026-02-18T15:30:00-03:00", "energia", "kWh"])
def test_a_refusal_never_echoes_a_long_text(place: str, filler: str) -> None:
    assert len(refused(GOOD.replace(place, filler * 5_000)).detail) <= MAX_DETAIL_CHARS


def test_a_refusal_never_echoes_a_long_topic() -> None:
    refusal = refused(GOOD, topic="telemetry/GW-1/" + "\N{ZERO WIDTH SPACE}" * 65_000)

    assert refusal.reason is Reason.BAD_TOPIC
    assert refusal.gateway_code == "GW-1"
    assert len(refusal.detail) <= MAX_DETAIL_CHARS


def test_quoted_text_cannot_break_a_line() -> None:
    assert quoted("a\nb") == r"'a\nb'"
    assert len(quoted("\N{TAG SPACE}" * 99)) == MAX_QUOTED_CHARS + len("…")


@pytest.mark.parametrize("payload", ["", "\xff", "{}", GOOD.replace("GW-1", "GW-2"), "x" * 70_000])
def test_a_refusal_from_the_broker_names_the_gateway_of_the_topic(payload: str) -> None:
    assert refused(payload).gateway_code == "GW-1"


def test_a_refusal_over_http_names_the_gateway_of_the_payload_where_it_is_one() -> None:
    def named(payload: str) -> str | None:
        verdict = judge_body(payload.encode(), now=NOW, retention=RETENTION)
        assert isinstance(verdict, Refusal)
        return verdict.gateway_code

    assert named(GOOD.replace("7}", "null}")) == "GW-1"
    assert named(GOOD.replace('"D01"', "null")) == "GW-1"
    assert named(GOOD.replace("GW-1", "no code")) is None
    assert named(GOOD + "x") is None
    assert named(GOOD + " " * MAX_PAYLOAD_BYTES) is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (GOOD, "GW-1"),
        ('{"gateway_code": "GW-1"}', "GW-1"),
        ('{"gateway_code": "GW-1", "leituras": [{"valor": 1e999}], "timestamp": 0}', "GW-1"),
        ('{"gateway_code": "A", "gateway_code": "B"}', "B"),
        ('{"gateway_code": "not a code"}', "not a code"),
        ('{"gateway_code": ""}', ""),
        ('{"gateway_code": 1}', None),
        ('{"gateway_code": null}', None),
        ("{}", None),
        ("[]", None),
        ("", None),
        (GOOD[:-1], None),
        (GOOD + " " * MAX_PAYLOAD_BYTES, None),
    ],
)
def test_the_gateway_is_read_from_a_body_that_later_rules_refuse(payload: str, code: str | None) -> None:
    assert gateway_code_of(payload.encode()) == code


@pytest.mark.parametrize(
    ("payload", "known"),
    [
        pytest.param(GOOD, True, id="good"),
        pytest.param('{"timestamp": "2026-02-18T15:30:00-03:00"}', True, id="alone"),
        pytest.param('{"timestamp": 5, "timestamp": "2026-02-18T15:30:00-03:00"}', True, id="twice: the last counts"),
        pytest.param('{"timest\\u0061mp": "2026-02-18T15:30:00-03:00"}', True, id="escaped"),
        pytest.param(GOOD[:-30], True, id="cut short"),
        pytest.param(GOOD.replace("123.45", "NaN"), True, id="no JSON"),
        pytest.param(GOOD + "[" * 200_000, True, id="nested too deep"),
        pytest.param('{"x": ' + "[" * 200_000, False, id="nested too deep, and none"),
        pytest.param(GOOD + " " * MAX_PAYLOAD_BYTES, True, id="too large"),
        pytest.param('{"timestamp" \n: "2026-02-18T15:30:00-03:00", ,', True, id="spaces"),
        pytest.param(GOOD.replace("-03:00", ""), False, id="no instant"),
        pytest.param('{"timestamp": "2026-02-18T15:30', False, id="cut within"),
        pytest.param('{"timestamp": 1771439400}', False, id="a number"),
        pytest.param('[{"timestamp": null}]', False, id="null"),
        pytest.param('"timestamp": "' + "1" * 200_000, False, id="endless"),
        pytest.param('"timestamp": ' * 20_000, False, id="again and again"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_the_time_of_a_refused_message_is_read_as_far_as_it_can_be(payload: str, known: bool) -> None:
    assert timestamp_of(payload.encode()) == (NOW if known else None)
    assert timestamp_of(b"\xff" + payload.encode()) in (NOW, None)  # no UTF-8


def test_every_reason_has_one_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
    for text in SENTENCES.values():
        fields = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
        assert fields <= {"gateway", "device"}
        assert text.endswith(".")
        assert ". " not in text


def test_a_sentence_names_gateway_and_device() -> None:
    text = sentence(Reason.UNKNOWN_DEVICE, gateway="GW-1", device="D01")

    assert "GW-1" in text
    assert "D01" in text


def test_a_timestamp_is_parsed_the_same_again() -> None:
    text = "2026-02-18T15:30:00.123456789-03:00"

    assert parse_timestamp(text) == parse_timestamp(text) == datetime(2026, 2, 18, 18, 30, 0, 123456, tzinfo=UTC)
