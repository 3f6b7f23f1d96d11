"""THE transition table: what each fact does to an execution, wherever that stands. Pure.

Every pair of a situation and a fact is decided by exactly one row; tests/unit/updates/transitions.txt has it spelled
out. What is not here does not happen to an execution.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tds.updates.executions.statuses import Phase, Reason, Status

MAX_DETAIL_CHARS: Final = 200


class Situation(StrEnum):
    """Status and phase as one word; QUEUED is two."""

    WAITING = "waiting"  # QUEUED, never offered
    OFFERED = "offered"  # QUEUED, and nothing came back yet
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    CONFIRMING = "confirming"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    REMOVED = "removed"
    CANCELED = "canceled"


class Kind(StrEnum):
    """Of a fact."""

    OFFERED = "offered"
    SAYS_DOWNLOADING = "says downloading"
    SAYS_DOWNLOADED = "says downloaded"
    SAYS_VERIFIED = "says verified"
    SAYS_INSTALLING = "says installing"
    SAYS_REBOOTING = "says rebooting"
    SAYS_CONFIRMING = "says confirming"
    SAYS_REJECTED = "says rejected"
    SAYS_REJECTED_COPY = "says rejected a copy"  # of what runs already
    SAYS_REPLAYED = "says replayed"  # it had a newer ticket since, and is at this one no more
    SAYS_FAILED = "says failed"
    RUNS_TARGET = "runs target, confirmed"
    RUNS_TARGET_ON_TRIAL = "runs target, on trial"
    RUNS_OLD_AFTER_REBOOT = "runs old after reboot"  # in a start after the one that went to boot the new image
    RUNS_OTHER_AFTER_REBOOT = "runs other after reboot"  # a third image
    RUNS_OTHER_INSTEAD = "runs other instead"  # a third image, confirmed, while the rollout goes on
    DEADLINE = "deadline"
    CANCEL = "cancel"
    REMOVE = "remove"  # its gateway was disabled or retired
    SUPERSEDE = "supersede"  # another rollout takes its place
    WITHDRAW = "withdraw"  # the release was
    TAKE_OUT = "take out"  # the release is known to be bad on its hardware
    RETRY = "retry"


S, K = Situation, Kind
DOWNLOADS: Final = (S.DOWNLOADING, S.DOWNLOADED, S.VERIFIED)
PHASES: Final = (*DOWNLOADS, S.INSTALLING, S.REBOOTING, S.CONFIRMING)
QUEUED: Final = (S.WAITING, S.OFFERED)
OPEN: Final = (*QUEUED, *PHASES)
FINISHED: Final = (S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.REJECTED, S.REMOVED, S.CANCELED)
EVERYWHERE: Final = (*OPEN, *FINISHED)
SAYS_PHASE: Final = {
    Phase.DOWNLOADING: K.SAYS_DOWNLOADING,
    Phase.DOWNLOADED: K.SAYS_DOWNLOADED,
    Phase.VERIFIED: K.SAYS_VERIFIED,
    Phase.INSTALLING: K.SAYS_INSTALLING,
    Phase.REBOOTING: K.SAYS_REBOOTING,
    Phase.CONFIRMING: K.SAYS_CONFIRMING,
}


@dataclass(frozen=True, slots=True)
class Row:
    """`to` None: nothing changes. `reason` None: the one that the fact brings."""

    at: tuple[Situation, ...]
    fact: Kind
    to: Situation | None
    reason: Reason | str | None = ""


def _all_but(*these: Situation) -> tuple[Situation, ...]:
    return tuple(each for each in EVERYWHERE if each not in these)


TABLE: Final = (
    Row(QUEUED, K.OFFERED, S.OFFERED),
    Row((*PHASES, *FINISHED), K.OFFERED, None),
    # Its own word. TIMED_OUT and REJECTED were wrong, then: it is at it.
    *(Row((*OPEN, S.TIMED_OUT, S.REJECTED), SAYS_PHASE[p], S(p)) for p in Phase),
    *(Row((S.SUCCEEDED, S.FAILED, S.REMOVED, S.CANCELED), SAYS_PHASE[p], None) for p in Phase),
    Row((*OPEN, S.TIMED_OUT), K.SAYS_REJECTED, S.REJECTED, None),
    Row((S.SUCCEEDED, S.FAILED, S.REJECTED, S.REMOVED, S.CANCELED), K.SAYS_REJECTED, None),
    Row((*QUEUED, S.TIMED_OUT), K.SAYS_REJECTED_COPY, S.REJECTED, None),
    Row(_all_but(*QUEUED, S.TIMED_OUT), K.SAYS_REJECTED_COPY, None),
    # As after a restore from a backup that is older than that ticket.
    Row((*QUEUED, *DOWNLOADS, S.TIMED_OUT), K.SAYS_REPLAYED, S.REJECTED, None),
    Row(_all_but(*QUEUED, *DOWNLOADS, S.TIMED_OUT), K.SAYS_REPLAYED, None),
    Row((*OPEN, S.TIMED_OUT, S.REJECTED), K.SAYS_FAILED, S.FAILED, None),
    Row((S.SUCCEEDED, S.FAILED, S.REMOVED, S.CANCELED), K.SAYS_FAILED, None),
    # What really runs: whatever else was said or done.
    Row(EVERYWHERE, K.RUNS_TARGET, S.SUCCEEDED),
    Row((*OPEN, S.TIMED_OUT, S.REJECTED), K.RUNS_TARGET_ON_TRIAL, S.CONFIRMING),
    Row((S.SUCCEEDED, S.FAILED, S.REMOVED, S.CANCELED), K.RUNS_TARGET_ON_TRIAL, None),
    Row(EVERYWHERE, K.RUNS_OLD_AFTER_REBOOT, S.FAILED, Reason.ROLLED_BACK),
    Row((*OPEN, S.TIMED_OUT, S.REMOVED, S.CANCELED), K.RUNS_OTHER_AFTER_REBOOT, S.FAILED, Reason.SUPERSEDED),
    Row((S.SUCCEEDED, S.FAILED, S.REJECTED), K.RUNS_OTHER_AFTER_REBOOT, None),
    # Somebody put another unit or image in its place: what the gate watches, and the wave counts, is not the release.
    Row((S.SUCCEEDED,), K.RUNS_OTHER_INSTEAD, S.FAILED, Reason.SUPERSEDED),
    Row(_all_but(S.SUCCEEDED), K.RUNS_OTHER_INSTEAD, None),
    # Silence.
    Row((*QUEUED, *DOWNLOADS), K.DEADLINE, S.TIMED_OUT, Reason.NO_ANSWER),
    Row((S.INSTALLING, S.REBOOTING, S.CONFIRMING), K.DEADLINE, S.TIMED_OUT, Reason.LOST),
    # Ended by a deed in the middle of those three, which leaves the deadline: nobody knows what it runs.
    Row((S.REMOVED, S.CANCELED), K.DEADLINE, S.TIMED_OUT, Reason.LOST),
    Row((S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.REJECTED), K.DEADLINE, None),
    # Deeds.
    Row(OPEN, K.CANCEL, S.CANCELED, Reason.REQUESTED),
    Row(FINISHED, K.CANCEL, None),
    Row(OPEN, K.REMOVE, S.REMOVED, Reason.GATEWAY_GONE),
    Row(FINISHED, K.REMOVE, None),
    Row(OPEN, K.SUPERSEDE, S.CANCELED, Reason.SUPERSEDED),
    Row(FINISHED, K.SUPERSEDE, None),
    Row(OPEN, K.WITHDRAW, S.CANCELED, Reason.WITHDRAWN),
    Row(FINISHED, K.WITHDRAW, None),
    # Whoever was offered it may be at it, and tells itself what becomes of it.
    Row((S.WAITING,), K.TAKE_OUT, S.REMOVED, Reason.KNOWN_BAD),
    Row(_all_but(S.WAITING), K.TAKE_OUT, None),
    Row((S.FAILED, S.TIMED_OUT, S.REJECTED, S.REMOVED, S.CANCELED), K.RETRY, S.WAITING),
    Row((*OPEN, S.SUCCEEDED), K.RETRY, None),
)
DECIDED: Final[Mapping[tuple[Situation, Kind], Row]] = {(at, row.fact): row for row in TABLE for at in row.at}


def end_of_waiting(fact: Kind) -> tuple[str, str]:
    """Status and reason of those that were never offered, for a statement over many of them."""
    row = DECIDED[S.WAITING, fact]
    if row.to not in FINISHED:
        raise ValueError(f"{fact} ends nobody who waits.")
    return row.to.upper(), str(row.reason or "")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an execution may stay where it is without getting further, in seconds."""

    phase_s: Mapping[Situation, float]
    attempt_s: float  # from its first offer until it installs, however often it begins anew
    retry_s: float  # for a retried one to be answered

    @property
    def install_s(self) -> float:
        """From its first word that it installs until that ends, however often it goes back and forth."""
        return sum(self.phase_s[phase] for phase in SINCE_INSTALLING)


HOUR_S: Final = 3_600.0
USUAL: Final = Limits(
    phase_s={
        S.DOWNLOADING: 24 * HOUR_S,  # since a byte was new: some sites have no network at night
        S.DOWNLOADED: HOUR_S,
        S.VERIFIED: HOUR_S,
        S.INSTALLING: HOUR_S / 2,
        # A trial of 5 min, a rollback, and a connection over a slow network, twice.
        S.REBOOTING: HOUR_S / 2,
        S.CONFIRMING: HOUR_S / 2,
    },
    attempt_s=7 * 24 * HOUR_S,
    retry_s=24 * HOUR_S,
)
BEFORE_INSTALLING: Final = frozenset(DOWNLOADS)
SINCE_INSTALLING: Final = frozenset(PHASES) - BEFORE_INSTALLING


def with_lost_after(seconds: float, limits: Limits = USUAL) -> Limits:
    """The same for a fleet whose gateways are lost after so long."""
    return replace(limits, phase_s={**limits.phase_s, **dict.fromkeys(SINCE_INSTALLING, seconds)})


@dataclass(frozen=True, slots=True)
class Fact:
    kind: Kind
    reason: str = ""
    detail: str = ""
    bytes_done: int = 0
    limit_s: float | None = None  # of a retry; None: the usual one


@dataclass(frozen=True, slots=True)
class State:
    """How an execution stands. The moments are None until they come."""

    status: Status = Status.QUEUED
    phase: str = ""  # where it is, or where it ended
    reason: str = ""
    detail: str = ""
    bytes_done: int = 0
    attempt: int = 1
    offered_at: datetime | None = None
    changed_at: datetime | None = None
    deadline_at: datetime | None = None
    finished_at: datetime | None = None
    installing_at: datetime | None = None
    rebooting_at: datetime | None = None
    succeeded_at: datetime | None = None

    @property
    def situation(self) -> Situation:
        match self.status:
            case Status.QUEUED:
                return S.OFFERED if self.offered_at else S.WAITING
            case Status.IN_PROGRESS:
                return S(self.phase)
            case _:
                return S(self.status.lower())

    @property
    def is_open(self) -> bool:
        return self.status in (Status.QUEUED, Status.IN_PROGRESS)

    @property
    def was_ended(self) -> bool:
        """By a deed, before its deadline: what runs corrects it still, but no word of its gateway begins it anew."""
        is_over = self.status in (Status.TIMED_OUT, Status.REJECTED)
        return is_over and self.finished_at is not None and self.finished_at != self.changed_at


def apply(state: State, fact: Fact, now: datetime, limits: Limits = USUAL, *, another_open: bool = False) -> State:
    """The state after a fact; the same object when nothing changed.

    `another_open`: its gateway has another execution under way, so that this one is not opened again.
    """
    at = state.situation
    row = DECIDED[at, fact.kind]
    to = row.to
    if to is None or (not state.is_open and to in OPEN and (another_open or _stays_over(to, state, now, limits))):
        return state
    bytes_done = max(state.bytes_done, fact.bytes_done)
    reason = fact.reason if row.reason is None else row.reason
    if to == at and (to is not S.FAILED or reason == state.reason):
        if to in PHASES and bytes_done > state.bytes_done:
            return replace(state, bytes_done=bytes_done, deadline_at=_deadline(to, state, now, limits))
        return state
    changed = replace(state, bytes_done=bytes_done, reason=reason, changed_at=now)
    if to in QUEUED:
        return _queued(changed, to, fact, now, limits)
    if to in PHASES:
        changed = _begun(changed, to, now, limits)
        return replace(
            changed,
            status=Status.IN_PROGRESS,
            phase=to.value,
            detail="",
            deadline_at=_deadline(to, changed, now, limits),
            finished_at=None,
            succeeded_at=None,
            rebooting_at=now if to is S.REBOOTING else state.rebooting_at,
        )
    return replace(
        changed,
        status=Status(to.upper()),
        phase="" if to is S.SUCCEEDED else state.phase,
        detail=_detail(state, fact, reason),
        deadline_at=state.deadline_at if at in SINCE_INSTALLING and to in (S.REMOVED, S.CANCELED) else None,
        finished_at=state.finished_at if to == at or _stays_ended(at, state, to) else now,
        succeeded_at=now if to is S.SUCCEEDED else None,
    )


def _stays_ended(at: Situation, state: State, to: Situation) -> bool:
    """At the moment of the deed that ended it, by which `was_ended` knows it."""
    return to in (S.TIMED_OUT, S.REJECTED) and (at in (S.REMOVED, S.CANCELED) or state.was_ended)


def _queued(state: State, to: Situation, fact: Fact, now: datetime, limits: Limits) -> State:
    if to is S.OFFERED:  # it was waiting: its deadline is the one that it has had
        return replace(state, offered_at=now)
    limit_s = limits.retry_s if fact.limit_s is None else fact.limit_s
    return State(
        attempt=state.attempt + 1, changed_at=now, deadline_at=now + timedelta(seconds=limit_s)
    )  # nothing of the former attempt is left


def _begun(state: State, to: Situation, now: datetime, limits: Limits) -> State:
    """With the moments that its attempt is measured from. The first offer stays: whoever begins anew gains nothing."""
    if state.offered_at is None:
        state = replace(state, offered_at=now)  # from now on it is under way
    if to in SINCE_INSTALLING:
        return state if state.installing_at else replace(state, installing_at=now)
    # Its power was cut as it installed: it downloads again, and installs later.
    return state if _is_over(to, state, now, limits) else replace(state, installing_at=None)


def _end(to: Situation, state: State, limits: Limits) -> datetime | None:
    """Of all phases of that kind in this attempt; None where none of them began."""
    if to in BEFORE_INSTALLING:
        return state.offered_at and state.offered_at + timedelta(seconds=limits.attempt_s)
    return state.installing_at and state.installing_at + timedelta(seconds=limits.install_s)


def _stays_over(to: Situation, state: State, now: datetime, limits: Limits) -> bool:
    """Of one that is not open."""
    return (to in PHASES and state.was_ended) or _is_over(to, state, now, limits)


def _is_over(to: Situation, state: State, now: datetime, limits: Limits) -> bool:
    end = _end(to, state, limits) if to in PHASES else None
    return end is not None and end <= now


def _deadline(to: Situation, state: State, now: datetime, limits: Limits) -> datetime:
    """Of a phase that begins, or gets further. One that ends and begins for ever has an end too."""
    until, end = now + timedelta(seconds=limits.phase_s[to]), _end(to, state, limits)
    return min(until, end) if end else until


def _detail(state: State, fact: Fact, reason: str) -> str:
    """Of a rollback: why, by the gateway's own word before."""
    if reason == Reason.ROLLED_BACK and not fact.detail and state.status is Status.FAILED:
        return ": ".join(word for word in (state.reason, state.detail) if word)[:MAX_DETAIL_CHARS]
    return fact.detail[:MAX_DETAIL_CHARS]
