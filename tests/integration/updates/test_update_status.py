"""Firmware updates in `tds status` and `/metrics`, from a real database and real files."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tds.environment import Environment, Mode
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.heartbeat import Heartbeat
from tds.settings import ENV
from tds.status import Part, State
from tds.status.updates import examine_updates
from tds.updates.folders import UpdatesFolder
from tds.updates.models import Release, Rollout
from tds.updates.releases import trust_sets
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tests import executing, seeding
from tests.releasing import Maker

pytestmark = pytest.mark.django_db

HOUR: Final = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of a desk, as `tds up` makes it."""
    folder = UpdatesFolder(tmp_path / "updates")
    trust_sets.ensure_desk(tmp_path / "release-keys", folder, timezone.now())
    return tmp_path


@pytest.fixture
def part(home: Path) -> Callable[..., Part]:
    def look(mode: Mode = Mode.DEVELOPMENT, *, database_there: bool = True) -> Part:
        environment: Environment = replace(ENV, home=home, mode=mode)
        return examine_updates(environment, database_there=database_there)

    return look


def beating(**facts: Any) -> None:
    now = timezone.now()
    turned = {"turned_at": now.isoformat()}
    lanes = {"conducting": turned | {"passed_over": []}, "pushing": turned | {"trouble": "", "pushed": 0}}
    Heartbeat.objects.create(process="worker", pid=1, started_at=now - HOUR, beat_at=now, facts=lanes | facts)


def release(home: Path) -> Release:
    return Maker(home / "updates", now=timezone.now()).released()


def halted(of: Release, **fields: Any) -> Rollout:
    return executing.rollout(of, status="halted", stopped_at=timezone.now() - 3 * HOUR, **fields)


# tds status


def test_a_desk_is_well_from_its_first_start_on(part: Callable[..., Part]) -> None:
    found = part()
    assert (found.name, found.state, found.action) == ("updates", State.HEALTHY, "")
    assert found.detail.startswith("Trust set 1 until 20")
    assert found.detail.endswith("; 0 releases published, 0 rollouts under way.")


def test_without_a_database_nothing_is_known(part: Callable[..., Part]) -> None:
    found = part(database_there=False)
    assert (found.state, found.action) == (State.WARNING, "See database.")


def test_a_platform_in_production_says_what_to_do_first(tmp_path: Path) -> None:
    found = examine_updates(replace(ENV, home=tmp_path, mode=Mode.PRODUCTION), database_there=True)
    assert (found.state, found.detail[:24]) == (State.WARNING, "There is no trust set, s")
    assert "Keys of updates" in found.action
    assert list(tmp_path.iterdir()) == []  # who looks makes no key


def test_attack_a_root_or_release_key_is_left_on_the_server(home: Path, part: Callable[..., Part]) -> None:
    assert part().state is State.HEALTHY  # on a desk it belongs there
    found = part(Mode.PRODUCTION)
    assert found.state is State.WARNING
    assert str(home / "release-keys" / "root.key") in found.detail
    for key in (home / "release-keys").glob("*.key"):
        key.unlink()
    assert part(Mode.PRODUCTION).state is State.HEALTHY
    PrivateKey.new().save(home / "updates" / "roots" / "root.key")
    assert str(home / "updates" / "roots" / "root.key") in part(Mode.PRODUCTION).detail


def test_the_key_that_signs_tickets_is_the_one_that_gateways_know(home: Path, part: Callable[..., Part]) -> None:
    file = home / "updates" / "assignment.key"
    known = file.read_bytes()
    file.unlink()
    found = part()
    assert (found.state, found.detail[:42]) == (State.UNHEALTHY, "The key that signs tickets is missing; a n")
    assert not file.exists()
    PrivateKey.new().save(file)
    assert "the key that signs them is not in trust set 1" in part().detail
    file.write_bytes(b"no key")
    assert "holds no private key" in part().detail
    file.write_bytes(known)
    assert part().state is State.HEALTHY


def test_gateways_that_have_a_newer_trust_set_than_the_platform_are_named(
    tenant: Tenant, part: Callable[..., Part]
) -> None:
    """As after a restore of a database from before it was uploaded."""
    ahead, gone, level = (seeding.gateway(tenant, code) for code in ("GW-2", "GW-3", "GW-4"))
    for gateway, version in ((ahead, 2), (gone, 2), (level, 1)):
        executing.runs(gateway, trust_version=version)
    Gateway.objects.filter(pk=gone.pk).update(status=GatewayStatus.DISABLED)
    found = part()
    assert (found.state, found.detail) == (
        State.WARNING,
        "Trust set 1 is given out here, and a newer one was reported by 1 gateway: GW-2.",
    )


def test_a_root_key_that_is_revoked_and_still_believed_is_told(home: Path, part: Callable[..., Part]) -> None:
    folder, stolen = UpdatesFolder(home / "updates"), PrivateKey.new()
    folder.add_root(stolen.public)
    assert part().state is State.HEALTHY
    desk, former = PrivateKey.load(home / "release-keys" / "root.key"), trust_sets.usable(timezone.now())
    revoking = msgspec.structs.replace(former, version=2, revoked=(stolen.kid,))
    trust_sets.take(trust.make(revoking, desk), folder.roots(), by="command line", now=timezone.now())
    found = part()
    assert found.state is State.WARNING
    assert found.detail.endswith(f"would still get: {stolen.kid}.")
    next((home / "updates" / "roots").glob(f"{stolen.kid[:16]}.pub")).unlink()
    assert part().state is State.HEALTHY


def test_a_published_release_whose_file_is_lost_is_named(home: Path, part: Callable[..., Part]) -> None:
    of = release(home)
    assert part().state is State.HEALTHY
    (home / "updates" / "artifacts" / f"{of.sha256}.bin").unlink()
    found = part()
    assert (found.state, found.detail) == (State.UNHEALTHY, "The image of 1 published release is lost: dcu 1.1.0.")
    Release.objects.update(status="withdrawn")
    assert part().state is State.HEALTHY


def test_what_waits_for_a_person_is_told_until_he_decides(
    tenant: Tenant, home: Path, part: Callable[..., Part]
) -> None:
    beating()
    rollout, gateway = halted(release(home)), seeding.gateway(tenant, "GW-1")
    lost = executing.execution(rollout, gateway, status="TIMED_OUT", reason="lost", finished_at=timezone.now())
    found = part()
    assert found.state is State.WARNING
    assert f"1 rollout halted, the first 3 hours ago: #{rollout.pk}." in found.detail
    assert "1 gateway began to install and did not come back: GW-1." in found.detail
    assert f"./tds rollout show {rollout.pk}" in found.action
    Rollout.objects.update(status="canceled")
    assert "halted" not in part().detail
    assert "GW-1" in part().detail  # it is still out there
    type(lost).objects.update(accepted=True)
    assert part().state is State.HEALTHY
    type(lost).objects.update(accepted=False)
    Gateway.objects.update(status=GatewayStatus.RETIRED, retired_at=timezone.now())
    assert part().state is State.HEALTHY


def test_a_lane_of_the_worker_that_stands_still_is_told(home: Path, part: Callable[..., Part]) -> None:
    beating(conducting={"turned_at": (timezone.now() - HOUR).isoformat(), "passed_over": [7]})
    found = part()
    assert found.state is State.UNHEALTHY
    assert found.detail.startswith("The worker conducts no rollout any more, for 360")
    assert "fails again and again: #7." in found.detail


def test_reports_that_were_refused_are_told(part: Callable[..., Part]) -> None:
    beating(links={"broker": {"reports_taken": 5, "reports_refused": {"malformed": 2}}})
    found = part()
    assert found.state is State.HEALTHY
    assert found.detail.endswith("5 were taken, and refused: 2 malformed.")


# /metrics


def scraped() -> dict[str, dict[str, float]]:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    return {
        family.name: {next(iter(s.labels.values()), ""): s.value for s in family.samples if s.name[-8:] != "_created"}
        for family in text_string_to_metric_families(answer.content.decode())
    }


def test_the_metrics_count_rollouts_executions_and_reports(tenant: Tenant, home: Path) -> None:
    of = release(home)
    rollout = halted(of)
    for number, (status, reason) in enumerate(
        [("SUCCEEDED", ""), ("SUCCEEDED", ""), ("FAILED", "rolled_back"), ("TIMED_OUT", "lost"), ("QUEUED", "")]
    ):
        gateway = seeding.gateway(tenant, f"GW-{number}")
        executing.execution(rollout, gateway, status=status, reason=reason)
    executing.rollout(of)
    reported_at = timezone.now() - HOUR
    executing.runs(gateway, reported_at=reported_at)
    beating(
        links={
            "broker": {"reports_taken": 5, "reports_refused": {"malformed": 2, "unknown_gateway": 1}},
            "broker-2": {"reports_taken": 7, "reports_refused": {}},
        }
    )
    facts = {"requests": {"reports_taken": 3, "reports_refused": 1}}
    Heartbeat.objects.create(process="ota", pid=1, started_at=timezone.now(), beat_at=timezone.now(), facts=facts)
    found = scraped()
    none = dict.fromkeys(("draft", "paused", "completed", "canceled"), 0)
    assert found["tds_rollouts"] == none | {"halted": 1, "running": 1}
    executions = {state: count for state, count in found["tds_update_executions"].items() if count}
    assert executions == {"succeeded": 2, "rolled_back": 1, "lost": 1, "waiting": 1}
    assert found["tds_update_reports"] == {"mqtt": 12, "http": 3}
    assert found["tds_update_reports_refused"] == {"mqtt": 3, "http": 1}
    assert found["tds_update_newest_report_timestamp_seconds"] == {"": pytest.approx(reported_at.timestamp(), abs=1)}


def test_before_the_first_report_there_is_no_newest_one() -> None:
    found = scraped()
    assert "tds_update_newest_report_timestamp_seconds" not in found
    assert set(found["tds_update_executions"].values()) == {0}
