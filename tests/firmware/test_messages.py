"""What the firmware writes, judged by the platform's own rules: the device's C code makes random messages."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tds.ingest.wire import Message, judge
from tests.firmware_built import built

SAMPLES: Final = 4_000
RETENTION: Final = timedelta(days=90)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Sample(NamedTuple):
    topic: str
    payload: bytes
    gateway_code: str
    device_code: str
    time: datetime
    readings: list[tuple[str, str, float]]


@pytest.fixture(scope="module")
def random_samples() -> Path:
    return built("random_samples") / "tools" / "random_samples"


def samples_of(program: Path, *, seed: int) -> Iterator[Sample]:
    printed = subprocess.run([program, str(SAMPLES), str(seed)], capture_output=True, check=True).stdout
    # Lines end with a line feed and nothing else: names may have all that str.splitlines() takes for an end.
    for line in printed.removesuffix(b"\n").split(b"\n"):
        topic, payload, gateway_code, device_code, unix_s, *readings = line.split(b"\t")
        yield Sample(
            topic.decode("ascii"),
            payload,
            gateway_code.decode("ascii"),
            device_code.decode("ascii"),
            EPOCH + timedelta(seconds=int(unix_s)),
            [reading(*readings[at : at + 4]) for at in range(0, len(readings), 4)],
        )


def reading(tipo: bytes, unidade: bytes, digits: bytes, places: bytes) -> tuple[str, str, float]:
    return name(tipo), name(unidade), float(Decimal(int(digits)).scaleb(-int(places)))


def name(code_points: bytes) -> str:
    return "".join(chr(int(point)) for point in code_points.split(b",") if point)


def test_every_message_of_the_firmware_is_accepted_with_the_very_same_readings(random_samples: Path) -> None:
    count = readings = 0
    for sample in samples_of(random_samples, seed=1):
        verdict = judge(sample.topic, sample.payload, now=sample.time, retention=RETENTION)

        assert isinstance(verdict, Message), verdict
        assert (verdict.gateway_code, verdict.device_code) == (sample.gateway_code, sample.device_code)
        assert verdict.time == sample.time
        assert [(each.tipo, each.unidade, each.valor) for each in verdict.readings] == sample.readings
        count += 1
        readings += len(sample.readings)
    assert count == SAMPLES
    assert readings > 5 * SAMPLES


def test_the_samples_are_worth_it(random_samples: Path) -> None:
    """Quotes, backslashes, all planes of Unicode, both ends of the numbers and of the calendar."""
    names, values, times = set[str](), set[float](), set[datetime]()
    for sample in samples_of(random_samples, seed=2):
        names.update(*[(tipo, unidade) for tipo, unidade, _ in sample.readings])
        values.update(valor for *_, valor in sample.readings)
        times.add(sample.time)
    characters = set("".join(names))

    assert {'"', "\\", "/", " ", "~"} <= characters
    assert max(characters) > "\U000f0000"
    assert max(values) > 2**62
    assert min(values) < -(2**62)
    assert 0 < min(abs(value) for value in values if value) < 1e-8
    assert min(times).year < 100
    assert max(times).year > 9900
