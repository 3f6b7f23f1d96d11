"""What a rehearsal found, as a document and as text. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tds.rehearsal.beliefs import Standing
from tds.rehearsal.explanations import explained
from tds.rehearsal.facts import Belief, Truth
from tds.updates.executions.statuses import Status

MAX_SHOWN: Final = 20  # devices, of each list in the text; the document has all


class Outcome(StrEnum):
    COMPLETED = "completed"
    HALTED = "halted"
    UNFINISHED = "unfinished"  # its time was over


class Verdict(StrEnum):
    """What scripts go by: the exit code, in this order."""

    GOOD = "good"  # all that the server believed is true, and the rollout came to its end
    UNTRUE = "untrue"
    NOT_ROLLED_OUT = "not rolled out"  # the server was right, and halted it


EXIT: Final = {Verdict.GOOD: 0, Verdict.UNTRUE: 1, Verdict.NOT_ROLLED_OUT: 3}


@dataclass(frozen=True, slots=True)
class Found:
    release: str
    target: str  # its hash
    seed: int
    standing: Standing | None  # None: it was never started
    truths: Mapping[str, Truth]
    beliefs: Mapping[str, Belief]
    differences: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]  # of images
    retries: int
    took_s: float

    @property
    def outcome(self) -> Outcome:
        status = self.standing.status if self.standing else ""
        return Outcome(status) if status in set(Outcome) else Outcome.UNFINISHED

    @property
    def verdict(self) -> Verdict:
        if self.differences or self.outcome is Outcome.UNFINISHED:
            return Verdict.UNTRUE
        return Verdict.GOOD if self.outcome is Outcome.COMPLETED else Verdict.NOT_ROLLED_OUT

    @property
    def halted_after_s(self) -> float | None:
        """From the rollout's start."""
        standing = self.standing
        if self.outcome is not Outcome.HALTED or not standing or not standing.started_at or not standing.stopped_at:
            return None
        return (standing.stopped_at - standing.started_at).total_seconds()

    @property
    def unexplained(self) -> list[Belief]:
        """Failures that no fault explains."""
        fates = {code: truth.fates for code, truth in self.truths.items()}
        return [each for each in self.beliefs.values() if each.is_bad and not explained(each, fates.get(each.code, ()))]


def document(found: Found) -> dict[str, Any]:
    return {
        "verdict": str(found.verdict),
        "release": found.release,
        "sha256": found.target,
        "seed": found.seed,
        "outcome": str(found.outcome),
        "halted_why": found.standing.halted_why or None if found.standing else None,
        "halted_after_s": found.halted_after_s,
        "waves": _waves(found),
        "retries": found.retries,
        "took_s": round(found.took_s, 1),
        "faults": _struck(found),
        "differences": {code: list(sentences) for code, sentences in found.differences.items()},
        "unexplained": [each.code for each in found.unexplained],
        "devices": [_device(found, code) for code in sorted(found.truths.keys() | found.beliefs.keys())],
    }


def _waves(found: Found) -> list[dict[str, Any]]:
    waves = found.standing.waves if found.standing else ()
    return [
        {"number": wave.number, "label": wave.label, "size": wave.size, "opened": wave.opened_at is not None}
        for wave in waves
    ]


def _struck(found: Found) -> dict[str, int]:
    """How often each fell."""
    fates = (fate for truth in found.truths.values() for fate in truth.fates)
    return dict(Counter(str(fate.fault) for fate in fates if fate.fell_at is not None))


def _device(found: Found, code: str) -> dict[str, Any]:
    truth, belief = found.truths.get(code), found.beliefs.get(code)
    runs = truth.runs if truth else None
    return {
        "code": code,
        "wave": belief.wave or None if belief else None,
        "runs": found.names.get(runs.sha256, runs.sha256) if runs else None,
        "sha256": runs.sha256 if runs else None,
        "slot": runs.slot if runs else None,
        "confirmed": runs.confirmed if runs else None,
        "status": str(belief.status) if belief and belief.status else None,
        "reason": (belief.reason or None) if belief else None,
        "detail": (belief.detail or None) if belief else None,
        "attempt": (belief.attempt or None) if belief else None,
        "faults": [fate.what for fate in truth.fates if fate.fell_at is not None] if truth else [],
        "spared": [fate.what for fate in truth.fates if fate.fell_at is None] if truth else [],
        "differences": list(found.differences.get(code, ())),
    }


def text(found: Found) -> str:
    lines = [*_head(found), *_ends(found), *_failures(found), *_untrue(found)]
    return "\n".join(lines)


def _head(found: Found) -> list[str]:
    standing = found.standing
    after = f" after {found.halted_after_s:.1f} s ({standing.halted_why})" if found.halted_after_s and standing else ""
    opened = f"{standing.opened} of {len(standing.waves)} waves were opened" if standing else "it was never started"
    struck = ", ".join(f"{count} {name}" for name, count in sorted(_struck(found).items())) or "none"
    again = f"; {found.retries} times a person would have had those try again that failed by them" * bool(found.retries)
    what = f"Rehearsal of {found.release} on {len(found.truths)} devices, seed {found.seed}"
    return [
        f"{what}: {found.outcome}{after}; {opened}. It took {found.took_s:.0f} s.",
        f"Faults that fell: {struck}{again}.",
    ]


def _ends(found: Found) -> list[str]:
    """Who ended where."""
    ends: Counter[str] = Counter()
    for code, truth in found.truths.items():
        belief = found.beliefs.get(code)
        status = str(belief.status) if belief and belief.status else "not in the rollout"
        reason = f" ({belief.reason})" if belief and belief.reason else ""
        ends[f"{_image(found, truth)}; the server says {status}{reason}"] += 1
    return [f"  {count:>4} run {what}" for what, count in ends.most_common()]


def _image(found: Found, truth: Truth) -> str:
    if truth.runs is None:
        return "nothing"
    return found.names.get(truth.runs.sha256, "another image") + ("" if truth.runs.confirmed else ", not confirmed")


def _failures(found: Found) -> list[str]:
    bad = found.unexplained
    if not bad:
        return []
    lines = [f"Failed without a fault that explains it: {len(bad)}"]
    lines += [f"  {each.code}, wave {each.wave}: {each.status} {each.reason} {each.detail}".rstrip() for each in bad]
    return _bounded(lines)


def _untrue(found: Found) -> list[str]:
    succeeded = sum(belief.status is Status.SUCCEEDED for belief in found.beliefs.values())
    if not found.differences:
        return [f"What the server believed is what really ran, on all {len(found.truths)} ({succeeded} succeeded)."]
    lines = [f"What the server believed is NOT what really ran, on {len(found.differences)}:"]
    for code, sentences in found.differences.items():
        fates = found.truths[code].fates if code in found.truths else ()
        struck = "; ".join(fate.what for fate in fates if fate.fell_at is not None) or "no fault"
        lines.append(f"  {code} ({struck}): {' '.join(sentences)}")
    return _bounded(lines)


def _bounded(lines: list[str]) -> list[str]:
    more = len(lines) - 1 - MAX_SHOWN
    return lines if more <= 0 else [*lines[: MAX_SHOWN + 1], f"  … and {more} more"]
