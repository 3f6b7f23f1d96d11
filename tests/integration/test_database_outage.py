"""A database that is away while gateways go on: nothing is lost, and nothing grows but the spool."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from django.db import connections

from bench import load
from tds.ingest.consumer import CLIENT_ID
from tds.ingest.spool import look
from tests import seeding
from tests.consuming import consumer_process, ledger, prepared_connection, unacknowledged
from tests.running import RunningBroker, RunningCluster, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("make") or not shutil.which("cc"), reason="the load generator needs make, cc"),
]

MAX_CONSUMER_MIB: Final = 200
MAX_BROKER_GROWTH_MIB: Final = 16
SETTLE_S: Final = 300.0


class Outage(NamedTuple):
    away_s: int
    rate: int  # messages a second


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@pytest.mark.parametrize(
    "outage", [Outage(12, 3_000), pytest.param(Outage(600, 5_000), marks=pytest.mark.soak)], ids=str
)
def test_while_the_database_is_away_memory_stays_flat_and_all_arrives_when_it_is_back(
    broker: RunningBroker,
    connection: psycopg.Connection[Any],
    cluster: RunningCluster,
    tmp_path: Path,
    outage: Outage,
) -> None:
    load.build()
    tenant = seeding.tenant("acme")
    for code in load.gateway_codes():
        seeding.gateway(tenant, code)
    before_s = 3
    messages = outage.rate * (outage.away_s + 2 * before_s)
    spool = tmp_path / "home/spool/consumer"
    connections.close_all()
    connection.close()
    with (
        consumer_process(broker, tmp_path, TDS_MODE="production", TDS_SECRET_KEY="x" * 40) as consumer,
        load.loadgen(
            broker.port, load.Load(messages=messages, rate=outage.rate), limit_s=outage.away_s + 120
        ) as generator,
    ):
        time.sleep(before_s)
        assert broker.process
        broker_before = pss_mib(broker.process.pid)
        cluster.stop()
        peaks = {"consumer": 0.0, "broker": 0.0}
        try:
            back_at = time.monotonic() + outage.away_s
            while time.monotonic() < back_at:
                time.sleep(0.5)
                peaks["consumer"] = max(peaks["consumer"], pss_mib(consumer.process.pid))
                peaks["broker"] = max(peaks["broker"], pss_mib(broker.process.pid) - broker_before)
            seen = look(spool)
        finally:
            cluster.start()
        report = load.report_of(generator)
        assert (report["acked"], report["refused"]) == (messages, 0)
        with seeding.own_connection() as another:
            wait_until(lambda: ledger(another)["stored"] >= messages, "the last message", SETTLE_S)
            peaks["consumer"] = max(peaks["consumer"], pss_mib(consumer.process.pid))
            sums = ledger(another)
        assert consumer.terminate() == 0
    print(f"{outage}: {peaks}, spool {seen.size_bytes / 1e6:.0f} MB")
    assert seen.size_bytes > messages * 100 * 0.5
    assert peaks["consumer"] < MAX_CONSUMER_MIB
    assert peaks["broker"] < MAX_BROKER_GROWTH_MIB
    assert sums["stored"] == messages
    assert sums["readings"] == sums["stored"] + sums["duplicate"]
    assert sums["received"] == sums["accepted"] + sums["quarantined"]
    assert sums["quarantined"] == 0
    assert look(spool).size_bytes == 0
    assert unacknowledged(broker) == []


def test_a_database_that_hangs_is_left_alone_and_nothing_waits_for_it(
    broker: RunningBroker, connection: psycopg.Connection[Any], cluster: RunningCluster, tmp_path: Path
) -> None:
    """A stopped process answers nothing and closes nothing: neither a timeout of the server's nor TCP ends the wait."""
    load.build()
    tenant = seeding.tenant("acme")
    for code in load.gateway_codes():
        seeding.gateway(tenant, code)
    with consumer_process(broker, tmp_path) as consumer:
        with load.loadgen(broker.port, load.Load(messages=100)) as generator:
            load.report_of(generator)
        wait_until(lambda: ledger(connection)["stored"] == 100, "the first messages")
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (CLIENT_ID,)
        ).fetchone()
        assert row
        with load.loadgen(broker.port, load.Load(messages=500, rate=100)) as generator, stopped(row[0]):
            load.report_of(generator)
            # Its patience is 30 s, at the latest.
            wait_until(lambda: look(tmp_path / "home/spool/consumer").size_bytes > 0, "the spool", 45.0)
        wait_until(lambda: ledger(connection)["stored"] >= 600, "the last message", 60.0)
        assert consumer.terminate() == 0
    assert unacknowledged(broker) == []


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def pss_mib(pid: int) -> float:
    """Memory of one process, its share of what several hold counted in proportion."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)
