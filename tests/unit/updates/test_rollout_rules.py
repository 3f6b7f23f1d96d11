"""When a wave opens, and when a rollout halts by itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from tds.updates.executions.statuses import Reason, Status
from tds.updates.executions.transitions import PHASES, Fact, Kind, State, apply
from tds.updates.rollouts import limits as bounds
from tds.updates.rollouts import rules, words
from tds.updates.rollouts.counts import KINDS, Counts
from tds.updates.rollouts.limits import STANDARD
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.rules import Decision, Does, Halt, OpenWave, Verdict


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


NOW = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
SOAKED = NOW - timedelta(seconds=STANDARD.soak_s)
SOAKING = SOAKED + timedelta(seconds=1)


def wave(number: int = 1, soak_from: datetime | None = None, **kinds: int) -> OpenWave:
    return OpenWave(number, Counts(**kinds), soak_from)


STAY = Decision(Does.STAY)


def halt(why: Halt, number: int = 1) -> Decision:
    return Decision(Does.HALT, why, number)


@pytest.mark.parametrize(
    ("opened", "decision"),
    [
        # A beginning
        ([], Decision(Does.OPEN, wave=1)),
        ([wave(waiting=1)], STAY),
        ([wave(in_progress=1)], STAY),
        # Success, then the soak
        ([wave(succeeded=1)], Decision(Does.SOAK, wave=1)),
        ([wave(succeeded=1, soak_from=SOAKING)], STAY),
        ([wave(succeeded=1, soak_from=SOAKED)], Decision(Does.OPEN, wave=2)),
        ([wave(succeeded=94, waiting=6)], STAY),
        ([wave(succeeded=95, waiting=5)], Decision(Does.SOAK, wave=1)),
        ([wave(succeeded=95, waiting=5, soak_from=SOAKED)], Decision(Does.OPEN, wave=2)),
        ([wave(succeeded=94, waiting=6, soak_from=SOAKING)], Decision(Does.SOAK_BROKEN, wave=1)),
        # 95 % of 7 are 7: rounding is never to the fleet's harm
        ([wave(succeeded=6, waiting=1)], STAY),
        # Whoever was taken out is not waited for
        ([wave(succeeded=1, canceled=9, soak_from=SOAKED)], Decision(Does.OPEN, wave=2)),
        # Where nobody is left, nothing was tried
        ([wave(canceled=1)], halt(Halt.NOBODY_JUDGED)),
        ([wave(removed=3)], halt(Halt.NOBODY_JUDGED)),
        ([wave(accepted=1, canceled=1)], halt(Halt.NOBODY_JUDGED)),
        # Whoever was taken out in the middle of it may run anything
        ([wave(unknown=1)], STAY),
        ([wave(unknown=1, succeeded=1)], STAY),
        ([wave(unknown=1, rejected=1)], halt(Halt.TOO_FEW_SUCCEEDED)),
        ([wave(succeeded=1, removed=9)], Decision(Does.SOAK, wave=1)),
        # Halts
        ([wave(failed=1)], halt(Halt.FAILURES)),  # of the one that there is
        ([wave(rolled_back=1)], halt(Halt.FAILURES)),
        ([wave(timed_out=1)], halt(Halt.FAILURES)),
        ([wave(rejected=1)], halt(Halt.TOO_FEW_SUCCEEDED)),  # nobody came to harm, and nobody has it
        ([wave(lost=1)], halt(Halt.LOST)),
        ([wave(lost=1, succeeded=999)], halt(Halt.LOST)),
        ([wave(failed=1, waiting=99)], STAY),  # one of one is no share yet
        ([wave(failed=4, waiting=96)], STAY),
        ([wave(failed=5, waiting=95)], halt(Halt.FAILURES)),
        ([wave(failed=1, succeeded=4, waiting=95)], halt(Halt.FAILURES)),
        ([wave(failed=9, succeeded=91, waiting=900)], STAY),  # 9 % of the finished ones
        ([wave(failed=10, succeeded=90, waiting=900)], halt(Halt.FAILURES)),
        ([wave(failed=5, succeeded=94, waiting=1)], STAY),
        ([wave(failed=6, succeeded=94)], halt(Halt.TOO_FEW_SUCCEEDED)),
        ([wave(rejected=6, in_progress=94)], halt(Halt.TOO_FEW_SUCCEEDED)),
        # A person went on in spite of those
        ([wave(accepted=1)], Decision(Does.OPEN, wave=2)),
        ([wave(accepted=5, succeeded=95, soak_from=SOAKED)], Decision(Does.OPEN, wave=2)),
        ([wave(accepted=5, failed=1, succeeded=4, waiting=90)], halt(Halt.FAILURES)),
        # An earlier wave still counts
        ([wave(succeeded=95, lost=1, waiting=4), wave(2, waiting=9)], halt(Halt.LOST, 1)),
        ([wave(succeeded=89, failed=11), wave(2, waiting=900)], halt(Halt.FAILURES, 1)),
        # The end
        ([wave(succeeded=1), wave(2, succeeded=9, soak_from=SOAKED)], Decision(Does.OPEN, wave=3)),
        ([wave(succeeded=1), wave(2, succeeded=9), wave(3, succeeded=9)], Decision(Does.SOAK, wave=3)),
        (
            [wave(succeeded=1), wave(2, succeeded=9), wave(3, succeeded=9, soak_from=SOAKED)],
            Decision(Does.COMPLETE, wave=3),
        ),
        ([wave(succeeded=99, waiting=1), wave(2, succeeded=9), wave(3, succeeded=9, soak_from=SOAKED)], STAY),
        ([wave(succeeded=1), wave(2, succeeded=1), wave(3, canceled=1)], Decision(Does.COMPLETE, wave=3)),
        ([wave(succeeded=99, unknown=1), wave(2, succeeded=9), wave(3, succeeded=9, soak_from=SOAKED)], STAY),
    ],
)
def test_what_a_rollout_of_three_waves_does_next(opened: list[OpenWave], decision: Decision) -> None:
    assert rules.decide(STANDARD, opened, 3, Verdict.PASSED, now=NOW) == decision


@pytest.mark.parametrize(
    ("soak_from", "gate", "decision"),
    [
        (None, Verdict.WAITING, Decision(Does.SOAK, wave=1)),
        (SOAKING, Verdict.WAITING, STAY),
        (SOAKED, Verdict.WAITING, Decision(Does.GATE_WAITS, wave=1)),
        (SOAKED, Verdict.PASSED, Decision(Does.OPEN, wave=2)),
        (None, Verdict.FAILED, halt(Halt.TELEMETRY)),
        (SOAKING, Verdict.FAILED, halt(Halt.TELEMETRY)),
        (SOAKED, Verdict.FAILED, halt(Halt.TELEMETRY)),
    ],
)
def test_the_telemetry_gate_holds_the_next_wave_back(
    soak_from: datetime | None, gate: Verdict, decision: Decision
) -> None:
    assert rules.decide(STANDARD, [wave(succeeded=9, soak_from=soak_from)], 2, gate, now=NOW) == decision


def test_a_soak_that_is_broken_again_and_again_halts() -> None:
    breaks = Decision(Does.SOAK_BROKEN, wave=2)
    allowed = rules.MAX_BROKEN_SOAKS - 1
    assert [rules.broken(breaks, before) for before in range(allowed)] == [breaks] * allowed
    assert rules.broken(breaks, allowed) == rules.broken(breaks, 99) == halt(Halt.UNSTEADY, 2)


def test_a_release_that_was_withdrawn_halts_at_once() -> None:
    for opened in ([], [wave(waiting=5)], [wave(succeeded=1, soak_from=SOAKED)]):
        decision = rules.decide(STANDARD, opened, 2, Verdict.PASSED, withdrawn=True, now=NOW)
        assert decision == Decision(Does.HALT, Halt.WITHDRAWN)


def test_even_no_share_of_success_opens_no_wave_in_which_nobody_succeeded() -> None:
    least = replace(STANDARD, success_percent=1, failure_percent=100)
    assert rules.decide(least, [wave(rejected=10)], 2, Verdict.PASSED, now=NOW) == halt(Halt.TOO_FEW_SUCCEEDED)


# What a bad build makes of a gateway: it crashes, or does not come back, or can't connect, or refuses, or stays away.
BAD_ENDS = ("failed", "rolled_back", "timed_out", "lost", "rejected")
LIMITS = st.builds(
    bounds.Limits,
    success_percent=st.floats(1, 100),
    failure_percent=st.floats(0.1, 100),
    failure_min_finished=st.integers(1, 200),
    soak_s=st.integers(0, 3_600),
)


@given(LIMITS, st.lists(st.sampled_from(BAD_ENDS), min_size=1, max_size=60), st.data())
def test_a_bad_build_never_gets_beyond_the_first_wave_whatever_the_order_of_reports(
    limits: bounds.Limits, ends: list[str], data: st.DataObject
) -> None:
    kinds = ["waiting"] * len(ends)
    now, soak_from = NOW, None
    halted = None
    reports = data.draw(st.permutations(range(len(ends))))
    steps = [step for each in reports for step in ((each, "offered"), (each, "in_progress"), (each, ends[each]))]
    for place, kind in data.draw(st.permutations(steps)):  # late and out of order: an end is not undone by what is old
        now += timedelta(seconds=data.draw(st.integers(0, 7_200)))
        if kinds[place] not in BAD_ENDS:
            kinds[place] = kind
        counted = Counts(**{name: kinds.count(name) for name in set(kinds)})
        decision = rules.decide(limits, [OpenWave(1, counted, soak_from)], 4, Verdict.PASSED, now=now)
        assert decision.does in (Does.STAY, Does.HALT)
        halted = halted or (decision if decision.does is Does.HALT else None)
    assert halted is not None


@given(LIMITS, st.integers(1, 500), st.integers(0, 7_200))
def test_a_build_that_stops_measuring_never_gets_beyond_the_first_wave(
    limits: bounds.Limits, size: int, seconds: int
) -> None:
    """They all succeed. The gate waits until it can tell, and then it says what it saw."""
    first = wave(succeeded=size, soak_from=NOW)
    for verdict in (Verdict.WAITING, Verdict.FAILED):
        decision = rules.decide(limits, [first], 4, verdict, now=NOW + timedelta(seconds=seconds))
        assert decision.does is not Does.OPEN
    assert decision == halt(Halt.TELEMETRY)


def kind_of(state: State) -> str:
    """As counts.sql has it, of one that nobody accepted."""
    if state.status in (Status.CANCELED, Status.REMOVED) and state.deadline_at is not None:
        return "unknown"
    if state.status is Status.TIMED_OUT and state.reason == Reason.LOST:
        return "lost"
    return "rolled_back" if state.reason == Reason.ROLLED_BACK else state.situation.value


@given(
    LIMITS,
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Kind), st.integers(0, 90_000)), max_size=40),
)
def test_no_order_of_deeds_and_reports_opens_a_second_wave_without_enough_successes(
    limits: bounds.Limits, size: int, steps: list[tuple[int, Kind, int]]
) -> None:
    now, states, soak_from = NOW, [State(changed_at=NOW)] * size, None
    for who, kind, seconds in steps:
        now += timedelta(seconds=seconds)
        state = states[who % size]
        if kind is not Kind.DEADLINE or (state.deadline_at is not None and state.deadline_at <= now):
            states[who % size] = apply(state, Fact(kind, Reason.LOCAL_FAULT), now)
        kinds = ["in_progress" if each.situation in PHASES else kind_of(each) for each in states]
        counted = Counts(**{name: kinds.count(name) for name in set(kinds)})
        decision = rules.decide(limits, [OpenWave(1, counted, soak_from)], 2, Verdict.PASSED, now=now)
        if decision.does is Does.OPEN:
            assert counted.succeeded
            assert counted.succeeded * 100 >= limits.success_percent * counted.judged - 1e-6
            return
        soak_from = {Does.SOAK: now, Does.SOAK_BROKEN: None}.get(decision.does, soak_from)


COUNTS = st.builds(Counts, **dict.fromkeys(KINDS, st.integers(0, 30)))


@given(LIMITS, COUNTS, st.sampled_from(Verdict), st.booleans())
def test_a_wave_opens_only_after_enough_have_succeeded_and_soaked(
    limits: bounds.Limits, counted: Counts, gate: Verdict, soaked: bool
) -> None:
    soak_from = NOW - timedelta(seconds=limits.soak_s) if soaked else None
    decision = rules.decide(limits, [OpenWave(1, counted, soak_from)], 2, gate, now=NOW)
    if decision.does is Does.OPEN and counted.accepted < counted.total:
        assert soaked
        assert gate is Verdict.PASSED
        assert counted.succeeded * 100 >= limits.success_percent * counted.judged - 1e-6
        assert counted.succeeded
        assert not counted.lost


@given(LIMITS, COUNTS)
def test_a_wave_that_is_over_is_never_stuck(limits: bounds.Limits, counted: Counts) -> None:
    over = replace(counted, waiting=0, offered=0, in_progress=0, unknown=0)
    soak_from = NOW - timedelta(seconds=limits.soak_s)
    decision = rules.decide(limits, [OpenWave(1, over, soak_from)], 1, Verdict.PASSED, now=NOW)
    assert decision.does in (Does.HALT, Does.COMPLETE)


def test_every_halt_is_a_sentence() -> None:
    assert all(words.halt(why).endswith(".") for why in Halt)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("success_percent", 0),
        ("success_percent", 101),
        ("success_percent", float("nan")),
        ("failure_percent", 0),
        ("failure_min_finished", 0),
        ("soak_s", -1),
        ("soak_s", 10**9),
        ("concurrency", 0),
        ("concurrency", 10**6),
        ("spread_s", -1),
        ("offer_limit_s", 0),
    ],
)
def test_a_limit_out_of_bounds_is_a_sentence_that_names_it(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(RolloutRefusedError, match=str(bounds.NAMES[name])):
        bounds.checked(replace(STANDARD, **changed))


def test_the_standard_limits_are_within_their_bounds() -> None:
    assert bounds.checked(STANDARD) is STANDARD
