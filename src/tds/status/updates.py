"""Firmware updates: keys, files, the worker's lanes, and what waits for a person."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.db import Error as DatabaseError
from django.utils import timezone

from tds import wiring
from tds.environment import Environment, Mode
from tds.heartbeat import STALE_S, Heartbeat
from tds.identity.authorities.keys import KeyUnusableError
from tds.local.prepared import RELEASE_KEYS
from tds.status import update_findings
from tds.status.part import Part, State
from tds.status.update_findings import LANES, Facts, Keys, Worker
from tds.updates import shown
from tds.updates.executions.statuses import Reason, Status
from tds.updates.folders import ASSIGNMENT_KEY, UpdatesFolder
from tds.updates.models import ReleaseStatus, RolloutStatus
from tds.updates.releases import trust_sets
from tds.updates.releases.files import Artifacts
from tds.updates.rollouts import counts
from tds.updates.signed.keys import KEY_SUFFIX, PrivateKey, PublicKey

UPDATES: Final = "updates"
MAX_LOST: Final = 1_000  # of which the page tells, the newest first
MAX_AHEAD: Final = 1_000  # … and of these
MAX_CHECKED: Final = 10_000  # releases whose file is looked for, the newest first


def examine_updates(environment: Environment, *, database_there: bool) -> Part:
    away = Part(UPDATES, State.WARNING, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    now = timezone.now()
    try:
        facts = _facts(environment, now)
    except DatabaseError:
        return away
    found, reports = update_findings.findings(facts, now=now), update_findings.of_reports(facts.worker)
    if not found:
        return Part(UPDATES, State.HEALTHY, " ".join(filter(None, (update_findings.well(facts), reports))))
    state = State.UNHEALTHY if found[0].urgent else State.WARNING
    told = " ".join(filter(None, (*(finding.detail for finding in found), reports)))
    return Part(UPDATES, state, told, " ".join(finding.action for finding in found))


def _facts(environment: Environment, now: datetime) -> Facts:
    folder = UpdatesFolder(environment.home / UPDATES)
    published = shown.releases().filter(status=ReleaseStatus.PUBLISHED)
    rollouts = shown.rollouts()
    halted = rollouts.filter(status=RolloutStatus.HALTED).order_by("stopped_at")
    since = dict(halted.values_list("pk", "stopped_at"))
    return Facts(
        environment.mode is Mode.PRODUCTION,
        _keys(environment, folder),
        published.count(),
        [
            f"{product} {version}"
            for product, version, sha256 in published.order_by("-pk").values_list("product", "version", "sha256")[
                :MAX_CHECKED
            ]
            if not Artifacts(folder.artifacts).has(sha256)
        ],
        rollouts.filter(status=RolloutStatus.RUNNING).count(),
        list(since),
        next(iter(since.values()), None),
        _lost(),
        worker(now),
    )


def _keys(environment: Environment, folder: UpdatesFolder) -> Keys:
    trust = trust_sets.current()
    roots: Sequence[PublicKey] = ()
    roots_trouble = ""
    try:
        roots = folder.roots()
    except (KeyUnusableError, OSError) as error:
        roots_trouble = str(error)
    assignment, assignment_trouble = None, ""
    try:
        if folder.assignment_key_file.exists():  # not made here: who only looks changes nothing
            assignment = PrivateKey.load(folder.assignment_key_file).kid
    except (KeyUnusableError, OSError) as error:
        assignment_trouble = str(error)
    private = [*_private(environment.home / RELEASE_KEYS), *_private(folder.path)]
    return Keys(
        trust,
        len(roots),
        roots_trouble,
        assignment,
        assignment_trouble,
        private,
        [root.kid for root in roots if trust and root.kid in trust.revoked],
        _ahead(trust.version) if trust else [],
    )


def _ahead(version: int) -> list[str]:
    """Codes of gateways in use that have a newer trust set: of a platform that was restored, or is not theirs."""
    ahead = shown.running().filter(trust_version__gt=version, gateway__status="active").order_by("gateway__code")
    return list(ahead.values_list("gateway__code", flat=True)[:MAX_AHEAD])


def _private(folder: Path) -> list[str]:
    """Keys in it that are not the server's own."""
    with suppress(OSError):
        return sorted(str(path) for path in folder.rglob(f"*{KEY_SUFFIX}") if path.name != ASSIGNMENT_KEY)
    return []


def _lost() -> list[str]:
    """Codes of gateways in use that are lost; those that a person has accepted are not told of again."""
    of = counts.having(wiring.database_connection(), "lost")
    lost = shown.executions().filter(
        rollout_id__in=of, status=Status.TIMED_OUT, reason=Reason.LOST, accepted=False, gateway__status="active"
    )
    return list(lost.order_by("-finished_at").values_list("gateway__code", flat=True)[:MAX_LOST])


def worker(now: datetime) -> Worker | None:
    """What it says of its lanes; None while it gives no sign of life."""
    row = Heartbeat.objects.filter(process="worker").first()
    if row is None or now - row.beat_at > timedelta(seconds=STALE_S):
        return None
    facts: Mapping[str, Any] = row.facts
    links = facts.get("links", {}).values()
    refused: Counter[str] = Counter()
    for link in links:
        refused.update(link.get("reports_refused", {}))
    return Worker(
        row.started_at,
        {lane: _moment(facts.get(lane, {}).get("turned_at")) for lane in LANES},
        facts.get("pushing", {}).get("trouble", ""),
        facts.get("conducting", {}).get("passed_over", ()),
        sum(link.get("reports_taken", 0) for link in links),
        refused,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
