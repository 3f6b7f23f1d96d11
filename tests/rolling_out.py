"""Releases, fleets that can take them, and rollouts, for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from django.db import connection as django_connection

from tds.fleet.models import Gateway, Tenant
from tds.updates.executions import keeper, tickets
from tds.updates.models import Execution, KnownBad, Release, RolledBack, Rollout, RolloutEvent, RunningFirmware
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.conductor import Conducting, Connection
from tds.updates.rollouts.gate import GatewayHealth
from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.target import Target
from tds.updates.rollouts.watching import Watched

T0: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
OLD: Final = "a" * 64
NEW: Final = "b" * 64
QUICK: Final = Limits(soak_s=0, gate=False)
EVERYBODY: Final = Target(everything=True)


def release(**fields: Any) -> Release:
    """Published, for `dcu-0080` of any hardware."""
    given: dict[str, Any] = {
        "product": "dcu",
        "version": "1.1.0",
        "counter": 2,
        "families": ["dcu-0080"],
        "chip": "host",
        "hardware": ["*"],
        "size": 4_096,
        "sha256": NEW,
        "released_at": T0,
        "manifest": "a.b.c",
        "manifest_sha256": uuid4().hex * 2,
        "key_id": "k" * 43,
        "status": "published",
        "published_at": T0,
    }
    return Release.objects.create(**given | fields)


def gateways(tenant: Tenant, number: int, prefix: str = "GW", **fields: Any) -> list[Gateway]:
    """Heard lately, and running 1.0.0, by their own report."""
    given: dict[str, Any] = {"family": "dcu-0080", "last_seen_at": T0}
    made = Gateway.objects.bulk_create(
        [Gateway(tenant=tenant, code=f"{prefix}-{n:06}", **given | fields) for n in range(number)], batch_size=5_000
    )
    RunningFirmware.objects.bulk_create([running(gateway) for gateway in made], batch_size=5_000)
    return made


def running(gateway: Gateway, **fields: Any) -> RunningFirmware:
    given: dict[str, Any] = {
        "version": "1.0.0",
        "sha256": OLD,
        "slot": 0,
        "counter": 1,
        "confirmed": True,
        "chip": "host",
        "family": gateway.family,
        "hardware": gateway.hardware,
        "trust_version": 1,
        "life": "00000001",
        "boot": 1,
        "number": 1,
        "started_at": T0,
        "reported_at": T0,
    }
    return RunningFirmware(gateway=gateway, **given | fields)


def known_bad(of: Release, tenant: Tenant, hardware: str, *, family: str = "dcu-0080") -> KnownBad:
    """As if two gateways of that company, which are no longer in use, had rolled it back."""
    where: dict[str, Any] = {"release": of, "family": family, "hardware": hardware}
    for _ in range(2):
        gateway = Gateway.objects.create(tenant=tenant, code=uuid4().hex[:16], status="retired", retired_at=T0)
        RolledBack.objects.create(gateway=gateway, at=T0, **where)
    return KnownBad.objects.create(rolled_back=2, last_at=T0, **where)


def launched(
    of: Release, *, waves: str = "1, 100 %", limits: Limits = QUICK, target: Target = EVERYBODY, now: datetime = T0
) -> Rollout:
    rollout, _started = desk.launch(COMMAND_LINE, Plan(of, target, waves, limits), now=now)
    return rollout


class Stage:
    """The conductor with its clock in the test's hand, offers without tickets, and gateways that are where we say."""

    def __init__(self, connection: Connection, now: datetime = T0) -> None:
        self.connection = connection
        self.now = now
        self.away: set[int] = set()
        self.offered: list[int] = []
        self.healths: dict[int, GatewayHealth] = {}
        self.watched: list[Watched] = []  # of the last look
        self.conducting = self.fresh()

    def fresh(self) -> Conducting:
        """As after a start of the worker."""
        return Conducting(
            keeper.settle_deadlines, self.offer, self.online, self.health, lambda: self.now, lambda _s: None
        )

    def turn(self, seconds: float = 0, turns: int = 1) -> None:
        self.now += timedelta(seconds=seconds)
        for _turn in range(turns):
            self.conducting.conduct_all(self.connection)

    def offer(self, connection: Connection, execution_ids: Sequence[int], now: datetime) -> None:
        """As executions/delivery.py, but for the signature."""
        connection.execute(
            """UPDATE tds_new_execution SET offered_at = %s, seq = nextval('tds_new_ticket_seq'), ticket = 'a.b.c',
                   ticket_until = %s
               WHERE id = ANY(%s)""",
            (now, now + tickets.LIFE, list(execution_ids)),
        )
        self.offered += execution_ids

    def online(self, _connection: Connection, gateway_ids: Sequence[int]) -> set[int]:
        return set(gateway_ids) - self.away

    def health(self, _connection: Connection, watched: Sequence[Watched], now: datetime) -> list[GatewayHealth]:
        self.watched = list(watched)
        return [self.healths[each.gateway_id] for each in watched if each.gateway_id in self.healths]

    def finish(self, status: str = "SUCCEEDED", reason: str = "", **which: Any) -> int:
        """Of those that were offered."""
        found = Execution.objects.filter(offered_at__isnull=False, status__in=("QUEUED", "IN_PROGRESS"), **which)
        fields: dict[str, Any] = {"status": status, "reason": reason, "finished_at": self.now, "deadline_at": None}
        if status == "SUCCEEDED":
            fields["succeeded_at"] = self.now
        return found.update(changed_at=self.now, **fields)


def statuses(rollout: Rollout) -> dict[int, dict[str, int]]:
    """Executions by wave and status, counted one by one."""
    found: dict[int, dict[str, int]] = {}
    for wave, status in Execution.objects.filter(rollout=rollout).values_list("wave", "status"):
        of_wave = found.setdefault(wave, {})
        of_wave[status] = of_wave.get(status, 0) + 1
    return found


def events(rollout: Rollout) -> list[str]:
    """The kinds of its timeline, in their order."""
    return list(RolloutEvent.objects.filter(rollout=rollout).order_by("id").values_list("kind", flat=True))


def standing(rollout: Rollout) -> tuple[str, int, str]:
    """Its status, the wave that it is at, and why it was halted."""
    rollout.refresh_from_db()
    return rollout.status, rollout.current_wave, rollout.halted_why


def offered_to() -> set[int]:
    """Gateways that have an update in their hands."""
    found = Execution.objects.filter(offered_at__isnull=False, status__in=("QUEUED", "IN_PROGRESS"))
    return set(found.values_list("gateway_id", flat=True))


def analyzed() -> None:
    """As autovacuum leaves a table that grew."""
    with django_connection.cursor() as cursor:
        cursor.execute("ANALYZE")
