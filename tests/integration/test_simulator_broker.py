"""Simulated gateways against a real mosquitto, and against its worst days."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tds.local import processes
from tds.simulator import Broker, Fault, Fleet, FleetConfig
from tests.listening import Witness, running_fleet, subscriber
from tests.running import RunningBroker, running_broker, wait_until

HOUR_MS = 3_600_000
SOURCE = Path(__file__).parents[2] / "src"

# As `tds` registers it.
COMMAND = "import typer; from tds.simulator.command import simulate; typer.run(simulate)"


def config(broker: RunningBroker, **changes: Any) -> FleetConfig:
    values: dict[str, Any] = {
        "gateways": ("GW-1", "GW-2"),
        "devices": ("D01", "D02"),
        "broker": Broker("127.0.0.1", broker.port),
        "history_ms": 24 * HOUR_MS,
        "live_ms": 0,
    }
    return FleetConfig(**(values | changes))


def test_history_arrives_whole_and_each_message_once(broker: RunningBroker) -> None:
    witness = Witness()
    with subscriber(broker) as heard:
        summary = Fleet(config(broker), witness).run()
        wait_until(lambda: heard.telemetry.total() >= summary.sent, "the last message")
    assert summary.sent == summary.acknowledged == 2 * 2 * 96
    assert summary.refused == summary.resent == summary.dropped == summary.unacknowledged == 0
    assert heard.telemetry == Counter(witness.acknowledgements)
    assert set(heard.telemetry.values()) == {1}


def test_live_readings_follow_the_history_until_the_end(broker: RunningBroker) -> None:
    with subscriber(broker) as heard:
        summary = Fleet(config(broker, history_ms=HOUR_MS, live_ms=1_500, interval_ms=250)).run()
        wait_until(lambda: heard.telemetry.total() >= summary.sent, "the last message")
    assert summary.sent == 2 * 2 * (4 + 6)
    assert 1.0 < summary.seconds < 10


def test_a_gateway_is_announced_and_takes_its_leave(broker: RunningBroker) -> None:
    with subscriber(broker) as heard:
        Fleet(config(broker, gateways=("GW-1",))).run()
        wait_until(lambda: len(heard.presence) == 2, "the goodbye")
    assert [status for _, status, _ in heard.presence] == ["online", "offline"]
    with subscriber(broker, "newcomer") as heard:
        wait_until(lambda: heard.presence, "the retained presence")
    assert heard.presence == [("GW-1", "offline", True)]


def test_what_nobody_is_subscribed_to_is_kept_until_somebody_is(broker: RunningBroker) -> None:
    witness = Witness()
    fleet = Fleet(config(broker, history_ms=4 * HOUR_MS), witness)
    with running_fleet(fleet):
        with subscriber(broker, "presence-only", ("status/+",)) as heard:
            wait_until(lambda: len(heard.presence) == 2, "both gateways")
            assert not witness.acknowledgements
        with subscriber(broker) as heard:
            wait_until(lambda: heard.telemetry.total() >= 2 * 2 * 16, "the kept messages")
            wait_until(lambda: len(witness.acknowledgements) == 2 * 2 * 16, "the acknowledgements")
    assert heard.telemetry == Counter(witness.acknowledgements)


def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(broker: RunningBroker) -> None:
    witness = Witness()
    # Away from the start, the listener lives on what the broker keeps for it: the part that a kill destroys.
    with subscriber(broker) as heard:
        pass
    broker.save()
    fleet = Fleet(config(broker, history_ms=10 * 24 * HOUR_MS, history_step_ms=60_000), witness)
    with running_fleet(fleet) as summaries:
        wait_until(lambda: len(witness.acknowledgements) > 3_000, "some acknowledgements")
        broker.kill()
        before = len(witness.acknowledgements)
        broker.start()
        with subscriber(broker) as heard:
            wait_until(lambda: len(witness.acknowledgements) > before + 1_000, "a reconnect")
            # What had to be resent goes out first, so by now it is on its way.
            wait_until(lambda: not set(witness.acknowledgements[:before]) - set(heard.telemetry), "the resent ones")
    assert summaries[0].resent >= before
    assert summaries[0].connections >= 4


def test_a_cut_connection_lets_the_will_speak_and_loses_nothing(broker: RunningBroker) -> None:
    witness = Witness()
    faults = frozenset({Fault.RECONNECTS})
    with subscriber(broker) as heard:
        summary = Fleet(
            config(broker, faults=faults, fault_rate=0.5, live_ms=3_000, interval_ms=200, cut_spacing_s=0.5), witness
        ).run()
        wait_until(lambda: not set(witness.acknowledgements) - set(heard.telemetry), "what was acknowledged")
        wait_until(lambda: len(heard.presence) >= 2 * summary.connections, "the wills")
    assert summary.connections >= 4
    assert summary.resent > 0
    assert summary.unacknowledged == 0
    counted = Counter(status for _, status, _ in heard.presence)
    assert counted["offline"] == counted["online"] == summary.connections


def test_a_fleet_is_spread_over_the_brokers(broker: RunningBroker) -> None:
    with running_broker() as other, subscriber(broker) as here, subscriber(other) as there:
        second = Broker("127.0.0.1", other.port)
        summary = Fleet(config(broker, gateways=("GW-1", "GW-2", "GW-3"), more_brokers=(second,))).run()
        wait_until(lambda: (here.telemetry + there.telemetry).total() >= summary.sent, "the last message")
    assert {gateway for gateway, _, _ in here.telemetry} == {"GW-1", "GW-3"}
    assert {gateway for gateway, _, _ in there.telemetry} == {"GW-2"}


def test_a_gateway_that_moves_sends_there_again_what_the_last_broker_acknowledged(broker: RunningBroker) -> None:
    witness = Witness()
    with running_broker() as other, subscriber(broker) as here, subscriber(other) as there:
        moving = config(
            broker,
            gateways=("GW-1",),
            more_brokers=(Broker("127.0.0.1", other.port),),
            faults=frozenset({Fault.MOVES}),
            fault_rate=0.3,
            history_ms=0,
            live_ms=3_000,
            interval_ms=200,
            cut_spacing_s=0.5,
        )
        summary = Fleet(moving, witness).run()
        everywhere = set(witness.acknowledgements)
        wait_until(lambda: not everywhere - {*here.telemetry, *there.telemetry}, "what was acknowledged")
    assert summary.connections >= 2
    assert summary.resent > 0
    assert summary.unacknowledged == 0
    assert set(here.telemetry) & set(there.telemetry)


def test_broken_late_and_doubled_messages_arrive_beside_the_sound_ones(broker: RunningBroker) -> None:
    witness = Witness()
    faults = frozenset({Fault.BAD, Fault.DUPLICATES, Fault.LATE})
    with subscriber(broker) as heard:
        summary = Fleet(config(broker, faults=faults, fault_rate=0.2), witness).run()
        wait_until(lambda: heard.telemetry.total() + heard.broken >= summary.sent, "the last message")
    assert heard.broken > 10
    assert set(heard.telemetry.values()) >= {1, 2}
    assert not Counter(witness.acknowledgements) - heard.telemetry
    assert summary.unacknowledged == 0


def test_while_the_broker_is_away_a_full_outbox_drops_the_oldest_and_counts_them(broker: RunningBroker) -> None:
    with subscriber(broker) as heard:
        fleet = Fleet(config(broker, history_ms=0, live_ms=None, interval_ms=20, outbox_capacity=10))
        with running_fleet(fleet) as summaries:
            wait_until(lambda: heard.telemetry, "a first message")
            broker.stop()
            threading.Event().wait(1.5)
            broker.start()
            before = heard.telemetry.total()
            wait_until(lambda: heard.telemetry.total() > before + 20, "messages after the restart")
    assert summaries[0].dropped > 0
    assert summaries[0].unacknowledged == 0


def test_a_broker_that_wants_fewer_in_flight_gets_fewer(broker: RunningBroker) -> None:
    wanted = broker.broker.configuration_text().replace("max_inflight_messages 0", "max_inflight_messages 3")
    broker.broker.configuration.write_text(wanted, encoding="utf-8")
    broker.restart()
    with subscriber(broker) as heard:
        summary = Fleet(config(broker)).run()
        wait_until(lambda: heard.telemetry.total() >= summary.sent, "the last message")
    assert summary.connections == 2
    assert summary.acknowledged == 2 * 2 * 96


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def simulate(broker: RunningBroker, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--broker", broker.url, *words],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_prints_one_json_object_and_reports_each_message(broker: RunningBroker, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with subscriber(broker) as heard:
        process = simulate(
            broker, "--gateways", "2", "--history", "6h", "--history-only", "--json", "--report", str(report)
        )
        out, err = process.communicate(timeout=60)
        wait_until(lambda: heard.telemetry.total() >= 2 * 3 * 24, "the last message")
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["acknowledged"] == 2 * 3 * 24
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    reported = Counter((line["gateway_code"], line["device_code"], line["timestamp"]) for line in lines)
    assert reported == heard.telemetry


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_in_good_order(broker: RunningBroker, number: signal.Signals) -> None:
    with subscriber(broker) as heard:
        process = simulate(broker, "--gateway", "GW-A", "--devices", "1", "--interval", "0.1")
        wait_until(lambda: heard.telemetry.total() > 3, "some messages")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        wait_until(lambda: len(heard.presence) == 2, "the goodbye")
    assert (process.returncode, err) == (0, "")
    assert "acknowledged" in out


def test_a_broker_that_turns_gateways_away_is_said_with_what_to_do(broker: RunningBroker) -> None:
    closed = broker.broker.configuration_text().replace("allow_anonymous true", "allow_anonymous false")
    broker.broker.configuration.write_text(closed, encoding="utf-8")
    broker.stop()
    # Not broker.start(): that waits for a round trip, which this one refuses.
    with (broker.broker.folder / "log").open("ab") as log:
        broker.process = processes.start(broker.broker.command(), log=log, account=broker.broker.account)
    wait_until(lambda: is_open(broker.port), "the listener")
    process = simulate(broker)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "turned the gateway away" in err
