"""Where the fleet is shown: redrawn in place on a terminal, a line now and then elsewhere, a document for scripts."""

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from device_fleet import table
from device_fleet.table import Faults, Row

LINE_EVERY_S: Final = 5.0
REDRAW_EVERY_S: Final = 1.0

_UP: Final = "\x1b[{}F"  # to the beginning of the line so many above
_TO_THE_END: Final = "\x1b[J"


class Screen:
    def __init__(self, *, as_json: bool, line_every_s: float) -> None:
        self._as_json = as_json
        self._in_place = not as_json and sys.stdout.isatty()
        self._every_s = REDRAW_EVERY_S if self._in_place else line_every_s
        self._due_s = 0.0
        self._drawn = 0

    def say(self, sentence: str) -> None:
        """Once; stays above the table."""
        if self._as_json:
            print(sentence, file=sys.stderr, flush=True)
            return
        self._clear()
        print(sentence, flush=True)

    def is_due(self, now_s: float) -> bool:
        """Says so once."""
        if now_s < self._due_s:
            return False
        self._due_s = now_s + self._every_s
        return True

    def show(self, rows: Sequence[Row], faults: Faults) -> None:
        self._show(rows, faults, final=False)

    def end(self, rows: Sequence[Row], faults: Faults) -> None:
        self._show(rows, faults, final=True)

    def _show(self, rows: Sequence[Row], faults: Faults, *, final: bool) -> None:
        now = datetime.now(UTC)
        if self._as_json:
            document = table.document(rows, faults, at=now.isoformat(timespec="seconds"), final=final)
            print(json.dumps(document), flush=True)
        elif self._in_place:
            size = shutil.get_terminal_size()
            below = [f"faults: {faults}"] if faults.asked_for else []
            lines = table.table(rows, below, width=size.columns, height=size.lines)
            self._clear()
            print("\n".join(lines), flush=True)
            self._drawn = len(lines)
        else:
            print(f"{now:%Y-%m-%dT%H:%M:%SZ} {table.line(rows, faults)}", flush=True)

    def _clear(self) -> None:
        if self._drawn:
            sys.stdout.write(_UP.format(self._drawn) + _TO_THE_END)
            self._drawn = 0
