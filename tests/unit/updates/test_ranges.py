"""Which part of a file a request gets, by RFC 9110: games with ranges included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.ota_server import ranges
from tds.ota_server.ranges import NotModifiedError, Span, UnsatisfiableError

ETAG = '"abc"'
SIZE = 1_000
WHOLE = Span(0, SIZE)


def wanted(**headers: str) -> Span:
    return ranges.wanted({name.replace("_", "-"): value for name, value in headers.items()}, ETAG, SIZE)


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-", Span(0, 1_000, is_part=True)),
        ("bytes=0-0", Span(0, 1, is_part=True)),
        ("bytes=999-", Span(999, 1_000, is_part=True)),
        ("bytes=10-19", Span(10, 20, is_part=True)),
        ("bytes=10-999999999999999999999999", Span(10, 1_000, is_part=True)),
        ("bytes=-1", Span(999, 1_000, is_part=True)),
        ("bytes=-5000", Span(0, 1_000, is_part=True)),
        ("bytes= 10-19 ", Span(10, 20, is_part=True)),
    ],
)
def test_one_range_is_answered_with_it(asked: str, span: Span) -> None:
    assert wanted(Range=asked) == span


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-0,5-6",
        "bytes=0-,0-,0-",
        "bytes=" + ",".join(f"{n}-" for n in range(2_000)),
        "bytes=",
        "bytes=-",
        "bytes=20-10",
        "bytes=--10",
        "bytes=-10-20",
        "bytes=a-b",
        "bytes=٣-٤",
        "lines=0-10",
        "Bytes=0-10",
        "",
        "bytes",
        "bytes=1-2\n",
    ],
)
def test_several_ranges_and_nonsense_are_answered_with_the_whole_file(asked: str) -> None:
    assert wanted(Range=asked) == WHOLE


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=" + "9" * 2_000 + "-"])
def test_a_range_beyond_the_end_is_unsatisfiable(asked: str) -> None:
    with pytest.raises(UnsatisfiableError):
        wanted(Range=asked)


@pytest.mark.parametrize("condition", ['"other"', 'W/"abc"', "Wed, 21 Oct 2015 07:28:00 GMT", "", "abc", '"abc", "x"'])
def test_a_part_of_another_file_is_not_given(condition: str) -> None:
    assert wanted(Range="bytes=10-", If_Range=condition) == WHOLE
    assert wanted(Range="bytes=1000-", If_Range=condition) == WHOLE


def test_a_part_of_the_same_file_is_given() -> None:
    assert wanted(Range="bytes=10-", If_Range=ETAG) == Span(10, 1_000, is_part=True)
    assert wanted(If_Range=ETAG) == WHOLE


@pytest.mark.parametrize("known", ['"abc"', '"x", "abc"', 'W/"abc"', "*", ' "abc" ', '"x",W/"abc"'])
def test_who_has_the_file_does_not_get_it(known: str) -> None:
    with pytest.raises(NotModifiedError):
        wanted(If_None_Match=known)


@pytest.mark.parametrize("known", ['"x"', "abc", "", '"ab"', '"abcd"'])
def test_who_has_another_one_gets_it(known: str) -> None:
    assert wanted(If_None_Match=known) == WHOLE


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_asked_for_is_within_the_file(asked: str, condition: str, known: str) -> None:
    try:
        span = wanted(Range=f"bytes={asked}", If_Range=condition, If_None_Match=known)
    except (UnsatisfiableError, NotModifiedError):
        return
    assert 0 <= span.start < span.end <= SIZE
