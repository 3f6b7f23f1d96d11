"""Attacks on the server side of updates that no other file of tests is about."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tds.fleet.models import Gateway, Tenant, User
from tds.updates.executions import keeper
from tds.updates.models import Release, ReleaseStatus, RunningFirmware
from tds.updates.releases.desk import ReleaseRefusedError
from tests import executing, imaging, seeding
from tests.enrolling import Board, RunningServer, running_server
from tests.executing import NOW, OLD, TARGET, Unit
from tests.releasing import Maker

pytestmark = pytest.mark.django_db(transaction=True)

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("ota")) as running:
        yield running


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as made:
        yield made


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


def certified(server: RunningServer, gateway: Gateway, folder: Path) -> Board:
    board = Board(server, folder / gateway.code, gateway.code)
    board.given(server.authorities.device(), gateway)
    return board


def two_gateways(tenant: Tenant) -> tuple[Gateway, Gateway]:
    attacker, victim = (seeding.gateway(tenant, f"GW-{next(_numbers)}", family="dcu-0080") for _ in range(2))
    return attacker, victim


# A gateway that is not what it says.


def test_attack_a_gateway_asks_for_another_ones_assignment(
    server: RunningServer, tenant: Tenant, tmp_path: Path
) -> None:
    attacker, victim = two_gateways(tenant)
    executing.execution(executing.rollout(executing.release()), victim)
    board = certified(server, attacker, tmp_path)
    answer = board.curl(f"/ota/v1/assignment?gateway={victim.code}", *board.presents)
    assert (answer.status, answer.body) == (204, b"")  # its certificate says who asks: it has nothing to do


def test_attack_a_gateway_reports_for_another_by_its_code(
    server: RunningServer, tenant: Tenant, tmp_path: Path
) -> None:
    attacker, victim = two_gateways(tenant)
    execution = executing.execution(executing.rollout(executing.release()), victim, offered_at=NOW)
    unit = Unit(victim.code, execution.public_id, boot=7)
    unit.starts(TARGET)
    board = certified(server, attacker, tmp_path)
    answer = board.curl(f"/ota/v1/report?gateway={victim.code}", *board.presents, body=unit.says("SUCCEEDED"))
    assert answer.status == 403
    execution.refresh_from_db()
    assert execution.status == "QUEUED"
    assert not RunningFirmware.objects.exists()


def test_attack_a_gateway_names_another_ones_execution_in_its_own_report(
    server: RunningServer, tenant: Tenant, tmp_path: Path
) -> None:
    attacker, victim = two_gateways(tenant)
    execution = executing.execution(executing.rollout(executing.release()), victim, offered_at=NOW)
    board = certified(server, attacker, tmp_path)
    unit = Unit(attacker.code, execution.public_id)
    for body in (unit.says("FAILED", reason="rolled_back"), unit.says("REJECTED", reason="known_bad")):
        assert board.curl("/ota/v1/report", *board.presents, body=body).status == 204
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("QUEUED", "")


# Reports of another time.


def test_attack_replayed_reports_of_a_success_do_not_hide_a_rollback(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    """Whoever recorded all that a gateway said sends it again, in any order, after it went back to the old image."""
    gateway = seeding.gateway(tenant, "GW-1")
    execution = executing.execution(executing.rollout(executing.release()), gateway, offered_at=NOW, from_sha256=OLD)
    unit = Unit("GW-1", execution.public_id)
    unit.phase("rebooting")
    unit.starts(TARGET, confirmed=False)
    unit.phase("confirming")
    unit.confirmed = True
    unit.says()
    for payload in unit.sent:
        assert keeper.take_report(connection, gateway.pk, "GW-1", payload, NOW) is None
    execution.refresh_from_db()
    assert execution.status == "SUCCEEDED"
    recorded = list(unit.sent)
    unit.starts(OLD)
    keeper.take_report(connection, gateway.pk, "GW-1", unit.says(), NOW)
    for payload in [*recorded, *reversed(recorded)]:
        keeper.take_report(connection, gateway.pk, "GW-1", payload, NOW)
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("FAILED", "rolled_back")
    assert gateway.running.sha256 == OLD


# A stolen session.


def test_attack_a_stolen_session_of_the_platforms_operator_releases_nothing_without_the_offline_key(
    tmp_path: Path,
) -> None:
    operator, maker = User.objects.create_superuser("olga", password="correct horse"), Maker(tmp_path)
    thief = Maker(tmp_path)  # his own key; the platform's trust set is the maker's
    data = imaging.packed(b"backdoor", version="9.9.9")
    for text in (thief.signed(data, counter=9), maker.signed(imaging.packed(b"good"), counter=9), "a.b.c", ""):
        with pytest.raises(ReleaseRefusedError):
            maker.take(text, data, by=operator)
    assert not Release.objects.exists()
    assert not list(maker.artifacts.folder.glob("*.bin"))


def test_attack_a_manifest_written_into_the_database_is_never_published(tmp_path: Path) -> None:
    """A thief who has the database as well: the signature is asked for again as a release is published."""
    maker = Maker(tmp_path)
    release = maker.upload(imaging.packed(b"good"))
    forged = maker.signed(imaging.packed(b"backdoor", version="9.9.9"))
    head, _body, signature = release.manifest.split(".")
    Release.objects.update(manifest=".".join((head, forged.split(".")[1], signature)))
    with pytest.raises(ReleaseRefusedError) as refused:
        maker.publish(release)
    assert [one.reason for one in refused.value.refusals] == ["signature_invalid"]
    assert Release.objects.get().status == ReleaseStatus.UPLOADED
