"""Devices as programs on a whole platform, and an account of what they measured."""

import csv
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from tds.environment import ROOT
from tests import journals
from tests.browsing import person
from tests.devices import Device, built, device
from tests.journals import Journals, Readings
from tests.running import wait_until
from tests.simulating import connect
from tests.started import Started

TENANT: Final = "campo"
PERSON: Final = "dora"
INTERVAL_S: Final = 5
SETTLE_S: Final = 60.0
STOP_LIMIT_S: Final = 30.0

Document = dict[str, Any]


@dataclass
class Field:
    """A platform, and a box of units of it."""

    platform: Started
    programs: Path
    folder: Path

    @property
    def broker_port(self) -> int:
        return urlsplit(self.platform.ready["mqtts_url"]).port or 0

    @contextmanager
    def device(self, code: str, family: str, *, port: int | None = None) -> Iterator[Device]:
        words = [
            *("--box", self.folder / "box" / code, "--journal", self.folder / code / "journal.jsonl"),
            *("--broker", f"mqtts://127.0.0.1:{port or self.broker_port}", "--ota-url", self.platform.ready["ota_url"]),
            *("--interval", str(INTERVAL_S)),
        ]
        with device(self.programs / family, self.folder / code, *words) as started:
            yield started

    def kill_broker(self) -> None:
        """And wait until it is back."""
        before = self.platform.pids["broker"]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.platform.pids.get("broker", before) != before, "the broker")

    def stored(self, codes: Sequence[str]) -> Readings:
        with connect(self.platform) as connection:
            return journals.stored(connection, codes)

    def assert_whole(self, codes: Sequence[str], *, state: Path | None = None) -> Journals:
        """All that was measured up to now arrives, each once, under one time, as it was; with the journals by then."""
        state = state or self.folder
        kept = journals.read(state, codes).readings
        wait_until(lambda: not journals.missing(kept, self.stored(codes)), "all that was measured", SETTLE_S)
        found = self.stored(codes)
        later = journals.read(state, codes)
        journals.assert_measured(found, later)
        return later


def make_field(platform: Started, folder: Path, units: Mapping[str, str]) -> Field:
    """`units`: the family of each code."""
    person(platform, PERSON, TENANT)
    table = folder / "units.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["gateway_code", "tenant", "family"])
        writer.writerows([code, TENANT, family] for code, family in units.items())
    platform.tds("provision", str(table), "--out", str(folder / "box"), "--broker", "127.0.0.1")
    return Field(platform, built("host"), folder)


class Fleet:
    """firmware/tools/fleet as a person starts it. `said` is what it said last."""

    def __init__(self, platform: Started, *words: str) -> None:
        self.said: Document = {}
        self._words: list[str] = []
        self._process = subprocess.Popen(
            [ROOT / "firmware" / "tools" / "fleet", "--json", "--every", "1s", *words],
            env=platform.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._threads = [
            threading.Thread(target=self._listen, args=[self._process.stdout, self._take], daemon=True),
            threading.Thread(target=self._listen, args=[self._process.stderr, self._words.append], daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self, lines: IO[str], take: Callable[[str], None]) -> None:
        with lines:
            for line in lines:
                take(line)

    def _take(self, line: str) -> None:
        self.said = json.loads(line)

    @property
    def totals(self) -> dict[str, int]:
        found: dict[str, int] = self.said.get("totals", {})
        return found

    def is_online(self) -> bool:
        assert self._process.poll() is None, self.errors
        return bool(self.totals) and self.totals["online"] == self.totals["devices"]

    def counted(self, what: str) -> int:
        """How many devices have some of that."""
        assert self._process.poll() is None, self.errors
        return sum(device[what] > 0 for device in self.said.get("devices", []))

    @property
    def errors(self) -> str:
        return "".join(self._words)

    def stop(self) -> int:
        """As Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """For its end."""
        self._process.wait(STOP_LIMIT_S)
        for thread in self._threads:
            thread.join(STOP_LIMIT_S)
        return self._process.returncode


@contextmanager
def fleet(platform: Started, *words: str) -> Iterator[Fleet]:
    running = Fleet(platform, *words)
    try:
        yield running
    finally:
        running.stop()
