"""Two brokers on one machine: what is said of them, what they survive, and how one is given up."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.balancing import assert_platform_balanced
from tests.running import running_broker, wait_until
from tests.simulating import (
    READINGS_A_MESSAGE,
    acknowledged,
    connect,
    ledger_balances,
    new_fleet,
    simulated,
    stored_messages,
)
from tests.started import Started, new_home

LIVE_S: Final = 34
BETWEEN_KILLS_S: Final = 3.0
HANGING_S: Final = 1.5  # how long a broker acknowledges what its consumer does not fetch, before it is killed
COME_BACK_S: Final = 30.0
SETTLE_S: Final = 90.0
SOME: Final = 500  # acknowledged messages; less and the load never was one


@pytest.fixture(scope="module")
def two() -> Iterator[Started]:
    with new_home() as started:
        started.start("--no-demo", "--brokers", "2", "--without", "web")
        yield started


def publish(port: int, gateway: str, device: str = "D01", at: datetime | None = None) -> None:
    message = {
        "gateway_code": gateway,
        "device_code": device,
        "timestamp": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "leituras": [{"tipo": "energia", "valor": 1, "unidade": "kWh"}],
    }
    topic = f"telemetry/{gateway}/{device}/data"
    words = ["mosquitto_pub", "-p", str(port), "-V", "5", "-q", "1", "-t", topic, "-m", json.dumps(message)]
    subprocess.run(words, check=True, timeout=10)


def port_of(home: Started, broker: int) -> int:
    return int(home.ready["mqtt_urls"][broker - 1].rpartition(":")[2])


def test_every_broker_is_announced_and_has_a_consumer_that_status_knows(two: Started) -> None:
    ready = two.ready
    assert ready["mqtt_urls"][0] == ready["mqtt_url"]
    assert len({*ready["mqtt_urls"]}) == 2
    assert {"broker", "broker-2", "consumer", "consumer-2"} <= set(ready["processes"])
    for number in (1, 2):
        assert f"127.0.0.1:{port_of(two, number)}" in two.said

    def parts() -> dict[str, str]:
        # Another shell: it has the home and the ports, but nothing that `tds up` told its children.
        document = json.loads(two.tds("status", "--json", check=False).stdout)
        return {name: part["state"] for name, part in document["parts"].items()}

    names = ("broker", "broker-2", "consumer", "consumer-2")
    wait_until(lambda: [parts()[name] for name in names] == ["healthy"] * 4, "four healthy parts", 60)


@contextlib.contextmanager
def standing_still(home: Started, name: str) -> Iterator[None]:
    pid = home.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have been killed meanwhile
            os.kill(pid, signal.SIGCONT)


def kill(home: Started, name: str) -> None:
    victim = home.pids[name]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: home.pids.get(name, victim) != victim, f"{name} coming back", COME_BACK_S)


def test_kill_9_of_each_broker_and_consumer_under_gateways_that_move_loses_and_doubles_nothing(
    two: Started, tmp_path: Path
) -> None:
    fleet = new_fleet(two)
    report = tmp_path / "acknowledged.jsonl"
    # Each gateway goes to the other broker every few seconds, and sends there again what this one acknowledged.
    moving = ("--faults", "moves", "--fault-rate", "0.02")
    with simulated(two, fleet, report, *moving, live_s=LIVE_S) as process:
        wait_until(lambda: stored_messages(two, fleet), "the first reading", COME_BACK_S)
        for broker, consumer in (("broker", "consumer"), ("broker-2", "consumer-2")):
            time.sleep(BETWEEN_KILLS_S)
            with standing_still(two, consumer):
                # Acknowledged by this broker and nowhere else: only the gateways can bring it back.
                time.sleep(HANGING_S)
                kill(two, broker)
            time.sleep(BETWEEN_KILLS_S)
            kill(two, consumer)
        output, _ = process.communicate(timeout=LIVE_S + 120)
    assert process.returncode in {0, 1}, output
    summary = json.loads(output.splitlines()[-1])
    assert summary["connections"] > summary["gateways"] * 2
    assert summary["resent"] > SOME
    sent = acknowledged(report)
    assert len(sent) > SOME
    wait_until(lambda: sent <= stored_messages(two, fleet).keys(), "all that was acknowledged", SETTLE_S)
    # Whole messages, and each once, whichever broker brought it.
    assert set(stored_messages(two, fleet).values()) == {READINGS_A_MESSAGE}
    wait_until_quiet(two, fleet)
    ledger_balances(two, fleet)
    assert_platform_balanced(two)


def wait_until_quiet(home: Started, fleet: str) -> None:
    """Until copies that still wait in a broker are counted as well."""
    seen = [-1]

    def unchanged() -> bool:
        with connect(home) as connection:
            row = connection.execute(
                """SELECT coalesce(sum(received), 0)::int FROM tds_new_ledgerhour l
                   JOIN tds_new_tenant t ON t.id = l.tenant_id WHERE t.slug = %s""",
                (fleet.lower(),),
            ).fetchone()
        seen.append(row[0] if row else 0)
        time.sleep(1)
        return seen[-1] == seen[-2]

    wait_until(unchanged, "a quiet ledger", SETTLE_S)


def test_a_broker_that_is_given_up_hands_over_what_it_holds_first(home: Started) -> None:
    home.start("--no-demo", "--brokers", "2", "--without", "web", "--without", "worker", "--without", "agent")
    home.tds("tenant", "add", "acme")
    home.tds("gateway", "add", "GW-LEFT", "--tenant", "acme")
    port = port_of(home, 2)
    with standing_still(home, "consumer-2"):
        for device in ("D01", "D02", "D03"):
            publish(port, "GW-LEFT", device)
        home.kill()  # the supervisor: nobody asks the consumer to finish
        os.kill(home_pid(home, "consumer-2"), signal.SIGKILL)
    home.start("--no-demo", "--brokers", "1", "--without", "web", "--without", "worker", "--without", "agent")
    assert "Warning: an earlier start had more brokers (broker-2)" in home.said
    assert len(home.ready["mqtt_urls"]) == 1
    wait_until(lambda: len(stored_by(home, "GW-LEFT")) == 3, "what the second broker held", COME_BACK_S)
    wait_until(lambda: "Broker 2 holds nothing any more and was let go." in home.said, "the end of the second broker")
    wait_until(lambda: set(home.pids) == {"database", "broker", "consumer", "ota"}, "what is left")
    with pytest.raises(subprocess.CalledProcessError):  # nobody listens where gateways knew it
        publish(port, "GW-LEFT")
    home.stop()
    home.start("--no-demo", "--without", "web", "--without", "worker", "--without", "agent")
    assert "Warning" not in home.said
    assert len(home.ready["mqtt_urls"]) == 1


def home_pid(home: Started, name: str) -> int:
    """Of a child whose supervisor is gone."""
    return int(json.loads((home.home / f"run/{name}.json").read_text())["pid"])


def stored_by(home: Started, gateway: str) -> list[str]:
    with connect(home) as connection:
        rows = connection.execute(
            """SELECT d.code FROM tds_new_leituradispositivo r JOIN tds_new_device d ON d.id = r.device_id
               JOIN tds_new_gateway g ON g.id = d.gateway_id WHERE g.code = %s""",
            (gateway,),
        ).fetchall()
    return [code for (code,) in rows]


def test_as_many_brokers_as_last_time_unless_another_number_is_said(home: Started) -> None:
    without = ("--without", "web", "--without", "worker", "--without", "agent", "--without", "consumer")
    home.start("--no-demo", "--brokers", "3", *without)
    ports = [port_of(home, number) for number in (1, 2, 3)]
    home.stop()
    home.start("--no-demo", *without)
    assert [port_of(home, number) for number in (1, 2, 3)] == ports
    assert {"broker", "broker-2", "broker-3"} <= set(home.pids)


def test_brokers_are_not_both_named_and_started(home: Started) -> None:
    home.environment["TDS_MQTT_URLS"] = "mqtt://one.example mqtt://two.example"
    done = home.tds("up", "--brokers", "2", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "TDS_MQTT_URLS says where the brokers are, so --brokers can't start others; leave one of the two out.\n"
    )


def test_two_brokers_of_somebody_else_are_served_and_not_started(home: Started) -> None:
    with running_broker() as one, running_broker() as other:
        assert one.broker.open_session()
        assert other.broker.open_session()
        home.environment["TDS_MQTT_URLS"] = f"{one.url} {other.url}"
        home.start("--no-demo", "--without", "web", "--without", "worker", "--without", "agent")
        assert set(home.pids) == {"database", "consumer", "consumer-2", "ota"}
        assert home.ready["mqtt_urls"] == [one.url, other.url]
        home.tds("tenant", "add", "acme")
        home.tds("gateway", "add", "GW-BOTH", "--tenant", "acme")
        # The same reading by both, as a gateway that moves sends it, and one by each alone.
        same = datetime.now(UTC)
        for broker, device in ((one, "D02"), (other, "D03")):
            publish(broker.port, "GW-BOTH", "D01", at=same)
            publish(broker.port, "GW-BOTH", device)
        wait_until(lambda: len(stored_by(home, "GW-BOTH")) == 3, "three readings", COME_BACK_S)

        def duplicates() -> int:
            with connect(home) as connection:
                row = connection.execute("SELECT coalesce(sum(duplicate), 0)::int FROM tds_new_ledgerhour").fetchone()
            return int((row or (0,))[0])

        wait_until(lambda: duplicates() == 1, "the copy")
        assert sorted(stored_by(home, "GW-BOTH")) == ["D01", "D02", "D03"]
        home.stop()
