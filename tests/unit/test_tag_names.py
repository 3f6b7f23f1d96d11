"""What a tag may be called, and which names are one tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.fleet.limits import MAX_TAG_CHARS
from tds.fleet.tag_names import folded, name_of, split


@pytest.mark.parametrize(
    "text", ["norte", "Norte", "BR-101", "v1.2_a", "3", "São_Paulo", "Ünïcödé", "北", "उत्तर", "²", "x" * MAX_TAG_CHARS]
)
def test_letters_of_any_language_digits_dashes_underscores_and_dots_make_a_name(text: str) -> None:
    assert name_of(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "-norte",
            ".",
            "_a",
            "a b",
            "a,b",
            "a;b",
            "a/b",
            "a:b",
            "a&b",
            "<b>",
            "a'b",
            'a"b',
            "a%b",
            "a#b",
            "a+b",
        ),
        *("a\x00", "a\nb", "a\u200bb", "a\u202eb", "😀", "--add", "\u0301a"),
        *("x" * (MAX_TAG_CHARS + 1), "ß" * MAX_TAG_CHARS),  # the last is found by “ss…”, which is twice as long
    ],
)
def test_nothing_else_is_a_name(text: str) -> None:
    assert name_of(text) is None


def test_what_stands_around_a_name_is_no_part_of_it() -> None:
    assert name_of(" norte\n") == "norte"


@pytest.mark.parametrize(
    ("one", "other"), [("Norte", "NORTE"), ("são", "SÃO"), ("são", "sa\u0303o"), ("Straße", "STRASSE"), ("Σας", "ΣΑΣ")]
)
def test_large_and_small_letters_and_ways_to_write_an_accent_are_one_name(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert name_of(one) is not None


def test_an_accent_makes_another_name() -> None:
    assert folded("sao") != folded("são")


@given(st.text(max_size=MAX_TAG_CHARS))
def test_what_a_name_is_found_by_is_found_by_itself(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    if (name := name_of(text)) is not None:
        assert name_of(name) == name
        assert split(name) == (name,)
        assert len(folded(name)) <= MAX_TAG_CHARS


def test_a_field_holds_several_names_each_once() -> None:
    assert split(" norte, sul;  norte\tBR-101\n") == ("norte", "sul", "BR-101")
    assert split(" ,; ") == ()
