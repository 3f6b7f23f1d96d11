"""An update that a person or a rule ended as it was installed: its gateway's word does not begin it again."""

from datetime import timedelta
from typing import Final

import pytest

from tds.updates.executions.statuses import Reason, Status
from tds.updates.executions.transitions import SAYS_PHASE, SINCE_INSTALLING, Fact, Kind, Situation, State, apply
from tests.executing import NOW

DEEDS: Final = (Kind.CANCEL, Kind.REMOVE, Kind.SUPERSEDE, Kind.WITHDRAW)
HOUR: Final = timedelta(hours=1)
LATER: Final = NOW + 2 * HOUR
WORDS: Final = (*SAYS_PHASE.values(), Kind.RUNS_TARGET_ON_TRIAL)


def lost_after(deed: Kind, phase: Situation = Situation.INSTALLING) -> State:
    at = apply(State(offered_at=NOW, changed_at=NOW), Fact(Kind(f"says {phase}")), NOW)
    ended = apply(at, Fact(deed), NOW + timedelta(minutes=1))
    assert (ended.is_open, ended.deadline_at) == (False, at.deadline_at)
    lost = apply(ended, Fact(Kind.DEADLINE), NOW + HOUR)
    assert (lost.status, lost.reason) == (Status.TIMED_OUT, Reason.LOST)
    return lost


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("phase", sorted(SINCE_INSTALLING))
def test_attack_a_gateway_goes_on_with_what_was_canceled_and_lost(deed: Kind, phase: Situation) -> None:
    lost = lost_after(deed, phase)
    for kind in WORDS:
        assert apply(lost, Fact(kind, bytes_done=9), LATER) is lost


def test_attack_nor_by_saying_first_that_it_refused_it() -> None:
    for says in (Kind.SAYS_REJECTED, Kind.SAYS_REJECTED_COPY, Kind.SAYS_REPLAYED, Kind.SAYS_FAILED):
        said = apply(lost_after(Kind.CANCEL), Fact(says, Reason.NO_SPACE), LATER)
        assert said.reason == Reason.NO_SPACE
        for kind in WORDS:
            assert apply(said, Fact(kind), LATER + HOUR) is said


@pytest.mark.parametrize("deed", DEEDS)
def test_what_runs_is_told_all_the_same(deed: Kind) -> None:
    lost = lost_after(deed)
    done = apply(lost, Fact(Kind.RUNS_TARGET), LATER)
    assert (done.status, done.succeeded_at, done.finished_at) == (Status.SUCCEEDED, LATER, LATER)
    for kind, reason in (
        (Kind.RUNS_OLD_AFTER_REBOOT, Reason.ROLLED_BACK),
        (Kind.RUNS_OTHER_AFTER_REBOOT, Reason.SUPERSEDED),
    ):
        after = apply(lost, Fact(kind), LATER)
        assert (after.status, after.reason) == (Status.FAILED, reason)


def test_a_person_may_begin_it_again() -> None:
    waiting = apply(lost_after(Kind.CANCEL), Fact(Kind.RETRY), LATER)
    assert waiting.status is Status.QUEUED
    again = apply(waiting, Fact(Kind.SAYS_INSTALLING), LATER)
    lost = apply(again, Fact(Kind.DEADLINE), LATER + HOUR)
    assert apply(lost, Fact(Kind.SAYS_DOWNLOADING), LATER + HOUR).is_open  # this time nobody had ended it


def test_it_ended_when_the_person_ended_it() -> None:
    assert lost_after(Kind.CANCEL).finished_at == NOW + timedelta(minutes=1)
