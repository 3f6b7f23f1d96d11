"""The load generator and the bare subscriber, built from bench/*.c and run on loopback."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.platform import TENANT, Platform

FOLDER: Final = Path(__file__).resolve().parent
GATEWAYS: Final = 100
DEVICES: Final = 10  # of each gateway
GATEWAY_FORMAT: Final = "BENCH-%04d"
LIMIT_S: Final = 120
PUBLISHER: Final = "publisher"  # the load generator, among the processes that are paid for


def build() -> None:
    subprocess.run(["make", "--quiet", "-C", str(FOLDER)], check=True)


def gateway_codes() -> list[str]:
    return [GATEWAY_FORMAT % n for n in range(GATEWAYS)]


def register(platform: Platform, gateways: int = GATEWAYS) -> None:
    """Straight into the table: a command for each would take longer than what is measured."""
    with platform.database() as database:
        database.execute(
            """INSERT INTO tds_new_gateway (tenant_id, code, name, status, auto_devices, created_at)
               SELECT t.id, 'BENCH-' || lpad(n::text, greatest(4, length(n::text)), '0'), '', 'active', true, now()
               FROM tds_new_tenant t, generate_series(0, %s - 1) AS n WHERE t.slug = %s ON CONFLICT DO NOTHING""",
            (gateways, TENANT),
        )


@dataclass(frozen=True, slots=True)
class Load:
    """So many distinct messages of QoS 1; `rate` in messages a second, 0: as fast as the broker takes them."""

    messages: int
    rate: int = 0
    readings: int = 1  # in each message
    gateways: int = GATEWAYS
    devices: int = DEVICES  # of each gateway


@contextlib.contextmanager
def loadgen(port: int, load: Load, *, limit_s: int = LIMIT_S) -> Iterator[subprocess.Popen[str]]:
    """Publishes, then ends; after `limit_s` in any case."""
    # Each call begins at a microsecond of its own, so that no reading was there before.
    start = datetime.now(UTC) - timedelta(minutes=20)
    process = subprocess.Popen(
        [
            FOLDER / "build/loadgen",
            *("--port", str(port)),
            *("--messages", str(load.messages)),
            *("--rate", str(load.rate)),
            *("--readings", str(load.readings)),
            *("--gateways", str(load.gateways)),
            *("--gateway-format", GATEWAY_FORMAT),
            *("--devices", str(load.devices)),
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


def report_of(process: subprocess.Popen[str], *, limit_s: int = LIMIT_S) -> dict[str, Any]:
    output, _ = process.communicate(timeout=limit_s + 10)
    document: dict[str, Any] = json.loads(output.splitlines()[-1])
    return document


@contextlib.contextmanager
def sink(port: int, *, messages: int, limit_s: int = LIMIT_S) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            FOLDER / "build/sink",
            *("--port", str(port)),
            *("--messages", str(messages)),
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
