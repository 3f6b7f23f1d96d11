"""What a person may ask of a rehearsal."""

import pytest

from tds.rehearsal import plan, ports
from tds.rehearsal.facts import Fault
from tds.rehearsal.refusal import RehearsalRefusedError


def test_faults_are_named_with_commas_between() -> None:
    assert plan.faults(" clock, power,power") == (Fault.POWER, Fault.CLOCK)
    assert plan.faults("none") == plan.faults("") == ()


@pytest.mark.parametrize("text", ["flood", "power,none", "power;network"])
def test_a_fault_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(RehearsalRefusedError, match=r"choose faults from power, .* or none\."):
        plan.faults(text)


def test_two_rehearsals_at_once_get_no_port_in_common() -> None:
    with ports.block() as first, ports.block() as second:
        assert not set(first) & set(second)


def test_when_all_blocks_are_held_another_rehearsal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LAST", ports.FIRST + ports.A_BLOCK)
    monkeypatch.setattr(ports, "TRIES", 1)
    with ports.block(), pytest.raises(ports.NoPortsError, match="no free ports"), ports.block():
        pass
