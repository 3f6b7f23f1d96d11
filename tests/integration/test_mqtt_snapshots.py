"""A session that begins with what is retained, and publishes: on a real mosquitto."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import pytest

from tds.identity.access.broker_rules import DEVICELINK
from tds.mqtt import address
from tds.mqtt.inbox import Received
from tds.mqtt.sending import MAX_UNDER_WAY
from tds.mqtt.session import SendError, Session, SessionConfig
from tests.boards import forget, retain, watching
from tests.consuming import Silent
from tests.running import RunningBroker, running_broker, wait_until

CLIENT_ID: Final = "tds-devicelink"
FILTER: Final = "status/+"
MARKER: Final = "status/tds-marker"
REFUSED: Final = 0x87  # not authorized, MQTT 5, 3.4.2.1
NOBODY: Final = 0x10


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    with running_broker() as running:
        yield running


@pytest.fixture(autouse=True)
def forgotten(broker: RunningBroker) -> None:
    forget(broker.port, CLIENT_ID)


@contextmanager
def session(broker: RunningBroker, **config: Any) -> Iterator[Session]:
    of = address.parse(broker.service_url(DEVICELINK))
    settings: dict[str, Any] = {"snapshots": True} | config
    made = Session(
        SessionConfig(of.host, of.port, CLIENT_ID, (FILTER,), username=of.username, password=of.password, **settings),
        Silent(),
    )
    made.start()
    try:
        wait_until(made.up.is_set, "the subscription")
        yield made
    finally:
        made.stop()


def until(marker: bytes, ours: Session) -> list[tuple[str, bytes, bool]]:
    """What comes up to a message, all acknowledged: topic, payload, whether it was marked as retained."""
    came: list[Received] = []
    deadline = monotonic() + 10
    while monotonic() < deadline and not any(packet.payload == marker for packet in came):
        delivery = ours.take(100, linger_s=0.0, timeout_s=0.1)
        came += delivery.packets
        ours.acknowledge(delivery)
    return [(packet.topic, packet.payload, packet.retain) for packet in came]


def test_a_connection_begins_with_all_that_is_retained_and_nothing_else_is_marked_so(broker: RunningBroker) -> None:
    retain(broker.port, ("status/A", b"1"), ("status/B", b"2"))
    with session(broker) as ours:
        ours.mark(MARKER, b"end")
        *snapshot, marker = until(b"end", ours)
        assert sorted(snapshot) == [("status/A", b"1", True), ("status/B", b"2", True)]
        assert marker == (MARKER, b"end", False)
        retain(broker.port, ("status/A", b"3"))
        ours.mark(MARKER, b"end")
        assert until(b"end", ours)[0] == ("status/A", b"3", False)


def test_the_next_connection_begins_with_what_waited_and_then_with_what_is_retained(broker: RunningBroker) -> None:
    with session(broker):
        pass
    retain(broker.port, ("status/A", b"1"), ("status/A", b"2"))
    with session(broker) as ours:
        ours.mark(MARKER, b"end")
        assert until(b"end", ours) == [
            ("status/A", b"1", False),
            ("status/A", b"2", False),
            ("status/A", b"2", True),
            (MARKER, b"end", False),
        ]


def test_what_passes_is_not_kept_for_us_while_we_are_away(broker: RunningBroker) -> None:
    with session(broker, passing=("ota/+/status",)) as ours:
        retain(broker.port, ("ota/A/status", b"1"), retain=False)
        assert until(b"1", ours) == [("ota/A/status", b"1", False)]
    retain(broker.port, ("ota/A/status", b"2"), ("status/A", b"3"), retain=False)
    with session(broker, passing=("ota/+/status",)) as ours:
        ours.mark(MARKER, b"end")
        assert [payload for _, payload, _ in until(b"end", ours)] == [b"3", b"end"]


def test_a_published_message_is_answered_with_what_became_of_it(broker: RunningBroker) -> None:
    with session(broker) as ours, watching(broker.port, "ota/A/update") as seen:
        assert ours.publish("ota/A/update", b"x", timeout_s=5) == 0
        assert ours.publish("ota/B/update", b"x", timeout_s=5) == NOBODY
        assert ours.publish("telemetry/A/B/data", b"x", timeout_s=5) == REFUSED
        wait_until(lambda: seen, "the message")
        assert seen == [("ota/A/update", b"x", False)]


def test_many_threads_publish_at_once_and_each_gets_its_answer(broker: RunningBroker) -> None:
    with session(broker) as ours, ThreadPoolExecutor(2 * MAX_UNDER_WAY) as pool:
        codes = [pool.submit(ours.publish, f"ota/{n}/update", b"x", timeout_s=10) for n in range(5 * MAX_UNDER_WAY)]
        assert {code.result() for code in codes} == {NOBODY}


def test_a_broker_that_does_not_answer_or_goes_is_a_sentence() -> None:
    with running_broker() as broker, session(broker) as ours:
        assert broker.process
        broker.process.send_signal(signal.SIGSTOP)
        with pytest.raises(SendError, match="did not acknowledge the message in time"):
            ours.publish("ota/A/update", b"x", timeout_s=0.2)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ours.publish, "ota/A/update", b"x", timeout_s=20)
            wait_until(lambda: ours._sending._answers, "the message under way")
            broker.kill()
            with pytest.raises(SendError, match="connection was lost"):
                waiting.result()
        with pytest.raises(SendError, match="The broker is away"):
            ours.publish("ota/A/update", b"x", timeout_s=0.1)


def test_a_session_may_end_some_time_after_its_connection(broker: RunningBroker) -> None:
    with session(broker, expiry_s=1):
        pass
    retain(broker.port, ("status/A", b"waits"), retain=False)
    log = broker.broker.folder / "log"
    wait_until(lambda: f"Expiring client {CLIENT_ID}" in log.read_text(), "the session's end", 15)
    with session(broker) as ours:
        ours.mark(MARKER, b"end")
        assert until(b"end", ours) == [(MARKER, b"end", False)]
