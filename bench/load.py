"""The load generator and the bare subscriber, built from bench/*.c and run on loopback."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent
GATEWAYS: Final = 100
DEVICES: Final = 10  # of each gateway
GATEWAY_FORMAT: Final = "BENCH-%04d"
LIMIT_S: Final = 120


def build() -> None:
    subprocess.run(["make", "--quiet", "-C", str(FOLDER)], check=True)


def gateway_codes() -> list[str]:
    return [GATEWAY_FORMAT % n for n in range(GATEWAYS)]


@contextlib.contextmanager
def loadgen(
    port: int, *, messages: int, rate: int = 0, readings: int = 1, limit_s: int = LIMIT_S
) -> Iterator[subprocess.Popen[str]]:
    """Publishes that many distinct messages of QoS 1, then ends; `rate` 0: as fast as the broker takes them."""
    # Each call begins at a microsecond of its own, so that no reading was there before.
    start = datetime.now(UTC) - timedelta(minutes=20)
    process = subprocess.Popen(
        [
            FOLDER / "build/loadgen",
            *("--port", str(port)),
            *("--messages", str(messages)),
            *("--rate", str(rate)),
            *("--readings", str(readings)),
            *("--gateways", str(GATEWAYS)),
            *("--gateway-format", GATEWAY_FORMAT),
            *("--devices", str(DEVICES)),
            *("--start-time", start.isoformat().replace("+00:00", "Z")),
            *("--timeout-s", str(limit_s)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=10)


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=LIMIT_S + 10)
    document: dict[str, Any] = json.loads(output.splitlines()[-1])
    return document


@contextlib.contextmanager
def sink(port: int, *, messages: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            FOLDER / "build/sink",
            *("--port", str(port)),
            *("--messages", str(messages)),
            *("--timeout-s", str(LIMIT_S)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=10)
