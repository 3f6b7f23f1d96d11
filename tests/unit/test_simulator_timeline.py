"""When a simulated gateway measures, and how people write spans of time."""

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.simulator.span import span_ms
from tds.simulator.timeline import Timeline, phase_ms

NOW_MS = 1_790_000_012_345
STEP_MS = 900_000
DAY_MS = 86_400_000


def timeline(
    *, history_ms: int = DAY_MS, live_ms: int | None = 0, phase: int = 1_234, now_ms: int = NOW_MS
) -> Timeline:
    live_until_ms = None if live_ms is None else now_ms + live_ms
    return Timeline(now_ms - history_ms, now_ms, live_until_ms, STEP_MS, 5_000, phase)


def test_history_ends_where_live_begins() -> None:
    moments = list(islice(timeline(live_ms=None).moments(), 200))
    history = [at for at in moments if at < NOW_MS]
    live = [at for at in moments if at >= NOW_MS]
    assert all(later - at == STEP_MS for at, later in pairwise(history))
    assert all(later - at == 5_000 for at, later in pairwise(live))
    assert live[0] - NOW_MS < 5_000
    assert NOW_MS - history[-1] <= STEP_MS


@given(
    history_ms=st.integers(0, 3 * DAY_MS), phase=st.integers(0, 4_999), now_ms=st.integers(DAY_MS * 4, DAY_MS * 40_000)
)
def test_the_length_of_history_is_known_before_it_is_made(history_ms: int, phase: int, now_ms: int) -> None:
    plan = timeline(history_ms=history_ms, phase=phase, now_ms=now_ms)
    moments = list(plan.moments())
    assert len(moments) == plan.history_length()
    assert all(now_ms - history_ms <= at < now_ms for at in moments)


def test_a_run_an_hour_later_measures_at_the_same_moments() -> None:
    first = set(timeline().moments())
    second = set(timeline(now_ms=NOW_MS + 3_600_000).moments())
    assert len(first - second) == len(second - first) == 4


def test_gateways_do_not_measure_in_one_breath() -> None:
    phases = {phase_ms(7, f"GW-{n}", 5_000, STEP_MS) for n in range(50)}
    assert len(phases) > 40
    assert all(0 <= phase < 5_000 for phase in phases)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("45", 45), ("90m", 5_400), ("36h", 129_600), ("30d", 2_592_000), ("1.5s", 1.5)]
)
def test_spans_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert span_ms(text) == seconds * 1000


@pytest.mark.parametrize("text", ["", "d", "-1d", "30 days", "1w", "٣d", "99999d", "1e3"])
def test_another_span_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90m, 36h or 30d"):
        span_ms(text)
