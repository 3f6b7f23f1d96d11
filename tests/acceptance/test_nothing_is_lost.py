"""The promise: what a broker acknowledged is stored once, whatever is killed meanwhile."""

import os
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from tests.balancing import assert_platform_balanced
from tests.running import wait_until
from tests.simulating import (
    DEVICES,
    GATEWAYS,
    READINGS_A_MESSAGE,
    acknowledged,
    ledger_balances,
    new_fleet,
    simulated,
    stored_messages,
)
from tests.started import Started

LIVE_S: Final = 18
BEFORE_THE_KILL_S: Final = 4.0
COME_BACK_S: Final = 30.0
SETTLE_S: Final = 60.0


@pytest.fixture
def fleet(platform: Started) -> str:
    return new_fleet(platform)


def saved(platform: Started) -> None:
    """Make the broker write its database: what is killed later had its autosave."""
    database = platform.home / "broker/data/mosquitto.db"
    before = database.stat().st_mtime_ns if database.exists() else 0
    os.kill(platform.pids["broker"], signal.SIGUSR1)
    wait_until(lambda: database.exists() and database.stat().st_mtime_ns != before, "the broker's save")


@pytest.mark.parametrize("part", ["consumer", "web", "database", "broker"])
def test_kill_9_of_a_part_loses_nothing_acknowledged_and_stores_nothing_twice(
    platform: Started, fleet: str, tmp_path: Path, part: str
) -> None:
    report = tmp_path / "acknowledged.jsonl"
    with simulated(platform, fleet, report, live_s=LIVE_S) as process:
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
    assert_platform_balanced(platform)
