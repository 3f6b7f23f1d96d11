"""`./tds up` as a person runs it, on its own ports and folder."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tds.environment import MORE_PORT_VARIABLES, PORT_VARIABLES, ROOT
from tests.running import free_port, shared_folder

READY_LIMIT_S: Final = 120.0
STOP_LIMIT_S: Final = 10.0


class Started:
    """One home with its ports; `start` and `stop` as often as the test likes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
        ports = {name: str(free_port()) for name, _default in PORT_VARIABLES.values()}
        # "Those that follow" may be somebody else's.
        ports |= {name: f"{free_port()} {free_port()}" for name in MORE_PORT_VARIABLES.values()}
        # One that is found by itself may be found by another home that starts at the same moment.
        ports["TDS_MQTT_SERVICES_PORT"] = str(free_port())
        self.environment = kept | ports | {"TDS_HOME": str(home)}
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []

    @property
    def ready_file(self) -> Path:
        return self.home / "ready.json"

    @property
    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
        return found

    @property
    def pids(self) -> dict[str, int]:
        found: dict[str, int] = self.ready["processes"]
        return found

    @property
    def said(self) -> str:
        return "".join(self.output)

    def tds(self, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """A `./tds` command against this home."""
        return subprocess.run(
            [ROOT / "tds", *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=check,
            timeout=READY_LIMIT_S,
        )

    def start(self, *words: str) -> None:
        """Until `ready.json` is there."""
        self.output = []
        self.process = subprocess.Popen(
            [ROOT / "tds", "up", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=[self.process], daemon=True).start()
        deadline = time.monotonic() + READY_LIMIT_S
        while "Ctrl-C stops everything." not in self.said:
            assert self.process.poll() is None, f"tds up ended:\n{self.said}"
            assert time.monotonic() < deadline, f"tds up is not ready:\n{self.said}"
            time.sleep(0.05)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self.output.append(line)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Seconds that it took."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=STOP_LIMIT_S + 5)
        self.process = None
        return time.monotonic() - began

    def kill(self) -> None:
        """The supervisor alone, as the kernel does when memory runs out. Its children live on."""
        self.stop(signal.SIGKILL)


@contextmanager
def new_home() -> Iterator[Started]:
    with shared_folder("up") as folder:
        found = Started(folder / "a home")  # a path with a space, always
        try:
            yield found
        finally:
            found.stop()
