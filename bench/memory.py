"""What each process of an idle platform holds in memory."""

from pathlib import Path

from bench.figures import Figure
from bench.platform import Platform


def measure(platform: Platform) -> list[Figure]:
    return [
        Figure(f"memory of {name}, idle (PSS with its children)", (_pss_mb(pid),), "MB")
        for name, pid in sorted(platform.ready["processes"].items())
    ]


def _pss_mb(pid: int) -> float:
    """Proportional set size: memory shared by several processes counts once in all."""
    own = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            own = int(line.split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return own / 1000 + sum(_pss_mb(int(child)) for child in children)
