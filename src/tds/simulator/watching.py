"""What a person, or a test, sees of a run: progress and notices on standard error, a report file."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

import rich.progress
from rich.console import Console

from tds.simulator.fleet import Progress
from tds.simulator.message import Message, timestamp

SHOW_AFTER_S: Final = 1.0
PLAIN_EVERY_S: Final = 5.0
NOTICE_EVERY_S: Final = 5.0  # one notice at a time speaks for all gateways: 500 lines at each cut help nobody


class Display(AbstractContextManager["Display"]):
    """On a terminal a bar, elsewhere a plain line every few seconds; nothing for a history of less than a second."""

    def __init__(
        self, console: Console, report: TextIO | None = None, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._report = report
        self._now_s = now_s
        self._started_s = now_s()
        self._said_at_s = self._started_s
        self._noticed_at_s = float("-inf")
        self._bar: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_bar()

    def acknowledged(self, gateway: str, message: Message) -> None:
        if self._report is None:
            return
        line = {"gateway_code": gateway, "device_code": message.device, "timestamp": timestamp(message.at_ms)}
        self._report.write(json.dumps(line) + "\n")

    def notice(self, gateway: str, text: str) -> None:
        now_s = self._now_s()
        if now_s >= self._noticed_at_s + NOTICE_EVERY_S:
            self._noticed_at_s = now_s
            self._console.print(f"{gateway}: {text}", markup=False, highlight=False, soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        if self._report is not None:
            self._report.flush()
        now_s = self._now_s()
        if self._finished or not progress.history_total or now_s < self._started_s + SHOW_AFTER_S:
            return
        if self._console.is_terminal:
            self._show_bar(progress)
        elif now_s >= self._said_at_s + PLAIN_EVERY_S:
            self._said_at_s = now_s
            self._console.print(
                f"History: {progress.history_done:,} of {progress.history_total:,} messages", highlight=False
            )
        if progress.history_done >= progress.history_total:
            self._finished = True
            self._stop_bar()

    def _show_bar(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("History"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TextColumn("messages"),
                rich.progress.TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("history", total=progress.history_total)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=progress.history_done)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def open_report(path: Path) -> TextIO:
    """A line for each message at its first acknowledgement; broken ones are left out, as nobody will store them."""
    return path.open("w", encoding="utf-8")
