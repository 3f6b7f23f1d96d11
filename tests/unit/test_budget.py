"""Which days bytes may cost: the oldest, whole ones, and never one of the minimum."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.readings.budget import LONG_AGO, Budget, PartSize, cut_off, day_of, oldest_kept

NOW: Final = datetime(2026, 6, 30, 12, 30, tzinfo=UTC)
TODAY: Final = datetime(2026, 6, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)
RETENTION: Final = timedelta(days=20)


def days(*sizes: int) -> list[PartSize]:
    """The last of them is today."""
    first = TODAY - DAY * (len(sizes) - 1)
    return [PartSize(first + DAY * n, first + DAY * (n + 1), size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "max_bytes", "min_days", "since", "over"),
    [
        ([10] * 5, 0, 1, 20, 0),  # no budget: days alone
        ([10] * 5, 50, 1, 20, 0),  # it just fits
        ([10] * 5, 49, 1, 3, 0),  # one day goes
        ([10] * 5, 30, 1, 2, 0),
        ([10] * 5, 21, 1, 1, 0),
        ([10] * 5, 19, 1, 1, 1),  # yesterday and today are the minimum
        ([10] * 5, 1, 2, 2, 29),
        ([10] * 5, 1, 7, 20, 49),  # not even seven days are there: nothing goes
        ([90, 1, 1, 1, 1], 10, 1, 3, 0),  # the oldest is enough
        ([1, 1, 1, 1, 90], 10, 1, 1, 81),  # today cannot go
        ([], 1, 1, 20, 0),
    ],
)
def test_the_oldest_days_go_until_the_rest_fits_or_is_the_minimum(
    sizes: list[int], max_bytes: int, min_days: int, since: int, over: int
) -> None:
    found = cut_off(days(*sizes), Budget(max_bytes, min_days), RETENTION, LONG_AGO, now=NOW)
    assert (found.since, found.over_bytes) == (TODAY - DAY * since, over)
    assert found.kept_bytes == sum(part.size_bytes for part in days(*sizes) if part.end > found.since)


def test_what_goes_by_days_or_is_decided_already_is_no_part_of_the_sum() -> None:
    many = days(*[10] * 40)
    assert cut_off(many, Budget(210, 1), RETENTION, LONG_AGO, now=NOW) == (TODAY - 20 * DAY, 210, 0)
    assert cut_off(many, Budget(210, 1), RETENTION, TODAY - 5 * DAY, now=NOW) == (TODAY - 5 * DAY, 60, 0)


def test_a_cut_off_is_not_taken_back_when_there_is_room_again() -> None:
    assert cut_off(days(1, 1), Budget(1_000, 1), RETENTION, TODAY - DAY, now=NOW).since == TODAY - DAY


def test_a_retention_that_is_shorter_than_the_minimum_is_a_persons_word() -> None:
    assert oldest_kept(2 * DAY, LONG_AGO, now=NOW) == TODAY - 2 * DAY
    assert cut_off(days(10, 10, 10, 10), Budget(5, 7), 2 * DAY, LONG_AGO, now=NOW) == (TODAY - 2 * DAY, 30, 25)


@given(
    st.lists(st.integers(0, 1_000), max_size=40),
    st.integers(1, 20_000),
    st.integers(1, 30),
    st.integers(0, 40),
    st.integers(-600, 600),
)
def test_the_minimum_is_never_undercut_and_nothing_more_goes_than_has_to(
    sizes: list[int], max_bytes: int, min_days: int, decided: int, minutes: int
) -> None:
    now = NOW + timedelta(minutes=minutes)
    known = oldest_kept(RETENTION, TODAY - DAY * decided, now=now)
    parts = days(*sizes)
    found = cut_off(parts, Budget(max_bytes, min_days), RETENTION, TODAY - DAY * decided, now=now)
    assert found.since >= known
    if found.since > known:
        assert now - found.since >= DAY * min_days
        assert day_of(found.since) == found.since
        one_day_more = sum(part.size_bytes for part in parts if part.end >= found.since)
        assert one_day_more > max_bytes
    if found.over_bytes:
        next_to_go = next(part for part in parts if part.end > found.since)
        assert now - next_to_go.end < DAY * min_days
