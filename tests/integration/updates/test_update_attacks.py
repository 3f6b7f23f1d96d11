"""Attacks on the server side of updates that no other file of tests is about."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tds.fleet.models import Gateway, Tenant, User
from tds.updates.executions import keeper, told
from tds.updates.executions import rolled_back as rolled_back_memory
from tds.updates.models import (
    Execution,
    KnownBad,
    LeftOut,
    Release,
    ReleaseStatus,
    Rollout,
    RolloutEvent,
    RunningFirmware,
)
from tds.updates.releases import forgiving
from tds.updates.releases.desk import ReleaseRefusedError
from tds.updates.rollouts import roster
from tds.updates.rollouts.target import Target
from tests import executing, imaging, rolling_out, seeding
from tests.enrolling import Board, RunningServer, running_server
from tests.executing import NOW, OLD, TARGET, Unit
from tests.releasing import Maker
from tests.rolling_out import Stage

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


# One gateway against all others.


def rolled_back(of: Gateway, execution_id: str, **says: Any) -> bytes:
    """After a start: that the release failed on it, and what it pretends to be."""
    runs = executing.running(OLD, **says)
    told = executing.claim(execution_id, "FAILED", reason="self_test_failed")
    return executing.as_bytes(executing.report(of.code, next(_numbers), 1, runs, told))


def runs_it(of: Gateway, _execution_id: str, **says: Any) -> bytes:
    runs = executing.running(TARGET, **says)
    return executing.as_bytes(executing.report(of.code, next(_numbers), 1, runs))


def known_bad() -> list[tuple[str, str, int]]:
    return list(KnownBad.objects.order_by("family", "hardware").values_list("family", "hardware", "rolled_back"))


def test_attack_one_gateway_makes_a_release_known_bad_for_everybody(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    """It says in turn that it failed and that it runs, each time as another hardware; and again in each rollout."""
    gateway = seeding.gateway(tenant, "GW-1", family="dcu-0080", hardware="A")
    release = executing.release()
    for _ in range(3):
        execution = executing.execution(executing.rollout(release), gateway, offered_at=NOW)
        for other in range(5):
            payload = rolled_back(gateway, execution.public_id, family="dcu-8000", hardware=f"X{other}")
            assert keeper.take_report(connection, gateway.pk, "GW-1", payload, NOW) is None
        execution.refresh_from_db()
        assert execution.status == "FAILED"
    assert known_bad() == [("dcu-0080", "A", 1)]
    assert not roster.release_facts(release).bad_on


def test_attack_one_gateway_takes_back_what_others_rolled_back(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    release = executing.release()
    rollout = executing.rollout(release)
    honest = [seeding.gateway(tenant, f"GW-{number}", family="dcu-0080", hardware="A") for number in range(2)]
    for gateway in honest:
        execution = executing.execution(rollout, gateway, offered_at=NOW)
        keeper.take_report(connection, gateway.pk, gateway.code, rolled_back(gateway, execution.public_id), NOW)
    assert known_bad() == [("dcu-0080", "A", 2)]
    attacker = seeding.gateway(tenant, "GW-X", family="dcu-0080", hardware="B")
    execution = executing.execution(rollout, attacker, offered_at=NOW)
    for make in (rolled_back, runs_it, rolled_back, runs_it):
        payload = make(attacker, execution.public_id, hardware="A")
        assert keeper.take_report(connection, attacker.pk, "GW-X", payload, NOW) is None
    execution.refresh_from_db()
    assert execution.status == "SUCCEEDED"
    assert known_bad() == [("dcu-0080", "A", 2), ("dcu-0080", "B", 0)]
    assert roster.release_facts(release).bad_on == {("dcu-0080", "A", tenant.pk)}


# One company against all others.


def launched(release: Release, tenant: Tenant) -> Rollout:
    return rolling_out.launched(release, waves="1, 100 %", target=Target(tenant=tenant.slug))


def roll_back(stage: Stage, release: Release, *gateways: Gateway, **says: Any) -> None:
    """Each of them, in a rollout of its own."""
    for gateway in gateways:
        execution = executing.execution(executing.rollout(release), gateway, offered_at=stage.now)
        payload = rolled_back(gateway, execution.public_id, **says)
        assert keeper.take_report(stage.connection, gateway.pk, gateway.code, payload, stage.now) is None


def taken_out(rollout: Rollout) -> int:
    return Execution.objects.filter(rollout=rollout, status="REMOVED", reason="known_bad").count()


def left_out(rollout: Rollout) -> int:
    return LeftOut.objects.filter(rollout=rollout, reason="known_bad").count()


def test_attack_a_company_takes_a_release_from_another_one(stage: Stage, tenant: Tenant) -> None:
    """By gateways of its own that roll back, as often as they like, and once more after that was forgiven."""
    evil, release = seeding.tenant("evil"), rolling_out.release()
    rolling_out.gateways(tenant, 10, "GOOD", hardware="A")
    bad = rolling_out.gateways(evil, 5, "EVIL", hardware="A")
    theirs = launched(release, tenant)
    roll_back(stage, release, *bad[:3])
    assert known_bad() == [("dcu-0080", "A", 3)]
    stage.turn(1)
    assert taken_out(theirs) == 0
    forgiving.forgive(release, "A bad cable.", by="command line", now=stage.now)
    stage.turn(60)
    roll_back(stage, release, bad[0])
    stage.turn(1)
    assert taken_out(theirs) == 0
    rolling_out.gateways(tenant, 5, "FREE", hardware="A")
    of_both = rolling_out.launched(release)
    known = LeftOut.objects.filter(rollout=of_both, reason="known_bad")
    assert set(known.values_list("gateway__tenant", flat=True)) == {evil.pk}


def test_attack_a_company_takes_a_release_from_another_one_in_a_rollout_of_both(stage: Stage, tenant: Tenant) -> None:
    evil, release = seeding.tenant("evil"), rolling_out.release()
    rolling_out.gateways(tenant, 10, "GOOD", hardware="A")
    bad = rolling_out.gateways(evil, 2, "EVIL", hardware="A", status="disabled")
    of_all = rolling_out.launched(release, waves="1, 100 %")
    roll_back(stage, release, *bad)
    stage.turn(1)
    assert taken_out(of_all) == 0


def test_a_release_that_rolled_back_on_gateways_of_two_companies_is_left_out_on_everybodys(
    stage: Stage, tenant: Tenant
) -> None:
    release, companies = rolling_out.release(), [seeding.tenant(slug) for slug in ("one", "two")]
    rolling_out.gateways(tenant, 10, "GOOD", hardware="A")
    bad = [rolling_out.gateways(company, 1, company.slug, hardware="A")[0] for company in companies]
    rollout = launched(release, tenant)
    roll_back(stage, release, bad[0])
    stage.turn(1)
    assert taken_out(rollout) == 0
    roll_back(stage, release, bad[1])
    stage.turn(1)
    assert taken_out(rollout) == 9  # one was offered it before
    forgiving.forgive(release, "A bad cable.", by="command line", now=stage.now)
    stage.now += timedelta(minutes=1)
    roll_back(stage, release, bad[0], bad[0])  # one company alone: not enough since then
    assert not roster.release_facts(release).bad_on


def test_attack_gateways_say_that_they_are_another_hardware_than_people_registered(
    stage: Stage, tenant: Tenant
) -> None:
    """What rolls back on them counts for what they were registered with, whatever they reported before the start."""
    release = rolling_out.release()
    rolling_out.gateways(tenant, 5, "GOOD", hardware="A")
    liars = rolling_out.gateways(tenant, 2, "LIAR", hardware="B")
    RunningFirmware.objects.filter(gateway__in=liars).update(hardware="A")
    rollout = rolling_out.launched(release, waves="100 %", limits=replace(rolling_out.QUICK, concurrency=1))
    executions = list(Execution.objects.filter(gateway__in=liars).select_related("gateway"))
    Execution.objects.filter(gateway__in=liars).update(offered_at=stage.now)
    for execution in executions:
        gateway = execution.gateway
        payload = rolled_back(gateway, execution.public_id, hardware="A")
        assert keeper.take_report(stage.connection, gateway.pk, gateway.code, payload, stage.now) is None
    assert known_bad() == [("dcu-0080", "B", 2)]
    stage.turn(1)
    assert taken_out(rollout) == 0


def test_attack_gateways_roll_back_on_ever_more_hardware(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolled_back_memory, "MAX_PLACES", 3)
    rollout = executing.rollout(executing.release())
    for number in range(5):
        gateway = seeding.gateway(tenant, f"GW-{number}", family="dcu-0080", hardware=f"X{number}")
        execution = executing.execution(rollout, gateway, offered_at=NOW)
        keeper.take_report(connection, gateway.pk, gateway.code, rolled_back(gateway, execution.public_id), NOW)
    assert known_bad() == [("dcu-0080", f"X{number}", 1) for number in range(3)]


def test_attack_a_companys_gateways_fill_what_is_remembered_of_a_release(
    stage: Stage, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each registered with another hardware: what rolls back on another company's is remembered all the same."""
    monkeypatch.setattr(rolled_back_memory, "MAX_PLACES", 3)
    release, evil = rolling_out.release(), seeding.tenant("evil")
    for number in range(5):
        roll_back(stage, release, *rolling_out.gateways(evil, 1, f"EVIL{number}", hardware=f"X{number}"))
    roll_back(stage, release, *rolling_out.gateways(tenant, 2, hardware="A"))
    assert known_bad() == [("dcu-0080", "A", 2), *(("dcu-0080", f"X{number}", 1) for number in range(3))]
    assert roster.release_facts(release).bad_on == {("dcu-0080", "A", tenant.pk)}


def test_attack_a_gateway_fills_the_timeline(connection: psycopg.Connection[Any], tenant: Tenant) -> None:
    """What a rollout's timeline has is never taken out of it again."""
    gateway = seeding.gateway(tenant, "GW-1", family="dcu-0080", hardware="A")
    execution = executing.execution(executing.rollout(executing.release()), gateway, offered_at=NOW, from_sha256=OLD)
    unit = Unit("GW-1", execution.public_id)
    for _ in range(50):
        for payload in (unit.says("REJECTED", reason="no_space"), unit.phase("downloading")):
            assert keeper.take_report(connection, gateway.pk, "GW-1", payload, NOW) is None
    assert RolloutEvent.objects.filter(execution=execution).count() == told.MAX_LINES
    unit.starts(TARGET)
    keeper.take_report(connection, gateway.pk, "GW-1", unit.says(), NOW)
    execution.refresh_from_db()
    assert (execution.status, execution.offered_at) == ("SUCCEEDED", NOW)
