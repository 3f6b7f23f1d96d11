"""What goes wrong on request: which messages, and how a broken one is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tds.simulator.message import Kind, Message, document, encode
from tds.simulator.noise import NoiseKey, bits, noise_key, unit

_HOUR_MS: Final = 3_600_000
_LATE_MAX_H: Final = 12
# Off the grid of history, so that a late reading is a new one and no copy of what history sent.
_LATE_OFF_GRID_MS: Final = 7
_FAR_AHEAD: Final = "2999-01-01T00:00:00Z"
_LONG_AGO: Final = "1999-12-31T23:59:59Z"
_TOO_LARGE_BYTES: Final = (
    66_000  # above the platform's 64 KiB, below the broker's 256 KiB: it must be seen to be refused
)


class Fault(StrEnum):
    BAD = "bad"
    DUPLICATES = "duplicates"
    LATE = "late"
    RECONNECTS = "reconnects"
    MOVES = "moves"


_FAULT_NUMBER: Final = {fault: number for number, fault in enumerate(Fault)}


Document = dict[str, Any]


def _with(contents: Document, **changes: object) -> bytes:
    return encode(contents | changes)


def _without(contents: Document, key: str) -> bytes:
    return encode({name: value for name, value in contents.items() if name != key})


def _first_reading(contents: Document, **changes: object) -> bytes:
    first, *rest = contents["leituras"]
    return _with(contents, leituras=[first | changes, *rest])


# Name → how it is broken. The name is the contract's reason, with a detail where one reason has several faces.
BROKEN: Final[dict[str, Callable[[Document, int], bytes]]] = {
    "not_json, cut off": lambda contents, _: encode(contents)[:-7],
    "not_json, NaN": lambda contents, _: _first_reading(contents, valor=float("nan")),
    "not_json, no UTF-8": lambda contents, _: encode(contents).replace("°".encode(), b"\xb0"),
    "not_json, empty": lambda _, __: b"",
    "not_json, a list": lambda contents, _: encode([contents]),
    "missing_field, gateway_code": lambda contents, _: _without(contents, "gateway_code"),
    "missing_field, timestamp": lambda contents, _: _without(contents, "timestamp"),
    "missing_field, leituras": lambda contents, _: _without(contents, "leituras"),
    "code_mismatch": lambda contents, _: _with(contents, device_code="OTHER"),
    "bad_timestamp, no zone": lambda contents, _: _with(contents, timestamp="2026-02-18T15:30:00"),
    "bad_timestamp, a number": lambda contents, at_ms: _with(contents, timestamp=at_ms),
    "timestamp_in_future": lambda contents, _: _with(contents, timestamp=_FAR_AHEAD),
    "timestamp_too_old": lambda contents, _: _with(contents, timestamp=_LONG_AGO),
    "no_readings": lambda contents, _: _with(contents, leituras=[]),
    "bad_reading, tipo": lambda contents, _: _first_reading(contents, tipo=7),
    "bad_value, a string": lambda contents, _: _first_reading(contents, valor="23.5"),
    "bad_value, null": lambda contents, _: _first_reading(contents, valor=None),
    "repeated_reading": lambda contents, _: _with(contents, leituras=contents["leituras"] * 2),
    "too_large": lambda contents, _: _with(contents, nota="x" * _TOO_LARGE_BYTES),
}
_BREAKERS: Final = tuple(BROKEN.values())


def payload(seed: int, gateway: str, message: Message) -> bytes:
    """The bytes of a message: always the same ones for the same message."""
    contents = document(seed, gateway, message.device, message.at_ms)
    if message.kind is Kind.BAD:
        return _BREAKERS[message.variant % len(_BREAKERS)](contents, message.at_ms)
    return encode(contents)


@dataclass(slots=True)
class FaultPlan:
    """Draws from (seed, gateway, device, time): the same run goes wrong in the same places."""

    kinds: frozenset[Fault]
    rate: float
    key: NoiseKey
    next_variant: int = 0

    @classmethod
    def of(cls, kinds: frozenset[Fault], rate: float, seed: int, gateway: str) -> "FaultPlan":
        key = noise_key("faults", seed, gateway)
        # Each gateway starts elsewhere in the rotation, so that a short run of many shows every way to be broken.
        return cls(kinds, rate, key, next_variant=key % len(_BREAKERS))

    def messages(self, device: str, number: int, at_ms: int) -> list[Message]:
        """The plain message of this moment, and what else is sent with it. `number` tells the devices apart."""
        out = [Message(device, at_ms)]
        if self._strikes(Fault.DUPLICATES, number, at_ms):
            out.append(Message(device, at_ms, Kind.DUPLICATE))
        if self._strikes(Fault.LATE, number, at_ms):
            # The moment below zero: another draw than the one that just came out small.
            hours = 1 + bits(self._key(Fault.LATE, number), -at_ms) % _LATE_MAX_H
            out.append(Message(device, at_ms - hours * _HOUR_MS - _LATE_OFF_GRID_MS, Kind.LATE))
        if self._strikes(Fault.BAD, number, at_ms):
            out.append(Message(device, at_ms, Kind.BAD, self.next_variant))
            self.next_variant = (self.next_variant + 1) % len(_BREAKERS)
        return out

    def cuts_connection(self, at_ms: int) -> bool:
        return self._strikes(Fault.RECONNECTS, 0, at_ms)

    def moves(self, at_ms: int) -> bool:
        return self._strikes(Fault.MOVES, 0, at_ms)

    def _strikes(self, fault: Fault, number: int, at_ms: int) -> bool:
        return fault in self.kinds and unit(self._key(fault, number), at_ms) < self.rate

    def _key(self, fault: Fault, number: int) -> NoiseKey:
        return NoiseKey(self.key + number * len(_FAULT_NUMBER) + _FAULT_NUMBER[fault])
