"""A gateway that counts its starts wrongly, by a fault or on purpose: what it says truly after that is believed."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tds.updates.executions.facts import Execution
from tds.updates.executions.keeper import Came, Sender, _settled
from tds.updates.executions.orders import MAX_FORMER, MAX_SKIPPED, Order, is_newer, leave
from tds.updates.executions.reports import MAX_COUNT, Report, read
from tds.updates.executions.rows import Loaded
from tds.updates.executions.running import Known
from tds.updates.executions.statuses import Reason, Status
from tds.updates.executions.transitions import USUAL, State
from tests import executing
from tests.executing import LIFE, NOW, OLD, TARGET, THIRD, Unit

GW: Final = "GW-001"
E1: Final = "e-1"
FAR: Final = (MAX_SKIPPED + 100, 2**32 - 1, MAX_COUNT)
MINUTE: Final = timedelta(minutes=1)


def offered(public_id: str = E1, *, at: datetime = NOW) -> Loaded:
    state = State(offered_at=at, changed_at=at)
    return Loaded(1, 1, 1, 1, Execution(public_id, TARGET, OLD), state, "1.0.0", None, 1, "")


def after(*payloads: bytes, start: Loaded | None = None, known: Known | None = None) -> tuple[Loaded, Known]:
    """A minute between any two."""
    came = []
    for number, payload in enumerate(payloads, 1):
        report = read(GW, payload)
        assert isinstance(report, Report), report
        came.append(Came(Sender(1, GW), report, (known.reported_at if known else NOW) + number * MINUTE))
    [row], known_after = _settled([start or offered()], known, came, USUAL)
    return row, known_after


def false(boot: int, number: int = MAX_COUNT, sha256: str = TARGET) -> bytes:
    return executing.as_bytes(executing.report(GW, boot, number, executing.running(sha256)))


@pytest.mark.parametrize("boot", FAR)
def test_attack_one_false_number_of_a_start_hides_nothing_that_comes_after_it(boot: int) -> None:
    """Whoever had the certificate for a moment says that it runs the new image, as the highest start that there is."""
    unit = Unit(GW, E1)
    row, known = after(unit.phase("downloading"), false(boot))
    assert (row.state.status, known.running.sha256) == (Status.SUCCEEDED, TARGET)  # by its own word
    unit.starts(OLD)
    row, known = after(unit.says(), false(boot), start=row, known=known)  # and a copy of it
    assert (known.running.sha256, known.order) == (OLD, (LIFE, 2, 1))
    assert (row.state.status, row.state.reason) == (Status.FAILED, Reason.ROLLED_BACK)
    assert known.restarts == 2  # two that it can't count


@pytest.mark.parametrize("boot", FAR)
def test_an_update_after_a_false_number_of_a_start_ends_as_it_went(boot: int) -> None:
    unit = Unit(GW, E1)
    unit.says()
    unit.sent.append(false(boot, sha256=OLD))
    for phase in ("downloading", "downloaded", "verified", "installing", "rebooting"):
        unit.phase(phase)
    row, _ = after(*unit.sent)
    assert (row.state.status, row.state.phase) == (Status.IN_PROGRESS, "rebooting")
    unit.starts(TARGET, confirmed=False)
    unit.phase("confirming")
    went_back = replace(unit, sent=[*unit.sent])
    unit.confirmed = True
    unit.says()
    row, known = after(*unit.sent)
    assert (row.state.status, known.order) == (Status.SUCCEEDED, (LIFE, 2, 2))
    went_back.starts(OLD)
    went_back.says()
    row, _ = after(*went_back.sent)
    assert (row.state.status, row.state.reason) == (Status.FAILED, Reason.ROLLED_BACK)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.integers(MAX_SKIPPED + 100, MAX_COUNT)), min_size=1, max_size=40))
def test_attack_any_number_of_false_numbers_hides_nothing(steps: list[int | None]) -> None:
    """`None`: a true report, in its next start."""
    unit, known = Unit(GW, E1, boot=50), None
    _, known = after(unit.says())
    for boot in steps:
        if boot is None:
            unit.starts(OLD)
        _, known = after(unit.says() if boot is None else false(boot), known=known)
    unit.starts(THIRD)
    for payload in (unit.says(), *(false(boot) for boot in steps[-1:] if boot is not None)):
        _, known = after(payload, known=known)
    assert (known.order, known.running.sha256) == ((LIFE, unit.boot, 1), THIRD)


def test_a_gateway_that_started_often_without_a_word_is_heard() -> None:
    unit = Unit(GW, E1)
    late = unit.says()
    unit.boot = 5_000
    _, known = after(late, unit.says(), late)
    assert known.order.boot == 5_000


def test_a_far_older_report_of_the_same_life_is_late() -> None:
    unit = Unit(GW, E1, boot=5_000, sha256=THIRD)
    _, known = after(unit.says(), false(5, 3))
    assert (known.order.boot, known.restarts) == (5_000, 0)


def test_a_gateway_that_lost_its_count_is_heard_from_its_next_update_on() -> None:
    """Its memory of starts is gone, and the one of its life is not."""
    unit = Unit(GW, "e-0", boot=40)
    _, known = after(unit.says())
    unit.boot = 0
    unit.starts(THIRD)
    _, known = after(unit.says(), known=known)
    assert (known.order.boot, known.running.sha256) == (40, OLD)  # it may be a late one
    unit.execution_id = E1
    start = offered(at=known.reported_at + timedelta(seconds=1))
    row, known = after(unit.phase("downloading"), start=start, known=known)
    assert (row.state.phase, known.order.boot, known.running.sha256) == ("downloading", 1, THIRD)
    unit.phase("rebooting")
    unit.starts(TARGET)
    row, known = after(unit.sent[-1], unit.says(), unit.sent[0], start=row, known=known)
    assert (row.state.status, known.order, known.running.sha256) == (Status.SUCCEEDED, (LIFE, 2, 1), TARGET)


def test_a_word_of_an_execution_from_before_the_newest_report_does_not_make_a_late_one_new() -> None:
    unit = Unit(GW, E1, boot=40)
    late = unit.phase("downloading")
    unit.starts(THIRD)
    _, known = after(unit.says(), start=offered(at=NOW - MINUTE))
    row, known = after(late, start=offered(at=NOW), known=known)
    assert (row.state.phase, known.order.boot) == ("downloading", 41)


def test_attack_a_false_number_of_a_report_hides_no_more_than_its_start() -> None:
    unit = Unit(GW, E1)
    _, known = after(unit.says(), false(1))
    unit.starts(OLD)
    _, known = after(unit.says(), known=known)
    assert known.order == (LIFE, 2, 1)


def test_a_gateway_that_can_not_count_its_starts_hides_no_rollback() -> None:
    """The cell in which it counts them is worn out."""
    unit = Unit(GW, E1)
    unit.phase("rebooting")
    unit.sha256 = TARGET
    row, known = after(unit.sent[-1], unit.says())
    assert row.state.status is Status.SUCCEEDED
    unit.sha256 = OLD
    row, known = after(unit.says(), start=row, known=known)
    assert (row.state.status, row.state.reason) == (Status.FAILED, Reason.ROLLED_BACK)
    assert known.restarts == 2


def test_of_a_life_the_lowest_count_is_kept_and_no_more_than_the_bound() -> None:
    true = Order(LIFE, 50, 1)
    former: tuple[Order, ...] = ()
    left = true
    for step in range(1, 20):
        entered = Order(LIFE, step * 1_000, 1)
        former, left = leave(former, left, entered), entered
    assert former == (true, Order(LIFE, 18_000, 1))
    assert is_newer(Order(LIFE, 50, 2), left, former)
    for step in range(20):
        former = leave(former, Order(f"{step:08x}", 1, 1), Order(f"{step + 1:08x}", 1, 1))
    assert len(former) == MAX_FORMER
