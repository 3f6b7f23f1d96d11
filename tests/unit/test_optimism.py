"""When a batch is first tried as if none of its rows were there."""

from tds.readings.optimism import CALM_BATCHES, MIN_ROWS, Optimism


def test_a_large_batch_is_tried_the_quick_way_and_a_small_one_is_not() -> None:
    assert Optimism().suits(MIN_ROWS)
    assert not Optimism().suits(MIN_ROWS - 1)


def test_after_a_copy_care_is_taken_until_enough_large_batches_had_none() -> None:
    optimism = Optimism()
    optimism.disappointed()
    optimism.learn(MIN_ROWS, copies=1)
    for _ in range(CALM_BATCHES):
        assert not optimism.suits(MIN_ROWS)
        optimism.learn(1, copies=0)  # a small batch says nothing of the large ones
        optimism.learn(MIN_ROWS, copies=0)
    assert optimism.suits(MIN_ROWS)


def test_a_copy_in_a_small_batch_is_a_reason_for_care() -> None:
    optimism = Optimism()
    optimism.learn(1, copies=1)
    assert not optimism.suits(MIN_ROWS)
