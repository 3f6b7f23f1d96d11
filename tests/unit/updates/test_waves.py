"""Waves: from words to sizes, and who is in which."""

import math
from collections import Counter
from collections.abc import Iterator

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from tds.updates.rollouts import waves
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.waves import Placed, Sized


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.mark.parametrize(
    ("text", "total", "expected"),
    [
        (waves.STANDARD, 1_000, [1, 49, 200, 750]),
        (waves.STANDARD, 100_000, [1, 4_999, 20_000, 75_000]),
        (waves.STANDARD, 10, [1, 2, 7]),  # 5 % of ten are one, who is in already
        (waves.STANDARD, 1, [1]),
        ("100 %", 7, [7]),
        ("7 %, 100 %", 100, [7, 93]),  # not 8, by the last digit of a float
        ("1,10,100%", 50, [1, 9, 40]),
        ("0.5 %; 100 %", 1_000, [5, 995]),
        ("500, 100 %", 20, [20]),
        ("100, 5 %, 100 %", 1_000, [100, 900]),
    ],
)
def test_each_wave_says_how_many_are_in_by_then(text: str, total: int, expected: list[int]) -> None:
    assert [wave.size for wave in waves.sizes(waves.parse(text), total)] == expected


def test_a_wave_keeps_the_name_it_was_asked_for_by() -> None:
    found = waves.sizes(waves.parse("1,5%,  100 %"), 100)
    assert found == (Sized("1", 1), Sized("5 %", 4), Sized("100 %", 95))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write them as in"),
        ("1,, 100 %", "write them as in"),
        ("all", "is no wave"),
        ("0, 100 %", "is no wave"),
        ("0 %, 100 %", "is no wave"),
        ("-1, 100 %", "is no wave"),
        ("101 %", "is no wave"),
        ("1e3, 100 %", "is no wave"),
        ("١, 100 %", "is no wave"),
        ("1, 50 %", "The last wave is “50 %”"),
        ("1, 10", "The last wave is “10”"),
        ("10, 1, 100 %", "“1” comes after “10”"),
        ("25 %, 5 %, 100 %", "“5 %” comes after “25 %”"),
        ("100 %, 5, 100 %", "“5” comes after “100 %”"),  # all are in by then
        ("1, " * 20 + "100 %", "use at most 20"),
        ("1" * 201, "use at most 200"),
    ],
)
def test_waves_that_make_no_sense_are_a_sentence(text: str, says: str) -> None:
    with pytest.raises(RolloutRefusedError, match=says):
        waves.parse(text)


@given(st.text(max_size=40))
def test_arbitrary_text_is_waves_or_a_sentence(text: str) -> None:
    try:
        steps = waves.parse(text)
    except RolloutRefusedError:
        return
    assert sum(wave.size for wave in waves.sizes(steps, 1_000)) == 1_000


@given(
    st.lists(st.integers(1, 99), unique=True, max_size=8).map(sorted),
    st.integers(1, 100_000),
)
def test_everybody_is_in_one_wave_and_no_wave_is_empty(percents: list[int], total: int) -> None:
    text = ", ".join(f"{percent} %" for percent in [*percents, 100])
    sizes = [wave.size for wave in waves.sizes(waves.parse(text), total)]
    assert sum(sizes) == total
    assert all(sizes)


def placed(number: int, tenant: int = 1, site: int | None = 1, hardware: str = "A", *, heard: bool = True) -> Placed:
    return Placed(number, tenant, site, hardware, heard)


FLEET = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from("AB"), st.booleans()), min_size=1, max_size=60
).map(lambda rows: [placed(n, t, s, h, heard=heard) for n, (t, s, h, heard) in enumerate(rows)])


@given(FLEET, st.randoms(use_true_random=False))
def test_the_same_seed_spreads_alike_whatever_the_order(fleet: list[Placed], random: "object") -> None:
    order = waves.spread(fleet, "7")
    shuffled = list(fleet)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert waves.spread(shuffled, "7") == order
    assert sorted(order) == sorted(each.gateway_id for each in fleet)


@given(FLEET)
def test_each_beginning_has_its_share_of_each_tenant_site_and_hardware(fleet: list[Placed]) -> None:
    here = [each for each in fleet if each.heard]
    order = waves.spread(here, "seed")
    by_id = {each.gateway_id: each for each in here}
    whole = Counter((each.tenant_id, each.site_id, each.hardware) for each in here)
    for length in range(1, len(order) + 1):
        begun = Counter((by_id[pk].tenant_id, by_id[pk].site_id, by_id[pk].hardware) for pk in order[:length])
        for stratum, members in whole.items():
            share = length * members / len(order)
            # Rounded, and each of the others can be off by as much.
            assert abs(begun[stratum] - share) <= 1 + math.ceil(len(whole) * members / len(order))


def test_a_tenth_of_a_fleet_has_a_tenth_of_its_rare_hardware() -> None:
    fleet = [placed(n, hardware="rare" if n < 100 else "usual") for n in range(1_000)]
    for seed in ("1", "2", "3"):
        assert 9 <= sum(pk < 100 for pk in waves.spread(fleet, seed)[:100]) <= 11


def test_who_is_away_comes_last_so_that_the_first_wave_does_not_wait_for_it() -> None:
    fleet = [placed(n, heard=n % 2 == 0) for n in range(20)]
    assert {pk % 2 for pk in waves.spread(fleet, "x")[:10]} == {0}


def test_another_rollout_begins_with_another_gateway() -> None:
    fleet = [placed(n) for n in range(1_000)]
    assert len({waves.spread(fleet, str(seed))[0] for seed in range(20)}) > 10
