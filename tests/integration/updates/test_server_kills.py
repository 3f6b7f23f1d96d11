"""The platform's own processes, killed in the middle of an update: `kill -9`, as a power cut or the kernel does it."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from django.utils import timezone

from tds.devicelink.models import GatewayPresence
from tds.fleet.models import Gateway
from tds.identity.access.broker_rules import DEVICELINK
from tds.status import updates as status_updates
from tds.updates.executions.statuses import Phase
from tds.updates.models import Execution, Rollout
from tests import executing, rolling_out, seeding
from tests.boards import boards, retain
from tests.consuming import Managed, managed
from tests.enrolling import running_server
from tests.executing import TARGET, Unit
from tests.releasing import Maker
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CODE: Final = "GW-001"
COMMANDS: Final = f"ota/{CODE}/update"
REPORTS: Final = f"ota/{CODE}/status"
LIMIT_S: Final = 20.0
MIB: Final = 1_048_576


@pytest.fixture
def gateway() -> Gateway:
    made = seeding.gateway(seeding.tenant("acme"), CODE, family="dcu-0080")
    executing.runs(made, family="dcu-0080", chip="host")
    return made


@contextmanager
def worker(broker: RunningBroker, folder: Path) -> Iterator[Managed]:
    with managed(folder, "worker", TDS_MQTT_URLS=broker.service_url(DEVICELINK)) as process:
        yield process


def launched() -> Rollout:
    return rolling_out.launched(executing.release(counter=7), waves="100 %", now=timezone.now())


def told(rollout: Rollout) -> Execution:
    return Execution.objects.get(rollout=rollout)


def wait_for(rollout: Rollout, phase: str) -> None:
    wait_until(lambda: told(rollout).phase == phase, phase, LIMIT_S)


def is_told_of_itself() -> bool:
    """As `tds status` looks: both lanes take their turns, and what came was counted."""
    seen = status_updates.worker(timezone.now())
    return seen is not None and all(seen.turned_at.values()) and seen.refused == {"malformed": 1}


def is_there() -> bool:
    return GatewayPresence.objects.filter(gateway__code=CODE, online=True).exists()


def test_a_worker_killed_between_the_offer_and_the_push_tells_the_gateway_after_its_next_start(
    broker: RunningBroker, gateway: Gateway, tmp_path: Path
) -> None:
    assert broker.process
    with worker(broker, tmp_path), boards(broker.port, CODE):
        wait_until(is_there, "the gateway's presence", LIMIT_S)
        os.kill(broker.process.pid, signal.SIGSTOP)  # it acknowledges nothing: the push lane waits for it
        try:
            rollout = launched()
            wait_until(lambda: told(rollout).offered_at, "the offer", LIMIT_S)
        finally:
            broker.kill()  # what it had not read is gone
    offered = told(rollout)
    assert offered.pushed_at is None
    broker.start()
    with boards(broker.port, CODE) as connected:
        board = connected[CODE]
        board.subscribe(COMMANDS)
        with worker(broker, tmp_path):
            wait_until(lambda: board.got, "the command", LIMIT_S)
            wait_until(lambda: told(rollout).pushed_at, "the note that it is pushed", LIMIT_S)
    command = json.loads(board.got[0][1])
    assert (command["execution_id"], command["ticket"]) == (offered.public_id, offered.ticket)
    assert told(rollout).seq == offered.seq  # the same ticket: one permission


def test_a_worker_killed_at_each_step_of_an_update_ends_with_the_truth(
    broker: RunningBroker, gateway: Gateway, tmp_path: Path
) -> None:
    with boards(broker.port, CODE) as connected:
        connected[CODE].subscribe(COMMANDS)
        with worker(broker, tmp_path):
            wait_until(is_there, "the gateway's presence", LIMIT_S)
            rollout = launched()
            wait_until(lambda: connected[CODE].got, "the command", LIMIT_S)
        unit = Unit(CODE, told(rollout).public_id)
        for phase in (Phase.DOWNLOADING, Phase.INSTALLING, Phase.REBOOTING):
            publish(broker, unit.phase(phase))  # while none runs: the broker keeps it
            with worker(broker, tmp_path):
                wait_for(rollout, phase)
        unit.starts(TARGET, confirmed=False)
        publish(broker, unit.phase(Phase.CONFIRMING))
        unit.confirmed = True
        publish(broker, unit.says())
        with worker(broker, tmp_path) as process:
            wait_until(lambda: told(rollout).status == "SUCCEEDED", "the success", LIMIT_S)
            wait_until(lambda: Rollout.objects.get(pk=rollout.pk).status == "completed", "its end", LIMIT_S)
            publish(broker, b"no report")
            wait_until(is_told_of_itself, "its sign of life", LIMIT_S)
            assert process.errors == ""
    kinds = list(rollout.events.order_by("id").values_list("kind", flat=True))
    assert kinds == ["made", "started", "wave_opened", "soak_began", "completed"]  # each once


def test_a_firmware_server_killed_in_a_download_costs_what_is_missing_and_no_more(tmp_path: Path) -> None:
    out, folder = tmp_path / "out.bin", tmp_path / "server"
    with running_server(folder) as server:
        maker = Maker(server.home / "updates", now=timezone.now())
        of = maker.released(program=os.urandom(7 * MIB))
        path = f"/ota/v1/artifacts/{of.sha256}.bin"
        words = ["curl", "--silent", "--cacert", str(server.server_ca), "--output", str(out), "--limit-rate", "500K"]
        with subprocess.Popen([*words, server.url(path)]) as broken:
            wait_until(lambda: out.exists() and out.stat().st_size > 100_000, "the first part", LIMIT_S)
            server.process.kill()
            assert broken.wait(LIMIT_S) != 0
    got = out.stat().st_size
    assert 0 < got < of.size
    with running_server(folder) as server:
        words = ["curl", "--silent", "--cacert", str(server.server_ca), "--output", str(out), "--continue-at", "-"]
        said = subprocess.run(
            [*words, "--write-out", "%{http_code} %{size_download}", server.url(path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert said.stdout == f"206 {of.size - got}"
    assert hashlib.sha256(out.read_bytes()).hexdigest() == of.sha256


def publish(broker: RunningBroker, payload: bytes) -> None:
    retain(broker.port, (REPORTS, payload), retain=False)
