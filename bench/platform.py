"""The platform under measurement: `./tds up` in a folder of its own, on free ports, with nothing in it."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from tds.local.apart import shared_folder
from tests.running import free_port

ROOT: Final = Path(__file__).resolve().parents[1]
START_LIMIT_S: Final = 120.0
TENANT: Final = "bench"
PORTS: Final = ("TDS_WEB_PORT", "TDS_DB_PORT", "TDS_MQTT_PORT", "TDS_MQTT_TLS_PORT", "TDS_MQTT_WS_PORT", "TDS_OTA_PORT")


@dataclass(frozen=True, slots=True)
class Platform:
    ready: dict[str, Any]
    environment: dict[str, str]

    @property
    def mqtt_port(self) -> int:
        return int(self.environment["TDS_MQTT_PORT"])

    @property
    def web_url(self) -> str:
        return str(self.ready["web_url"])

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.ready["database_url"], autocommit=True)

    def command(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [ROOT / "tds", *words], env=self.environment, input=stdin, check=True, capture_output=True, text=True
        )
        return done.stdout


@contextlib.contextmanager
def running_platform(store: str = "auto") -> Iterator[Platform]:
    """`store` as TDS_STORE; RuntimeError when it does not start with it."""
    with shared_folder("bench") as home:
        environment = (
            os.environ | {name: str(free_port()) for name in PORTS} | {"TDS_HOME": str(home), "TDS_STORE": store}
        )
        with (home / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [ROOT / "tds", "up", "--no-demo"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield Platform(_wait_for(home / "ready.json", process, home / "up.log"), environment)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_LIMIT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The platform did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.1)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
