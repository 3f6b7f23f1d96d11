"""A session that is given up hands over all that waits in it, and only then ends."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.db import connections

from tds.heartbeat import Heartbeat
from tds.ingest.consumer import CLIENT_ID
from tds.ingest.topics import TELEMETRY_FILTER
from tds.mqtt.drain import marker_topic
from tds.mqtt.session import Delivery, Session, SessionConfig
from tests import seeding
from tests.consuming import (
    STOP_LIMIT_S,
    Silent,
    consumer_process,
    ledger,
    managed,
    message,
    prepared_connection,
    publish,
    unacknowledged,
    wait_for,
)
from tests.running import RunningBroker, RunningCluster, wait_until

MANY: Final = 12_000  # more than the receive maximum and more than the inbox of the tests below


class Heard(Silent):
    def __init__(self) -> None:
        self.present: list[bool] = []

    def connected(self, *, session_present: bool) -> None:
        self.present.append(session_present)


@contextmanager
def session(broker: RunningBroker, heard: Heard | None = None, **changes: Any) -> Iterator[Session]:
    config: dict[str, Any] = {"client_id": CLIENT_ID, "filters": (TELEMETRY_FILTER,)} | changes
    made = Session(SessionConfig("127.0.0.1", broker.port, **config), heard or Heard())
    made.start()
    try:
        # What waits may come before the SUBACK, and fill the inbox.
        assert config.get("drains") or made.up.wait(STOP_LIMIT_S)
        yield made
    finally:
        made.stop()


def known(broker: RunningBroker) -> bool:
    """Whether the broker still has the consumer's session."""
    heard = Heard()
    with session(broker, heard):
        return heard.present[0]


def take_until_drained(ours: Session, most: int = 500) -> list[bytes]:
    found: list[bytes] = []

    def drained() -> bool:
        delivery: Delivery = ours.take(most, linger_s=0, timeout_s=0.1)
        found.extend(packet.payload for packet in delivery.packets)
        ours.acknowledge(delivery)
        return ours.drained

    wait_until(drained, "the end of what waits")
    return found


def test_all_that_waits_comes_before_it_counts_as_drained_and_then_the_session_is_gone(broker: RunningBroker) -> None:
    assert broker.broker.open_session()
    # Not acknowledged a piece at a time: more than may be under way at once.
    publish(broker, *(("telemetry/GW/D/data", str(n).encode()) for n in range(MANY)))
    with session(broker, drains=True, inbox_messages=1_000) as ours:
        assert not ours.drained
        assert take_until_drained(ours) == [str(n).encode() for n in range(MANY)]
        assert ours.give_up()
    assert not known(broker)


def test_what_is_published_after_the_subscription_was_given_up_is_not_promised_to_anybody(
    broker: RunningBroker,
) -> None:
    assert broker.broker.open_session()
    with session(broker, drains=True) as ours:
        wait_until(lambda: ours.drained, "the marker")
        answer = subprocess.run(
            [
                "mosquitto_pub",
                "-p",
                str(broker.port),
                "-V",
                "5",
                "-q",
                "1",
                "-d",
                "-t",
                "telemetry/GW/D/data",
                "-m",
                "x",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        assert "RC:16" in answer.stdout  # 0x10: no acknowledgement, so the gateway keeps it
        assert ours.take(1, linger_s=0, timeout_s=0.5).packets == []


def test_a_drain_that_is_broken_off_loses_nothing_and_can_be_done_again(broker: RunningBroker) -> None:
    assert broker.broker.open_session()
    publish(broker, *(("telemetry/GW/D/data", str(n).encode()) for n in range(20)))
    with session(broker, drains=True) as ours:
        wait_until(lambda: len(ours.inbox) == 20, "twenty messages")
    with session(broker, drains=True) as ours:
        # The first one's marker, if it waited as well, was not taken for a message nor for the end.
        assert take_until_drained(ours) == [str(n).encode() for n in range(20)]
        assert ours.give_up()
    assert not known(broker)


def test_after_a_drain_that_was_broken_off_the_consumer_goes_on_as_before(broker: RunningBroker) -> None:
    assert broker.broker.open_session()
    publish(broker, ("telemetry/GW/D/data", b"before"))
    with session(broker, drains=True) as ours:
        wait_until(lambda: len(ours.inbox) == 1, "the message")
    publish(broker, (marker_topic(CLIENT_ID), b"an old marker"))
    with session(broker) as ours:
        publish(broker, ("telemetry/GW/D/data", b"after"))
        wait_until(lambda: len(ours.inbox) == 2, "both messages")
        delivery = ours.take(9, linger_s=0.2, timeout_s=1)
        assert [packet.payload for packet in delivery.packets] == [b"before", b"after"]


def test_a_broker_that_restarts_during_a_drain_delays_it_only(broker: RunningBroker) -> None:
    assert broker.broker.open_session()
    publish(broker, *(("telemetry/GW/D/data", str(n).encode()) for n in range(20)))
    with session(broker, drains=True) as ours:
        wait_until(lambda: len(ours.inbox) == 20, "twenty messages")
        broker.restart()
        assert sorted(take_until_drained(ours), key=int) == [str(n).encode() for n in range(20)]
        assert ours.give_up()
    assert not known(broker)


# The command


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


def drain(broker: RunningBroker, folder: Path) -> Any:
    return managed(folder, "mqtt_consumer", "--drain", TDS_MQTT_URLS=f"mqtt://localhost:{broker.port}")


@pytest.mark.django_db(transaction=True)
def test_the_command_stores_what_waits_and_ends(
    broker: RunningBroker, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    seeding.gateway(seeding.tenant("acme"), "GW-001")
    with consumer_process(broker, tmp_path / "before") as consumer:
        wait_until(Heartbeat.objects.filter(process="consumer").exists, "a sign of life")
        consumer.kill()
    publish(broker, *(message(n) for n in range(200)))
    with drain(broker, tmp_path / "drain") as draining:
        assert draining.wait(30) == 0
        assert draining.errors == ""
        assert draining.lines[-1].startswith("[INFO] Sessão esvaziada e encerrada no MQTT broker em localhost:")
    wait_for(connection, *range(200))
    assert ledger(connection)["duplicate"] == 0
    assert not known(broker)
    # Nobody is expected any more, and nobody is said to be missing.
    assert not Heartbeat.objects.filter(process="consumer").exists()


@pytest.mark.django_db(transaction=True)
def test_the_command_does_not_give_up_what_it_could_not_store(
    broker: RunningBroker, connection: psycopg.Connection[Any], cluster: RunningCluster, tmp_path: Path
) -> None:
    assert broker.broker.open_session()
    publish(broker, *(message(n) for n in range(50)))
    connections.close_all()
    connection.close()
    cluster.stop()
    try:
        variables = {"TDS_MQTT_URLS": f"mqtt://localhost:{broker.port}", "TDS_SPOOL_BYTES": "0"}
        with managed(tmp_path, "mqtt_consumer", "--drain", **variables) as draining:
            wait_until(lambda: draining.says("Banco de dados indisponível"), "the sentence")
            assert draining.terminate() == 1
            assert draining.errors == (
                "CommandError: The session was not drained to its end; nothing is lost. Run the same command again.\n"
            )
    finally:
        cluster.start()
    assert unacknowledged(broker) == list(range(50))
