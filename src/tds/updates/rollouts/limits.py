"""What a rollout may do to a fleet: bounds, defaults and their meaning."""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.windows import Window

MAX_GATEWAYS: Final = 200_000  # of a rollout; more is refused: make two
MAX_CONCURRENCY: Final = 10_000  # gateways at once
MAX_SOAK_S: Final = 30 * 86_400
MAX_SPREAD_S: Final = 7 * 86_400
MIN_OFFER_LIMIT_S: Final = 1
MAX_OFFER_LIMIT_S: Final = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one rollout. All durations are seconds; percentages are from 0 to 100.

    `success_percent`: so many of a wave must have succeeded, and gone on well for `soak_s`, before the next one opens.
    `failure_percent`: of the finished ones of a wave, once there are `failure_min_finished` or the wave has no more.
    `spread_s`: the tickets of a wave begin at moments spread over it. `offer_limit_s`: from a wave's opening; who is
    away until then has timed out. `one_per_site`: of a site one gateway at a time; of a redundancy group always.
    """

    success_percent: float = 95.0
    failure_percent: float = 10.0
    failure_min_finished: int = 5
    soak_s: int = 3_600  # the gate can tell by then whether some readings are missing
    concurrency: int = 500
    spread_s: int = 0
    offer_limit_s: int = 86_400
    window: Window | None = None
    one_per_site: bool = True
    gate: bool = True


STANDARD: Final = Limits()

NAMES: Final[dict[str, Promise]] = {
    "success_percent": gettext_lazy("share that must succeed"),
    "failure_percent": gettext_lazy("share of failures that halts"),
    "failure_min_finished": gettext_lazy("finished ones before failures count"),
    "soak_s": gettext_lazy("soak"),
    "concurrency": gettext_lazy("gateways at once"),
    "spread_s": gettext_lazy("spread of a wave"),
    "offer_limit_s": gettext_lazy("wait for those that are away"),
}
BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "success_percent": (1, 100),
    "failure_percent": (0.1, 100),
    "failure_min_finished": (1, MAX_GATEWAYS),
    "soak_s": (0, MAX_SOAK_S),
    "concurrency": (1, MAX_CONCURRENCY),
    "spread_s": (0, MAX_SPREAD_S),
    "offer_limit_s": (MIN_OFFER_LIMIT_S, MAX_OFFER_LIMIT_S),
}


def checked(limits: Limits) -> Limits:
    """The same. Raises RolloutRefusedError where one is out of bounds."""
    for name, (least, most) in BOUNDS.items():
        value = getattr(limits, name)
        if not least <= value <= most:  # nor NaN
            told = {"name": NAMES[name], "value": f"{value:g}", "least": f"{least:g}", "most": f"{most:g}"}
            raise RolloutRefusedError(
                _("“%(name)s” is %(value)s; use a number from %(least)s to %(most)s.") % told,
            )
    return limits
