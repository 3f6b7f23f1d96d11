"""Which certificates run out. Pure: ends and `now` in, worries out.

Of a gateway only the certificate that lasts longest counts, among those that are not revoked: once it has renewed, the
end of the one before is no worry. A gateway renews by itself when two thirds of its time are over, so one that comes
within `WARNING` of its end has not been able to, or not been on, for months.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

WARNING: Final = timedelta(days=30)  # of gateways and of our own servers
AUTHORITY_WARNING: Final = timedelta(days=365)  # a rotation wants an overlap in which every gateway comes by once
DAY: Final = timedelta(days=1)


class End(StrEnum):
    """How near it is."""

    NONE = "none"  # there is no certificate
    FAR = "far"
    NEAR = "near"
    OVER = "over"


class Worry(NamedTuple):
    """A gateway whose last certificate runs out, or has."""

    gateway_code: str
    ends_at: datetime


class Outlook(NamedTuple):
    """The gateways to look after, the first to end first. `left_behind`: codes of those whose authority is not trusted
    any more, though their certificate has not run out."""

    over: list[Worry]
    near: list[Worry]
    left_behind: list[str]


def end_of(ends_at: datetime | None, *, now: datetime, warning: timedelta = WARNING) -> End:
    """At its very last moment a certificate still is valid (RFC 5280, 4.1.2.5)."""
    if ends_at is None:
        return End.NONE
    if now > ends_at:
        return End.OVER
    return End.NEAR if horizon(now, warning) >= ends_at else End.FAR


def horizon(now: datetime, warning: timedelta = WARNING) -> datetime:
    """What ends later than this is no worry yet."""
    return now + warning


def outlook(last: Iterable[Worry], left_behind: list[str], *, now: datetime) -> Outlook:
    """Of gateways with the end of the certificate that lasts longest; those that are far from it are left out."""
    worries = sorted(last, key=lambda worry: (worry.ends_at, worry.gateway_code))
    of = {end: [worry for worry in worries if end_of(worry.ends_at, now=now) is end] for end in (End.OVER, End.NEAR)}
    return Outlook(of[End.OVER], of[End.NEAR], left_behind)


def days_left(ends_at: datetime, *, now: datetime) -> float:
    """Below 0 when it is over."""
    return (ends_at - now) / DAY
