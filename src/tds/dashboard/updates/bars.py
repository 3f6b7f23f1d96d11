"""A wave as a bar: how many of its gateways stand where, as shares of its whole. Pure."""

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from tds.updates.rollouts.counts import Counts

LEAST_PERCENT: Final = 0.6  # a part that is there is seen


@dataclass(frozen=True, slots=True)
class Part:
    """`x` and `width` are percentages of the bar; `kind` names its colour."""

    kind: str
    label: str
    count: int
    x: float
    width: float


def parts(counts: Counts) -> list[Part]:
    """From what is done to what is still to come."""
    found = [
        ("succeeded", _("succeeded"), counts.succeeded),
        ("failed", _("failed"), counts.failed + counts.rolled_back + counts.lost + counts.timed_out),
        ("rejected", _("refused"), counts.rejected),
        ("accepted", _("failed, and accepted"), counts.accepted),
        ("under-way", _("under way"), counts.in_progress),
        ("offered", _("offered"), counts.offered),
        ("ended", _("canceled or removed"), counts.canceled + counts.removed),
        ("waiting", _("waiting"), counts.waiting),
    ]
    shown = [each for each in found if each[2]]
    whole = sum(max(count / counts.total * 100, LEAST_PERCENT) for _kind, _label, count in shown)
    drawn, x = [], 0.0
    for kind, label, count in shown:
        width = max(count / counts.total * 100, LEAST_PERCENT) / whole * 100
        drawn.append(Part(kind, label, count, round(x, 3), round(width, 3)))
        x += width
    return drawn
