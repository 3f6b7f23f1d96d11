"""What each process of an idle platform holds in memory."""

from bench.figures import Figure
from bench.platform import Platform
from bench.processes import pss_mb


def measure(platform: Platform) -> list[Figure]:
    return [
        Figure(f"memory of {name}, idle (PSS with its children)", (pss_mb(pid),), "MB")
        for name, pid in sorted(platform.ready["processes"].items())
    ]
