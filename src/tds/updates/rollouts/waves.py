"""Waves: "1, 5 %, 25 %, 100 %" becomes sizes, and gateways are spread over them. Pure."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from django.utils.translation import gettext as _

from tds.updates.rollouts.refusals import RolloutRefusedError

STANDARD: Final = "1, 5 %, 25 %, 100 %"
MAX_WAVES: Final = 20
MAX_TEXT_CHARS: Final = 200
STEP: Final = re.compile(r"(\d{1,9})|(\d{1,3}(?:\.\d{1,3})?) ?%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """How many gateways are in when this wave is: a number, or a percentage of all."""

    label: str
    count: int = 0
    percent: float = 0.0

    def of(self, total: int) -> int:
        # Rounded up: 5 % of ten gateways is one, and 100 % is all. Not by a digit of a float: 7 % of 100 is 7.
        return math.ceil(round(total * self.percent / 100, 6)) if self.percent else self.count


@dataclass(frozen=True, slots=True)
class Sized:
    label: str
    size: int


def parse(text: str) -> tuple[Step, ...]:
    """Raises RolloutRefusedError with a sentence."""
    if len(text) > MAX_TEXT_CHARS:
        raise RolloutRefusedError(
            _("The waves are %(chars)d characters long; use at most %(most)d.")
            % {"chars": len(text), "most": MAX_TEXT_CHARS}
        )
    steps = tuple(_step(word) for word in _words(text))
    if len(steps) > MAX_WAVES:
        raise RolloutRefusedError(
            _("There are %(waves)d waves; use at most %(most)d.") % {"waves": len(steps), "most": MAX_WAVES}
        )
    if steps[-1].percent != 100:
        raise RolloutRefusedError(
            _("The last wave is “%(label)s”; let it be “100 %%”, so that all get the release.")
            % {"label": steps[-1].label}
        )
    for before, after in pairwise(steps):
        if before.percent == 100:  # all are in by then, whatever comes after it
            raise _not_rising(before, after)
        if bool(before.percent) == bool(after.percent) and (before.percent, before.count) >= (
            after.percent,
            after.count,
        ):
            raise _not_rising(before, after)
    return steps


def sizes(steps: Sequence[Step], total: int) -> tuple[Sized, ...]:
    """Of the waves of `total` gateways. One in which nobody would be, as 5 % of ten after a first one, is left out."""
    found: list[Sized] = []
    reached = 0
    for step in steps:
        upto = min(step.of(total), total)
        if upto > reached:
            found.append(Sized(step.label, upto - reached))
            reached = upto
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Placed:
    """What waves are spread by. `heard`: lately; who is away comes last, or the first wave would wait for it."""

    gateway_id: int
    tenant_id: int
    site_id: int | None
    hardware: str
    heard: bool


def spread(gateways: Iterable[Placed], seed: str) -> list[int]:
    """Their ids in the order of the waves, the same for the same seed, whatever the order they come in.

    Each tenant, site and hardware has its share in every beginning of the order, as far as it has gateways.
    """
    strata: defaultdict[tuple[int, int, str, bool], list[tuple[int, int]]] = defaultdict(list)
    for gateway in gateways:
        stratum = (gateway.tenant_id, gateway.site_id or 0, gateway.hardware, gateway.heard)
        strata[stratum].append((_drawn(seed, gateway.gateway_id), gateway.gateway_id))
    placed: list[tuple[bool, float, int]] = []
    for stratum, members in strata.items():
        members.sort()
        begin = _drawn(seed, stratum) / 2**64
        away = not stratum[-1]
        placed += [(away, (n + begin) / len(members), gateway_id) for n, (_draw, gateway_id) in enumerate(members)]
    placed.sort()
    return [gateway_id for _away, _at, gateway_id in placed]


def _drawn(seed: str, what: object) -> int:
    return int.from_bytes(blake2b(f"{seed}/{what}".encode(), digest_size=8).digest(), "big")


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.replace(";", ",").split(",")]
    if any(not word for word in words):
        raise RolloutRefusedError(
            _("The waves are “%(text)s”; write them as in “%(example)s”.") % {"text": text, "example": STANDARD}
        )
    return words


def _step(word: str) -> Step:
    match = STEP.fullmatch(word)
    count = int(match[1]) if match and match[1] else 0
    percent = float(match[2]) if match and match[2] else 0.0
    if not count and not 0 < percent <= 100:
        raise RolloutRefusedError(
            _("“%(word)s” is no wave; write a number of gateways above 0, or a percentage up to 100 %%, as in “5 %%”.")
            % {"word": word[:32]}
        )
    return Step(f"{percent:g} %" if percent else str(count), count, percent)


def _not_rising(before: Step, after: Step) -> RolloutRefusedError:
    return RolloutRefusedError(
        _("“%(after)s” comes after “%(before)s”; each wave says how many are in by then, so it must be more.")
        % {"after": after.label, "before": before.label}
    )
