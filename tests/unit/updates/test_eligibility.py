"""Who can take a release, and why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation

from tds.updates.rollouts import eligibility, words
from tds.updates.rollouts.eligibility import EVERYBODYS, GatewayFacts, Place, Reason, ReleaseFacts, Rollbacks, Runs

OURS, ANOTHER = 1, 2  # companies
BAD = {Place("dcu-0080", "B", OURS), Place("dcu-0080", "E", EVERYBODYS), Place("dcu-0080", "O", ANOTHER)}
RELEASE = ReleaseFacts("b" * 64, 7, 3, "esp32", {"dcu-0080", "dcu-all"}, {"A", "B", "E", "O"}, BAD)
RUNS = Runs("a" * 64, 6, "esp32", "dcu-0080", "A", 1)
GATEWAY = GatewayFacts(
    tenant_id=OURS, retired=False, disabled=False, family="dcu-0080", hardware="A", busy=False, runs=RUNS
)


def told(runs: dict[str, Any] | None = None, **facts: Any) -> GatewayFacts:
    if runs:
        facts["runs"] = replace(RUNS, **runs)
    return replace(GATEWAY, **facts)


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [
        (GATEWAY, None),
        (told(retired=True), Reason.RETIRED),
        (told(disabled=True), Reason.DISABLED),
        (told(busy=True), Reason.IN_ANOTHER_ROLLOUT),
        (replace(GATEWAY, runs=None), Reason.NO_TRUST),
        (told({"trust_version": 0}), Reason.NO_TRUST),
        (replace(GATEWAY, runs=None, family="relay-mfr"), Reason.WRONG_FAMILY),
        (told({"family": "relay-mfr"}), Reason.WRONG_FAMILY),  # what it says of itself is nearer to the truth
        (told(family="relay-mfr"), None),
        (told({"family": ""}), None),
        (told({"family": ""}, family=""), Reason.WRONG_FAMILY),
        (told({"chip": "esp32s3"}), Reason.WRONG_CHIP),
        (told({"chip": ""}), Reason.WRONG_CHIP),
        (told({"hardware": "C"}), Reason.WRONG_HARDWARE),
        (told({"hardware": ""}, hardware="C"), Reason.WRONG_HARDWARE),
        (told({"hardware": ""}, hardware=""), Reason.WRONG_HARDWARE),
        (told({"sha256": "b" * 64, "counter": 7}), Reason.ALREADY_ON_IT),
        (told({"counter": 7}), Reason.COUNTER_NOT_HIGHER),
        (told({"counter": 9}), Reason.COUNTER_NOT_HIGHER),
        (told({"counter": 3}), None),
        (told({"counter": 2}), Reason.SOURCE_TOO_OLD),
        (told({"hardware": "B"}, hardware="B"), Reason.KNOWN_BAD),
        (told({"hardware": "B"}, hardware=""), Reason.KNOWN_BAD),
        (told({"hardware": "A"}, hardware="B"), Reason.KNOWN_BAD),
        (told({"hardware": "B"}, hardware="A"), None),  # where a rollback of it would not count
        (told({"hardware": "E"}, hardware="E"), Reason.KNOWN_BAD),
        (told({"hardware": "O"}, hardware="O"), None),
        (told({"hardware": "O"}, hardware="O", tenant_id=ANOTHER), Reason.KNOWN_BAD),
        (told({"hardware": "B"}, hardware="B", retired=True), Reason.RETIRED),  # the first reason that is true
    ],
)
def test_a_gateway_is_in_or_left_out_for_a_reason(gateway: GatewayFacts, reason: Reason | None) -> None:
    assert eligibility.judge(gateway, RELEASE) == reason


def test_a_release_for_any_hardware_takes_gateways_that_never_said_theirs() -> None:
    assert eligibility.judge(told({"hardware": ""}, hardware=""), replace(RELEASE, hardware={"*"})) is None


T0 = datetime(2026, 2, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "forgiven", "bad"),
    [
        (1, None, False),
        (2, None, True),
        (5, None, True),
        (2, T0 + timedelta(hours=1), False),
        (3, T0 - timedelta(hours=1), True),  # it rolled back again after that
    ],
)
def test_what_rolled_back_twice_is_known_to_be_bad_until_a_person_forgives_it(
    times: int, forgiven: datetime | None, bad: bool
) -> None:
    assert Rollbacks(times, T0, forgiven).known_bad is bad


def test_what_rolled_back_at_one_company_is_left_out_there_and_at_several_everywhere() -> None:
    one, two, everybodys = (Place("dcu-0080", "A", whose) for whose in (OURS, ANOTHER, EVERYBODYS))
    once, twice = Rollbacks(1, T0, None), Rollbacks(2, T0, None)
    assert eligibility.bad_on({one: once}) == set()
    assert eligibility.bad_on({one: twice}) == {one}
    assert eligibility.bad_on({one: once, two: once}) == {everybodys}
    assert eligibility.bad_on({one: twice, two: once}) == {one, everybodys}
    assert eligibility.bad_on({one: once, Place("dcu-0080", "B", ANOTHER): once}) == set()


def test_what_was_forgiven_at_one_company_counts_no_more_at_the_others() -> None:
    one, two, everybodys = (Place("dcu-0080", "A", whose) for whose in (OURS, ANOTHER, EVERYBODYS))
    forgiven = T0 + timedelta(hours=1)
    before, again = Rollbacks(2, T0, forgiven), Rollbacks(2, T0 + timedelta(hours=2), forgiven)
    assert eligibility.bad_on({one: before, two: before}) == set()
    assert eligibility.bad_on({one: again, two: before}) == {one}
    assert eligibility.bad_on({one: again, two: again}) == {one, two, everybodys}


def test_every_reason_is_a_sentence_in_both_languages() -> None:
    for reason in Reason:
        with translation.override("en"):
            english = words.reason(reason)
        with translation.override("pt-br"):
            portuguese = words.reason(reason)
        assert english.endswith(".")
        assert portuguese.endswith(".")
        assert english != portuguese


def test_a_reason_of_a_later_version_is_shown_as_it_is() -> None:
    assert words.reason("moon_phase") == "moon_phase"
