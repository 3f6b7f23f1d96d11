"""`python manage.py mqtt_consumer` as operators run it: what it says, and that nothing is lost when a part ends."""

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from tds.environment import ROOT
from tds.fleet.models import Gateway
from tds.ingest.consumer import CLIENT_ID
from tds.ingest.segment import HEADER_BYTES
from tests import seeding
from tests.consuming import (
    SUBSCRIBED,
    commits_held_up,
    consumer_process,
    consumer_thread,
    environment,
    in_commit,
    ledger,
    managed,
    message,
    prepared_connection,
    publish,
    readings,
    unacknowledged,
    wait_for,
)
from tests.running import START_LIMIT_S, RunningBroker, RunningCluster, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@pytest.fixture(autouse=True)
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-001")


# What it says


def test_the_log_has_the_lines_that_operators_search_for(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    assert broker.broker.open_session()  # as `tds up` does: no message of a first second is lost
    topic, payload = message(23)
    with consumer_process(broker, tmp_path) as consumer:
        publish(broker, (topic, payload))
        wait_until(lambda: consumer.says("Leitura salva"), "the reading")

        assert consumer.lines == [
            f"[INFO] Conectado ao MQTT broker em localhost:{broker.port}",
            "[INFO] Subscrito em: telemetry/+/+/data",
            "[INFO] Mensagem recebida em telemetry/GW-001/D01/data",
            f"[INFO] Payload: {payload.decode()}",
            "[INFO] Leitura salva: temperatura=23.0°C",
        ]
        assert consumer.terminate() == 0
        assert consumer.errors == ""


def test_a_wrong_variable_stops_the_start_with_a_sentence_that_names_it(tmp_path: Path) -> None:
    with managed(tmp_path, "mqtt_consumer", TDS_BATCH_MESSAGES="many") as consumer:
        assert consumer.wait(START_LIMIT_S) == 1
        assert consumer.errors == "TDS_BATCH_MESSAGES is 'many'; set it to a whole number from 1 to 5000.\n"
        assert consumer.lines == []


def test_a_retained_message_is_taken_once_and_cleared_and_its_gateway_flagged(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    publish(broker, message(1), retain=True)
    for n in (2, 3):
        with consumer_thread(broker.url):
            publish(broker, message(n))
            wait_for(connection, *range(1, n + 1))
            if n == 2:
                wait_until(lambda: not retained(broker), "the clearing")
    assert ledger(connection)["received"] == 3  # our own clearing is not counted
    listed = subprocess.run(
        [ROOT / "tds", "gateway", "list", "--json"],
        env=environment(tmp_path),
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert [(row["code"], row["retained_seen"]) for row in json.loads(listed.stdout)] == [("GW-001", True)]


def retained(broker: RunningBroker) -> list[bytes]:
    """What the broker shows to somebody who subscribes now."""
    shown = subprocess.run(
        ["mosquitto_sub", "-p", str(broker.port), "-t", "telemetry/#", "--retained-only", "-W", "1", "-F", "%p"],
        capture_output=True,
        check=False,
        timeout=10,
    )
    return shown.stdout.splitlines()


# When it acknowledges


def test_nothing_is_acknowledged_before_its_commit(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    with commits_held_up(connection), consumer_process(broker, tmp_path) as consumer:
        publish(broker, *(message(n) for n in range(200)))
        wait_until(lambda: in_commit(connection), "a batch in its COMMIT")
        consumer.kill()
        assert unacknowledged(broker) == list(range(200))
    with consumer_thread(broker.url):
        # The killed batch was rolled back, or committed after all and then sent again. Either way each is stored once,
        # and what is published last is acknowledged last.
        publish(broker, message(200))
        wait_for(connection, *range(201))
    assert unacknowledged(broker) == []
    assert ledger(connection)["stored"] == 201


def test_sigterm_finishes_the_batch_acknowledges_it_and_disconnects(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    with consumer_process(broker, tmp_path) as consumer:
        with commits_held_up(connection):
            publish(broker, *(message(n) for n in range(200)))
            wait_until(lambda: in_commit(connection), "a batch in its COMMIT")
            consumer.process.send_signal(signal.SIGTERM)
        assert consumer.wait() == 0
    stored = [int(value) for _, _, value in readings(connection)]
    assert stored
    # What was stored does not come again; what was not, does.
    assert stored + unacknowledged(broker) == list(range(200))
    log = (broker.broker.folder / "log").read_text()
    assert f"Client {CLIENT_ID} disconnected." in log  # by a DISCONNECT, and not as one that vanished


# What goes away


def test_a_second_consumer_of_a_broker_says_so_and_ends(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    with (
        consumer_process(broker, tmp_path / "first") as first,
        consumer_process(broker, tmp_path / "second", subscribed=False) as second,
    ):
        assert second.wait(START_LIMIT_S) == 1
        assert second.lines == []  # it never took the first one's session away
        assert second.errors == (
            f"CommandError: The broker at localhost:{broker.port} has a consumer already; "
            "one is enough, and two would share nothing.\n"
        )
        publish(broker, message(1))
        wait_for(connection, 1)
        assert first.terminate() == 0


def test_a_consumer_takes_over_from_one_that_was_killed(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    with (
        consumer_process(broker, tmp_path / "first") as first,
        consumer_process(broker, tmp_path / "second", subscribed=False) as second,
    ):
        wait_until(lambda: consumers(connection) == 2, "the second one at the database")
        first.kill()
        publish(broker, message(1))
        wait_until(lambda: second.says(SUBSCRIBED), "the subscription")
        wait_for(connection, 1)


def test_a_consumer_that_is_stopped_while_it_waits_for_the_broker_has_no_complaint(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    with (
        consumer_thread(broker.url.replace("127.0.0.1", "localhost")),
        consumer_process(broker, tmp_path, subscribed=False) as second,
    ):
        wait_until(lambda: consumers(connection) == 2, "the second one at the database")
        assert second.terminate() == 0
        assert (second.lines, second.errors) == ([], "")


def unread(folder: Path) -> int:
    """Bytes of records in the spools under a consumer's home."""
    return sum(path.stat().st_size - HEADER_BYTES for path in folder.glob("home/spool/*/*.spool"))


def consumers(connection: Connection) -> int:
    """How many are connected to the database."""
    row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (CLIENT_ID,))
    return int((row.fetchone() or (0,))[0])


@pytest.mark.parametrize(
    ("spool_bytes", "sentence"), [("2000000000", "as mensagens ficam no spool"), ("0", "nada é confirmado")]
)
def test_while_the_database_is_away_nothing_is_lost_and_the_log_says_so(
    broker: RunningBroker,
    connection: Connection,
    cluster: RunningCluster,
    tmp_path: Path,
    *,
    spool_bytes: str,
    sentence: str,
) -> None:
    with consumer_process(broker, tmp_path, TDS_SPOOL_BYTES=spool_bytes) as consumer:
        publish(broker, message(0))
        wait_for(connection, 0)
        connections.close_all()
        connection.close()
        cluster.stop()
        try:
            publish(broker, *(message(n) for n in range(1, 100)))
            wait_until(lambda: consumer.says(f"[ERROR] Banco de dados indisponível, {sentence}"), "the sentence")
            publish(broker, *(message(n) for n in range(100, 200)))
        finally:
            cluster.start()
        with seeding.own_connection() as another:
            wait_for(another, *range(200))
        assert consumer.terminate() == 0
    assert unacknowledged(broker) == []


def test_without_a_spool_a_consumer_that_ends_while_the_database_is_away_has_acknowledged_nothing(
    broker: RunningBroker, connection: Connection, cluster: RunningCluster, tmp_path: Path
) -> None:
    with consumer_process(broker, tmp_path, TDS_SPOOL_BYTES="0") as consumer:
        connections.close_all()
        connection.close()
        cluster.stop()
        try:
            publish(broker, *(message(n) for n in range(50)))
            wait_until(lambda: consumer.says("nada é confirmado"), "the sentence")
            assert consumer.terminate() == 0
            assert consumer.errors == ""
        finally:
            cluster.start()
    assert unacknowledged(broker) == list(range(50))


def test_what_was_spooled_survives_kill_9_and_a_start_without_the_database(
    broker: RunningBroker, connection: Connection, cluster: RunningCluster, tmp_path: Path
) -> None:
    first, second = (tuple(range(n, n + 50)) for n in (0, 50))
    with consumer_process(broker, tmp_path) as consumer:
        connections.close_all()
        connection.close()
        cluster.stop()
        try:
            publish(broker, *(message(n) for n in first))
            wait_until(lambda: unread(tmp_path) > 0, "the spool")
            consumer.kill()
            # It does not wait for the database to take what the broker has.
            with consumer_process(broker, tmp_path) as again:
                publish(broker, *(message(n) for n in second))
                again.kill()
        finally:
            cluster.start()
    with seeding.own_connection() as another, consumer_process(broker, tmp_path):
        wait_for(another, *first, *second)
        sums = ledger(another)
    assert unacknowledged(broker) == []
    assert sums["stored"] == sums["readings"] - sums["duplicate"] == 100


def test_with_a_disk_nearly_full_nothing_is_acknowledged_until_there_is_room(
    broker: RunningBroker, connection: Connection, tmp_path: Path
) -> None:
    with consumer_process(broker, tmp_path, TDS_DISK_RESERVE_BYTES=str(1024**4)) as consumer:
        publish(broker, *(message(n) for n in range(20)))
        wait_until(lambda: consumer.says("[ERROR] Disco quase cheio, nada é confirmado"), "the sentence")
        assert consumer.terminate() == 0
    assert readings(connection) == []
    assert unread(tmp_path) == 0
    with consumer_process(broker, tmp_path):
        wait_for(connection, *range(20))
    assert unacknowledged(broker) == []
