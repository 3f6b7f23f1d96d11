"""Whatever of a gateway's true reports arrives, in whatever order and how often: what is believed is what runs."""

from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tds.updates.executions.facts import Execution
from tds.updates.executions.keeper import Came, Sender, _settled
from tds.updates.executions.reports import Report, read
from tds.updates.executions.rows import Loaded
from tds.updates.executions.running import Known
from tds.updates.executions.statuses import Reason, Status
from tds.updates.executions.transitions import USUAL, Fact, Kind, State, apply
from tests.executing import LIFE, NOW, OLD, TARGET, THIRD, Unit

GW: Final = "GW-001"
E1: Final = "e-1"


def waiting(public_id: str = E1, *, before: str = OLD) -> Loaded:
    state = State(offered_at=NOW, changed_at=NOW)
    return Loaded(1, 1, 1, 1, Execution(public_id, TARGET, before), state, "1.0.0", None, 1, "")


def after(*payloads: bytes, start: Loaded | None = None, known: Known | None = None) -> tuple[Loaded, Known]:
    came = []
    for payload in payloads:
        report = read(GW, payload)
        assert isinstance(report, Report), report
        came.append(Came(Sender(1, GW), report, NOW))
    [row], known_after = _settled([start or waiting()], known, came, USUAL)
    return row, known_after


def ends(*payloads: bytes, start: Loaded | None = None) -> tuple[Status, str]:
    row, _known = after(*payloads, start=start)
    return row.state.status, row.state.reason


def unit(sha256: str = OLD) -> Unit:
    return Unit(GW, E1, sha256=sha256)


def updated() -> Unit:
    """All went well."""
    made = unit()
    for phase in ("downloading", "downloaded", "verified", "installing", "rebooting"):
        made.phase(phase)
    made.starts(TARGET, confirmed=False)
    made.phase("confirming")
    made.confirmed = True
    made.says()
    return made


# One after the other


def test_an_update_succeeds_by_what_runs() -> None:
    assert ends(*updated().sent) == (Status.SUCCEEDED, "")
    assert ends(*updated().sent[:-1]) == (Status.IN_PROGRESS, "")


def test_the_word_succeeded_is_no_proof() -> None:
    made = unit()
    made.phase("rebooting")
    made.says("SUCCEEDED")
    assert ends(*made.sent)[0] is Status.IN_PROGRESS
    made.starts(TARGET, confirmed=False)
    made.says("SUCCEEDED")
    row, _ = after(*made.sent)
    assert (row.state.status, row.state.phase) == (Status.IN_PROGRESS, "confirming")


def test_the_old_image_after_the_reboot_is_rolled_back_whatever_else_is_said() -> None:
    for status, phase, reason in (
        ("", "", ""),
        ("SUCCEEDED", "", ""),
        ("IN_PROGRESS", "confirming", ""),
        ("FAILED", "", "self_test_failed"),
        ("REJECTED", "", "replayed"),
    ):
        made = unit()
        made.phase("rebooting")
        made.starts(OLD)
        made.says(status, phase, reason)
        made.says()
        assert ends(*made.sent) == (Status.FAILED, Reason.ROLLED_BACK)


def test_the_old_image_before_the_reboot_is_no_rollback() -> None:
    made = unit()
    made.phase("installing")
    made.starts(OLD)  # power was cut
    made.phase("downloading")
    assert ends(*made.sent)[0] is Status.IN_PROGRESS


def test_the_start_that_says_rebooting_is_not_the_one_after_it() -> None:
    made = unit()
    made.phase("rebooting")
    made.says()
    assert ends(*made.sent)[0] is Status.IN_PROGRESS


def test_a_confirmation_lost_on_a_reset_is_a_rollback() -> None:
    made = updated()
    made.starts(OLD)
    made.says()
    assert ends(*made.sent) == (Status.FAILED, Reason.ROLLED_BACK)


def test_a_third_image_after_the_reboot_is_neither_success_nor_rollback() -> None:
    made = unit()
    made.phase("rebooting")
    made.starts(THIRD)
    made.says()
    assert ends(*made.sent) == (Status.FAILED, Reason.SUPERSEDED)


def test_attack_a_unit_that_succeeded_is_swapped_for_one_with_a_third_image() -> None:
    made = updated()
    swapped = Unit(GW, E1, life="0badcafe", sha256=THIRD)
    assert ends(*made.sent, swapped.says()) == (Status.FAILED, Reason.SUPERSEDED)
    made.starts(THIRD)  # or it was written over a cable
    assert ends(*made.sent, made.says()) == (Status.FAILED, Reason.SUPERSEDED)
    back = Unit(GW, E1, life="5f0c2a92", sha256=TARGET)
    assert ends(*made.sent, back.says()) == (Status.SUCCEEDED, "")


def test_a_third_image_on_trial_or_after_the_rollout_leaves_a_success_as_it_is() -> None:
    made = updated()
    made.starts(THIRD, confirmed=False)
    assert ends(*made.sent, made.says()) == (Status.SUCCEEDED, "")
    made.confirmed = True
    over = replace(waiting(), execution=Execution(E1, TARGET, OLD, goes_on=False))
    assert ends(*made.sent, made.says(), start=over) == (Status.SUCCEEDED, "")


def test_a_copy_of_a_command_that_is_refused_does_not_end_what_is_under_way() -> None:
    made = unit()
    made.phase("downloading")
    made.says("REJECTED", reason="already_running")
    assert ends(*made.sent)[0] is Status.IN_PROGRESS


def test_a_gateway_that_had_a_newer_ticket_since_is_at_this_one_no_more() -> None:
    made = unit()
    made.phase("downloading")
    made.says("REJECTED", reason="replayed")
    assert ends(*made.sent) == (Status.REJECTED, Reason.REPLAYED)
    made.phase("downloading")  # it was wrong about that
    assert ends(*made.sent)[0] is Status.IN_PROGRESS
    made.phase("installing")
    made.says("REJECTED", reason="replayed")
    assert ends(*made.sent)[0] is Status.IN_PROGRESS


def test_reports_of_another_execution_say_nothing_of_this_one() -> None:
    made = Unit(GW, "e-0")
    made.phase("rebooting")
    made.says("FAILED", reason="flash_failed")
    made.starts(OLD)
    made.says()
    assert ends(*made.sent)[0] is Status.QUEUED


def test_who_runs_the_target_without_an_offer_has_succeeded() -> None:
    made = unit(TARGET)
    made.says()
    assert ends(*made.sent)[0] is Status.SUCCEEDED


def test_what_ran_before_is_learned_from_the_first_report() -> None:
    row, _ = after(unit().phase("downloading"), start=waiting(before=""))
    assert row.execution.before == OLD


def test_a_gateway_with_a_new_memory_is_heard() -> None:
    made = unit()
    made.boot = 900
    made.phase("downloading")
    made.life, made.boot, made.number = "00000001", 1, 0
    made.says("FAILED", reason="no_space")
    made.sent.append(made.sent[0])
    row, known = after(*made.sent)
    assert (row.state.status, row.state.reason) == (Status.FAILED, Reason.NO_SPACE)
    assert (known.order.life, known.restarts) == ("00000001", 1)


def test_a_copy_does_not_bring_back_what_timed_out() -> None:
    made = unit()
    made.phase("rebooting")
    made.starts(TARGET, confirmed=False)
    made.phase("confirming")
    row, known = after(*made.sent)
    lost = replace(row, state=apply(row.state, Fact(Kind.DEADLINE), NOW))
    row, known = after(*made.sent, start=lost, known=known)
    assert row.state is lost.state
    row, _ = after(made.phase("confirming"), start=lost, known=known)
    assert row.state.status is Status.IN_PROGRESS


def test_starts_are_counted_also_those_that_said_nothing() -> None:
    made = unit()
    made.says()
    for _ in range(3):
        made.starts()
    made.says()
    _, known = after(*made.sent, *made.sent)
    assert known.restarts == 3


# In any order


def test_a_late_word_of_a_phase_stands_below_what_runs() -> None:
    made = unit()
    late = made.phase("installing")
    made.starts(TARGET, confirmed=False)
    row, _ = after(made.says(), late)
    assert (row.state.status, row.state.phase) == (Status.IN_PROGRESS, "confirming")


def test_of_two_reboots_the_first_one_counts_in_whatever_order_they_are_told() -> None:
    made = unit()
    first = made.phase("rebooting")
    made.starts(OLD)
    second = made.phase("rebooting")
    for sent in ((first, second), (second, first)):
        assert ends(*sent) == (Status.FAILED, Reason.ROLLED_BACK)


def lived(steps: list[str]) -> Unit:
    """A true gateway's life with one execution: what it does goes by what it is, and it reports as it must."""
    made, at = unit(), "idle"
    made.says()
    for step in steps:
        match step, at:
            case "cut", "trial":
                made.starts(OLD)  # not confirmed: the boot loader goes back
                made.says("FAILED", "", "rolled_back")
                at = "over"
            case "cut", _:
                made.starts(made.sha256, confirmed=made.confirmed)
                made.says(*(("IN_PROGRESS", "downloading") if at == "busy" else ()))
            case "refuse", "idle":
                made.says("REJECTED", reason="wrong_hardware")
                at = "over"
            case "download", "idle" | "busy":
                made.phase("downloading", bytes=made.number)
                at = "busy"
            case "fail", "busy":
                made.says("FAILED", reason="download_failed")
                at = "over"
            case "install", "busy":
                for phase in ("downloaded", "verified", "installing", "rebooting"):
                    made.phase(phase)
                made.starts(TARGET, confirmed=False)
                made.phase("confirming")
                at = "trial"
            case "confirm", "trial":
                made.confirmed = True
                made.says(*(("SUCCEEDED",) if made.number % 2 else ()))
                at = "done"
            case "fail", "trial":
                made.says("FAILED", reason="self_test_failed")
                made.starts(OLD, confirmed=True)
                made.says()
                at = "over"
            case "lose", "done":  # the confirmation was not written
                made.starts(OLD, confirmed=True)
                made.says()
                at = "over"
            case _:
                made.says()
    return made


STEPS: Final = st.lists(
    st.sampled_from(("cut", "refuse", "download", "download", "install", "confirm", "fail", "lose", "rest")),
    max_size=12,
)


@settings(max_examples=500)
@given(STEPS, st.data())
def test_in_any_order_with_copies_and_losses_what_is_believed_is_what_runs(
    steps: list[str], data: st.DataObject
) -> None:
    made = lived(steps)
    last = made.sent[-1]
    kept = [each for each in made.sent[:-1] if data.draw(st.booleans())]
    copies = data.draw(st.lists(st.sampled_from(made.sent), max_size=5)) if made.sent else []
    row, known = after(*data.draw(st.permutations([*kept, last, *copies])))
    assert (known.running.sha256, known.running.confirmed) == (made.sha256, made.confirmed)
    assert known.order == (LIFE, made.boot, made.number)
    succeeded = made.sha256 == TARGET and made.confirmed
    assert (row.state.status is Status.SUCCEEDED) == succeeded
    if made.sha256 == TARGET and not made.confirmed:
        assert (row.state.status, row.state.phase) == (Status.IN_PROGRESS, "confirming")


@settings(max_examples=500)
@given(STEPS, st.data())
def test_all_reports_in_any_order_end_as_in_theirs(steps: list[str], data: st.DataObject) -> None:
    made = lived(steps)
    copies = data.draw(st.lists(st.sampled_from(made.sent), max_size=5))
    mixed, _ = after(*data.draw(st.permutations([*made.sent, *copies])))
    ordered, _ = after(*made.sent)
    assert (mixed.state.status, mixed.state.reason) == (ordered.state.status, ordered.state.reason)


@given(STEPS, st.data())
def test_a_timeout_in_between_changes_nothing_of_the_end(steps: list[str], data: st.DataObject) -> None:
    made = lived([*steps, "download", "install", "confirm"])
    row, known = waiting(), None
    for payload in made.sent:
        row, known = after(payload, start=row, known=known)
        if data.draw(st.booleans()):
            row = replace(row, state=apply(row.state, Fact(Kind.DEADLINE), NOW))
    assert (row.state.status is Status.SUCCEEDED) == (made.sha256 == TARGET and made.confirmed)
