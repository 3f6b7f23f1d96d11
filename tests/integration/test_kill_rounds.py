"""`kill -9` of consumer, broker, database and worker, over and over at random moments, while a fleet sends.

The processes are the real ones. They are started again by the test and not by `./tds up`, whose pauses between two
starts of a child that keeps ending would leave few moments to strike at.
"""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from django.db import connections

from tests import seeding
from tests.consuming import Managed, environment, ledger, prepared_connection, unacknowledged
from tests.running import RunningBroker, RunningCluster, running_broker, wait_until
from tests.simulating import GATEWAYS, READINGS_A_MESSAGE, acknowledged, fleet_on, messages_in

pytestmark = pytest.mark.django_db(transaction=True)

SEED: Final = 20_261_125
# So that a kill finds now a saved state of some seconds ago, now none at all; the 15 s of an installation would mean
# that hardly any round sees the first. What lies between is sent again, whatever the time between two saves.
AUTOSAVE_S: Final = 3
BETWEEN_S: Final = 2.0  # at most, before the next one is killed
AWAY_S: Final = 1.0  # at most, before it is started again
TOGETHER: Final = 0.25  # how often one dies while another is away
COME_BACK_S: Final = 60.0
SETTLE_S: Final = 120.0
FLEET: Final = "KILL"


class Part(NamedTuple):
    kill: Callable[[], None]
    start: Callable[[], None]


class Process:
    """One that is started again after it was killed, and must never end by itself."""

    def __init__(self, folder: Path, word: str, **variables: str) -> None:
        self._folder, self._word = folder, word
        self._variables = {"TDS_HOME": str(folder / word)} | variables  # its spool outlives it
        self._life = 0
        self.running = self._new()

    def _new(self) -> Managed:
        return Managed(self._folder / f"{self._word}-{self._life}", self._word, **self._variables)

    def kill(self) -> None:
        assert self.running.process.poll() is None, f"it ended by itself:\n{self.running.lines}\n{self.running.errors}"
        self.running.kill()

    def start(self) -> None:
        self._life += 1
        self.running = self._new()


@pytest.fixture
def connection(cluster: RunningCluster) -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as own:
        # The test cluster's way to be fast gives up the last commits before a crash.
        own.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = on")
    with prepared_connection(datetime.now(UTC)) as own:
        yield own
    with seeding.own_connection() as own:
        own.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")


@pytest.fixture
def saving_broker() -> Iterator[RunningBroker]:
    with running_broker(AUTOSAVE_S) as running:
        yield running


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_rounds_of_kill_9_of_every_part_lose_nothing_acknowledged_and_double_nothing(
    connection: psycopg.Connection[Any],
    cluster: RunningCluster,
    saving_broker: RunningBroker,
    tmp_path: Path,
    rounds: int,
) -> None:
    tenant = seeding.tenant("acme")
    for number in range(1, GATEWAYS + 1):
        seeding.gateway(tenant, f"{FLEET}-{number:04d}")
    connections.close_all()
    connection.close()
    report = tmp_path / "acknowledged.jsonl"
    assert saving_broker.broker.open_session()
    consumer = Process(tmp_path, "mqtt_consumer", TDS_MQTT_URLS=saving_broker.url)
    worker = Process(tmp_path, "worker", TDS_MQTT_URLS=saving_broker.url)
    parts = [
        Part(consumer.kill, consumer.start),
        Part(worker.kill, worker.start),
        Part(saving_broker.kill, saving_broker.start),
        Part(cluster.kill, cluster.start),
    ]
    try:
        with fleet_on([saving_broker.url], environment(tmp_path), FLEET, report) as fleet:
            wait_until(lambda: count_acknowledged(report), "the first acknowledgement", COME_BACK_S)
            chance = random.Random(SEED)
            for _ in range(rounds):
                play(parts, chance)
            # What was acknowledged until here is stored while the fleet goes on: it sends all of the last 90 s again.
            until_here = acknowledged(report)
            wait_until(lambda: until_here <= stored().keys(), "all that was acknowledged in the rounds", SETTLE_S)
            fleet.terminate()
            output, _ = fleet.communicate(timeout=SETTLE_S)
        sent = acknowledged(report)
        wait_until(lambda: sent <= stored().keys(), "all that was acknowledged", SETTLE_S)
        wait_until(quiet, "the end of the copies", SETTLE_S)
        # Each whole, and once: a copy would be a fifth reading of its moment.
        assert set(stored().values()) == {READINGS_A_MESSAGE}
        with seeding.own_connection() as own:
            sums = ledger(own)
        print(f"{rounds} rounds: {len(sent)} messages acknowledged, {sums}; the fleet: {output.splitlines()[-1]}")
        assert sums["quarantined"] == 0
        assert sums["stored"] == len(stored()) * READINGS_A_MESSAGE
        assert (consumer.running.terminate(), worker.running.terminate()) == (0, 0)
        assert unacknowledged(saving_broker) == []
    finally:
        consumer.running.kill()
        worker.running.kill()


def play(parts: list[Part], chance: random.Random) -> None:
    """Kill each part once, in a new order: one after the other, or some while others are away."""
    waiting = chance.sample(parts, len(parts))
    while waiting:
        struck = [waiting.pop()]
        while waiting and chance.random() < TOGETHER:
            struck.append(waiting.pop())
        time.sleep(chance.uniform(0, BETWEEN_S))
        for part in struck:
            part.kill()
        time.sleep(chance.uniform(0, AWAY_S))
        for part in struck:
            part.start()


def count_acknowledged(report: Path) -> int:
    return len(acknowledged(report)) if report.exists() else 0


def stored() -> dict[tuple[str, str, datetime], int]:
    with seeding.own_connection() as own:
        return messages_in(own, FLEET)


def quiet() -> bool:
    """Whether nothing was counted for a second: nothing waits at the broker any more."""
    with seeding.own_connection() as own:
        before = ledger(own)
        time.sleep(1)
        return ledger(own) == before
