"""The maintenance window: over midnight, and where clocks are put forward and back."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from tds.updates.rollouts import windows
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.windows import Window


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


SAO_PAULO = ZoneInfo("America/Sao_Paulo")  # UTC-3, without summer time now
NEW_YORK = ZoneInfo("America/New_York")  # forward on 2026-03-08 at 02:00, back on 2026-11-01 at 02:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # by half an hour
NIGHT = Window(time(22), time(4))
EARLY = Window(time(2), time(4))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "zone", "now", "expected"),
    [
        (NIGHT, SAO_PAULO, "2026-02-18 00:59", "2026-02-18 01:00"),  # 22:00 there
        (NIGHT, SAO_PAULO, "2026-02-18 01:00", "2026-02-18 01:00"),
        (NIGHT, SAO_PAULO, "2026-02-18 06:59", "2026-02-18 06:59"),  # after midnight, still open
        (NIGHT, SAO_PAULO, "2026-02-18 07:00", "2026-02-19 01:00"),
        (EARLY, NEW_YORK, "2026-03-07 12:00", "2026-03-08 07:00"),  # 02:00 does not come: at 03:00 of the new clock
        (EARLY, NEW_YORK, "2026-03-08 07:59", "2026-03-08 07:59"),
        (EARLY, NEW_YORK, "2026-03-08 08:00", "2026-03-09 06:00"),
        (Window(time(2, 30), time(4)), NEW_YORK, "2026-03-08 01:00", "2026-03-08 07:00"),
        (Window(time(2), time(3)), NEW_YORK, "2026-03-08 01:00", "2026-03-09 06:00"),  # the hour that is left out
        (Window(time(1), time(2)), NEW_YORK, "2026-11-01 04:00", "2026-11-01 05:00"),  # the hour that comes twice …
        (Window(time(1), time(2)), NEW_YORK, "2026-11-01 06:30", "2026-11-01 06:30"),  # … is open twice
        (Window(time(1), time(2)), NEW_YORK, "2026-11-01 07:00", "2026-11-02 06:00"),
        (Window(time(1, 15), time(1, 20)), NEW_YORK, "2026-11-01 05:20", "2026-11-01 06:15"),
        (Window(time(2, 10), time(5)), LORD_HOWE, "2026-10-03 15:00", "2026-10-03 15:30"),
        (None, NEW_YORK, "2026-03-08 07:00", "2026-03-08 07:00"),
    ],
)
def test_a_window_opens_by_the_clock_on_the_wall(
    window: Window | None, zone: ZoneInfo, now: str, expected: str
) -> None:
    assert windows.next_opening(window, zone, at(now)) == at(expected)
    assert windows.is_open(window, zone, at(now)) is (now == expected)


ZONES = st.sampled_from([SAO_PAULO, NEW_YORK, LORD_HOWE, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Apia")])
MINUTES = st.integers(0, 1_439).map(lambda minute: time(minute // 60, minute % 60))


@given(MINUTES, MINUTES, ZONES, st.integers(0, 366 * 1_440))
def test_the_next_opening_is_open_and_the_minute_before_is_not(
    start: time, end: time, zone: ZoneInfo, minute: int
) -> None:
    if start == end:
        return
    window, now = Window(start, end), at("2026-01-01 00:00") + timedelta(minutes=minute)
    opening = windows.next_opening(window, zone, now)
    assert windows.is_open(window, zone, opening)
    assert now <= opening <= now + timedelta(days=3)
    if opening > now:
        assert not windows.is_open(window, zone, opening - timedelta(minutes=1))


@pytest.mark.parametrize(
    "text", ["22:00", "22-4", "24:00-04:00", "22:60-04:00", "22:00-04:00-05:00", "a:b-c:d", "x" * 99]
)
def test_a_window_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(RolloutRefusedError, match="22:00-04:00"):
        windows.read(text)


def test_a_window_that_ends_when_it_begins_is_refused() -> None:
    with pytest.raises(RolloutRefusedError, match="ends when it begins"):
        windows.read("03:00-03:00")


def test_a_window_is_read_as_a_person_writes_it() -> None:
    assert windows.read(" 22:00 – 04:00 ") == windows.read("22:00-04:00") == NIGHT
    assert windows.read("") is None
