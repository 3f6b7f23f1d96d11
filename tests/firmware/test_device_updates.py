"""Whole updates of the device's own program, under its launcher, against a broker and a firmware server."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tds.environment import ROOT
from tests.boxes import Maker
from tests.devices import Device
from tests.firmware_server import Document, FirmwareServer, Signers, firmware_server
from tests.running import RunningBroker, wait_until

CODE = "GW-1"
PACK = ROOT / "firmware" / "tools" / "pack_image.py"
TRIAL_S = 8


@dataclass(slots=True)
class Platform:
    """What the broker heard, and where commands are published."""

    client: mqtt.Client
    reports: list[Document] = field(default_factory=list)
    telemetry: int = 0

    def on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.startswith("ota/"):
            self.reports.append(json.loads(message.payload))
        else:
            self.telemetry += 1

    def command(self, document: Document) -> None:
        self.client.publish(f"ota/{CODE}/update", json.dumps(document), qos=1).wait_for_publish(10)

    def wait_for(self, true: Any, what: str, limit_s: float = 30.0) -> Document:
        def found() -> Document | None:
            return next((report for report in reversed(self.reports) if true(report)), None)

        wait_until(lambda: found() is not None, what, limit_s)
        report = found()
        assert report
        return report

    def phases(self, execution_id: str) -> list[str]:
        said = [report["execution"] for report in self.reports if report["execution"]]
        return [each["phase"] for each in said if each["execution_id"] == execution_id]


@pytest.fixture
def platform(tls_broker: RunningBroker) -> Iterator[Platform]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "platform", protocol=mqtt.MQTTv5)
    found = Platform(client)
    client.on_message = found.on_message
    client.connect("127.0.0.1", tls_broker.port)
    client.subscribe([("ota/+/status", 1), ("telemetry/#", 1)])
    client.loop_start()
    yield found
    client.loop_stop()
    client.disconnect()


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def server(maker: Maker, signers: Signers) -> Iterator[FirmwareServer]:
    with firmware_server(signers, maker.server_files()) as found:
        yield found


def packed(program: Path, folder: Path, version: str) -> bytes:
    path = folder / f"{program.name}-{version}.bin"
    words: list[str | Path] = [sys.executable, PACK, program, path, "--project", "dcu-0080", "--version", version]
    subprocess.run(words, check=True)
    return path.read_bytes()


@dataclass(slots=True)
class Board:
    """A device in slots, with 1.0.0 from the factory."""

    device: Device
    programs: Path
    folder: Path
    platform: Platform
    server: FirmwareServer

    def image(self, version: str, program: str = "dcu-0080") -> bytes:
        return packed(self.programs / program, self.folder, version)


@dataclass(slots=True)
class Around:
    """What a board needs to have around it."""

    maker: Maker
    broker: RunningBroker
    platform: Platform
    server: FirmwareServer


@pytest.fixture
def around(maker: Maker, tls_broker: RunningBroker, platform: Platform, server: FirmwareServer) -> Around:
    return Around(maker, tls_broker, platform, server)


@pytest.fixture
def unit(guarded: Path, around: Around, tmp_path: Path) -> Iterator[Board]:
    with board(guarded, around, tmp_path) as found:
        around.platform.wait_for(runs("1.0.0"), "a report of 1.0.0")
        yield found


@contextlib.contextmanager
def board(programs: Path, around: Around, folder: Path) -> Iterator[Board]:
    maker, broker, server = around.maker, around.broker, around.server
    launcher = programs / "launcher"
    slots = folder / "slots"
    box = maker.provision(CODE)
    (box / "trust-roots.txt").write_text(server.signers.roots, encoding="ascii")
    packed(programs / "dcu-0080", folder, "1.0.0")
    subprocess.run([launcher, "--install", folder / "dcu-0080-1.0.0.bin", slots], check=True)
    words = (
        *("--box", box, "--broker", f"mqtts://localhost:{broker.broker.listeners.tls}"),
        *("--ota-url", server.url, "--interval", "5"),
        *("--trial", str(TRIAL_S), "--update-spread", "1"),
    )
    device = Device(slots, folder, *words, within=(str(launcher), "--trial", str(TRIAL_S + 5)))
    device.start()
    try:
        yield Board(device, programs, folder, around.platform, server)
    finally:
        if device.process:
            device.stop()
        print(device.log)


def runs(version: str, *, confirmed: bool = True) -> Any:
    return lambda report: report["running"]["version"] == version and report["running"]["confirmed"] is confirmed


def test_an_update_is_fetched_in_pieces_installed_confirmed_and_told(unit: Board) -> None:
    first = unit.platform.reports[0]
    assert first["boot"] == 1
    assert first["execution"] is None
    image = unit.image("1.1.0")
    unit.server.cut_after = [100_000, 1_000_000]
    unit.platform.command(unit.server.offer(CODE, "e-1", image, "1.1.0", 7))
    done = unit.platform.wait_for(runs("1.1.0"), "1.1.0 confirmed", 60)
    assert done["running"]["slot"] == 1
    assert done["running"]["counter"] == 7
    assert done["running"]["boot_reason"] == "update"
    assert done["execution"]["status"] == "SUCCEEDED"
    assert "rebooting" in unit.platform.phases("e-1")
    assert "confirming" in unit.platform.phases("e-1")
    assert unit.server.sent_bytes < len(image) * 1.05
    # The same once more, and an older one.
    unit.platform.command(unit.server.offer(CODE, "e-2", image, "1.1.0", 7))
    unit.platform.wait_for(lambda report: (report["execution"] or {}).get("reason") == "already_running", "a refusal")
    unit.platform.command(unit.server.offer(CODE, "e-3", unit.image("1.0.1"), "1.0.1", 6))
    unit.platform.wait_for(lambda report: (report["execution"] or {}).get("reason") == "downgrade_refused", "a refusal")


@pytest.mark.parametrize(
    ("program", "reason"),
    [("crashes", "rolled_back"), ("cut-off", "not_confirmed"), ("fails-itself", "self_test_failed")],
)
def test_an_image_that_does_not_prove_itself_is_gone_back_from_and_that_is_told(
    unit: Board, program: str, reason: str
) -> None:
    image = unit.image("1.2.0", f"faulty/{program}")
    unit.platform.command(unit.server.offer(CODE, "e-1", image, "1.2.0", 8))
    told = unit.platform.wait_for(
        lambda report: (report["execution"] or {}).get("status") == "FAILED", "the truth", TRIAL_S + 40
    )
    assert told["execution"]["reason"] == reason
    assert (told["running"]["version"], told["running"]["confirmed"]) == ("1.0.0", True)
    assert told["running"]["boot_reason"] == "rollback"
