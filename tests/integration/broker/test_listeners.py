"""Who comes in by which port of a broker: the platform's own processes, boards with passwords, a desk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tds.environment import Plain
from tds.identity.access import broker_rules
from tds.identity.access.broker_rules import AGENT, CONSUMER, DEVICELINK, STATUS
from tds.identity.authorities.folder import AuthorityFolder
from tests.connecting import (
    NOBODY,
    REFUSED,
    A,
    B,
    Client,
    Credential,
    client,
    gateway,
    service,
)
from tests.running import RunningBroker, running_broker, wait_until

ITS_TELEMETRY: Final = f"telemetry/{A}/D01/data"
MARKER: Final = f"ota/{A}/update"  # what A may read: proof that all before it was dealt with
WRITES_OF_A: Final = (ITS_TELEMETRY, f"status/{A}", f"ota/{A}/status")


# The platform's own


@pytest.mark.parametrize(
    ("name", "writes", "reads"),
    [
        (CONSUMER, (ITS_TELEMETRY,), (ITS_TELEMETRY,)),
        (
            DEVICELINK,
            (f"status/{A}", f"ota/{A}/update", f"ota/{A}/status", "ota/update"),
            (f"status/{A}", f"ota/{A}/status"),
        ),
        (STATUS, (), ()),
        (AGENT, (), ()),
    ],
)
def test_a_service_may_do_what_it_is_for(
    broker: RunningBroker, everything: Client, name: str, writes: tuple[str, ...], reads: tuple[str, ...]
) -> None:
    of_gateways = (*WRITES_OF_A, f"ota/{A}/update", "ota/update")
    with service(broker, name, client_id="tds-x") as found, client(broker.port) as anybody:
        found.subscribe("#")
        for topic in of_gateways:
            anybody.publish(topic)
        everything.got(of_gateways[-1])
        if name == STATUS:
            assert found.publish("tds/health/tds-x") == found.publish("tds/health/another") == 0
            found.got("tds/health/tds-x")
        others = {*of_gateways, "anything", f"telemetry/{B}/D01/data", "$SYS/broker/version", "$SYS/x"} - {*writes}
        if name == CONSUMER:  # it clears what is retained there, whosever it is
            others -= {f"telemetry/{B}/D01/data"}
        assert [topic for topic in sorted(others) if found.publish(topic) != REFUSED] == []
        assert [topic for topic in writes if found.publish(topic) not in {0, NOBODY}] == []
        # A round trip of its own connection: whatever was to be delivered to it has been.
        found.subscribe("nothing")
        theirs = [topic for topic, _payload in found.came if topic in of_gateways]
        assert theirs[: len(reads)] == list(reads)
        assert set(theirs) <= {*reads, *writes}


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (CONSUMER, "wrong"),
        (CONSUMER, None),
        (CONSUMER, ""),
        ("_nobody", "wrong"),
        (None, None),
        ("", "wrong"),
        (A, "wrong"),
    ],
)
def test_a_service_without_its_password_is_refused(
    broker: RunningBroker, name: str | None, password: str | None
) -> None:
    with client(broker.broker.listeners.services, user=name, password=password) as refused:
        assert refused.refusal in {"Not authorized", "Bad user name or password"}


def test_the_password_of_one_service_is_not_anothers(broker: RunningBroker) -> None:
    with service(broker, CONSUMER, password=broker.broker.passwords[STATUS]) as refused:
        assert refused.refusal == "Not authorized"


def test_the_passwords_of_services_are_not_on_the_disk_in_the_clear(broker: RunningBroker) -> None:
    files = [path for path in broker.broker.folder.rglob("*") if path.is_file()]
    assert any(path.name == broker_rules.SERVICE_PASSWORDS for path in files)
    for path in files:
        for password in broker.broker.passwords.values():
            assert password.encode() not in path.read_bytes()


# The ports without TLS


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_on_a_desk_anybody_on_this_machine_comes_in_without_a_name(broker: RunningBroker, transport: str) -> None:
    listeners = broker.broker.listeners
    port = listeners.plain if transport == "tcp" else listeners.websocket
    with client(port, transport=transport) as anybody:
        anybody.subscribe("#")
        assert anybody.publish("anything") == 0
        anybody.got("anything")


def listening(port: int) -> set[str]:
    """The addresses, in the kernel's hexadecimal, at which something listens on that port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            if state == "0A" and int(address.partition(":")[2], 16) == port:
                found.add(address.partition(":")[0])
    return found


def test_nothing_listens_beyond_this_machine_unless_it_was_asked_for(broker: RunningBroker) -> None:
    listeners = broker.broker.listeners
    for port in (listeners.services, listeners.tls, listeners.plain, listeners.websocket):
        assert listening(port) == {"0100007F"}


@pytest.fixture(scope="module")
def passwords() -> Iterator[RunningBroker]:
    """As in production while boards on a bench have no certificates."""
    with running_broker(access=Plain.PASSWORD) as running:
        allow(running, {A: "of-a", B: "of-b"})
        yield running


def allow(broker: RunningBroker, gateways: dict[str, str]) -> None:
    text = broker_rules.password_file({code: broker_rules.hashed(each) for code, each in gateways.items()})
    (broker.broker.tls / broker_rules.GATEWAY_PASSWORDS).write_text(text)
    broker.reload()
    # What it reads anew is in use once it deals with another client.
    wait_until(lambda: all(lets_in(broker, *each) for each in gateways.items()), "new passwords")


def lets_in(broker: RunningBroker, user: str | None, password: str | None, transport: str = "tcp") -> bool:
    listeners = broker.broker.listeners
    port = listeners.plain if transport == "tcp" else listeners.websocket
    with client(port, user=user, password=password, transport=transport) as found:
        return not found.refusal


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_a_wrong_password_or_that_of_another_gateway_is_refused(passwords: RunningBroker, transport: str) -> None:
    assert lets_in(passwords, A, "of-a", transport)
    wrong = [(A, "wrong"), (A, "of-b"), (A, ""), (A, None), (None, None), ("", None), ("", "of-a"), ("GW-C", "of-a")]
    for user, password in wrong:
        assert not lets_in(passwords, user, password, transport)
    own = passwords.broker.passwords[CONSUMER]
    assert not lets_in(passwords, CONSUMER, own, transport)


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_a_gateway_with_a_password_may_do_what_one_with_a_certificate_may(
    passwords: RunningBroker, transport: str
) -> None:
    listeners = passwords.broker.listeners
    port = listeners.plain if transport == "tcp" else listeners.websocket
    with (
        service(passwords, CONSUMER) as consumer,
        service(passwords, DEVICELINK) as ours,
        client(port, user=A, password="of-a", client_id=B, transport=transport) as found,
    ):
        consumer.subscribe("telemetry/#")
        ours.subscribe("#")
        found.subscribe("#", "$SYS/#")
        for topic in (f"telemetry/{B}/D01/data", f"status/{B}", f"ota/{A}/update", "tds/health/x"):
            assert found.publish(topic) == REFUSED
        for topic in WRITES_OF_A:
            assert found.publish(topic) == 0
        ours.publish(f"ota/{B}/update")
        ours.publish(MARKER)
        found.got(MARKER)
        assert [topic for topic, _payload in found.came] == [MARKER]
        assert consumer.came == [(ITS_TELEMETRY, b"x")]
        assert [topic for topic, _payload in ours.came] == [f"status/{A}", f"ota/{A}/status"]


def test_a_password_that_is_taken_away_cuts_its_gateway_off_and_no_other(passwords: RunningBroker) -> None:
    port = passwords.broker.listeners.plain
    with (
        client(port, user=A, password="of-a") as kept,
        client(port, user=B, password="of-b") as cut,
        service(passwords, CONSUMER) as consumer,
    ):
        allow(passwords, {A: "of-a"})
        assert cut.gone.wait(10)
        assert not lets_in(passwords, B, "of-b")
        # `allow` connected as A once more, which is the same session.
        assert kept.gone.is_set()
        consumer.subscribe("telemetry/#")
        assert not consumer.gone.is_set()
    allow(passwords, {A: "of-a", B: "of-b"})


def test_in_production_nothing_listens_without_tls(authorities: AuthorityFolder, b: Credential) -> None:
    with running_broker(authorities=authorities, access=Plain.OFF) as broker:
        listeners = broker.broker.listeners
        assert listening(listeners.plain) == listening(listeners.websocket) == set()
        assert listening(listeners.tls) == {"0100007F"}
        with gateway(broker, b) as found:
            assert not found.refusal


@pytest.mark.parametrize(
    ("bind", "gateways", "websocket"),
    [
        ("127.0.0.2", {"0200007F"}, {"0200007F"}),
        ("0.0.0.0", {"00000000"}, {"00000000"}),  # of a test
        ("::", {"00000000", "0" * 32}, {"00000000"}),
        # A websockets listener can't be bound to one of IPv6 alone: better this machine than everybody.
        ("::1", {f"{'0' * 24}01000000"}, {"0100007F"}),
    ],
)
def test_what_asks_for_a_name_is_bound_to_what_was_asked_and_the_rest_stays_on_this_machine(
    authorities: AuthorityFolder, bind: str, gateways: set[str], websocket: set[str]
) -> None:
    with running_broker(authorities=authorities, access=Plain.PASSWORD, bind=bind) as broker:
        listeners = broker.broker.listeners
        assert listening(listeners.tls) == listening(listeners.plain) == gateways
        assert listening(listeners.websocket) == websocket
        assert listening(listeners.services) == {"0100007F"}
