"""What devices wrote down of their measurements, and what a platform has of them: an account that nobody else keeps.

A device's journal (`--journal` of its program) says what its outbox took, and for which time.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg


class Reading(NamedTuple):
    gateway: str
    device: str
    time: datetime
    tipo: str
    unidade: str


Readings = dict[Reading, float]


@dataclass
class Journals:
    """`moments`: when a device of a gateway measured. A second that came twice is one time here, and counted."""

    readings: Readings = field(default_factory=dict)
    moments: dict[tuple[str, str], list[datetime]] = field(default_factory=dict)
    in_one_second: int = 0

    def take(self, gateway: str, lines: Iterable[str]) -> None:
        numbered: dict[int, dict[str, Any]] = {}
        for line in lines:
            sample = json.loads(line)
            # What a device wrote once more after a restart must say the same: else one measurement has two times.
            assert numbered.setdefault(sample["seq"], sample) == sample, f"{gateway}: {sample}"
        assert sorted(numbered) == list(range(min(numbered, default=0), max(numbered, default=-1) + 1)), gateway
        for sample in numbered.values():
            self._take(gateway, sample)

    def _take(self, gateway: str, sample: dict[str, Any]) -> None:
        time = datetime.fromtimestamp(sample["time"], UTC)
        times = self.moments.setdefault((gateway, sample["device"]), [])
        self.in_one_second += time in times[-100:]
        times.append(time)
        for tipo, unidade, digits, places in sample["readings"]:
            key = Reading(gateway, sample["device"], time, tipo, unidade)
            self.readings.setdefault(key, float(Decimal(digits).scaleb(-places)))


def read(state: Path, codes: Iterable[str]) -> Journals:
    """Of devices of a fleet; a line that is being written is left for the next time."""
    found = Journals()
    for code in codes:
        text = (state / code / "journal.jsonl").read_text(encoding="utf-8")
        found.take(code, text[: text.rfind("\n") + 1].splitlines())
    return found


def stored(connection: psycopg.Connection[Any], codes: Iterable[str]) -> Readings:
    """All readings that a platform has of these gateways."""
    rows = connection.execute(
        """SELECT g.code, d.code, r.time, m.tipo, m.unidade, r.value FROM tds_new_leituradispositivo r
           JOIN tds_new_device d ON d.id = r.device_id JOIN tds_new_gateway g ON g.id = d.gateway_id
           JOIN tds_new_metric m ON m.id = r.metric_id WHERE g.code = ANY(%s)""",
        (list(codes),),
    )
    return {Reading(*key): value for *key, value in rows}


def missing(kept: Readings, found: Readings) -> list[Reading]:
    return sorted(kept.keys() - found.keys())


def assert_measured(found: Readings, journals: Journals) -> None:
    """Nothing is there that nobody measured, or under another time, or with another value."""
    assert sorted(found.keys() - journals.readings.keys()) == []
    assert sorted(key for key, value in found.items() if journals.readings[key] != value) == []
    assert journals.in_one_second == 0
