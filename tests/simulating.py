"""A simulated fleet on a running platform, and what must be true of it afterwards."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from tds.environment import ROOT
from tests.started import Started

GATEWAYS: Final = 6
DEVICES: Final = 3
READINGS_A_MESSAGE: Final = 4


def new_fleet(platform: Started) -> str:
    """A tenant of its own with its gateways; the prefix of their codes."""
    prefix = f"KILL-{time.monotonic_ns()}"
    slug = prefix.lower()
    platform.tds("tenant", "add", slug)
    for number in range(1, GATEWAYS + 1):
        platform.tds("gateway", "add", f"{prefix}-{number:04d}", "--tenant", slug)
    return prefix


@contextlib.contextmanager
def simulated(
    platform: Started, prefix: str, report: Path, *words: str, live_s: int
) -> Iterator[subprocess.Popen[str]]:
    """Six gateways with 180 messages a second, spread over all brokers; `report` gets what was acknowledged."""
    with fleet_on(
        platform.ready["mqtt_urls"], platform.environment, prefix, report, "--duration", f"{live_s}s", *words
    ) as process:
        yield process


@contextlib.contextmanager
def fleet_on(
    brokers: Sequence[str], environment: Mapping[str, str], prefix: str, report: Path, *words: str
) -> Iterator[subprocess.Popen[str]]:
    """The same on brokers of the test's own; without a `--duration` until it is told to end."""
    process = subprocess.Popen(
        [
            *(ROOT / "tds", "simulate", "--gateways", str(GATEWAYS), "--devices", str(DEVICES), "--prefix", prefix),
            *("--interval", "0.1", "--report", str(report), "--json"),
            *(word for url in brokers for word in ("--broker", url)),
            *words,
        ],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=20)


def connect(platform: Started) -> psycopg.Connection[Any]:
    return psycopg.connect(platform.ready["database_url"], autocommit=True)


def stored_messages(platform: Started, prefix: str) -> dict[tuple[str, str, datetime], int]:
    """How many readings there are of each (gateway, device, time)."""
    with connect(platform) as connection:
        return messages_in(connection, prefix)


def messages_in(connection: psycopg.Connection[Any], prefix: str) -> dict[tuple[str, str, datetime], int]:
    rows = connection.execute(
        """SELECT g.code, d.code, r.time, count(*) FROM tds_new_leituradispositivo r
           JOIN tds_new_device d ON d.id = r.device_id JOIN tds_new_gateway g ON g.id = d.gateway_id
           WHERE g.code LIKE %s GROUP BY 1, 2, 3""",
        (f"{prefix}-%",),
    )
    return {(gateway, device, at): count for gateway, device, at, count in rows}


def acknowledged(report: Path) -> set[tuple[str, str, datetime]]:
    """What a report says; a line that is still being written does not count."""
    text = report.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return {(m["gateway_code"], m["device_code"], datetime.fromisoformat(m["timestamp"])) for m in lines}


def ledger_balances(platform: Started, prefix: str, *, quarantined_at_most: int = 0) -> None:
    with connect(platform) as connection:
        received, accepted, quarantined, readings, stored, duplicate = (
            connection.execute(
                """SELECT sum(received), sum(accepted), sum(quarantined), sum(readings), sum(stored), sum(duplicate)
               FROM tds_new_ledgerhour l JOIN tds_new_tenant t ON t.id = l.tenant_id WHERE t.slug = %s""",
                (prefix.lower(),),
            ).fetchone()
            or (0,) * 6
        )
    assert quarantined <= quarantined_at_most
    assert received == accepted + quarantined
    assert readings == stored + duplicate == accepted * READINGS_A_MESSAGE
    assert stored == sum(stored_messages(platform, prefix).values())
