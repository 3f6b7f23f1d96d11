"""What the server believed against what really ran; which failures a fault explains; what the report makes of both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tds.rehearsal import comparison, explanations, report
from tds.rehearsal.beliefs import Standing, Wave
from tds.rehearsal.facts import Belief, Fate, Fault, Runs, Truth
from tds.rehearsal.report import EXIT, Found, Outcome, Verdict
from tds.updates.executions.statuses import Phase, Reason, Status
from tds.updates.rollouts.rules import Halt

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CODE = "R-0001"
TARGET, BASE = "a" * 64, "b" * 64
NAMES = {TARGET: "dcu 1.1.0", BASE: "0.0.1 (before)"}
ON_IT, BEFORE = Runs(1, TARGET, confirmed=True), Runs(0, BASE, confirmed=True)
ON_TRIAL = replace(ON_IT, confirmed=False)
TRUTH = Truth(CODE, ON_IT, (), well=True, state="online", kills=0, ends=0)
BELIEF = Belief(CODE, 1, ON_IT, 1, 1, Status.SUCCEEDED, attempt=1, offered_at=NOW)
FAILED = replace(BELIEF, runs=BEFORE, status=Status.FAILED, reason=Reason.ROLLED_BACK)


def fate(fault: Fault, after_s: float | None = 1.0, *, cost_a_boot: bool = False) -> Fate:
    return Fate(fault, f"{fault} struck", None if after_s is None else NOW + timedelta(seconds=after_s), cost_a_boot)


@pytest.mark.parametrize(
    ("runs", "belief", "says"),
    [
        (ON_IT, BELIEF, ""),
        (BEFORE, FAILED, ""),
        (BEFORE, replace(FAILED, status=Status.QUEUED, reason=""), ""),
        (BEFORE, replace(FAILED, status=None, reason=""), ""),
        (BEFORE, BELIEF, "runs 0.0.1 (before) in slot 0, and the server believes dcu 1.1.0 in slot 1"),
        (BEFORE, replace(BELIEF, runs=BEFORE), "says SUCCEEDED, and it runs 0.0.1 (before)"),
        (ON_TRIAL, replace(BELIEF, runs=ON_TRIAL), "says SUCCEEDED, and it runs dcu 1.1.0 in slot 1, not confirmed"),
        (ON_TRIAL, BELIEF, "not confirmed, and the server believes"),
        (replace(ON_IT, slot=0), BELIEF, "slot 0, and the server believes dcu 1.1.0 in slot 1"),
        (ON_IT, replace(FAILED, runs=ON_IT), "runs the release, confirmed, and the server says FAILED rolled_back"),
        (ON_IT, replace(BELIEF, status=Status.QUEUED), "the server says QUEUED"),
        (
            BEFORE,
            replace(FAILED, status=Status.IN_PROGRESS, phase=Phase.DOWNLOADING, reason=""),
            "still at it (downloading)",
        ),
        (replace(BEFORE, sha256="c" * 64), FAILED, "an image cccccccccccc… in slot 0"),
        (replace(BEFORE, sha256=""), FAILED, "no whole image"),
        (None, FAILED, "It runs nothing."),
        (BEFORE, replace(FAILED, runs=None), "the server knows of nothing"),
    ],
)
def test_each_difference_is_told(runs: Runs | None, belief: Belief, says: str) -> None:
    found = comparison.differences({CODE: replace(TRUTH, runs=runs)}, {CODE: belief}, TARGET, NAMES)
    assert (says in " ".join(found.get(CODE, ()))) if says else not found


def test_a_device_that_one_side_does_not_have_is_a_difference() -> None:
    assert comparison.differences({CODE: TRUTH}, {}, TARGET, NAMES)
    assert comparison.differences({}, {CODE: BELIEF}, TARGET, NAMES)


@pytest.mark.parametrize(
    ("reason", "fates", "explained"),
    [
        (Reason.ROLLED_BACK, [], False),
        (Reason.ROLLED_BACK, [fate(Fault.POWER, cost_a_boot=True)], True),
        (Reason.ROLLED_BACK, [fate(Fault.POWER)], False),  # while it downloaded
        (Reason.ROLLED_BACK, [fate(Fault.POWER, -1.0, cost_a_boot=True)], False),  # in the attempt before
        (Reason.ROLLED_BACK, [fate(Fault.POWER, None, cost_a_boot=True)], False),  # it never fell
        (Reason.ROLLED_BACK, [fate(Fault.NETWORK), fate(Fault.SLOW)], False),
        (Reason.NOT_BOOTABLE, [fate(Fault.BAD_IMAGE, cost_a_boot=True)], True),
        (Reason.NOT_CONFIRMED, [fate(Fault.NETWORK)], True),
        (Reason.NOT_CONFIRMED, [fate(Fault.SLOW, -60.0)], True),  # it goes on and on
        (Reason.EXPIRED, [fate(Fault.CLOCK)], True),
        (Reason.EXPIRED, [fate(Fault.NETWORK)], False),
        (Reason.SIGNATURE_INVALID, [fate(fault, cost_a_boot=True) for fault in Fault], False),
        (Reason.SELF_TEST_FAILED, [fate(fault, cost_a_boot=True) for fault in Fault], False),
    ],
)
def test_a_failure_is_explained_by_what_may_cause_it_in_that_attempt(
    reason: Reason, fates: list[Fate], *, explained: bool
) -> None:
    assert explanations.explained(replace(FAILED, reason=reason), fates) is explained


SPOILT = replace(TRUTH, fates=(fate(Fault.BAD_IMAGE, cost_a_boot=True),))


def test_a_rollout_that_halted_for_faults_alone_may_go_on() -> None:
    assert explanations.is_bad_luck(Halt.FAILURES, {CODE: SPOILT}, [FAILED])


def test_one_failure_that_no_fault_explains_is_enough_to_stay_halted() -> None:
    other = replace(FAILED, code="R-0002", gateway_id=2)
    truths = {CODE: SPOILT, "R-0002": replace(TRUTH, code="R-0002")}
    assert not explanations.is_bad_luck(Halt.FAILURES, truths, [FAILED, other])
    assert explanations.is_bad_luck(Halt.FAILURES, truths, [FAILED, replace(other, accepted=True)])


def test_a_halt_without_a_failure_is_no_bad_luck() -> None:
    assert not explanations.is_bad_luck(Halt.FAILURES, {CODE: SPOILT}, [BELIEF])


def test_what_the_telemetry_gate_halted_stays_halted() -> None:
    """Whoever went on would have a build that stops measuring looked at no more."""
    assert not explanations.is_bad_luck(Halt.TELEMETRY, {CODE: SPOILT}, [FAILED])


WAVES = (Wave(1, "1", 1, NOW), Wave(2, "100 %", 1, None))
HALTED = Standing("halted", Halt.FAILURES, NOW, NOW + timedelta(seconds=9.5), None, WAVES)
FOUND = Found("dcu 1.1.0", TARGET, 1, HALTED, {CODE: replace(TRUTH, runs=BEFORE)}, {CODE: FAILED}, {}, NAMES, 0, 60.0)
COMPLETED = replace(FOUND, standing=replace(HALTED, status="completed", halted_why=""))
UNTRUE = replace(COMPLETED, differences={CODE: ("It runs nothing.",)})


@pytest.mark.parametrize(
    ("found", "outcome", "verdict", "code"),
    [
        (COMPLETED, Outcome.COMPLETED, Verdict.GOOD, 0),
        (UNTRUE, Outcome.COMPLETED, Verdict.UNTRUE, 1),
        (FOUND, Outcome.HALTED, Verdict.NOT_ROLLED_OUT, 3),
        (replace(FOUND, differences=UNTRUE.differences), Outcome.HALTED, Verdict.UNTRUE, 1),
        (replace(FOUND, standing=replace(HALTED, status="running")), Outcome.UNFINISHED, Verdict.UNTRUE, 1),
        (replace(FOUND, standing=None), Outcome.UNFINISHED, Verdict.UNTRUE, 1),
    ],
)
def test_the_verdict_and_its_exit_code(found: Found, outcome: Outcome, verdict: Verdict, code: int) -> None:
    assert (found.outcome, found.verdict, EXIT[found.verdict]) == (outcome, verdict, code)


def test_the_report_says_who_ended_where_and_why() -> None:
    told = report.document(FOUND)
    assert told["halted_after_s"] == 9.5
    assert told["unexplained"] == [CODE]
    assert [wave["opened"] for wave in told["waves"]] == [True, False]
    device = told["devices"][0]
    assert (device["runs"], device["status"], device["reason"]) == ("0.0.1 (before)", "FAILED", "rolled_back")
    text = report.text(FOUND)
    assert "halted after 9.5 s (failures); 1 of 2 waves were opened" in text
    assert "Failed without a fault that explains it: 1" in text
    assert "What the server believed is what really ran, on all 1 (0 succeeded)." in text


def test_differences_come_with_the_faults_of_their_device() -> None:
    text = report.text(replace(UNTRUE, truths={CODE: SPOILT}))
    assert f"{CODE} (bad-image struck): It runs nothing." in text
    assert report.document(replace(UNTRUE, truths={CODE: SPOILT}))["faults"] == {"bad-image": 1}


def test_of_a_hundred_differences_the_text_shows_some_and_the_document_all() -> None:
    many = {f"R-{number:04d}": ("It runs nothing.",) for number in range(100)}
    found = replace(UNTRUE, differences=many)
    assert "… and 80 more" in report.text(found)
    assert len(report.document(found)["differences"]) == 100
