"""The telemetry gate: whether gateways that run a release still deliver as in their own week before. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.rules import Verdict

HISTORY_ENOUGH_H: Final = 24  # hours with readings; of a gateway with fewer its own word is taken
EXPECTED_ENOUGH: Final = 5.0  # messages that it would have sent by now: fewer say nothing
RATE_LEAST: Final = 0.5  # of its messages an hour before
SERIES_LEAST: Final = 0.8  # of its distinct readings an hour before
SERIES_OBSERVED_S: Final = 3_600  # a series may be read once an hour
QUARANTINE_MOST: Final = 0.1  # of its messages, more than before
QUARANTINE_ENOUGH: Final = 3  # messages; one may be a gateway's bad day
RESTARTS_MOST: Final = 2  # after it succeeded; a power cut is one
OBSERVED_S: Final = 900  # at least, or the soak if that is shorter
PATIENCE_S: Final = 86_400  # who sends less often is not waited for
# For the first message of one that has sent readings, and of which nobody knows how often; then nobody can judge it.
FIRST_MESSAGE_PATIENCE_S: Final = 6 * 3_600


class Sign(StrEnum):
    """What is worse than before. Their sentences are in words.py."""

    SILENT = "silent"
    FEWER_MESSAGES = "fewer_messages"
    FEWER_READINGS = "fewer_readings"
    QUARANTINED = "quarantined"
    RESTARTS = "restarts"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Before:
    """In the week before the update: hours with readings, messages an hour from the first of them to the last, and
    readings in each of them on average."""

    hours: int = 0
    messages_an_hour: float = 0.0
    series_an_hour: float = 0.0
    quarantined: float = 0.0  # of its messages, from 0 to 1
    alerts: int = 0


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Of one gateway since it succeeded. `ever`: it has sent readings, whenever. `interval_s`: how often it sends, by
    its own word. `alerts`: open ones. `counted_s`: of the time observed, the last part, in which messages are
    counted; None: all of it."""

    gateway_id: int
    observed_s: float
    messages: int
    series: int
    quarantined: int
    restarts: int
    before: Before
    ever: bool = True
    interval_s: float | None = None
    alerts: int = 0
    counted_s: float | None = None

    @property
    def expected(self) -> float | None:
        """Messages that it would have sent by now; None: nobody knows."""
        an_hour = an_hour_of(self.before.hours, self.before.messages_an_hour, self.interval_s)
        counted_s = self.observed_s if self.counted_s is None else self.counted_s
        return None if an_hour is None else an_hour * counted_s / 3_600

    @property
    def measured(self) -> bool:
        """It sends readings, or did: of one that never had a sensor none are asked."""
        return bool(self.messages or self.ever)


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    bad: dict[int, Sign]  # by gateway
    waiting: int = 0
    good: int = 0
    unjudged: int = 0  # nothing to compare with


def an_hour_of(hours: int, messages_an_hour: float, interval_s: float | None) -> float | None:
    """Messages that a gateway sends an hour, by its history or else by its own word; None: nobody knows."""
    if hours >= HISTORY_ENOUGH_H:
        return messages_an_hour
    return 3_600 / interval_s if interval_s else None


NOTHING: Final = Judged(Verdict.PASSED, {})


def judge(found: Iterable[GatewayHealth], limits: Limits) -> Judged:
    """Of gateways of a wave that succeeded; those of `found` may be a sample of them."""
    bad: dict[int, Sign] = {}
    waiting = good = unjudged = 0
    for health in found:
        sign = sign_of(health, limits)
        if sign is not None:
            bad[health.gateway_id] = sign
        elif not _observed(health, limits):
            waiting += 1
        elif health.expected is None or not health.measured:
            unjudged += 1
        else:
            good += 1
    finished = len(bad) + good + unjudged
    if bad and len(bad) * 100 >= limits.failure_percent * (finished + waiting):
        verdict = Verdict.FAILED
    elif waiting * 100 > (100 - limits.success_percent) * (finished + waiting):
        verdict = Verdict.WAITING
    else:
        verdict = Verdict.PASSED
    return Judged(verdict, bad, waiting, good, unjudged)


def sign_of(health: GatewayHealth, limits: Limits) -> Sign | None:  # noqa: PLR0911  # a list of signs
    """What is wrong with it, as far as it was observed."""
    before, expected = health.before, health.expected
    if health.restarts > RESTARTS_MOST:
        return Sign.RESTARTS
    if health.alerts > before.alerts:
        return Sign.ALERTS
    if health.quarantined >= QUARANTINE_ENOUGH and _quarantined(health) > before.quarantined + QUARANTINE_MOST:
        return Sign.QUARANTINED
    if expected is None or expected < EXPECTED_ENOUGH or not health.measured:
        return None
    if not health.messages:
        return Sign.SILENT
    if not _long_enough(health, limits):
        return None
    if health.messages < RATE_LEAST * expected:  # one that measured once, and then no more, has sent something
        return Sign.FEWER_MESSAGES
    if (
        before.hours >= HISTORY_ENOUGH_H
        and health.observed_s >= SERIES_OBSERVED_S
        and health.series < SERIES_LEAST * before.series_an_hour
    ):
        return Sign.FEWER_READINGS
    return None


def _quarantined(health: GatewayHealth) -> float:
    return health.quarantined / (health.quarantined + health.messages)


def _long_enough(health: GatewayHealth, limits: Limits) -> bool:
    return health.observed_s >= min(OBSERVED_S, limits.soak_s or OBSERVED_S)


def _observed(health: GatewayHealth, limits: Limits) -> bool:
    if health.observed_s >= PATIENCE_S:
        return True
    if not _long_enough(health, limits):
        return False
    if not health.measured:
        return True
    if health.expected is None:
        return health.messages > 0 or health.observed_s >= FIRST_MESSAGE_PATIENCE_S
    # One that sends more often than it did need not be waited for until it would have sent so many.
    return max(health.expected, health.messages) >= EXPECTED_ENOUGH
