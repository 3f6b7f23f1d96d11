"""Who of a target is in and who is not, read from the database in bounded memory; the rule is eligibility.py's."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from django.db.models import Case, Exists, OuterRef, When

from tds.fleet.models import Gateway, GatewayStatus
from tds.updates.executions.statuses import OPEN
from tds.updates.models import Execution, Release
from tds.updates.rollouts import eligibility, known_bad
from tds.updates.rollouts.eligibility import GatewayFacts, Reason, ReleaseFacts, Runs
from tds.updates.rollouts.told import psycopg_connection
from tds.updates.rollouts.waves import Placed

if TYPE_CHECKING:
    from django.db.models import QuerySet

GATEWAYS_AT_ONCE: Final = 5_000  # in memory, of rows from the database
HEARD_LATELY: Final = timedelta(days=1)  # who was not is put into the last waves

COLUMNS: Final = (
    "pk",
    "code",
    "tenant_id",
    "status",
    "family",
    "hardware",
    "site_id",
    "site__redundancy_group",
    "site__time_zone",
    "tenant__time_zone",
    "heard",
    "running__version",
    "running__sha256",
    "running__counter",
    "running__chip",
    "running__family",
    "running__hardware",
    "running__trust_version",
    "busy",
)


class Row(NamedTuple):
    """In the order of COLUMNS."""

    pk: int
    code: str
    tenant_id: int
    status: str
    family: str
    hardware: str
    site_id: int | None
    group: str | None
    site_zone: str | None
    tenant_zone: str
    heard: bool
    version: str | None
    sha256: str | None
    counter: int | None
    chip: str | None
    runs_family: str | None
    runs_hardware: str | None
    trust_version: int | None
    busy: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """One gateway of a target, judged. `family` and `hardware`: where a rollback counts. `reason` None: it is in."""

    gateway_id: int
    code: str
    tenant_id: int
    site_id: int | None
    redundancy_group: str
    time_zone: str
    family: str
    hardware: str
    version: str
    sha256: str
    heard: bool
    reason: Reason | None

    def site_group(self, *, one_per_site: bool) -> str:
        """One of it is under way at a time; sites that stand in for one another always are one."""
        if self.redundancy_group:
            return f"r{self.tenant_id}:{self.redundancy_group}"
        return f"s{self.site_id}" if one_per_site and self.site_id else ""

    def placed(self) -> Placed:
        return Placed(self.gateway_id, self.tenant_id, self.site_id, self.hardware, self.heard)


def release_facts(release: Release) -> ReleaseFacts:
    return ReleaseFacts(
        release.sha256,
        release.counter,
        release.min_source_counter,
        release.chip,
        frozenset(release.families),
        frozenset(release.hardware),
        known_bad.places(psycopg_connection(), release.pk),
    )


def walk(
    gateways: "QuerySet[Gateway]", release: ReleaseFacts, *, now: datetime, besides: int | None = None
) -> Iterator[Candidate]:
    """All of a target, by code. `besides`: a rollout whose open executions don't count, because it will be canceled."""
    open_ones = Execution.objects.filter(gateway=OuterRef("pk"), status__in=OPEN)
    if besides is not None:
        open_ones = open_ones.exclude(rollout=besides)
    heard = Case(When(last_seen_at__gte=now - HEARD_LATELY, then=True), default=False)
    rows = gateways.annotate(busy=Exists(open_ones), heard=heard).order_by("code", "pk").values_list(*COLUMNS)
    for values in rows.iterator(chunk_size=GATEWAYS_AT_ONCE):
        yield _judged(Row(*values), release)


def _judged(row: Row, release: ReleaseFacts) -> Candidate:
    runs = None
    if row.sha256 is not None:
        runs = Runs(
            row.sha256,
            row.counter or 0,
            row.chip or "",
            row.runs_family or "",
            row.runs_hardware or "",
            row.trust_version or 0,
        )
    facts = GatewayFacts(
        tenant_id=row.tenant_id,
        retired=row.status == GatewayStatus.RETIRED,
        disabled=row.status == GatewayStatus.DISABLED,
        family=row.family,
        hardware=row.hardware,
        busy=row.busy,
        runs=runs,
    )
    return Candidate(
        row.pk,
        row.code,
        row.tenant_id,
        row.site_id,
        row.group or "",
        row.site_zone or row.tenant_zone,
        facts.place.family,
        facts.place.hardware,
        row.version or "",
        row.sha256 or "",
        row.heard,
        eligibility.judge(facts, release),
    )
