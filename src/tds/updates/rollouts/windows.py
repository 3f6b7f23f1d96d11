"""The maintenance window: from one time of the day to another, in the time zone of each gateway's site. Pure."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

from tds.updates.rollouts.refusals import RolloutRefusedError

logger = logging.getLogger("tds.updates")
unknown_zones: Final[set[str]] = set()  # of sites, that were met since the start

DAY: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
FORM: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d) ?[-–] ?([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DAYS_AHEAD: Final = 8  # a clock is put forward once; no two days in a row lack the same hour


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until before `end`, by the clock on the wall; over midnight when `end` is the earlier one.

    The two are never the same: a whole day is no window at all.
    """

    start: time
    end: time

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError("A window that begins when it ends would be empty, or always open.")

    def has(self, clock: time) -> bool:
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


def read(text: str) -> Window | None:
    """From "22:00-04:00"; None of an empty text. Raises RolloutRefusedError."""
    if not text.strip():
        return None
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise RolloutRefusedError(
            _("“%(text)s” is no window; write it as in “22:00-04:00”.") % {"text": text.strip()[:32]}
        )
    begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
    return between(time(begin_hour, begin_minute), time(end_hour, end_minute))


def written(window: Window | None) -> str:
    """As `read` takes it."""
    return "" if window is None else f"{window.start:%H:%M}-{window.end:%H:%M}"


def between(start: time, end: time) -> Window:
    """Raises RolloutRefusedError."""
    if start == end:
        raise RolloutRefusedError(_("The window ends when it begins; leave it out if any time will do."))
    return Window(start, end)


def is_open(window: Window | None, zone: ZoneInfo, now: datetime) -> bool:
    """By what the clock on the wall shows: an hour that comes twice is open twice, one that is left out never."""
    return window is None or window.has(now.astimezone(zone).time())


def closing(window: Window, zone: ZoneInfo, now: datetime) -> datetime:
    """The first instant after `now`, in UTC, at which the wall shows its end."""
    today = now.astimezone(zone).date()
    for days in range(DAYS_AHEAD):
        for ends in _openings(window.end, today + days * DAY, zone):
            if ends > now:
                return ends
    raise AssertionError("A window ends within a week.")


@lru_cache(maxsize=600)  # there are no more
def zone(name: str) -> ZoneInfo:
    """UTC of a name that this machine does not know; `unknown_zones` has them."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        unknown_zones.add(name)
        logger.warning("This machine knows no time zone %r: UTC is taken. Correct the site, or install tzdata.", name)
        return ZoneInfo("UTC")


def next_opening(window: Window | None, zone: ZoneInfo, now: datetime) -> datetime:
    """`now` while it is open; else the first instant, in UTC, at which it is."""
    if is_open(window, zone, now) or window is None:
        return now.astimezone(UTC)
    today = now.astimezone(zone).date()
    for days in range(DAYS_AHEAD):
        for opening in _openings(window.start, today + days * DAY, zone):
            if opening > now and is_open(window, zone, opening):
                return opening
    raise AssertionError("A window opens within a week.")


def _openings(start: time, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """The instants at which the wall shows `start` on that day; where it is left out, when it is skipped."""
    wall = datetime.combine(day, start)
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        yield first
        if second > first:
            yield second
        return
    # In the gap the clock before it tells a later instant than the clock after it; the clock is put between the two.
    at, before = second, second.astimezone(zone).utcoffset()
    while at < first and at.astimezone(zone).utcoffset() == before:
        at += MINUTE
    yield at
