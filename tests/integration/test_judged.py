"""What the database finds of gateways' health is what each of them is shown with."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import pytest
from django.db.models import QuerySet
from django.utils import translation

from tds.dashboard import gateway_facts
from tds.dashboard.gateway_choice import BY_HEALTH, Choice, State
from tds.devicelink import fleet_health
from tds.devicelink.health import (
    AFTERWARDS,
    CLOCK_OFF,
    CONFIRM_WITHIN,
    KEPT,
    LINK_PATIENCE,
    REPORTS_MISSED,
    SILENT_AFTER,
    START_MARGIN,
    Health,
    Session,
    Trouble,
)
from tds.devicelink.judged import NO_TROUBLE
from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.fleet import audit
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus, Tenant
from tests import seeding

pytestmark = pytest.mark.django_db

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)  # what PostgreSQL keeps
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
PUT_OUT: Final = 30 * MINUTE
RESTARTED: Final = 20 * MINUTE
INTERVAL: Final = 12 * MINUTE
# Heard until, and started, so long ago.
BROKERS: Final[dict[str, tuple[timedelta | None, timedelta | None]]] = {
    "well": (SECOND, 3 * DAY),
    "unsaid": (LINK_PATIENCE, None),
    "restarted": (SECOND, RESTARTED),
    "just-started": (SECOND, 2 * MINUTE),
    "lost": (LINK_PATIENCE + TICK, 3 * DAY),
    "lost-restarted": (HOUR, RESTARTED),
    "never-heard": (None, None),
}
NO_SUCH: Final = "gone"
ACTIVE: Final = "active"
DISABLED: Final = "disabled"
UNTOLD: Final = "disabled, and nobody wrote down when"
RETIRED: Final = "retired"
# Each is where a rule turns.
TURNS: Final = (
    SILENT_AFTER,
    REPORTS_MISSED * INTERVAL,
    PUT_OUT,
    PUT_OUT - AFTERWARDS,
    RESTARTED,
    RESTARTED + START_MARGIN,
    CONFIRM_WITHIN,
    2 * MINUTE,
)


@dataclass(frozen=True, slots=True)
class Case:
    """Of one gateway; times are ages. `online` None: it has never said anything of its presence."""

    status: str = ACTIVE
    online: bool | None = None
    broker: str = "well"
    changed: timedelta = HOUR
    heard: timedelta | None = None
    message: timedelta | None = None
    dated: timedelta | None = None  # how far its messages' time is ahead of them
    ahead: timedelta | None = None
    clock: timedelta | None = None
    interval: timedelta | None = None


def of_sessions() -> Iterator[Case]:
    """All that decides on a session, coarsely."""
    ages = (3 * HOUR, PUT_OUT - AFTERWARDS - SECOND, 15 * MINUTE, MINUTE)
    statuses = (ACTIVE, DISABLED, UNTOLD, RETIRED)
    for status, message in product(statuses, (None, *ages)):
        yield Case(status, message=message)
    wheres = product(statuses, (True, False), (*BROKERS, NO_SUCH), ages, (None, ages[0], ages[3]), (None, *ages))
    for status, online, broker, changed, heard, message in wheres:
        yield Case(status, online, broker, changed, heard, message)


def of_clocks() -> Iterator[Case]:
    off = (CLOCK_OFF, CLOCK_OFF + TICK, 3 * HOUR, KEPT, KEPT + TICK)
    lengths = (None, timedelta(0), *off, *(-each for each in off))
    for message, dated in product((None, MINUTE), lengths):
        yield Case(message=message, dated=dated)
        for ahead, clock in product(lengths, (None, MINUTE - TICK, MINUTE, MINUTE + TICK)):
            yield Case(online=True, message=message, dated=dated, ahead=ahead, clock=clock)


def of_turns() -> Iterator[Case]:
    """On both sides of each turn, in any combination."""
    draw = random.Random(5)
    turns = [turn + side for turn in TURNS for side in (-TICK, timedelta(0), TICK)]
    for _ in range(2_500):
        yield Case(
            draw.choice((ACTIVE, ACTIVE, DISABLED, RETIRED)),
            draw.random() < 0.9,
            draw.choice((*BROKERS, NO_SUCH)),
            draw.choice(turns),
            draw.choice((None, *turns)),
            draw.choice((None, *turns)),
            interval=draw.choice((None, SECOND, INTERVAL)),
        )


CASES: Final = (*of_sessions(), *of_clocks(), *of_turns())


def ago(length: timedelta | None) -> datetime | None:
    return None if length is None else NOW - length


def row(of_tenant: Tenant, number: int, case: Case) -> Gateway:
    status = {UNTOLD: GatewayStatus.DISABLED}.get(case.status) or GatewayStatus(case.status)
    message = ago(case.message)
    return Gateway(
        tenant=of_tenant,
        code=f"GW-{number}",
        status=status,
        retired_at=ago(PUT_OUT) if case.status == RETIRED else None,
        last_seen_at=message,
        dated_at=(message or NOW) + case.dated if case.dated is not None else None,
    )


def presence(gateway: Gateway, case: Case) -> GatewayPresence:
    return GatewayPresence(
        gateway=gateway,
        online=bool(case.online),
        brokers=[case.broker] if case.online else [],
        broker=case.broker,
        changed_at=NOW - case.changed,
        witnessed=True,
        heard_at=ago(case.heard),
        clock_ahead=case.ahead,
        clock_at=ago(case.clock),
        report_interval=case.interval,
    )


def entry(gateway: Gateway, at: datetime, action: AuditAction = AuditAction.DISABLED) -> AuditEntry:
    return AuditEntry(
        at=at, action=action, object_kind=audit.GATEWAY, object_id=gateway.pk, object_name=gateway.code, detail={}
    )


@pytest.fixture
def fleet() -> QuerySet[Gateway]:
    for broker, (heard, started) in BROKERS.items():
        BrokerLink.objects.create(broker=broker, heard_until=ago(heard), started_at=ago(started))
    tenant = seeding.tenant("acme")
    made = Gateway.objects.bulk_create(row(tenant, number, case) for number, case in enumerate(CASES))
    both = list(zip(made, CASES, strict=True))
    GatewayPresence.objects.bulk_create(presence(each, case) for each, case in both if case.online is not None)
    disabled = [gateway for gateway, case in both if case.status == DISABLED]
    # Disabled twice: the last time counts, whatever was done in between.
    for at, action in ((DAY, AuditAction.DISABLED), (HOUR, AuditAction.ENABLED), (PUT_OUT, AuditAction.DISABLED)):
        AuditEntry.objects.bulk_create(entry(gateway, NOW - at, action) for gateway in disabled)
    return Gateway.objects.filter(tenant=tenant)


CLOCKS: Final = {Trouble.CLOCK_AHEAD, Trouble.CLOCK_BEHIND, Trouble.OLD_READINGS}


def short(health: Health) -> tuple[str, bool, str]:
    """As the database tells it."""
    [clock] = [str(trouble) for trouble in health.troubles if trouble in CLOCKS] or [NO_TROUBLE]
    return str(health.session), Trouble.SILENT in health.troubles, clock


def test_the_database_judges_as_the_rule_does_whatever_the_facts(fleet: QuerySet[Gateway]) -> None:
    shown = {gateway.code: health for gateway, health in fleet_health.walk(fleet, now=NOW)}
    found = {
        code: (session, silent, clock)
        for code, session, silent, clock in fleet_health.find(fleet, now=NOW).values_list(
            "code", "session", "silent", "clock"
        )
    }
    differing = {
        f"GW-{number}": (case, short(shown[f"GW-{number}"]), found[f"GW-{number}"])
        for number, case in enumerate(CASES)
        if short(shown[f"GW-{number}"]) != found[f"GW-{number}"]
    }
    assert not differing
    # All that there is to tell apart was there.
    assert {health.session for health in shown.values()} == set(Session)
    assert {trouble for health in shown.values() for trouble in health.troubles} == set(Trouble)
    assert len(found) == len(CASES)
    # One by one it is the same.
    some = list(fleet.order_by("?")[:200])
    assert fleet_health.of(some, now=NOW) == {gateway.pk: shown[gateway.code] for gateway in some}


def test_the_counts_are_those_of_the_gateways(fleet: QuerySet[Gateway]) -> None:
    used = [h for gateway, h in fleet_health.walk(fleet, now=NOW) if gateway.status != GatewayStatus.RETIRED]
    counts = fleet_health.counts(fleet, now=NOW)
    assert counts.gateways == len(used)
    assert counts.sessions == Counter(health.session for health in used)
    assert counts.silent == sum(Trouble.SILENT in health.troubles for health in used)
    assert counts.wrong_clock == sum(health.wrong_clock for health in used)


BADGES: Final[dict[State, Callable[[Health], bool]]] = {
    State.CONNECTED: lambda health: gateway_facts.session(health, now=NOW).value == "connected",
    State.NOT_CONNECTED: lambda health: gateway_facts.session(health, now=NOW).value == "not connected",
    State.UNCERTAIN: lambda health: gateway_facts.session(health, now=NOW).value == "not known",
    State.UNSAID: lambda health: gateway_facts.session(health, now=NOW).value == "not said",
    State.NEVER: lambda health: gateway_facts.session(health, now=NOW).value == "never seen",
    State.SILENT: lambda health: "but silent for" in gateway_facts.last_message(health, now=NOW).sentence,
    State.WRONG_TIME: lambda health: (
        gateway_facts.last_reading(health, now=NOW).value.split()[-1] in {"ahead", "behind", "old"}
    ),
}


def test_the_list_finds_by_a_state_whom_it_shows_so_and_nobody_else(fleet: QuerySet[Gateway]) -> None:
    assert BADGES.keys() == BY_HEALTH.keys()
    shown = {
        gateway.code: health
        for gateway, health in fleet_health.walk(fleet, now=NOW)
        if gateway.status != GatewayStatus.RETIRED
    }
    for state, is_shown in BADGES.items():
        found = set(Choice(state=state).of(fleet, now=NOW).values_list("code", flat=True))
        with translation.override("en"):
            assert found == {code for code, health in shown.items() if is_shown(health)}, state
        assert found, state
    # By its session each is found once.
    assert sum(Choice(state=state).of(fleet, now=NOW).count() for state in [*BADGES][:5]) == len(shown)
