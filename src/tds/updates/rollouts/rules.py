"""When a wave opens, when a rollout is complete, and when it halts by itself. Pure: counts, a verdict and `now`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tds.updates.rollouts.counts import Counts
from tds.updates.rollouts.limits import Limits

MAX_BROKEN_SOAKS: Final = 5  # of a wave, since a person last let it go on


class Halt(StrEnum):
    """Why a rollout halted. Their sentences are in words.py."""

    LOST = "lost"  # a gateway that had begun to install never came back
    FAILURES = "failures"
    TOO_FEW_SUCCEEDED = "too_few_succeeded"  # so many can't succeed any more
    NOBODY_JUDGED = "nobody_judged"  # all of a wave were canceled or removed: nothing was tried
    UNSTEADY = "unsteady"  # a wave's soak was broken so often: it would go on for ever
    TELEMETRY = "telemetry"  # they run it, and deliver less than before
    WITHDRAWN = "withdrawn"


class Verdict(StrEnum):
    """Of the telemetry gate (gate.py)."""

    PASSED = "passed"
    WAITING = "waiting"  # not observed for long enough
    FAILED = "failed"


class Does(StrEnum):
    STAY = "stay"
    SOAK = "soak"  # enough have succeeded, from now on
    SOAK_BROKEN = "soak_broken"  # they have not any more
    GATE_WAITS = "gate_waits"  # they have for long enough, and the gate can't tell yet
    OPEN = "open"  # the next wave
    HALT = "halt"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Decision:
    does: Does
    why: Halt | None = None
    wave: int = 0  # which one opens, or is to blame


@dataclass(frozen=True, slots=True)
class OpenWave:
    number: int
    counts: Counts
    soak_from: datetime | None


STAY = Decision(Does.STAY)


def decide(  # noqa: PLR0911, PLR0913  # a list of facts, and one of what may follow
    limits: Limits,
    opened: Sequence[OpenWave],
    waves: int,
    gate: Verdict,
    *,
    withdrawn: bool = False,
    now: datetime,
) -> Decision:
    """What to do next with a rollout of so many waves, of which those are open, in their order."""
    halt = _halt(limits, opened, gate, withdrawn=withdrawn)
    if halt is not None:
        return halt
    if not opened:
        return Decision(Does.OPEN, wave=1)
    wave = opened[-1]
    enough = wave.counts.succeeded >= needed(limits, wave.counts)
    if not enough:
        return Decision(Does.SOAK_BROKEN, wave=wave.number) if wave.soak_from else STAY
    if wave.counts.judged:
        if wave.soak_from is None:
            return Decision(Does.SOAK, wave=wave.number)
        if now - wave.soak_from < timedelta(seconds=limits.soak_s):
            return STAY
        if gate is Verdict.WAITING:
            return Decision(Does.GATE_WAITS, wave=wave.number)
    elif wave.number < waves and wave.counts.accepted < max(wave.counts.total, 1):
        return Decision(Does.HALT, Halt.NOBODY_JUDGED, wave.number)  # a person may accept it
    if wave.number < waves:
        return Decision(Does.OPEN, wave=wave.number + 1)
    going_on = any(each.counts.open or each.counts.unknown for each in opened)
    return STAY if going_on else Decision(Does.COMPLETE, wave=wave.number)


def broken(decision: Decision, before: int) -> Decision:
    """What a broken soak of a wave comes to, of which so many were broken before. One gateway that is now well and now
    not can break each of them."""
    if before + 1 < MAX_BROKEN_SOAKS:
        return decision
    return Decision(Does.HALT, Halt.UNSTEADY, decision.wave)


def needed(limits: Limits, counts: Counts) -> int:
    """How many of a wave must succeed. Where anybody is judged, at least one."""
    return max(math.ceil(round(counts.judged * limits.success_percent / 100, 6)), min(1, counts.judged))


def _halt(limits: Limits, opened: Sequence[OpenWave], gate: Verdict, *, withdrawn: bool) -> Decision | None:
    if withdrawn:
        return Decision(Does.HALT, Halt.WITHDRAWN)
    for wave in opened:
        if wave.counts.lost:
            return Decision(Does.HALT, Halt.LOST, wave.number)
    for wave in opened:
        if _fails(limits, wave.counts):
            return Decision(Does.HALT, Halt.FAILURES, wave.number)
    for wave in opened:
        counts = wave.counts
        if counts.succeeded + counts.open + counts.unknown < needed(limits, counts):
            return Decision(Does.HALT, Halt.TOO_FEW_SUCCEEDED, wave.number)
    return Decision(Does.HALT, Halt.TELEMETRY, opened[-1].number) if opened and gate is Verdict.FAILED else None


def _fails(limits: Limits, counts: Counts) -> bool:
    """A wave smaller than the least number of finished ones is judged by those that it has."""
    if not counts.bad or counts.finished < min(limits.failure_min_finished, counts.judged):
        return False
    return counts.bad * 100 >= limits.failure_percent * counts.finished
