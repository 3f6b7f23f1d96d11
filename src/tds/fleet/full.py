"""Which gateways and tenants were found full, for a while: what has no room there is refused without asking again.

What is remembered are lower bounds: whatever was registered since makes them larger, and a deletion that makes them
smaller is in the news; without news it waits for the end of the while.
"""

from array import array
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

REFUSED_FOR_S: Final = 30.0
FULL_REMEMBERED: Final = 1_000  # gateways, of 8 KB each at most, and tenants. Full: the one noted first goes


class FullGateway(NamedTuple):
    until: float
    devices: int
    metric_ids: "array[int]"


class FullTenant(NamedTuple):
    until: float
    metrics: int


class Full:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._gateways: dict[str, FullGateway] = {}
        self._tenants: dict[int, FullTenant] = {}

    def note_gateway(self, code: str, devices: int, metric_ids: Iterable[int]) -> None:
        """How many devices it has, and its metrics where they were asked for."""
        _put(self._gateways, code, FullGateway(self._clock() + REFUSED_FOR_S, devices, array("q", metric_ids)))

    def note_tenant(self, tenant_id: int, metrics: int) -> None:
        """How many metrics it has."""
        _put(self._tenants, tenant_id, FullTenant(self._clock() + REFUSED_FOR_S, metrics))

    def gateway(self, code: str) -> FullGateway | None:
        noted = self._gateways.get(code)
        return noted if noted and self._clock() < noted.until else None

    def tenant(self, tenant_id: int) -> FullTenant | None:
        noted = self._tenants.get(tenant_id)
        return noted if noted and self._clock() < noted.until else None

    def forget(self, code: str = "") -> None:
        """What was noted of one gateway, or all of it."""
        if code:
            self._gateways.pop(code, None)
        else:
            self._gateways.clear()
            self._tenants.clear()


def _put(noted: dict[Key, Value], key: Key, value: Value) -> None:
    noted.pop(key, None)
    while len(noted) >= FULL_REMEMBERED:
        del noted[next(iter(noted))]
    noted[key] = value
