"""The telemetry gate: whether gateways still deliver as in their own week before."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.updates.rollouts import gate, words
from tds.updates.rollouts.gate import Before, GatewayHealth, Sign
from tds.updates.rollouts.limits import STANDARD
from tds.updates.rollouts.rules import Verdict

HOUR = 3_600.0
# Each minute a message with five readings, for a week.
WEEK = Before(hours=168, messages_an_hour=60, series_an_hour=5)
WELL = GatewayHealth(1, HOUR, messages=60, series=5, quarantined=0, restarts=0, before=WEEK)
NEW = replace(WELL, before=Before(), interval_s=60.0)


@pytest.mark.parametrize(
    ("health", "sign"),
    [
        (WELL, None),
        (replace(WELL, messages=0, series=0), Sign.SILENT),
        (replace(WELL, observed_s=300.0, messages=0, series=0), Sign.SILENT),  # five messages are missing
        (replace(WELL, observed_s=299.0, messages=0, series=0), None),
        (replace(WELL, messages=30), None),
        (replace(WELL, messages=29), Sign.FEWER_MESSAGES),
        (replace(WELL, observed_s=600.0, messages=3), None),  # not for long enough
        (replace(WELL, series=4), None),
        (replace(WELL, series=3), Sign.FEWER_READINGS),
        (replace(WELL, observed_s=HOUR - 1, series=3), None),  # some are read once an hour
        (replace(WELL, quarantined=3), None),  # 5 %
        (replace(WELL, quarantined=7), Sign.QUARANTINED),
        (replace(WELL, quarantined=7, before=replace(WEEK, quarantined=0.1)), None),  # as before
        (replace(WELL, messages=0, quarantined=60), Sign.QUARANTINED),
        (replace(WELL, messages=0, quarantined=2, observed_s=60.0), None),
        (replace(WELL, restarts=2), None),
        (replace(WELL, restarts=3), Sign.RESTARTS),
        (replace(WELL, restarts=3, observed_s=1.0), Sign.RESTARTS),
        (replace(WELL, alerts=1), Sign.ALERTS),
        (replace(WELL, alerts=1, before=replace(WEEK, alerts=1)), None),
        # Without a week of history: as often as it says that it sends
        (NEW, None),
        (replace(NEW, messages=30), None),
        (replace(NEW, messages=29), Sign.FEWER_MESSAGES),
        (replace(NEW, messages=1, series=1), Sign.FEWER_MESSAGES),  # it stopped
        (replace(NEW, observed_s=299.0, messages=1, series=1), None),
        (replace(NEW, messages=0, series=0, before=Before(hours=2, messages_an_hour=60)), Sign.SILENT),
        (replace(NEW, messages=0, series=0), Sign.SILENT),
        (replace(NEW, messages=0, series=0, ever=False), None),  # it never measured anything
        (replace(NEW, messages=0, before=Before(hours=2), interval_s=None), None),
    ],
)
def test_what_is_worse_than_before(health: GatewayHealth, sign: Sign | None) -> None:
    assert gate.sign_of(health, STANDARD) == sign


def fleet(*healths: GatewayHealth) -> list[GatewayHealth]:
    return [replace(health, gateway_id=number) for number, health in enumerate(healths)]


SILENT = replace(WELL, messages=0, series=0)
EARLY = replace(WELL, observed_s=60.0, messages=1, series=5)
UNKNOWN = replace(NEW, interval_s=None)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], Verdict.PASSED),
        ([WELL], Verdict.PASSED),
        ([SILENT], Verdict.FAILED),
        ([EARLY], Verdict.WAITING),
        ([UNKNOWN], Verdict.PASSED),
        ([replace(UNKNOWN, observed_s=60.0)], Verdict.WAITING),
        ([SILENT] + [WELL] * 9, Verdict.FAILED),  # 10 %
        ([SILENT] + [WELL] * 10, Verdict.PASSED),
        ([EARLY] + [WELL] * 19, Verdict.PASSED),  # 95 % are through
        ([EARLY] + [WELL] * 18, Verdict.WAITING),
        ([SILENT, EARLY], Verdict.FAILED),
    ],
)
def test_the_verdict_of_a_wave(found: list[GatewayHealth], verdict: Verdict) -> None:
    assert gate.judge(fleet(*found), STANDARD).verdict == verdict


def test_the_gateways_that_got_worse_are_named() -> None:
    found = gate.judge(fleet(WELL, SILENT, replace(WELL, restarts=9)), STANDARD)
    assert found.bad == {1: Sign.SILENT, 2: Sign.RESTARTS}
    assert (found.good, found.waiting, found.unjudged) == (1, 0, 0)


def test_a_short_soak_is_observed_for_as_long() -> None:
    quick = replace(STANDARD, soak_s=5)
    each_second = replace(NEW, interval_s=1.0, before=Before(hours=1, messages_an_hour=60))
    assert gate.judge([replace(each_second, observed_s=4.0, messages=4)], quick).verdict is Verdict.WAITING
    assert gate.judge([replace(each_second, observed_s=5.0, messages=5)], quick).verdict is Verdict.PASSED
    assert gate.judge([replace(each_second, observed_s=5.0, messages=0)], quick).verdict is Verdict.FAILED


def test_one_with_nothing_to_compare_with_has_to_send_something_or_is_given_up_after_a_while() -> None:
    mute = replace(UNKNOWN, messages=0, series=0)
    for observed_s in (HOUR, gate.FIRST_MESSAGE_PATIENCE_S - 1):
        assert gate.judge([replace(mute, observed_s=observed_s)], STANDARD).verdict is Verdict.WAITING
    given_up = gate.judge([replace(mute, observed_s=gate.FIRST_MESSAGE_PATIENCE_S)], STANDARD)
    assert (given_up.verdict, given_up.unjudged) == (Verdict.PASSED, 1)
    assert gate.judge([replace(mute, messages=1)], STANDARD).verdict is Verdict.PASSED


def test_without_a_soak_the_gate_observes_for_its_own_time() -> None:
    hasty = replace(STANDARD, soak_s=0)
    for observed_s, verdict in ((0.0, Verdict.WAITING), (899.0, Verdict.WAITING), (900.0, Verdict.PASSED)):
        assert gate.judge([replace(WELL, observed_s=observed_s)], hasty).verdict is verdict


def test_who_sends_more_often_than_before_is_not_waited_for_as_long_as_it_would_have_taken_before() -> None:
    slow = replace(WEEK, messages_an_hour=12)
    soon = replace(WELL, observed_s=900.0, before=slow)
    assert gate.judge([replace(soon, messages=4)], STANDARD).verdict is Verdict.WAITING
    assert gate.judge([replace(soon, messages=180)], STANDARD).good == 1
    assert gate.judge([replace(soon, observed_s=899.0, messages=180)], STANDARD).verdict is Verdict.WAITING


def test_who_sends_once_a_day_does_not_hold_a_rollout_up_for_days() -> None:
    daily = replace(NEW, interval_s=86_400.0, messages=1)
    assert gate.judge([replace(daily, observed_s=86_399.0)], STANDARD).verdict is Verdict.WAITING
    assert gate.judge([replace(daily, observed_s=86_400.0)], STANDARD).verdict is Verdict.PASSED


HEALTH = st.builds(
    GatewayHealth,
    st.just(1),
    st.floats(0, 1e6),
    messages=st.integers(0, 10**6),
    series=st.integers(0, 10**3),
    quarantined=st.integers(0, 10**4),
    restarts=st.integers(0, 10),
    before=st.builds(
        Before, hours=st.integers(0, 168), messages_an_hour=st.floats(0, 1e6), series_an_hour=st.floats(0, 1e3)
    ),
    interval_s=st.none() | st.floats(1, 1e6),
)


@given(HEALTH)
def test_whoever_is_silent_since_the_update_never_passes(health: GatewayHealth) -> None:
    """… if it is known how often it sends, however it does otherwise."""
    silent: dict[str, Any] = {"messages": 0, "series": 0, "quarantined": 0}
    health = replace(health, **silent)
    if (health.expected or 0) >= gate.EXPECTED_ENOUGH:
        assert gate.judge([health], STANDARD).verdict is Verdict.FAILED


@given(st.lists(HEALTH, max_size=20))
def test_everybody_is_counted_once(found: list[GatewayHealth]) -> None:
    judged = gate.judge(fleet(*found), STANDARD)
    assert len(judged.bad) + judged.good + judged.waiting + judged.unjudged == len(found)


def test_every_sign_has_a_sentence() -> None:
    assert all(str(words.SIGNS[sign]).endswith(".") for sign in Sign)
