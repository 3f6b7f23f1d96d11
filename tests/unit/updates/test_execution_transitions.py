"""The one table of transitions: spelled out, complete, and what is done with what it decides."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tds.environment import ROOT
from tds.updates.executions.statuses import PHASE_NAMES, REASON_SENTENCES, Phase, Reason, Status
from tds.updates.executions.transitions import (
    DECIDED,
    OPEN,
    SAYS_PHASE,
    SINCE_INSTALLING,
    TABLE,
    USUAL,
    Fact,
    Kind,
    Situation,
    State,
    apply,
    end_of_waiting,
)
from tds.updates.models import ExecutionStatus
from tds.updates.timeline import SENTENCES, Happened
from tests.executing import NOW

WHOLE: Final = Path(__file__).with_name("transitions.txt")
HOUR: Final = timedelta(hours=1)
LATER: Final = NOW + HOUR
SAID: Final = Reason.LOCAL_FAULT


def state(at: Situation) -> State:
    """An execution that stands there."""
    made = State(changed_at=NOW)
    if at is Situation.WAITING:
        return made
    made = State(changed_at=NOW, offered_at=NOW, deadline_at=NOW + HOUR)
    if at is Situation.OFFERED:
        return made
    if at in OPEN:
        return State(Status.IN_PROGRESS, at.value, offered_at=NOW, changed_at=NOW, deadline_at=NOW + HOUR)
    return State(Status(at.upper()), "", Reason.REQUESTED, offered_at=NOW, changed_at=NOW, finished_at=NOW)


def spelled_out() -> str:
    lines = []
    for at in Situation:
        lines.append(f"{at}:")
        for kind in Kind:
            row = DECIDED[at, kind]
            what = "-" if row.to is None else str(row.to)
            reason = "as it says" if row.reason is None else row.reason
            lines.append(f"    {kind:26} {what}{f' / {reason}' if row.to and reason else ''}")
    return "\n".join(lines) + "\n"


def test_the_whole_table_is_as_it_is_spelled_out() -> None:
    """After a change of the table on purpose: write what is printed into transitions.txt, and read it."""
    print(spelled_out())
    assert spelled_out() == WHOLE.read_text(encoding="utf-8")


def test_every_fact_in_every_situation_is_decided_by_exactly_one_row() -> None:
    decided = Counter((at, row.fact) for row in TABLE for at in row.at)
    assert decided == Counter((at, kind) for at in Situation for kind in Kind)


@pytest.mark.parametrize("at", list(Situation))
@pytest.mark.parametrize("kind", list(Kind))
def test_what_the_table_decides_is_what_happens(at: Situation, kind: Kind) -> None:
    before = state(at)
    assert before.situation is at
    after = apply(before, Fact(kind, SAID), LATER)
    row = DECIDED[at, kind]
    if row.to is None or (row.to == at and at is not Situation.FAILED):
        assert after is before
        return
    assert after.situation is row.to
    assert after.reason == (SAID if row.reason is None else row.reason)
    assert after.changed_at == LATER
    assert (after.finished_at is None) == (row.to in OPEN)
    assert (after.succeeded_at is not None) == (row.to is Situation.SUCCEEDED)
    left = at in SINCE_INSTALLING and row.to in (Situation.REMOVED, Situation.CANCELED)
    assert (after.deadline_at is None) == (not left and (row.to not in OPEN or row.to is Situation.OFFERED))


@pytest.mark.parametrize("at", list(Situation))
def test_a_fact_told_twice_is_a_fact_told_once(at: Situation) -> None:
    for kind in set(Kind) - {Kind.RETRY}:
        once = apply(state(at), Fact(kind, SAID), LATER)
        assert apply(once, Fact(kind, SAID), LATER + HOUR) is once


@pytest.mark.parametrize("at", list(Situation))
def test_no_word_of_a_gateway_ends_in_success(at: Situation) -> None:
    claims = {*SAYS_PHASE.values(), Kind.SAYS_FAILED, Kind.SAYS_REJECTED, Kind.SAYS_REJECTED_COPY, Kind.SAYS_REPLAYED}
    for kind in claims:
        after = apply(state(at), Fact(kind, SAID), LATER)
        assert after.status is not Status.SUCCEEDED or at is Situation.SUCCEEDED


@pytest.mark.parametrize("at", [Situation.FAILED, Situation.TIMED_OUT, Situation.CANCELED, Situation.REJECTED])
def test_a_late_truth_corrects_what_was_believed(at: Situation) -> None:
    assert apply(state(at), Fact(Kind.RUNS_TARGET), LATER).status is Status.SUCCEEDED
    after = apply(state(at), Fact(Kind.RUNS_OLD_AFTER_REBOOT), LATER)
    assert (after.status, after.reason) == (Status.FAILED, Reason.ROLLED_BACK)


def test_a_confirmation_that_was_lost_is_no_success_any_more() -> None:
    after = apply(state(Situation.SUCCEEDED), Fact(Kind.RUNS_OLD_AFTER_REBOOT), LATER)
    assert (after.status, after.reason, after.succeeded_at) == (Status.FAILED, Reason.ROLLED_BACK, None)


def test_why_it_rolled_back_is_kept_beside_that_it_did() -> None:
    failed = apply(
        state(Situation.CONFIRMING), Fact(Kind.SAYS_FAILED, Reason.SELF_TEST_FAILED, "no RS-485"), NOW + HOUR
    )
    after = apply(failed, Fact(Kind.RUNS_OLD_AFTER_REBOOT), NOW + 2 * HOUR)
    assert (after.reason, after.detail) == (Reason.ROLLED_BACK, "self_test_failed: no RS-485")
    assert after.finished_at == NOW + HOUR


def test_one_is_not_opened_again_while_its_gateway_has_another_one_open() -> None:
    for at, kind in DECIDED:
        before = state(at)
        after = apply(before, Fact(kind, SAID), LATER, another_open=True)
        assert before.is_open or not after.is_open


# Deadlines


def test_each_phase_has_a_deadline_from_when_it_began() -> None:
    for phase in Phase:
        after = apply(state(Situation.OFFERED), Fact(SAYS_PHASE[phase]), LATER)
        assert after.deadline_at == LATER + timedelta(seconds=USUAL.phase_s[Situation(phase)])


def test_only_new_bytes_move_the_deadline_of_a_download() -> None:
    first = apply(state(Situation.OFFERED), Fact(Kind.SAYS_DOWNLOADING, bytes_done=100), NOW)
    for bytes_done in (100, 50, 0):
        assert apply(first, Fact(Kind.SAYS_DOWNLOADING, bytes_done=bytes_done), LATER) is first
    further = apply(first, Fact(Kind.SAYS_DOWNLOADING, bytes_done=101), LATER)
    assert (first.deadline_at, further.deadline_at) == (NOW + 24 * HOUR, LATER + 24 * HOUR)
    assert further.changed_at == first.changed_at


def test_a_gateway_that_begins_anew_for_ever_times_out() -> None:
    now, at = NOW, state(Situation.OFFERED)
    while at.deadline_at is None or now < at.deadline_at:
        assert now < NOW + timedelta(days=8)
        for kind in (Kind.SAYS_DOWNLOADING, Kind.SAYS_DOWNLOADED, Kind.SAYS_VERIFIED):
            at = apply(at, Fact(kind), now)
        now += HOUR / 2
    assert apply(at, Fact(Kind.DEADLINE), now).status is Status.TIMED_OUT


def test_attack_a_gateway_says_by_turns_that_it_refuses_and_that_it_downloads() -> None:
    """Each turn opened its execution again, with a new limit."""
    now, at, opened = NOW, state(Situation.OFFERED), 0
    for _ in range(30):
        at = apply(apply(at, Fact(Kind.SAYS_REJECTED, SAID), now), Fact(Kind.SAYS_DOWNLOADING), now)
        if not at.is_open:
            break
        opened += 1
        assert at.offered_at == NOW
        now += 12 * HOUR
    assert opened == 14  # seven days of them
    assert apply(at, Fact(Kind.SAYS_VERIFIED), now) is at
    assert apply(at, Fact(Kind.RUNS_TARGET), now).status is Status.SUCCEEDED


def test_attack_a_gateway_installs_and_reboots_by_turns_for_ever() -> None:
    now, at = NOW, state(Situation.VERIFIED)
    for kind in (Kind.SAYS_INSTALLING, Kind.SAYS_REBOOTING) * 30:
        at = apply(at, Fact(kind), now)
        if at.deadline_at is not None and at.deadline_at <= now:
            break
        now += HOUR / 4
    assert now == NOW + timedelta(seconds=USUAL.install_s)
    lost = apply(at, Fact(Kind.DEADLINE), now)
    assert (lost.status, lost.reason) == (Status.TIMED_OUT, Reason.LOST)
    assert apply(lost, Fact(Kind.SAYS_INSTALLING), now) is lost
    assert apply(lost, Fact(Kind.RUNS_TARGET), now).status is Status.SUCCEEDED


def test_whose_power_was_cut_as_it_installed_has_all_the_time_for_it_again() -> None:
    at = apply(state(Situation.VERIFIED), Fact(Kind.SAYS_INSTALLING), NOW)
    at = apply(at, Fact(Kind.SAYS_DOWNLOADING), NOW + 5 * HOUR)
    at = apply(at, Fact(Kind.SAYS_INSTALLING), NOW + 10 * HOUR)
    assert at.deadline_at == NOW + 10.5 * HOUR


def test_the_limit_of_an_attempt_cuts_nobody_off_who_installs() -> None:
    late = NOW + timedelta(days=7) - timedelta(seconds=1)
    installing = apply(state(Situation.VERIFIED), Fact(Kind.SAYS_INSTALLING), late)
    assert installing.deadline_at == late + HOUR / 2


def test_silence_before_installing_is_no_answer_and_after_it_is_lost() -> None:
    reasons = {at: apply(state(at), Fact(Kind.DEADLINE), LATER).reason for at in OPEN}
    lost = {Situation.INSTALLING, Situation.REBOOTING, Situation.CONFIRMING}
    assert {at for at, reason in reasons.items() if reason == Reason.LOST} == lost
    assert set(reasons.values()) == {Reason.LOST, Reason.NO_ANSWER}


def test_a_gateway_that_comes_back_in_its_attempts_time_goes_on_and_after_it_only_what_runs_counts() -> None:
    year = NOW + timedelta(days=365)
    gone = apply(state(Situation.DOWNLOADING), Fact(Kind.DEADLINE), LATER)
    day = NOW + timedelta(days=1)
    back = apply(gone, Fact(Kind.SAYS_DOWNLOADING, bytes_done=10), day)
    assert (back.status, back.deadline_at) == (Status.IN_PROGRESS, day + 24 * HOUR)
    assert apply(gone, Fact(Kind.SAYS_DOWNLOADING, bytes_done=10), year) is gone
    done = apply(apply(gone, Fact(Kind.RUNS_TARGET), year), Fact(Kind.SAYS_DOWNLOADING), year)
    assert (done.status, done.succeeded_at) == (Status.SUCCEEDED, year)


def test_a_retry_begins_with_nothing_of_the_former_attempt() -> None:
    failed = apply(state(Situation.REBOOTING), Fact(Kind.RUNS_OLD_AFTER_REBOOT), LATER)
    assert apply(failed, Fact(Kind.RETRY, limit_s=60), LATER) == State(
        attempt=2, changed_at=LATER, deadline_at=LATER + timedelta(seconds=60)
    )


# Words


def test_the_statuses_are_those_of_the_table_in_the_database() -> None:
    assert [*Status] == [*ExecutionStatus.values]


def test_every_phase_and_reason_has_words() -> None:
    assert set(PHASE_NAMES) == set(Phase)
    assert set(REASON_SENTENCES) == set(Reason)
    assert all(str(sentence)[-1] in ".?" for sentence in REASON_SENTENCES.values())


def test_the_reasons_are_those_of_the_wire() -> None:
    document = (Path(__file__).parents[3] / "docs" / "firmware-updates.md").read_text(encoding="utf-8")
    listed = document.split("\nReasons: ")[1].split("\n\n")[0]
    assert {word.strip("`.\n ") for word in listed.split(",")} == set(Reason)


def test_no_statement_ends_an_execution_beside_the_table() -> None:
    """Those over many of them take their words from `end_of_waiting`."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src/tds").rglob("*.py")]
    words = "|".join(Status)
    assert not [found for text in sources for found in re.findall(rf"SET\s+status = '(?:{words})'", text)]
    assert end_of_waiting(Kind.TAKE_OUT) == ("REMOVED", "known_bad")
    assert end_of_waiting(Kind.DEADLINE) == ("TIMED_OUT", "no_answer")
    with pytest.raises(ValueError, match="ends nobody"):
        end_of_waiting(Kind.OFFERED)


def test_every_line_of_a_timeline_has_a_sentence() -> None:
    """Whoever writes one names a `Happened`, as its type says."""
    assert set(SENTENCES) == set(Happened)
