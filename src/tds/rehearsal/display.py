"""A rehearsal as it goes: in place on a terminal, a line when something changes elsewhere."""

import sys
import time
from collections import Counter
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tds.rehearsal.facts import Belief
from tds.rehearsal.rehearsing import Progress
from tds.updates.executions.statuses import Status

BAR_CELLS: Final = 40
REDRAWS_A_SECOND: Final = 4


class Display:
    """On standard error: standard output is the report's."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began_s = time.monotonic()
        self._said = ""
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(console=Console(stderr=True), refresh_per_second=REDRAWS_A_SECOND, transient=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        if self._live is not None:
            self._live.update(self._picture(progress))
            return
        line = f"{progress.doing}{_waves(progress)}"
        if line != self._said:
            self._said = line
            sys.stderr.write(f"{self._passed()}  {line}\n")
            sys.stderr.flush()

    def _picture(self, progress: Progress) -> Group:
        table = Table.grid(padding=(0, 2))
        for wave in progress.standing.waves if progress.standing else ():
            of_wave = [belief for belief in progress.beliefs.values() if belief.wave == wave.number]
            done = sum(belief.status is not None and not belief.is_open for belief in of_wave)
            style = "red" if any(belief.is_bad for belief in of_wave) else "green"
            bar = ProgressBar(total=max(wave.size, 1), completed=done, width=BAR_CELLS, complete_style=style)
            table.add_row(f"wave {wave.number}", wave.label, bar, _figures(of_wave))
        fates = [fate.fault for truth in progress.truths.values() for fate in truth.fates if fate.fell_at is not None]
        told = ", ".join(f"{count} {fault}" for fault, count in sorted(Counter(fates).items())) or "none so far"
        again = f"; tried again {progress.retries} times" if progress.retries else ""
        head = Text(f"{self._passed()}  {self._title}: {progress.doing}")
        return Group(head, table, Text(f"faults: {told}{again}", style="dim"))

    def _passed(self) -> str:
        seconds = int(time.monotonic() - self._began_s)
        return f"{seconds // 60}:{seconds % 60:02}"


def _figures(of_wave: list[Belief]) -> str:
    counts = Counter(
        belief.phase or "offered" if belief.status is Status.IN_PROGRESS else str(belief.status).lower()
        for belief in of_wave
        if belief.status is not None
    )
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def _waves(progress: Progress) -> str:
    standing = progress.standing
    if standing is None:
        return ""
    done = sum(belief.status is Status.SUCCEEDED for belief in progress.beliefs.values())
    bad = sum(belief.is_bad for belief in progress.beliefs.values())
    return f": {standing.status}, wave {standing.opened} of {len(standing.waves)}, {done} succeeded, {bad} failed"
