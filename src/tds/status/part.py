"""What is said of one part of the platform."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"  # works, and will not go on for ever
    UNHEALTHY = "unhealthy"
    OFF = "off"  # not asked for: no fault


@dataclass(frozen=True, slots=True)
class Part:
    """One part: how it is, why, and what to do when it is not well."""

    name: str
    state: State
    detail: str
    action: str = ""


def healthy(parts: list[Part]) -> bool:
    return all(part.state is not State.UNHEALTHY for part in parts)


def as_document(parts: list[Part]) -> dict[str, Any]:
    return {"healthy": healthy(parts), "parts": {part.name: asdict(part) | {"name": part.name} for part in parts}}


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
