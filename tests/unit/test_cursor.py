from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.readings.cursor import Cursor, parse_cursor

times = st.timedeltas(timedelta(0), timedelta(days=2_500_000)).map(lambda age: datetime(1970, 1, 1, tzinfo=UTC) + age)


@given(times, times)
def test_a_cursor_comes_back_as_it_went_out_but_for_less_than_a_millisecond(
    made_at: datetime, open_at: datetime
) -> None:
    back = parse_cursor(str(Cursor(made_at, open_at)))
    assert back is not None
    # Never later: what changed in between would be missed.
    assert timedelta(0) <= made_at - back.made_at < timedelta(milliseconds=1)
    assert timedelta(0) <= open_at - back.open_since < timedelta(milliseconds=1)


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    found = parse_cursor(text)
    assert found is None or str(found).startswith("1.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "2.1.1",
        "1.-1.1",
        "1.1.1 ",
        "1.1.1\n",
        "1.٣.1",
        "1.999999999999999.1",
        "1." + "9" * 99,
    ],
)
def test_what_is_no_cursor_is_none(text: str) -> None:
    assert parse_cursor(text) is None
