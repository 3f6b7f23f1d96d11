"""The promise: what a broker acknowledged is stored once, whatever is killed meanwhile."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tds.environment import ROOT
from tests.running import wait_until
from tests.started import Started

GATEWAYS: Final = 6
DEVICES: Final = 3
READINGS_A_MESSAGE: Final = 4
LIVE_S: Final = 18
BEFORE_THE_KILL_S: Final = 4.0
COME_BACK_S: Final = 30.0
SETTLE_S: Final = 60.0


@pytest.fixture
def fleet(platform: Started) -> str:
    """A tenant of this test alone, with its gateways; the prefix of their codes."""
    prefix = f"KILL-{time.monotonic_ns()}"
    slug = prefix.lower()
    platform.tds("tenant", "add", slug)
    for number in range(1, GATEWAYS + 1):
        platform.tds("gateway", "add", f"{prefix}-{number:04d}", "--tenant", slug)
    return prefix


@contextlib.contextmanager
def simulated(platform: Started, prefix: str, report: Path) -> Iterator[subprocess.Popen[str]]:
    broker = f"mqtt://127.0.0.1:{platform.environment['TDS_MQTT_PORT']}"
    process = subprocess.Popen(
        [
            *(ROOT / "tds", "simulate", "--gateways", str(GATEWAYS), "--devices", str(DEVICES), "--prefix", prefix),
            *("--interval", "0.1", "--duration", f"{LIVE_S}s", "--broker", broker),
            *("--report", str(report), "--json"),
        ],
        env=platform.environment,
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


def saved(platform: Started) -> None:
    """Make the broker write its database: what is killed later had its autosave."""
    database = platform.home / "broker/data/mosquitto.db"
    before = database.stat().st_mtime_ns if database.exists() else 0
    os.kill(platform.pids["broker"], signal.SIGUSR1)
    wait_until(lambda: database.exists() and database.stat().st_mtime_ns != before, "the broker's save")


def connect(platform: Started) -> psycopg.Connection[Any]:
    return psycopg.connect(platform.ready["database_url"], autocommit=True)


def stored_messages(platform: Started, prefix: str) -> dict[tuple[str, str, datetime], int]:
    """How many readings there are of each (gateway, device, time)."""
    with connect(platform) as connection:
        rows = connection.execute(
            """SELECT g.code, d.code, r.time, count(*) FROM tds_new_leituradispositivo r
               JOIN tds_new_device d ON d.id = r.device_id JOIN tds_new_gateway g ON g.id = d.gateway_id
               WHERE g.code LIKE %s GROUP BY 1, 2, 3""",
            (f"{prefix}-%",),
        )
        return {(gateway, device, at): count for gateway, device, at, count in rows}


def acknowledged(report: Path) -> set[tuple[str, str, datetime]]:
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    return {(m["gateway_code"], m["device_code"], datetime.fromisoformat(m["timestamp"])) for m in lines}


@pytest.mark.parametrize("part", ["consumer", "web", "database", "broker"])
def test_kill_9_of_a_part_loses_nothing_acknowledged_and_stores_nothing_twice(
    platform: Started, fleet: str, tmp_path: Path, part: str
) -> None:
    report = tmp_path / "acknowledged.jsonl"
    with simulated(platform, fleet, report) as process:
        wait_until(lambda: stored_messages(platform, fleet), "the first reading", COME_BACK_S)
        time.sleep(BEFORE_THE_KILL_S)
        if part == "broker":
            saved(platform)
        victim = platform.pids[part]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: platform.pids.get(part, victim) != victim, f"{part} coming back", COME_BACK_S)
        output, _ = process.communicate(timeout=LIVE_S + 60)
    assert process.returncode in {0, 1}, output
    sent = acknowledged(report)
    assert len(sent) > GATEWAYS * DEVICES * 50
    wait_until(lambda: sent <= stored_messages(platform, fleet).keys(), "all that was acknowledged", SETTLE_S)
    # Whole messages, and each once: a copy would be a fifth reading of the moment.
    assert set(stored_messages(platform, fleet).values()) == {READINGS_A_MESSAGE}
    ledger_balances(platform, fleet)


def ledger_balances(platform: Started, prefix: str) -> None:
    with connect(platform) as connection:
        received, accepted, quarantined, readings, stored, duplicate = (
            connection.execute(
                """SELECT sum(received), sum(accepted), sum(quarantined), sum(readings), sum(stored), sum(duplicate)
               FROM tds_new_ledgerhour l JOIN tds_new_tenant t ON t.id = l.tenant_id WHERE t.slug = %s""",
                (prefix.lower(),),
            ).fetchone()
            or (0,) * 6
        )
    assert quarantined == 0
    assert received == accepted + quarantined
    assert readings == stored + duplicate == accepted * READINGS_A_MESSAGE
    assert stored == sum(stored_messages(platform, prefix).values())
