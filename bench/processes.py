"""What processes cost: seconds of processor, and the most memory they held, each with all its children."""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SAMPLE_S: Final = 0.5
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Use:
    """By the process's name. What had ended within the time counts for the parent that waited for it."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, report: dict[str, Any]) -> None:
        """What a program says of itself at its end, when nobody can look any more."""
        self.cpu_s[name], self.peak_mb[name] = report["cpu_s"], report["peak_mb"]


@contextlib.contextmanager
def watched(processes: Mapping[str, int]) -> Iterator[Use]:
    """Fill `Use` while the block runs, for processes that outlive it."""
    use, ended = Use(peak_mb=dict.fromkeys(processes, 0.0)), threading.Event()

    def sample() -> None:
        while True:
            for name, pid in processes.items():
                use.peak_mb[name] = max(use.peak_mb[name], pss_mb(pid))
            if ended.wait(SAMPLE_S):
                return

    before = {name: _cpu_s(pid) for name, pid in processes.items()}
    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield use
    finally:
        ended.set()
        sampler.join()
    after = {name: _cpu_s(pid) for name, pid in processes.items()}
    use.cpu_s |= {name: after[name] - before[name] for name in before}


def pss_mb(pid: int) -> float:
    """Proportional set size: memory shared by several processes counts once in all."""
    own = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                own = int(line.split()[1])
    return own / 1000 + sum(pss_mb(child) for child in _children(pid))


def _cpu_s(pid: int) -> float:
    own = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # The name in brackets may have blanks; utime, stime, cutime and cstime are fields 14 to 17 (proc(5)).
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        own = sum(int(ticks) for ticks in after_name[11:15])
    return own / TICKS_PER_S + sum(_cpu_s(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
