"""The devices of a rehearsal: a program of `firmware/tools`, told what to do by words, and heard by documents."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from tds.environment import ROOT
from tds.local.apart import dies_with_us
from tds.rehearsal.facts import Truth
from tds.rehearsal.refusal import RehearsalFailedError

TOOLS: Final = ROOT / "firmware" / "tools"
PROGRAMS: Final = ROOT / "firmware" / "build" / "host"
LAUNCHER: Final = "launcher"
STOP_LIMIT_S: Final = 20.0  # its own is 10
MAX_LINES: Final = 50  # of what it says beside its documents


class Devices:
    """`truths` is by code, as they were half a second ago."""

    def __init__(self, words: list[str]) -> None:
        self.truths: Mapping[str, Truth] = {}
        self._said: deque[str] = deque(maxlen=MAX_LINES)
        self._process = subprocess.Popen(
            [*dies_with_us(), sys.executable, "-m", "device_fleet.rehearsal", *words],
            env=os.environ | {"PYTHONPATH": str(TOOLS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for whoever rehearses
        )
        self._threads = [
            threading.Thread(target=self._hear, args=[self._process.stdout], daemon=True),
            threading.Thread(target=self._listen, args=[self._process.stderr], daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raises RehearsalFailedError when they are not there any more."""
        if self._process.poll() is not None:
            raise RehearsalFailedError(f"The devices ended:\n{''.join(self._said)}".rstrip())

    def calm(self) -> None:
        """No fault from now on."""
        self.check()
        if self._process.stdin:
            self._process.stdin.write("calm\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # each device notices that, and ends
            self._process.wait()
        for thread in self._threads:
            thread.join(STOP_LIMIT_S)
        if self._process.stdin:
            self._process.stdin.close()

    def _hear(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                told = map(Truth.read, json.loads(line)["devices"])
                self.truths = {truth.code: truth for truth in told}

    def _listen(self, lines: IO[str]) -> None:
        with lines:
            self._said.extend(lines)


def missing(family: str, programs: Path = PROGRAMS) -> list[str]:
    """Programs that are needed, and not built."""
    return [name for name in (family, LAUNCHER) if not os.access(programs / name, os.X_OK)]
