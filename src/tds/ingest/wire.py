"""Bytes to verdict: what a telemetry message says, or the first rule it breaks.

Two ways lead to the same verdict. The fast one decodes into typed structs and can only say yes; whatever it does not
take is decoded again untyped and judged rule by rule. Tests hold the two to the same answers.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

from tds.fleet.codes import is_code
from tds.ingest.messages import Message, Reading, Refusal
from tds.ingest.reasons import Reason
from tds.ingest.rules import MAX_READINGS, RuleBrokenError, check_object, quoted
from tds.ingest.strict_json import MAX_NESTING, NotJsonError, load_object, nested_within
from tds.ingest.timestamps import MAX_AHEAD, parse_timestamp
from tds.ingest.topics import TopicCodes, gateway_code_in, parse_topic

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "Message",
    "Reading",
    "Reason",
    "Refusal",
    "gateway_code_of",
    "judge",
    "judge_body",
    "timestamp_of",
]

MAX_PAYLOAD_BYTES: Final = 65_536  # larger: refused unread, the device's fault

_LEAST_AGE: Final = -MAX_AHEAD


class _Body(Struct, frozen=True, gc=False):
    gateway_code: str
    device_code: str
    timestamp: str
    leituras: Annotated[list[Reading], Meta(min_length=1, max_length=MAX_READINGS)]


_BODY: Final = Decoder(_Body)


class _Dated(Struct, frozen=True, gc=False):
    timestamp: Any = None


_DATED: Final = Decoder(_Dated)
# As it stands in what is no JSON: cut short, with a NaN, or in no UTF-8.
_TIMESTAMP_TEXT: Final = re.compile(rb'"timestamp"[ \t\r\n]*:[ \t\r\n]*"([0-9T:.Z+-]*)"')

FORMS_REMEMBERED: Final = 1_000  # of messages, by their labels; at 250 bytes a reading 8 MB at most
MAX_FORM_READINGS: Final = 32
_FORMS: Final[dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = {}


def judge(topic: str, payload: bytes, *, now: datetime, retention: timedelta) -> Message | Refusal:
    """The verdict on a message from the broker. Raises for no topic and no bytes whatever."""
    codes = parse_topic(topic)
    if codes is None:
        detail = f"The topic is {quoted(topic)}; publish to telemetry/<gateway_code>/<device_code>/data."
        return Refusal(Reason.BAD_TOPIC, detail, gateway_code_in(topic))
    if len(payload) > MAX_PAYLOAD_BYTES:
        return _too_large(payload, codes.gateway)
    message = _accept_fast(payload, now, retention)
    if message is not None and message.gateway_code == codes.gateway and message.device_code == codes.device:
        return message
    return _judge_slowly(payload, codes, now, retention)


def judge_body(payload: bytes, *, now: datetime, retention: timedelta) -> Message | Refusal:
    """The verdict on a message that came over HTTP: without a topic, its codes are the payload's own."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return _too_large(payload, None)
    message = _accept_fast(payload, now, retention)
    if message is not None and is_code(message.gateway_code) and is_code(message.device_code):
        return message
    return _judge_slowly(payload, None, now, retention)


def gateway_code_of(payload: bytes) -> str | None:
    """The gateway a payload says it is from, as soon as that can be read, whatever rule it breaks later.

    A text of any form and length. None where a rule before it is broken (too large, no JSON) and for all but texts.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        code = load_object(payload).get("gateway_code")
    except NotJsonError:
        return None
    return code if isinstance(code, str) else None


def timestamp_of(payload: bytes) -> datetime | None:
    """When a message says it was measured, as far as that can be read at all, whatever rule it breaks.

    Of one that is too large, too. Linear and without a copy of what it skips; not for messages that are accepted.
    """
    try:
        text = _DATED.decode(payload).timestamp
    except (DecodeError, UnicodeDecodeError, RecursionError):
        found = _TIMESTAMP_TEXT.search(payload)
        text = found[1].decode("ascii") if found else None
    return parse_timestamp(text) if isinstance(text, str) else None


def _accept_fast(payload: bytes, now: datetime, retention: timedelta) -> Message | None:
    """The message if it is beyond doubt (but for its codes), else None."""
    try:
        # msgspec does not look at the bytes of keys and values that it skips; else its JSON is as strict as ours.
        if not payload.isascii():
            payload.decode()
        # No payload nests deeper than it has opening brackets: true of nearly all, and cheaper than to look.
        if payload.count(b"{") + payload.count(b"[") > MAX_NESTING and not nested_within(payload, MAX_NESTING):
            return None
        body = _BODY.decode(payload)
    except (DecodeError, UnicodeDecodeError):  # DecodeError: also a field of the wrong type
        return None
    time = parse_timestamp(body.timestamp)
    if time is None or not _LEAST_AGE <= now - time <= retention:
        return None
    sent = tuple([(reading.tipo, reading.unidade) for reading in body.leituras])
    pairs = _FORMS.get(sent) or _beyond_doubt(sent)
    if pairs is None:
        return None
    return Message(body.gateway_code, body.device_code, time, body.leituras, pairs)


def _beyond_doubt(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...] | None:
    """The labels of a message, or None; remembered, because the messages of a fleet have few forms."""
    # Printable text has no control or format character. A few harmless spaces are not printable: slowly, then.
    if len(set(pairs)) < len(pairs) or not all(tipo.isprintable() and unidade.isprintable() for tipo, unidade in pairs):
        return None
    if len(pairs) <= MAX_FORM_READINGS:
        if len(_FORMS) >= FORMS_REMEMBERED:
            _FORMS.clear()
        _FORMS[pairs] = pairs  # one tuple for all messages of the form, however long somebody keeps it
    return pairs


def _judge_slowly(payload: bytes, codes: TopicCodes | None, now: datetime, retention: timedelta) -> Message | Refusal:
    gateway_code = codes.gateway if codes else None
    try:
        fields = load_object(payload)
        if codes is None:
            sent = fields.get("gateway_code")
            gateway_code = sent if isinstance(sent, str) and is_code(sent) else None
        return check_object(fields, codes, now=now, retention=retention)
    except NotJsonError as error:
        return Refusal(Reason.NOT_JSON, str(error), gateway_code)
    except RuleBrokenError as error:
        return Refusal(error.reason, error.detail, gateway_code)


def _too_large(payload: bytes, gateway_code: str | None) -> Refusal:
    detail = f"The payload has {len(payload)} bytes; send at most {MAX_PAYLOAD_BYTES}, in several messages."
    return Refusal(Reason.TOO_LARGE, detail, gateway_code)
