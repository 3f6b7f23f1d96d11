"""For all bytes: no exception, and the fast way and the slow way agree."""

import json
import math
import random
import struct
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tds.ingest import wire
from tds.ingest.strict_json import nested_within
from tds.ingest.timestamps import parse_timestamp
from tds.ingest.topics import TopicCodes
from tds.ingest.wire import MAX_PAYLOAD_BYTES, Message, Reason, Refusal, gateway_code_of, judge, judge_body

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=90)
CODES: Final = TopicCodes("GW-1", "D01")
TOPIC: Final = "telemetry/GW-1/D01/data"
HEAD: Final = '{"gateway_code": "GW-1", "device_code": "D01", "timestamp": "2026-02-18T15:30:00-03:00", '
SEEDS: Final = [
    (HEAD + '"leituras": [{"tipo": "energia", "valor": 123.45, "unidade": "kWh"}]}').encode(),
    (HEAD + '"é": {"a": [1, -2.5e+3, null, true, "\\u00b0\\ud83d\\ude00\\n"]}, "leituras": [{"tipo": "t\\u00e9", '
     '"valor": -0, "unidade": "°C", "z": [[]]}, {"tipo": "u", "valor": 1e-400}]}').encode(),
    (HEAD + '"leituras": [], "leitur\\u0061s": [{"tipo": "e", "valor": 9007199254740993}, '
     '{"tipo": "e", "unidade": "😀", "valor": -0.0}], "s": "\\"[\\\\"}').encode(),
]  # fmt: skip
PIECES: Final = [
    *(
        b'"',
        b"\\",
        b"\\u",
        b"\\ud800",
        b"\\uDC00",
        b"\\uD83D\\uDE00",
        b"\\u00AD",
        b"\\x",
        b"\\/",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b",", b":", b"0", b"-", b"+", b".", b"e", b"1e400", b"-0", b"-0.0", b"01", b"NaN", b"Infinity", b"null", b"true"),
    *(
        b"\0",
        b"\x7f",
        b"\x80",
        b"\xc3",
        b"\xa9",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\x8b",
        b"\n",
        b"\x0b",
        b" ",
    ),
    *(b"[" * 32, b"]" * 32, b"9" * 400, b"1" * 25, b'"x":'),
]
MUTANTS: Final = 30_000  # one to three seconds

unhurried: Final = settings(deadline=None)  # a busy machine is no failure


def exactly(verdict: Message | Refusal | None) -> object:
    """The verdict with its numbers as bits: 0.0 == -0.0 must not hide a difference."""
    if not isinstance(verdict, Message):
        return verdict
    readings = [(r.tipo, r.unidade, struct.pack("<d", r.valor)) for r in verdict.readings]
    return (verdict.gateway_code, verdict.device_code, verdict.time, readings)


def check_both_ways(payload: bytes) -> Message | Refusal:
    """Judge with and without a topic, each fast and slowly."""
    with_topic = judge(TOPIC, payload, now=NOW, retention=RETENTION)
    if len(payload) <= MAX_PAYLOAD_BYTES:
        assert exactly(with_topic) == exactly(wire._judge_slowly(payload, CODES, NOW, RETENTION))
        over_http = judge_body(payload, now=NOW, retention=RETENTION)
        assert exactly(over_http) == exactly(wire._judge_slowly(payload, None, NOW, RETENTION))
    return with_topic


def mutant(chance: random.Random) -> bytes:
    payload = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(payload))
        match chance.randrange(5):
            case 0:
                payload[at] = chance.randrange(256)
            case 1:
                payload[at:at] = chance.choice(PIECES)
            case 2:
                del payload[at : at + chance.choice((1, 1, 2, 5))]
            case 3:
                start = chance.randrange(len(payload))
                payload[at:at] = payload[start : start + chance.randrange(1, 20)]
            case _:
                payload[at : at + chance.randrange(1, 4)] = chance.choice(PIECES)
        payload = payload or bytearray(b" ")
    return bytes(payload)


def test_a_message_damaged_anywhere_gets_one_verdict_both_ways() -> None:
    chance = random.Random(20260218)
    accepted = sum(isinstance(check_both_ways(mutant(chance)), Message) for _ in range(MUTANTS))

    assert MUTANTS // 100 < accepted < MUTANTS // 2  # else the damage is too great, or too small, to test anything


def test_the_fast_way_accepts_ordinary_messages() -> None:
    assert all(wire._accept_fast(payload, NOW, RETENTION) is not None for payload in SEEDS[:2])


@unhurried
@given(st.text(), st.binary())
def test_no_topic_and_no_bytes_raise(topic: str, payload: bytes) -> None:
    assert isinstance(judge(topic, payload, now=NOW, retention=RETENTION), Refusal)
    assert isinstance(check_both_ways(payload), Refusal)
    assert gateway_code_of(payload) is None


@pytest.mark.parametrize(
    "payload",
    [
        *(b"[" * 100_000, b"[" * 60_000, b"]" * 60_000, b"[]" * 30_000, b"[" * 30_000 + b"]" * 30_000),
        *(b'{"a":' * 12_000, b"{" * 33 + b"}" * 33, b'"' * 60_000, b"\\" * 60_000, b'"\\' * 30_000),
        *(b"\xff" * 1_048_576, b"\xff" * 60_000, b"\0" * 65_536, b'{"a": "' + b"\\ud83d" * 10_000 + b'"}'),
        *(b"9" * 60_000, b'{"a": -' + b"9" * 60_000 + b"}", b'{"gateway_code": ' + b"9" * 5_000 + b"}"),
        b'{"a": 0.' + b"9" * 60_000 + b"e-" + b"9" * 5_000 + b"}",
    ],
    ids=lambda payload: f"{len(payload)} bytes from {payload[:9]!r}",
)
def test_an_attack_on_the_parser_is_only_a_refusal(payload: bytes) -> None:
    assert isinstance(check_both_ways(payload), Refusal)
    assert gateway_code_of(payload) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
labels = st.text(max_size=70)
entries = st.fixed_dictionaries(
    {"tipo": labels | json_values, "valor": st.floats() | st.integers() | json_values},
    optional={"unidade": labels | json_values, "x": json_values},
)
bodies = st.fixed_dictionaries(
    {
        "gateway_code": st.just("GW-1") | json_values,
        "device_code": st.just("D01") | json_values,
        "timestamp": st.just("2026-02-18T18:30:00Z") | st.datetimes().map(lambda t: t.isoformat() + "Z") | json_values,
        "leituras": st.lists(entries, max_size=4) | json_values,
    },
    optional={"x": json_values},
)


@unhurried
@given(bodies, st.booleans())
@example(json.loads(SEEDS[0]), True)
def test_any_object_gets_one_verdict_both_ways(body: dict[str, object], ascii_only: bool) -> None:
    check_both_ways(json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@unhurried
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_arrives_bit_for_bit(valor: float) -> None:
    payload = (HEAD + f'"leituras": [{{"tipo": "t", "valor": {valor!r}}}]}}').encode()
    verdict = check_both_ways(payload)

    assert isinstance(verdict, Message)
    assert struct.pack("<d", verdict.readings[0].valor) == struct.pack("<d", valor)


@unhurried
@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?\Z"))
def test_every_json_number_is_read_as_its_nearest_float64(literal: str) -> None:
    verdict = check_both_ways((HEAD + f'"leituras": [{{"tipo": "t", "valor": {literal}}}]}}').encode())

    if math.isfinite(float(literal)):
        assert isinstance(verdict, Message)
        assert verdict.readings[0].valor == float(literal)
    else:
        assert isinstance(verdict, Refusal)
        assert verdict.reason is Reason.BAD_VALUE


@unhurried
@given(json_values)
def test_nesting_is_counted_as_a_parser_would(value: object) -> None:
    def levels(value: object) -> int:
        match value:
            case dict():
                return 1 + max(map(levels, value.values()), default=0)
            case list():
                return 1 + max(map(levels, value), default=0)
            case _:
                return 0

    depth = levels(value)
    raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")

    assert nested_within(raw, depth)
    assert depth == 0 or not nested_within(raw, depth - 1)


@unhurried
@given(st.datetimes(timezones=st.timezones()), st.integers(0, 9))
def test_every_instant_is_parsed_as_it_was_written(moment: datetime, digits: int) -> None:
    written = moment.astimezone(UTC) if 1 < moment.year < 9999 else moment.replace(tzinfo=UTC)
    fraction = f".{written.microsecond:06d}999"[: digits + 1] if digits else ""
    parsed = parse_timestamp(written.isoformat(timespec="seconds").replace("+00:00", f"{fraction}Z"))

    kept = int(fraction[1:7].ljust(6, "0")) if digits else 0
    assert parsed == written.replace(microsecond=kept)


@unhurried
@given(st.text(alphabet="0123456789-+:.TZtz ", max_size=40))
def test_a_timestamp_is_parsed_or_not_and_never_raises(text: str) -> None:
    parsed = parse_timestamp(text)

    assert parsed is None or parsed.tzinfo is UTC
