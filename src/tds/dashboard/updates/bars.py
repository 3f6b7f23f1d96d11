"""A wave as a bar: how many of its gateways stand where, as shares of its whole. Pure."""

from dataclasses import dataclass
from typing import Final

from django.utils.translation import npgettext

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
    failed = counts.failed + counts.rolled_back + counts.lost + counts.timed_out
    ended, accepted = counts.canceled + counts.removed + counts.unknown, counts.accepted
    found = [
        ("succeeded", npgettext("updates", "succeeded", "succeeded", counts.succeeded), counts.succeeded),
        ("failed", npgettext("updates", "failed", "failed", failed), failed),
        ("rejected", npgettext("updates", "refused", "refused", counts.rejected), counts.rejected),
        ("accepted", npgettext("updates", "failed, and accepted", "failed, and accepted", accepted), accepted),
        ("under-way", npgettext("updates", "under way", "under way", counts.in_progress), counts.in_progress),
        ("offered", npgettext("updates", "offered", "offered", counts.offered), counts.offered),
        ("ended", npgettext("updates", "canceled or removed", "canceled or removed", ended), ended),
        ("waiting", npgettext("updates", "waiting", "waiting", counts.waiting), counts.waiting),
    ]
    shown = [each for each in found if each[2]]
    whole = sum(max(count / counts.total * 100, LEAST_PERCENT) for _kind, _label, count in shown)
    drawn, x = [], 0.0
    for kind, label, count in shown:
        width = max(count / counts.total * 100, LEAST_PERCENT) / whole * 100
        drawn.append(Part(kind, label, count, round(x, 3), round(width, 3)))
        x += width
    return drawn
