"""How far a long command is: a bar on a terminal, a line each few seconds in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SAY_EVERY_S: Final = 5.0

Advance = Callable[[int], None]  # by so many


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """On standard error: the answer of the command is on standard output."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines(total, time.monotonic, sys.stderr.write)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total)

        def advance(count: int) -> None:
            bar.advance(task, count)

        yield advance


def lines(total: int, clock: Callable[[], float], write: Callable[[str], object]) -> Advance:
    began = said = clock()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        if clock() - said >= SAY_EVERY_S:
            said = clock()
            write(f"{done:,} of {total:,} after {said - began:.0f} s\n")

    return advance
