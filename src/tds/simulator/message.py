"""One message as it goes over the wire, made from a few numbers."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Final

from tds.simulator.series import (
    UNITS,
    DeviceSeries,
    device_series,
    energy_kwh,
    humidity_pct,
    temperature_c,
    voltage_v,
)

CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_BRASILIA: Final = timezone(timedelta(hours=-3))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    PLAIN = "plain"
    BAD = "bad"
    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Message:
    """Which device, when: the values follow from these, so the payload is made at each sending and never kept."""

    device: str
    at_ms: int
    kind: Kind = Kind.PLAIN
    variant: int = 0  # of a bad one: which way it is broken


def topic(gateway: str, device: str) -> str:
    return f"telemetry/{gateway}/{device}/data"


def timestamp(at_ms: int) -> str:
    """RFC 3339 with an offset; milliseconds only where there are some, as the fleet's own firmware writes it."""
    moment = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(_BRASILIA)
    return moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds")


def readings(series: DeviceSeries, at_ms: int) -> list[dict[str, Any]]:
    return [
        {"tipo": "temperatura", "valor": temperature_c(series, at_ms), "unidade": UNITS["temperatura"]},
        {"tipo": "umidade", "valor": humidity_pct(series, at_ms), "unidade": UNITS["umidade"]},
        {"tipo": "energia", "valor": energy_kwh(series, at_ms), "unidade": UNITS["energia"]},
        {"tipo": "tensao", "valor": voltage_v(series, at_ms), "unidade": UNITS["tensao"]},
    ]


def document(seed: int, gateway: str, device: str, at_ms: int) -> dict[str, Any]:
    return {
        "gateway_code": gateway,
        "device_code": device,
        "timestamp": timestamp(at_ms),
        "leituras": readings(device_series(seed, gateway, device), at_ms),
    }


def encode(contents: object) -> bytes:
    return json.dumps(contents, ensure_ascii=False, separators=(",", ":")).encode()
