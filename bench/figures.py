"""Medians and spreads, and the table that README quotes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what was measured, the runs, what they are in, and what they have to reach."""

    name: str
    runs: tuple[float, ...]
    unit: str
    target: str = ""
    reached: bool | None = None

    @property
    def middle(self) -> float:
        return median(self.runs)

    def judged(self, reached: bool) -> "Figure":
        return replace(self, reached=reached)

    @property
    def spread(self) -> str:
        return f"{shown(min(self.runs))} – {shown(max(self.runs))}" if len(self.runs) > 1 else ""


def shown(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile_99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def percentile_95(values: Sequence[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[18]


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {model}"


def print_table(figures: Sequence[Figure]) -> None:
    table = Table("what", "median", "lowest – highest", "runs", "to reach", "", title=machine())
    for figure in figures:
        verdict = {True: "reached", False: "MISSED", None: ""}[figure.reached]
        table.add_row(
            figure.name,
            f"{shown(figure.middle)} {figure.unit}",
            figure.spread,
            str(len(figure.runs)),
            figure.target,
            verdict,
        )
    Console(width=140).print(table)
