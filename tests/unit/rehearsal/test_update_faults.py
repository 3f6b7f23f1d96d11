"""What devices are put through while they are updated: dealt from a seed."""

from collections import Counter

import pytest

from device_fleet import update_faults
from device_fleet.update_faults import Point, UpdateFault
from tds.rehearsal.facts import Fault

CODES = [f"R-{number:04d}" for number in range(1, 101)]
ALL = tuple(UpdateFault)


def dealt(seed: int = 1, codes: list[str] = CODES, faults: tuple[UpdateFault, ...] = ALL) -> Counter[UpdateFault]:
    return Counter(blow.fault for blows in update_faults.deal(seed, codes, faults).values() for blow in blows)


def test_the_same_seed_deals_the_same_and_another_seed_something_else() -> None:
    assert update_faults.deal(7, CODES, ALL) == update_faults.deal(7, list(reversed(CODES)), ALL)
    assert update_faults.deal(7, CODES, ALL) != update_faults.deal(8, CODES, ALL)


def test_what_one_fault_deals_does_not_depend_on_the_others() -> None:
    alone = update_faults.deal(1, CODES, [UpdateFault.NETWORK])
    together = update_faults.deal(1, CODES, ALL)
    assert all(set(alone[code]) <= set(together[code]) for code in CODES)


def test_each_fault_strikes_its_share_and_in_a_small_fleet_at_least_one() -> None:
    assert dealt() == {
        UpdateFault.POWER: 40,
        UpdateFault.NETWORK: 40,
        UpdateFault.BAD_IMAGE: 1,
        UpdateFault.SLOW: 25,
        UpdateFault.CLOCK: 20,
    }
    assert dealt(codes=CODES[:2]) == dict.fromkeys(ALL, 1)


@pytest.mark.parametrize("seed", range(20))
def test_one_blow_alone_costs_the_new_image_a_boot(seed: int) -> None:
    """Two on the same hardware, and the platform leaves that out of the rollout: there would be no more to see."""
    for faults in (ALL, (UpdateFault.POWER, UpdateFault.CLOCK)):
        blows = [blow for blows in update_faults.deal(seed, CODES, faults).values() for blow in blows]
        cut_on_trial = [blow for blow in blows if blow.point is Point.ON_TRIAL and blow.fault is UpdateFault.POWER]
        spoilt = [blow for blow in blows if blow.fault is UpdateFault.BAD_IMAGE]
        assert len(cut_on_trial) + len(spoilt) == 1
        assert not [blow for blow in blows if blow.point is Point.ON_TRIAL and blow.fault is UpdateFault.CLOCK]


def test_power_is_cut_everywhere_in_the_image() -> None:
    done = sorted(
        blow.done
        for seed in range(10)
        for blows in update_faults.deal(seed, CODES, [UpdateFault.POWER]).values()
        for blow in blows
        if blow.point is Point.WRITING
    )
    assert done[0] < 0.1
    assert done[-1] > 0.9


def test_each_blow_is_a_sentence() -> None:
    told = [str(blow) for blows in update_faults.deal(1, CODES, ALL).values() for blow in blows]
    assert all(told)
    assert any("power cut" in each and "%" in each for each in told)


def test_no_faults_are_none() -> None:
    assert update_faults.deal(1, CODES, []) == dict.fromkeys(CODES, ())
    assert update_faults.parse("") == ()


def test_a_fault_that_is_none_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="flood: choose from power, network"):
        update_faults.parse("power,flood")


def test_the_platform_knows_the_same_faults_as_the_fleet() -> None:
    assert set(map(str, Fault)) == set(map(str, UpdateFault))
