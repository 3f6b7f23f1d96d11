"""A platform apart from the person's own: `./tds up` as a child, in another home and on ports of its own."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tds.environment import MORE_PORT_VARIABLES, PORT_VARIABLES, ROOT
from tds.local.plan import LAST_WORDS

READY_LIMIT_S: Final = 120.0
STOP_LIMIT_S: Final = 15.0  # its own is 10
COMMAND_LIMIT_S: Final = 120.0
LOOK_S: Final = 0.05
MAX_LINES: Final = 2_000  # of what it said: older ones go


class NotReadyError(Exception):
    """It did not start; the text has what it said."""


class Apart:
    """One home with its ports; `start` and `stop` as often as one likes."""

    def __init__(self, home: Path, free_port: Callable[[], int], within: Sequence[str] = ()) -> None:
        """`free_port` gives each port once; `within`: what `./tds up` is started by."""
        self.home = home
        self._within = within
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
            timeout=COMMAND_LIMIT_S,
        )

    def start(self, *words: str) -> None:
        """Until all of it runs. Raises NotReadyError."""
        self.output = []
        self.process = subprocess.Popen(
            [*self._within, ROOT / "tds", "up", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a Ctrl-C is for whoever started it
        )
        threading.Thread(target=self._listen, args=[self.process], daemon=True).start()
        deadline = time.monotonic() + READY_LIMIT_S
        while LAST_WORDS not in self.said:
            if self.process.poll() is not None:
                raise NotReadyError(f"tds up ended:\n{self.said}")
            if time.monotonic() > deadline:
                raise NotReadyError(f"tds up is not ready after {READY_LIMIT_S:.0f} s:\n{self.said}")
            time.sleep(LOOK_S)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout  # noqa: S101  # it was asked for
        with process.stdout as lines:
            for line in lines:
                self.output.append(line)
                del self.output[:-MAX_LINES]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Seconds that it took."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=STOP_LIMIT_S)
        self.process = None
        return time.monotonic() - began


def dies_with_us() -> list[str]:
    """What a command is started by that must not outlive us, if we are killed; nothing where there is no such program.

    To be used by the thread that stays to the end: it is whose death counts.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


@contextmanager
def shared_folder(name: str, *, keep: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """A temporary folder that other accounts may pass through: PostgreSQL and the broker have accounts of their own."""
    folder = Path(tempfile.mkdtemp(prefix=f"tds-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not keep():
            shutil.rmtree(folder, ignore_errors=True)
