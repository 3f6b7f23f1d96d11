"""What a timeline and a bar say, by the number that stands in it, in both languages."""

import pytest
from django.utils import translation

from tds.dashboard.updates import bars
from tds.updates.rollouts import words
from tds.updates.rollouts.counts import Counts


@pytest.mark.parametrize(
    ("language", "number", "said"),
    [
        ("en", 1, "1 gateway tries again."),
        ("en", 2, "2 gateways try again."),
        ("pt-br", 1, "1 gateway tenta de novo."),
        ("pt-br", 2, "2 gateways tentam de novo."),
    ],
)
def test_a_sentence_is_bent_by_its_number(language: str, number: int, said: str) -> None:
    with translation.override(language):
        assert words.event("retried", {"gateways": number}) == said


@pytest.mark.parametrize("given", [{}, {"gateways": "x"}, {"gateways": None}, {"gateways": [1]}])
def test_a_line_of_another_version_is_shown_as_its_kind(given: dict[str, object]) -> None:
    assert words.event("retried", given) == "retried"


def test_a_halt_that_is_no_waves_fault_names_no_wave() -> None:
    figures = {"wave": 0, "finished": 0, "bad": 0, "succeeded": 0, "rejected": 0}
    with translation.override("en"):
        assert words.event("halted", figures | {"why": "withdrawn"}) == "Halted. The release was withdrawn."
        assert words.event("halted", figures | {"wave": 2, "why": "lost"}).startswith("Halted in wave 2: of 0 finished")


def labels(counts: Counts) -> list[str]:
    return [f"{part.count} {part.label}" for part in bars.parts(counts)]


def test_a_bars_legend_is_bent_by_its_number() -> None:
    with translation.override("pt-br"):
        assert labels(Counts(succeeded=1, failed=1, offered=1)) == ["1 concluída", "1 falhou", "1 oferecida"]
        assert labels(Counts(succeeded=2, failed=1, lost=1, rejected=3)) == [
            "2 concluídas",
            "2 falharam",
            "3 recusadas",
        ]
    with translation.override("en"):
        assert labels(Counts(succeeded=2, waiting=3)) == ["2 succeeded", "3 waiting"]
