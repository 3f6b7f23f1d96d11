"""A device's own program in slots under its launcher, with a broker and a firmware server around it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tds.environment import ROOT
from tests.boxes import Maker
from tests.devices import Device
from tests.firmware_server import Document, FirmwareServer
from tests.running import RunningBroker, wait_until

CODE = "GW-1"
PACK = ROOT / "firmware" / "tools" / "pack_image.py"
TRIAL_S = 8
INTERVAL_S = 5


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


@contextlib.contextmanager
def platform_on(broker: RunningBroker) -> Iterator[Platform]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "platform", protocol=mqtt.MQTTv5)
    found = Platform(client)
    client.on_message = found.on_message
    client.connect("127.0.0.1", broker.port)
    client.subscribe([("ota/+/status", 1), ("telemetry/#", 1)])
    client.loop_start()
    yield found
    client.loop_stop()
    client.disconnect()


def packed(program: Path, folder: Path, version: str) -> bytes:
    path = folder / f"{program.name}-{version}.bin"
    words: list[str | Path] = [sys.executable, PACK, program, path, "--project", "dcu-0080", "--version", version]
    words += ["--secure-version", "0"]  # counters are what manifests say
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
        *("--ota-url", server.url, "--interval", str(INTERVAL_S), "--console", "stdin"),
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
