"""What a gateway may do on a broker: one real mosquitto, real certificates, and what is really delivered."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tds.fleet.probe import PROBE_GATEWAY
from tds.identity.access.broker_rules import AGENT, CONSUMER, DEVICELINK, STATUS
from tds.identity.authorities import keys
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.names import NameRefusedError
from tds.local.broker import CONSUMER_CLIENT_ID, TELEMETRY_TOPIC
from tests.connecting import (
    NOBODY,
    REFUSED,
    A,
    B,
    Client,
    Credential,
    client,
    gateway,
    raw,
    service,
)
from tests.running import RunningBroker, wait_until

ITS_TELEMETRY: Final = f"telemetry/{A}/D01/data"
MARKER: Final = f"ota/{A}/update"  # what A may read: proof that all before it was dealt with
# Of a gateway, what others must not write, and what others must not read.
WRITES_OF_A: Final = (ITS_TELEMETRY, f"status/{A}", f"ota/{A}/status")
READS_OF_A: Final = (f"ota/{A}/update", *WRITES_OF_A)


def assert_only_these_come_through(
    sender: Client, everything: Client, allowed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    """The broker deals with a connection's messages in order: what was refused would have come before the last."""
    everything.came.clear()
    assert [topic for topic in refused if sender.publish(topic) != REFUSED] == []
    assert [topic for topic in allowed if sender.publish(topic) != 0] == []
    everything.got(allowed[-1])
    assert [topic for topic, _payload in everything.came] == list(allowed)


# What a gateway may do


def test_a_gateway_publishes_what_is_its_own_and_nothing_else(
    broker: RunningBroker, a: Credential, everything: Client
) -> None:
    refused = (
        f"ota/{A}/update",
        "ota/update",
        f"telemetry/{A}",
        f"telemetry/{A}/D01",
        f"telemetry/{A}/D01/data/more",
        f"telemetry/{A}/D01/other",
        f"telemetry/{A}//D01/data",
        f"status/{A}/more",
        f"/telemetry/{A}/D01/data",
        "tds/drained/tds-consumer",
        "tds/health/x",
        "anything",
        "$SYS/broker/version",
        "$SYS/broker/connection/x/state",
        "$share/group/telemetry",
        "$CONTROL/dynamic-security/v1",
    )
    with gateway(broker, a) as sender:
        assert_only_these_come_through(sender, everything, (*WRITES_OF_A, f"telemetry/{A}/D.02/data"), refused)


def test_a_topic_with_the_code_of_another_gateway_is_refused(
    broker: RunningBroker, b: Credential, everything: Client
) -> None:
    nearly = (f"telemetry/{B.lower()}/D01/data", f"telemetry/{B}1/D01/data", f"status/{B[:-1]}", "telemetry//D01/data")
    with gateway(broker, b) as sender:
        assert_only_these_come_through(sender, everything, (f"telemetry/{B}/D01/data",), (*WRITES_OF_A, *nearly))


def test_a_gateway_reads_its_own_commands_and_those_for_all_and_nothing_else(
    broker: RunningBroker, a: Credential, b: Credential, everything: Client
) -> None:
    with gateway(broker, a) as reader, gateway(broker, b) as other, service(broker, DEVICELINK) as ours:
        reader.subscribe(*READS_OF_A, f"ota/{B}/update", f"telemetry/{B}/D01/data", f"status/{B}", "ota/update")
        assert other.publish(f"telemetry/{B}/D01/data") == 0
        assert other.publish(f"status/{B}") == 0
        assert ours.publish(f"ota/{B}/update") == 0
        assert reader.publish(ITS_TELEMETRY) == 0  # nor does it read what it wrote
        everything.got(ITS_TELEMETRY)
        assert ours.publish("ota/update") == 0
        assert ours.publish(MARKER) == 0
        reader.got(MARKER)
        assert [topic for topic, _payload in reader.came] == ["ota/update", MARKER]


@pytest.mark.parametrize(
    "pattern", ["#", "+/#", "$SYS/#", "telemetry/#", "status/+", "ota/#", "$share/group/#", "$share/group/telemetry/#"]
)
def test_whatever_a_gateway_subscribes_to_it_is_handed_nothing_of_others(
    broker: RunningBroker, a: Credential, b: Credential, everything: Client, pattern: str
) -> None:
    with gateway(broker, a) as greedy, gateway(broker, b) as other, service(broker, DEVICELINK) as ours:
        greedy.subscribe(pattern)
        other.publish(f"telemetry/{B}/D01/data")
        other.publish(f"status/{B}")
        ours.publish(f"ota/{B}/update")
        everything.got(f"ota/{B}/update")
        greedy.subscribe(MARKER)
        ours.publish(MARKER)
        greedy.got(MARKER)
        assert {topic for topic, _payload in greedy.came} == {MARKER}


def test_there_was_something_to_see_under_sys(broker: RunningBroker) -> None:
    with client(broker.port) as anybody:
        anybody.subscribe("$SYS/#")
        wait_until(lambda: "$SYS/broker/version" in anybody.retained, "the broker's version")


def test_a_shared_subscription_of_a_gateway_swallows_nothing_that_is_the_consumers(
    broker: RunningBroker, a: Credential, b: Credential
) -> None:
    sent = [(f"telemetry/{B}/D01/data", str(n).encode()) for n in range(50)]
    with (
        service(broker, CONSUMER, client_id=CONSUMER_CLIENT_ID) as consumer,
        gateway(broker, a) as thief,
        gateway(broker, b) as sender,
    ):
        consumer.subscribe(TELEMETRY_TOPIC)
        thief.subscribe(f"$share/tds/{TELEMETRY_TOPIC}", f"$share/{CONSUMER_CLIENT_ID}/{TELEMETRY_TOPIC}")
        for topic, payload in sent:
            sender.publish(topic, payload)
        consumer.got(*sent[-1])
        assert consumer.came == sent
        assert thief.came == []


def test_a_will_on_somebody_elses_topic_is_never_published(
    broker: RunningBroker, a: Credential, b: Credential, everything: Client
) -> None:
    for topic in (*WRITES_OF_A, f"ota/{A}/update", "ota/update"):
        with gateway(broker, b, will=topic) as dying:
            assert not dying.refusal
            dying.cut()
    with gateway(broker, a, will=f"status/{A}") as dying:  # of its own it is
        dying.cut()
    everything.got(f"status/{A}", b"will")
    assert [came for came in everything.came if came[1] == b"will"] == [(f"status/{A}", b"will")]


def test_a_retained_message_on_a_telemetry_topic_reaches_the_consumer_alone_which_clears_it(
    broker: RunningBroker, a: Credential, b: Credential
) -> None:
    with gateway(broker, a) as sender, gateway(broker, b) as other:
        assert sender.publish(ITS_TELEMETRY, b"kept", retain=True) in {0, NOBODY}
        other.subscribe("telemetry/#")
        assert other.publish(ITS_TELEMETRY, b"", retain=True) == REFUSED
        with service(broker, CONSUMER) as consumer:
            consumer.subscribe(TELEMETRY_TOPIC)
            consumer.got(ITS_TELEMETRY, b"kept")
            assert consumer.retained == [ITS_TELEMETRY]
            consumer.publish(ITS_TELEMETRY, b"", retain=True)
        with service(broker, CONSUMER) as again:
            again.subscribe(TELEMETRY_TOPIC)
            assert again.publish(f"telemetry/{PROBE_GATEWAY}/P01/data") == 0
            again.got(f"telemetry/{PROBE_GATEWAY}/P01/data")
            assert again.retained == []
        assert other.came == []


# Who a gateway is


def test_the_client_id_of_another_gateway_takes_nothing_over(
    broker: RunningBroker, a: Credential, b: Credential
) -> None:
    with (
        gateway(broker, a) as victim,
        service(broker, CONSUMER, client_id=CONSUMER_CLIENT_ID) as consumer,
        service(broker, DEVICELINK) as ours,
    ):
        victim.subscribe(MARKER)
        consumer.subscribe(TELEMETRY_TOPIC)
        for client_id in (A, CONSUMER_CLIENT_ID):
            victim.came.clear()
            with gateway(broker, b, client_id=client_id) as thief:
                thief.subscribe(MARKER, TELEMETRY_TOPIC)
                ours.publish(MARKER)
                victim.got(MARKER)
                victim.publish(ITS_TELEMETRY, client_id.encode())
                consumer.got(ITS_TELEMETRY, client_id.encode())
                assert thief.came == []
        assert not victim.gone.is_set()
        assert not consumer.gone.is_set()


def test_the_user_name_of_another_gateway_counts_for_nothing_beside_a_certificate(
    broker: RunningBroker, b: Credential, everything: Client
) -> None:
    with gateway(broker, b, user=A, password="x") as liar:
        assert_only_these_come_through(liar, everything, (f"status/{B}",), WRITES_OF_A)


def test_the_same_gateway_twice_is_one_session(broker: RunningBroker, a: Credential) -> None:
    with gateway(broker, a) as first, gateway(broker, a) as second:
        assert first.gone.wait(10)
        assert second.publish(ITS_TELEMETRY) in {0, NOBODY}


# What no gateway is called. The last are the platform's own.
ODD_NAMES: Final = (
    *("+", "#", "GW-+", "GW-A/D01", "GW-A/#", "+/D01", "GW-A/D01/data", "../GW-A"),
    *("$SYS", "$share/group/telemetry/GW-A", "%u", "%c", " GW-A", "GW-A ", "GW-A\nuser _consumer"),
    *("GW-\u0410", "GW\u2010A", "GW-A\u200b", "GW-\uff21"),  # a Cyrillic A, another dash, a blank of no width, a wide A
    *(CONSUMER, DEVICELINK, STATUS, AGENT, PROBE_GATEWAY, CONSUMER_CLIENT_ID, CONSUMER_CLIENT_ID.upper()),
)


@pytest.mark.parametrize("name", ["", *ODD_NAMES], ids=ascii)
def test_no_certificate_is_made_in_a_name_that_is_no_gateway_code(authorities: AuthorityFolder, name: str) -> None:
    """Not least the empty one: mosquitto 2.0.11 ends with a segmentation fault when it is shown one."""
    with pytest.raises(NameRefusedError):
        authorities.device().issue_device(keys.new_key().public_key(), name, datetime.now(UTC))


@pytest.mark.parametrize("name", [*ODD_NAMES, A.lower()], ids=ascii)
def test_a_certificate_with_any_other_common_name_reaches_nothing_of_a_gateway(
    broker: RunningBroker, authorities: AuthorityFolder, a: Credential, name: str
) -> None:
    """What one could do, had our own authority signed it all the same."""
    of_others = (*WRITES_OF_A, f"ota/{A}/update", "ota/update", f"telemetry/{PROBE_GATEWAY}/P01", "tds/health/x")
    with (
        gateway(broker, raw(a.chain.parent, authorities.device(), name), client_id="x") as odd,
        gateway(broker, a) as victim,
        service(broker, DEVICELINK) as ours,
        client(broker.port) as everything,
    ):
        everything.subscribe("#")
        odd.subscribe("#", "+/#", *READS_OF_A, "telemetry/#", "$SYS/#", "$share/group/#")
        victim.subscribe(MARKER)
        assert [topic for topic in of_others if odd.publish(topic) != REFUSED] == []
        for topic in WRITES_OF_A:
            victim.publish(topic)
        ours.publish(f"ota/{B}/update")
        ours.publish(MARKER)
        victim.got(MARKER)
        everything.got(MARKER)
        assert odd.came == []
        assert [topic for topic, _payload in everything.came] == [*WRITES_OF_A, f"ota/{B}/update", MARKER]


def test_of_several_common_names_the_first_counts_and_none_or_one_with_a_nul_is_nobody(
    broker: RunningBroker, authorities: AuthorityFolder, folder: Path, everything: Client
) -> None:
    device_authority = authorities.device()
    with gateway(broker, raw(folder, device_authority, B, A)) as found:
        assert_only_these_come_through(found, everything, (f"status/{B}",), WRITES_OF_A)
    for names in ((), (f"{A}\0", A), (f"{A}\0{B}",)):
        with gateway(broker, raw(folder, device_authority, *names)) as nobody:
            assert nobody.refusal


def test_a_certificate_in_the_consumers_name_would_be_handed_none_of_what_waits(
    broker: RunningBroker, authorities: AuthorityFolder, folder: Path, b: Credential
) -> None:
    """But it would be gone: that is why none is made, and why codes that begin so are refused everywhere."""
    with service(broker, CONSUMER, client_id=CONSUMER_CLIENT_ID, keeps=True) as consumer:
        consumer.subscribe(TELEMETRY_TOPIC)
    with gateway(broker, b) as sender:
        assert sender.publish(f"telemetry/{B}/D01/data") == 0
        with gateway(broker, raw(folder, authorities.device(), CONSUMER_CLIENT_ID), keeps=True) as thief:
            assert thief.session_present
            sender.publish(f"telemetry/{B}/D01/data")
            thief.subscribe(f"ota/{CONSUMER_CLIENT_ID}/update")
            with service(broker, DEVICELINK) as ours:
                ours.publish(f"ota/{CONSUMER_CLIENT_ID}/update")
            thief.got(f"ota/{CONSUMER_CLIENT_ID}/update")
            assert len(thief.came) == 1
    with service(broker, CONSUMER, client_id=CONSUMER_CLIENT_ID):
        pass  # a clean start ends what the other tests should not find
