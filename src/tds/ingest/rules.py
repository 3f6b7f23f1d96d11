"""The rules of a message one by one, in their order, on plain JSON values.

Asked only when the fast way of `wire` did not say yes: this way is slower and names the first rule broken.
"""

import math
import unicodedata
from datetime import datetime, timedelta
from typing import Final

from tds.fleet.codes import is_code
from tds.ingest.messages import MAX_TIPO_CHARS, MAX_UNIDADE_CHARS, Message, Reading
from tds.ingest.reasons import Reason
from tds.ingest.timestamps import MAX_AHEAD, parse_timestamp
from tds.ingest.topics import TopicCodes

MAX_READINGS: Final = 500
MAX_QUOTED_CHARS: Final = 60  # of a device's text in a sentence of ours

_INVISIBLE: Final = frozenset({"Cc", "Cf"})  # control and format characters: two names that look the same are a trap


class RuleBrokenError(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def check_object(
    fields: dict[str, object], codes: TopicCodes | None, *, now: datetime, retention: timedelta
) -> Message:
    """The message, or RuleBrokenError. Without a topic (HTTP) its codes are the payload's own."""
    gateway_code = _code(fields, "gateway_code", codes.gateway if codes else None)
    device_code = _code(fields, "device_code", codes.device if codes else None)
    time = _time(fields, now=now, retention=retention)
    readings = _readings(fields)
    return Message(gateway_code, device_code, time, readings, tuple((r.tipo, r.unidade) for r in readings))


def quoted(text: str) -> str:
    """A device's text for a sentence of ours: escaped, and clipped to a named length."""
    shown = repr(text[:MAX_QUOTED_CHARS])
    if len(text) <= MAX_QUOTED_CHARS and len(shown) <= MAX_QUOTED_CHARS + 2:
        return shown
    return f"{shown[:MAX_QUOTED_CHARS]}…"


def _present(fields: dict[str, object], name: str) -> object:
    value = fields.get(name)
    if value is None:
        state = "null" if name in fields else "missing"
        raise RuleBrokenError(Reason.MISSING_FIELD, f"{name} is {state}; send it in every message.")
    return value


def _code(fields: dict[str, object], name: str, in_topic: str | None) -> str:
    value = _present(fields, name)
    if in_topic is not None:
        if not isinstance(value, str) or value != in_topic:
            detail = f"{name} is {_shown(value)} but the topic says '{in_topic}'; send the same code in both."
            raise RuleBrokenError(Reason.CODE_MISMATCH, detail)
    elif not isinstance(value, str):
        raise RuleBrokenError(Reason.MISSING_FIELD, f"{name} is {_shown(value)}; send the code as a text.")
    elif not is_code(value):
        detail = f"{name} is {_shown(value)}; send 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first."
        raise RuleBrokenError(Reason.BAD_TOPIC, detail)
    return value


def _time(fields: dict[str, object], *, now: datetime, retention: timedelta) -> datetime:
    value = _present(fields, "timestamp")
    time = parse_timestamp(value) if isinstance(value, str) else None
    if time is None:
        detail = f"timestamp is {_shown(value)}; send a date and time that exist, as in 2026-02-18T15:30:00-03:00."
        raise RuleBrokenError(Reason.BAD_TIMESTAMP, detail)
    age = now - time
    if age < -MAX_AHEAD:
        detail = f"timestamp is {_shown(value)}, {-age} ahead of the server ({now.isoformat()}); set the clock."
        raise RuleBrokenError(Reason.TIMESTAMP_IN_FUTURE, detail)
    if age > retention:
        detail = f"timestamp is {_shown(value)}, older than the {retention} that readings are kept; set the clock."
        raise RuleBrokenError(Reason.TIMESTAMP_TOO_OLD, detail)
    return time


def _readings(fields: dict[str, object]) -> list[Reading]:
    value = _present(fields, "leituras")
    if not isinstance(value, list):
        raise RuleBrokenError(Reason.NO_READINGS, f"leituras is {_shown(value)}; send a list of readings.")
    if not value:
        raise RuleBrokenError(Reason.NO_READINGS, "leituras is empty; send at least one reading, or no message.")
    if len(value) > MAX_READINGS:
        detail = f"leituras has {len(value)} readings; send at most {MAX_READINGS} a message."
        raise RuleBrokenError(Reason.TOO_MANY_READINGS, detail)
    first_at: dict[tuple[str, str], int] = {}
    readings = []
    for index, entry in enumerate(value):
        reading = _reading(entry, f"leituras[{index}]")
        first = first_at.setdefault((reading.tipo, reading.unidade), index)
        if first != index:
            detail = f"leituras[{index}] has the tipo and unidade of leituras[{first}]; send each pair once a message."
            raise RuleBrokenError(Reason.REPEATED_READING, detail)
        readings.append(reading)
    return readings


def _reading(entry: object, where: str) -> Reading:
    if not isinstance(entry, dict):
        raise RuleBrokenError(Reason.BAD_READING, f"{where} is {_shown(entry)}; send an object.")
    tipo = _label(entry.get("tipo"), f"{where}.tipo", at_least=1, at_most=MAX_TIPO_CHARS)
    unidade = entry.get("unidade")
    unidade = "" if unidade is None else _label(unidade, f"{where}.unidade", at_least=0, at_most=MAX_UNIDADE_CHARS)
    valor = entry.get("valor")
    if not isinstance(valor, float):
        raise RuleBrokenError(Reason.BAD_VALUE, f"{where}.valor is {_shown(valor)}; send a JSON number.")
    if not math.isfinite(valor):
        raise RuleBrokenError(Reason.BAD_VALUE, f"{where}.valor is too large for a float64; send a smaller number.")
    return Reading(tipo=tipo, unidade=unidade, valor=valor)


def _label(value: object, where: str, *, at_least: int, at_most: int) -> str:
    if not isinstance(value, str) or not at_least <= len(value) <= at_most:
        detail = f"{where} is {_shown(value)}; send a text of {at_least} to {at_most} characters."
        raise RuleBrokenError(Reason.BAD_READING, detail)
    for char in value:
        if unicodedata.category(char) in _INVISIBLE:
            detail = f"{where} has the control or format character U+{ord(char):04X}; leave it out."
            raise RuleBrokenError(Reason.BAD_READING, detail)
    return value


def _shown(value: object) -> str:
    """A JSON value in a sentence, after 'is'."""
    match value:
        case None:
            return "missing or null"
        case bool():
            return f"the word {str(value).lower()}"
        case float():
            return "a number"
        case str():
            return f"the text {quoted(value)}"
        case list():
            return "a list"
        case _:
            return "an object"
