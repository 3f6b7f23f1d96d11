import pytest

from tds.fleet.counted import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("gateway",), "0 gateways"),
        (1, ("gateway",), "1 gateway"),
        (2_000, ("gateway",), "2,000 gateways"),
        (1, ("gateway tries", "gateways try"), "1 gateway tries"),
        (0, ("gateway tries", "gateways try"), "0 gateways try"),
    ],
)
def test_one_is_one_and_all_else_are_many(number: int, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said
