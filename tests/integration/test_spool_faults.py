"""A spool that is full, whose disk is full, or that the disk has damaged: what a consumer makes of it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.db import connections

from tds.ingest.models import SpoolState
from tds.ingest.segment import HEADER_BYTES, RECORD_HEADER_BYTES, Record, read_record
from tds.ingest.spool import look, segments
from tds.local.apart import shared_folder
from tests import seeding
from tests.consuming import consumer_process, ledger, message, prepared_connection, publish, unacknowledged, wait_for
from tests.running import RunningBroker, RunningCluster, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGES: Final = 1_000
SMALL_BYTES: Final = 60_000  # room for some 300 messages
REFUSES: Final = "[ERROR] O spool não aceita mais nada, e nada é confirmado; as mensagens ficam no broker"

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@pytest.fixture(autouse=True)
def gateway() -> None:
    seeding.gateway(seeding.tenant("acme"), "GW-001")


@contextmanager
def away(cluster: RunningCluster, connection: Connection) -> Iterator[None]:
    connections.close_all()
    connection.close()
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def sent(broker: RunningBroker, *, of: range = range(MESSAGES)) -> None:
    publish(broker, *(message(n) for n in of))


def in_spool(folder: Path) -> list[Record]:
    records = []
    for path in segments(folder):
        descriptor, offset = os.open(path, os.O_RDONLY), HEADER_BYTES
        try:
            while isinstance(found := read_record(descriptor, offset), Record):
                records.append(found)
                offset = found.end
        finally:
            os.close(descriptor)
    return records


def all_arrives_after(
    broker: RunningBroker, cluster: RunningCluster, connection: Connection, folder: Path, **variables: str
) -> None:
    """While the database is away the spool takes some, the broker keeps the others, and none is in neither."""
    variables |= {"TDS_BATCH_MESSAGES": "50"}  # a batch is taken whole or not at all
    spool = Path(variables.get("TDS_SPOOL_DIR", folder / "home/spool")) / "consumer"
    with away(cluster, connection):
        with consumer_process(broker, folder, subscribed=True, **variables) as consumer:
            sent(broker)
            wait_until(lambda: consumer.says(REFUSES), "the sentence")
            consumer.kill()
        kept = sum(len(record.messages) for record in in_spool(spool))
        assert 0 < kept < MESSAGES
        left = unacknowledged(broker)
        assert left == list(range(left[0], MESSAGES))
        assert left[0] <= kept  # killed, it may not have acknowledged the last that it kept: these come twice
    with (
        seeding.own_connection() as another,
        consumer_process(broker, folder, subscribed=True, **variables) as consumer,
    ):
        wait_for(another, *range(MESSAGES))
        wait_until(lambda: look(spool).size_bytes == 0, "an empty spool")
        assert consumer.terminate() == 0
    assert unacknowledged(broker) == []


def test_what_a_full_spool_does_not_take_stays_at_the_broker_and_all_is_stored_in_the_end(
    broker: RunningBroker, cluster: RunningCluster, connection: Connection, tmp_path: Path
) -> None:
    all_arrives_after(broker, cluster, connection, tmp_path, TDS_SPOOL_BYTES=str(SMALL_BYTES))


def test_what_a_spool_with_a_full_disk_does_not_take_stays_at_the_broker_and_all_is_stored_in_the_end(
    broker: RunningBroker, cluster: RunningCluster, connection: Connection, tmp_path: Path
) -> None:
    with shared_folder("spool") as folder, small_disk(folder) as disk:
        # Without a reserve, which would stop the consumer before the disk does.
        variables = {"TDS_SPOOL_DIR": str(disk), "TDS_DISK_RESERVE_BYTES": "0"}
        all_arrives_after(broker, cluster, connection, tmp_path, **variables)


def test_a_record_that_the_disk_damaged_costs_exactly_its_messages_and_everybody_is_told(
    broker: RunningBroker, cluster: RunningCluster, connection: Connection, tmp_path: Path
) -> None:
    spool = tmp_path / "home/spool/consumer"
    with away(cluster, connection), consumer_process(broker, tmp_path) as consumer:
        for start in range(0, 60, 20):  # a record or more of each
            sent(broker, of=range(start, start + 20))
            wait_until(lambda end=start + 20: total(in_spool(spool)) == end, "the record")  # type: ignore[misc]
        assert consumer.terminate() == 0  # what is in the spool is acknowledged then, and does not come again
        records = in_spool(spool)
        assert len(records) >= 3
        [path] = segments(spool)
        victim, lost = records[0].end, len(records[1].messages)
        flip_a_bit(path, victim + RECORD_HEADER_BYTES + 30)
    with seeding.own_connection() as another, consumer_process(broker, tmp_path) as consumer:
        first = len(records[0].messages)
        wait_for(another, *range(first), *range(first + lost, 60))
        wait_until(lambda: consumer.says(f"O disco perdeu {lost} mensagens confirmadas"), "the sentence")
        wait_until(lambda: look(spool).size_bytes == 0, "an empty spool")
        assert [state.lost for state in SpoolState.objects.all()] == [lost]
        # They were acknowledged and never judged: no column of the ledger knows them, and it balances.
        assert ledger(another)["received"] == 60 - lost
        assert consumer.terminate() == 0


def total(records: list[Record]) -> int:
    return sum(len(record.messages) for record in records)


def flip_a_bit(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
