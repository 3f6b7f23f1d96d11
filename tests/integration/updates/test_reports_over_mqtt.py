"""Reports and commands over a real mosquitto: who may say what, what comes twice or late, and what dies in between."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from typer.testing import CliRunner

from tds import wiring, worker
from tds.devicelink import link, whereabouts
from tds.devicelink.commands import Commands
from tds.devicelink.events import Event, Report
from tds.devicelink.ignored import Unheeded
from tds.devicelink.keeper import Handler, Keeper
from tds.devicelink.link import DeviceLink, LinkConfig
from tds.devicelink.presence import Ignored
from tds.environment import Plain
from tds.fleet.models import Gateway, Tenant
from tds.identity.access import broker_rules
from tds.identity.access.broker_rules import DEVICELINK
from tds.ingest import database
from tds.updates.executions import delivery
from tds.updates.executions.keeper import Reports
from tds.updates.executions.pushing import Pushing
from tds.updates.models import Execution, RunningFirmware
from tds.updates.rollouts.rollout_commands import rollout_app
from tests import executing, seeding
from tests.boards import Board, boards, retain
from tests.consuming import STOP_LIMIT_S
from tests.executing import OLD, TARGET, Unit
from tests.running import RunningBroker, running_broker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NAME: Final = "broker"
SERVER: Final = "https://ota.example.com:8070"
REFUSED_BY_ACL: Final = "135"  # MQTT 5, 3.4.2.1: not authorized


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(link, "TICK_EVERY_S", 0.1)
    monkeypatch.setattr(link, "IDLE_S", 0.1)
    monkeypatch.setattr(worker, "RETRY_SOON_S", 0.1)
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, home=tmp_path))


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-001")


@pytest.fixture
def execution(gateway: Gateway) -> Execution:
    return executing.execution(
        executing.rollout(executing.release()), gateway, offered_at=timezone.now(), from_sha256=OLD
    )


@pytest.fixture
def unit(execution: Execution) -> Unit:
    """One that has gone all the way."""
    made = Unit("GW-001", execution.public_id)
    for n in range(5):
        made.phase("downloading", bytes=n * 1_000)
    for phase in ("downloaded", "verified", "installing", "rebooting"):
        made.phase(phase)
    made.starts(TARGET, confirmed=False)
    made.phase("confirming")
    made.confirmed = True
    made.says()
    return made


@contextmanager
def linked(broker: RunningBroker, *, fails: int = 0) -> Iterator[tuple[DeviceLink, Reports]]:
    """As the worker has it. `fails`: so many batches are not committed."""
    unheeded, reports, left = Unheeded(NAME), Reports(NAME), [fails]

    def cut(_connection: psycopg.Connection[Any], _events: Any) -> tuple[()]:
        if left[0]:
            left[0] -= 1
            raise psycopg.OperationalError("the database went away")
        return ()

    handlers: dict[type[Event], tuple[Handler, ...]] = dict(Keeper(NAME, unheeded).handlers())
    handlers[Report] = (reports.reported, cut)
    url = broker.service_url(DEVICELINK)
    made = DeviceLink(LinkConfig(NAME, url, handlers, unheeded, reports.facts), now=timezone.now)
    try:
        with lane(made.name, made.turn):
            wait_until(lambda: made.facts()["caught"], "the subscription")
            yield made, reports
    finally:
        made.close()  # behind the lane's last turn, which would open it again


@contextmanager
def lane(name: str, turn: worker.Turn) -> Iterator[None]:
    stopping = threading.Event()
    [made] = worker.waiting_lanes(
        {name: turn}, lambda: database.connect(settings.DATABASES["default"], name=name), stopping
    )
    made.thread.start()
    try:
        yield
    finally:
        stopping.set()
        made.cancel()
        made.thread.join(STOP_LIMIT_S)
        assert not made.thread.is_alive()


def publish(port: int, topic: str, payload: bytes, *words: str) -> str:
    """With mosquitto_pub, as anybody has it; what it says of the broker's answer."""
    command = [
        "mosquitto_pub",
        "-V",
        "5",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-q",
        "1",
        "-t",
        topic,
        "-s",
        "-d",
        *words,
    ]
    done = subprocess.run(command, input=payload, capture_output=True, timeout=20, check=False)
    return (done.stdout + done.stderr).decode()


def status(execution: Execution) -> str:
    execution.refresh_from_db()
    return execution.status


def wait_for(execution: Execution, *expected: str) -> None:
    wait_until(lambda: status(execution) in expected, f"{expected}", 15)


def test_the_worker_handles_reports() -> None:
    [made, *_] = wiring.device_links(timezone.now)
    assert made.config.handlers.get(Report)
    assert made.facts()["reports_refused"] == {}


def test_a_report_that_is_published_is_kept(broker: RunningBroker, execution: Execution, unit: Unit) -> None:
    with linked(broker):
        for payload in unit.sent[:1]:
            publish(broker.port, "ota/GW-001/status", payload)
        wait_for(execution, "IN_PROGRESS")
        for payload in unit.sent[1:]:
            publish(broker.port, "ota/GW-001/status", payload)
        wait_for(execution, "SUCCEEDED")
    assert RunningFirmware.objects.get().sha256 == TARGET


def test_another_gateway_can_not_report_for_this_one(execution: Execution, unit: Unit) -> None:
    seeding.gateway(Tenant.objects.get(), "GW-THIEF")
    with running_broker(access=Plain.PASSWORD) as broker:
        text = broker_rules.password_file({code: broker_rules.hashed("secret") for code in ("GW-001", "GW-THIEF")})
        (broker.broker.tls / broker_rules.GATEWAY_PASSWORDS).write_text(text)
        broker.restart()
        thief, own = ("-u", "GW-THIEF", "-P", "secret"), ("-u", "GW-001", "-P", "secret")
        with linked(broker) as (_, reports):
            assert REFUSED_BY_ACL in publish(broker.port, "ota/GW-001/status", unit.sent[-1], *thief)
            # On its own topic it may publish, and what it says there of others is refused.
            publish(broker.port, "ota/GW-THIEF/status", unit.sent[-1], *thief)
            wait_until(lambda: reports.refused["other_gateway"] == 1, "the refusal")
            assert status(execution) == "QUEUED"
            assert not RunningFirmware.objects.exists()
            publish(broker.port, "ota/GW-001/status", unit.sent[-1], *own)
            wait_for(execution, "SUCCEEDED")


def test_what_is_no_report_is_counted_and_holds_nothing_up(
    broker: RunningBroker, execution: Execution, unit: Unit
) -> None:
    seeding.gateway(Tenant.objects.get(), "GW-OLD", status="retired", retired_at=timezone.now())
    retired = Unit("GW-OLD", execution.public_id, sha256=TARGET)
    with linked(broker) as (made, _):
        retain(
            broker.port,
            ("ota/GW-001/status", b"\x00\xff"),
            ("ota/GW-001/status", b"x" * 70_000),
            ("ota/GW-NOBODY/status", Unit("GW-NOBODY", "e").says()),
            ("ota/GW-OLD/status", retired.says()),
            ("ota/GW-001/status", unit.sent[0]),
            retain=False,
        )
        wait_for(execution, "IN_PROGRESS")
        assert made.facts()["reports_refused"] == {"malformed": 2, "unknown_gateway": 2}
        assert made.failed == 0


def test_attack_a_report_that_the_broker_kept_is_not_of_whoever_has_the_code_now(
    broker: RunningBroker, execution: Execution, unit: Unit
) -> None:
    former = Unit("GW-001", "e-of-another-company", sha256=OLD)
    publish(broker.port, "ota/GW-001/status", former.says(), "-r")
    with linked(broker) as (made, _):
        unheeded = made.config.unheeded
        wait_until(lambda: unheeded.counts[Ignored.RETAINED_REPORT] == 1, "what the broker had kept")
        assert not RunningFirmware.objects.exists()
        publish(broker.port, "ota/GW-001/status", unit.sent[-1], "-r")  # live: it is heard
        wait_for(execution, "SUCCEEDED")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reports_that_come_twice_and_in_any_order_end_in_the_truth(
    seed: int, broker: RunningBroker, execution: Execution, unit: Unit
) -> None:
    mixed = unit.sent * 3
    Random(seed).shuffle(mixed)
    with linked(broker):
        retain(broker.port, *[("ota/GW-001/status", payload) for payload in mixed], retain=False)
        wait_for(execution, "SUCCEEDED")
    row = RunningFirmware.objects.get()
    assert (row.sha256, row.confirmed, row.boot, row.restarts <= 1) == (TARGET, True, 2, True)


def test_a_broker_that_restarts_in_the_middle_loses_no_report(
    broker: RunningBroker, execution: Execution, unit: Unit
) -> None:
    with linked(broker) as (made, _):
        retain(broker.port, *[("ota/GW-001/status", payload) for payload in unit.sent[:5]], retain=False)
        wait_for(execution, "IN_PROGRESS")
        broker.restart()
        retain(broker.port, *[("ota/GW-001/status", payload) for payload in unit.sent[5:]], retain=False)
        wait_until(lambda: made.facts()["caught"], "the next connection")
        wait_for(execution, "SUCCEEDED")


def test_a_worker_that_dies_in_the_middle_handles_again_what_it_had_not_committed(
    broker: RunningBroker, execution: Execution, unit: Unit
) -> None:
    with linked(broker):
        retain(broker.port, ("ota/GW-001/status", unit.sent[0]), retain=False)
        wait_for(execution, "IN_PROGRESS")
    with linked(broker, fails=1_000):
        retain(broker.port, *[("ota/GW-001/status", payload) for payload in unit.sent[1:-1]], retain=False)
    # While none runs: they wait in its session.
    retain(broker.port, ("ota/GW-001/status", unit.sent[-1]), retain=False)
    assert status(execution) == "IN_PROGRESS"
    with linked(broker):
        wait_for(execution, "SUCCEEDED")


def test_a_database_that_goes_away_for_a_moment_costs_no_report(
    broker: RunningBroker, execution: Execution, unit: Unit
) -> None:
    with linked(broker, fails=2):
        retain(broker.port, *[("ota/GW-001/status", payload) for payload in unit.sent], retain=False)
        wait_for(execution, "SUCCEEDED")


# The other direction


def test_an_offer_reaches_the_gateway_that_is_connected(broker: RunningBroker, gateway: Gateway) -> None:
    execution = executing.execution(executing.rollout(executing.release()), gateway)
    with linked(broker) as (made, _), boards(broker.port, "GW-001") as connected:
        connected["GW-001"].subscribe("ota/GW-001/update")
        pushing = Pushing(Commands([made]), whereabouts.of, timezone.now, SERVER)
        with lane("pushing", pushing.turn), seeding.own_connection() as own:
            delivery.offer(own, [execution.pk], timezone.now())
            wait_until(lambda: connected["GW-001"].got, "the command", 10)
            [(topic, payload)] = connected["GW-001"].got
            expected = delivery.document_for(own, gateway.pk, timezone.now(), base_url=SERVER)
    assert (topic, payload) == ("ota/GW-001/update", expected)


def test_an_offer_reaches_a_gateway_as_soon_as_it_comes_also_after_the_worker_and_the_broker_began_anew(
    broker: RunningBroker, gateway: Gateway
) -> None:
    execution = executing.execution(executing.rollout(executing.release()), gateway)
    with seeding.own_connection() as own:
        delivery.offer(own, [execution.pk], timezone.now())
    for _ in range(2):
        with linked(broker) as (made, _):
            pushing = Pushing(Commands([made]), whereabouts.of, timezone.now, SERVER)
            with lane("pushing", pushing.turn):
                board = Board(broker.port, "GW-001")
                board._client.connect("127.0.0.1", broker.port, keepalive=60)
                board._thread.start()
                board.subscribe("ota/GW-001/update")
                board.say(json.dumps({"gateway_code": "GW-001", "status": "online"}).encode())
                wait_until(lambda: board.got, "the command", 10)  # noqa: B023  # within its round
                board.lose_power()
        broker.restart()


def test_check_now_reaches_all_that_are_connected(broker: RunningBroker, gateway: Gateway) -> None:
    with linked(broker) as (made, _), boards(broker.port, "GW-001") as connected:
        connected["GW-001"].subscribe("ota/update")
        pushing = Pushing(Commands([made]), whereabouts.of, timezone.now, SERVER)
        with lane("pushing", pushing.turn), seeding.own_connection() as own:
            wait_until(lambda: pushing._heard, "the lane")
            delivery.check_now_all(own)
            wait_until(lambda: connected["GW-001"].got, "the command", 10)
            CliRunner().invoke(rollout_app, ["check-now"], catch_exceptions=False)
            wait_until(lambda: len(connected["GW-001"].got) == 2, "the command of the command line", 10)
    assert connected["GW-001"].got == [("ota/update", b"{}")] * 2
