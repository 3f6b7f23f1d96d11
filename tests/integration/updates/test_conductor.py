"""The conductor on a real PostgreSQL: waves, halts, offers; and that it may be ended at any moment."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from random import Random

import psycopg
import pytest

from tds.fleet.models import AuditEntry, Gateway, Site, Tenant
from tds.updates.executions import keeper
from tds.updates.executions.statuses import Status
from tds.updates.executions.transitions import Fact, Kind, State, apply
from tds.updates.models import (
    Execution,
    KnownBad,
    LeftOut,
    Rollout,
    RolloutEvent,
    RunningFirmware,
    Wave,
    WaveCountChange,
)
from tds.updates.releases import desk as releases
from tds.updates.releases import forgiving
from tds.updates.rollouts import counts, desk, gateway_desk, showing, words
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.conductor import Connection
from tds.updates.rollouts.gate import Before, GatewayHealth
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.target import Target
from tds.updates.rollouts.windows import Window
from tests import rolling_out, seeding
from tests.rolling_out import QUICK, T0, Stage, launched, statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with seeding.own_connection() as connection:
        yield Stage(connection)


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


def kinds(rollout: Rollout) -> list[str]:
    return list(RolloutEvent.objects.filter(rollout=rollout).order_by("id").values_list("kind", flat=True))


def status(rollout: Rollout) -> tuple[str, int, str]:
    rollout.refresh_from_db()
    return rollout.status, rollout.current_wave, rollout.halted_why


def test_a_good_release_goes_through_all_waves(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 20)
    rollout = launched(rolling_out.release(), waves="1, 25 %, 100 %", limits=replace(QUICK, soak_s=60))
    stage.turn()
    assert (status(rollout), len(stage.offered)) == (("running", 1, ""), 1)
    for wave, offered in ((1, 5), (2, 20)):
        stage.finish()
        stage.turn(1)
        stage.turn(59)
        assert status(rollout) == ("running", wave, "")
        stage.turn(1)
        assert (status(rollout), len(stage.offered)) == (("running", wave + 1, ""), offered)
    stage.finish()
    stage.turn(1)
    stage.turn(60)
    assert status(rollout) == ("completed", 3, "")
    assert kinds(rollout) == [
        "made",
        "started",
        "wave_opened",
        "soak_began",
        "wave_opened",
        "soak_began",
        "wave_opened",
        "soak_began",
        "completed",
    ]
    assert AuditEntry.objects.filter(action="rollout.completed", actor="rule", tenant=tenant).count() == 1
    assert all(Wave.objects.filter(rollout=rollout).values_list("completed_at", flat=True))


@pytest.mark.parametrize(
    ("end", "reason", "why"),
    [
        ("FAILED", "rolled_back", "failures"),
        ("TIMED_OUT", "no_answer", "failures"),
        ("TIMED_OUT", "lost", "lost"),
        ("REJECTED", "signature_invalid", "too_few_succeeded"),
    ],
)
def test_a_bad_release_halts_in_the_first_wave_within_one_turn(
    stage: Stage, tenant: Tenant, end: str, reason: str, why: str
) -> None:
    rolling_out.gateways(tenant, 20)
    rollout = launched(rolling_out.release())
    stage.turn()
    stage.finish(end, reason)
    stage.turn(1)
    stage.turn(3_600, turns=3)
    assert status(rollout) == ("halted", 1, why)
    assert len(stage.offered) == 1
    event = RolloutEvent.objects.get(rollout=rollout, kind="halted")
    assert words.halt(why) in words.event(event.kind, event.words)
    assert AuditEntry.objects.filter(action="rollout.halted", detail={"why": why, "wave": 1}).count() == 1


@pytest.mark.usefixtures("english")
def test_a_build_that_stops_measuring_halts_in_the_first_wave(stage: Stage, tenant: Tenant) -> None:
    for gateway in rolling_out.gateways(tenant, 20):
        stage.healths[gateway.pk] = GatewayHealth(gateway.pk, 600, 0, 0, 0, 0, Before(168, 60, 5))
    rollout = launched(rolling_out.release(), limits=replace(QUICK, gate=True, soak_s=1_800))
    stage.turn()
    stage.finish()
    stage.turn(600)
    assert status(rollout) == ("halted", 1, "telemetry")
    assert kinds(rollout)[-2:] == ["gate_failed", "halted"]
    told = RolloutEvent.objects.get(rollout=rollout, kind="gate_failed").words
    first = Execution.objects.get(rollout=rollout, wave=1).gateway.code
    assert (told["bad"], told["signs"]) == (1, {first: "silent"})
    assert words.signs(told) == [(first, "It sends no readings any more.")]
    assert f"\n    {first}: It sends no readings any more.\n" in showing.text(rollout)
    assert [event["signs"] for event in showing.document(rollout)["events"] if event["kind"] == "gate_failed"] == [
        [{"gateway_code": first, "text": "It sends no readings any more."}]
    ]


@pytest.mark.usefixtures("english")
def test_without_a_soak_a_wave_waits_for_the_gate_all_the_same(stage: Stage, tenant: Tenant) -> None:
    for gateway in rolling_out.gateways(tenant, 4):
        stage.healths[gateway.pk] = GatewayHealth(gateway.pk, 0, 0, 0, 0, 0, Before(168, 60, 5))
    rollout = launched(rolling_out.release(), limits=replace(QUICK, gate=True))
    stage.turn()
    stage.finish()
    stage.turn(1, turns=3)
    assert status(rollout) == ("running", 1, "")
    stage.conducting = stage.fresh()  # a worker that began anew does not tell it again
    stage.turn(1)
    event = RolloutEvent.objects.get(rollout=rollout, kind="gate_waits")
    assert words.event(event.kind, event.words) == (
        "Wave 1 was watched for so long, and 1 gateway has not had the time to send enough to be compared: it goes on"
        " when that has come."
    )
    stage.healths = {pk: replace(of, observed_s=900, messages=15, series=5) for pk, of in stage.healths.items()}
    stage.turn(60, turns=2)
    assert status(rollout) == ("running", 2, "")
    assert "gate_blind" not in kinds(rollout)


@pytest.mark.usefixtures("english")
def test_that_the_gate_had_nothing_to_compare_with_is_told(stage: Stage, tenant: Tenant) -> None:
    for gateway in rolling_out.gateways(tenant, 4):
        stage.healths[gateway.pk] = GatewayHealth(gateway.pk, 3_600, 0, 0, 0, 0, Before(hours=3))
    rollout = launched(rolling_out.release(), limits=replace(QUICK, gate=True, soak_s=60))
    stage.turn()
    stage.finish()
    stage.turn(1)
    stage.turn(3_600)
    assert status(rollout) == ("running", 1, "")  # it sent readings before, and sends none
    stage.healths = {pk: replace(of, observed_s=6 * 3_600) for pk, of in stage.healths.items()}
    stage.turn(5 * 3_600)
    assert status(rollout) == ("running", 2, "")
    event = RolloutEvent.objects.get(rollout=rollout, kind="gate_blind")
    assert "could not be judged: there is nothing to compare with" in words.event(event.kind, event.words)


def test_reports_of_a_bad_build_in_any_order_open_no_second_wave(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 40)
    rollout = launched(rolling_out.release(), waves="10, 100 %", limits=replace(QUICK, failure_min_finished=8))
    stage.turn()
    random, ids = Random(7), list(Execution.objects.filter(wave=1).values_list("pk", flat=True))
    random.shuffle(ids)
    for pk in ids:
        stage.finish(
            *random.choice([("FAILED", "rolled_back"), ("REJECTED", "known_bad"), ("TIMED_OUT", "lost")]), pk=pk
        )
        stage.conducting = stage.fresh()  # and the worker is started anew each time
        stage.turn(1)
        assert Wave.objects.get(rollout=rollout, number=2).opened_at is None
    assert status(rollout)[:2] == ("halted", 1)


def test_a_worker_that_is_killed_in_a_turn_leaves_nothing_half_done(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 10)
    rollout = launched(rolling_out.release(), waves="100 %")

    class KilledError(Exception):
        pass

    def killed(connection: Connection, execution_ids: Sequence[int], now: datetime) -> None:
        raise KilledError

    stage.conducting._offering.offer = killed
    stage.turn()  # the wave opened; its offers were undone
    assert Execution.objects.filter(offered_at__isnull=False).count() == 0
    stage.conducting = stage.fresh()
    stage.turn(turns=3)
    assert len(stage.offered) == len(set(stage.offered)) == 10
    assert kinds(rollout).count("wave_opened") == 1


def test_a_rollout_that_fails_does_not_hold_up_the_others(
    stage: Stage, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    rolling_out.gateways(tenant, 2)
    broken = launched(rolling_out.release(), waves="100 %")
    stage.turn()
    Execution.objects.filter(rollout=broken).update(status="SUCCEEDED")
    rolling_out.gateways(tenant, 2, "X")
    other = launched(rolling_out.release(counter=3, sha256="c" * 64), waves="100 %")
    Rollout.objects.filter(pk=broken.pk).update(window_start=time(1), window_end=time(1))  # as no door of ours makes it
    stage.turn(turns=2)
    assert "failed; it is tried again" in caplog.text
    assert Execution.objects.filter(rollout=other, offered_at__isnull=False).count() == 4


def test_no_more_than_the_limit_are_under_way_at_once(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 30)
    rollout = launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, concurrency=7))
    for _turn in range(6):
        stage.turn(1, turns=2)
        under_way = Execution.objects.filter(rollout=rollout, offered_at__isnull=False, status="QUEUED")
        assert under_way.count() <= 7
        stage.finish()
    stage.turn(1, turns=2)
    assert status(rollout)[0] == "completed"


def test_two_gateways_of_one_site_are_never_updated_at_the_same_time(stage: Stage, tenant: Tenant) -> None:
    plant, pump, tower = (Site.objects.create(tenant=tenant, name=name) for name in ("plant", "pump", "tower"))
    Site.objects.filter(pk__in=[pump.pk, tower.pk]).update(redundancy_group="north")  # they stand in for one another
    for number, site in enumerate((plant, pump, tower)):
        rolling_out.gateways(tenant, 3, f"S{number}", site=site)
    rolling_out.gateways(tenant, 3, "FREE")
    rollout = launched(rolling_out.release(), waves="100 %")
    rounds = 0
    while status(rollout)[0] == "running":
        stage.turn(1, turns=2)
        open_ones = Execution.objects.filter(rollout=rollout, offered_at__isnull=False, status="QUEUED")
        groups = [group for group in open_ones.values_list("site_group", flat=True) if group]
        assert len(groups) == len(set(groups)) <= 2
        stage.finish()
        rounds += 1
        assert rounds < 20
    assert rounds >= 6


def test_a_site_is_one_also_for_two_rollouts(stage: Stage, tenant: Tenant) -> None:
    site = Site.objects.create(tenant=tenant, name="plant")
    rolling_out.gateways(tenant, 1, "A", site=site)
    first = launched(rolling_out.release(), waves="100 %")
    rolling_out.gateways(tenant, 1, "B", site=site)
    second = launched(rolling_out.release(counter=3, sha256="c" * 64), waves="100 %")
    assert LeftOut.objects.get(rollout=second).reason == "in_another_rollout"
    stage.turn(turns=2)
    assert Execution.objects.filter(offered_at__isnull=False).count() == 1
    stage.finish(rollout=first)
    stage.turn(1, turns=2)
    assert Execution.objects.filter(rollout=second, offered_at__isnull=False).count() == 1


def pair(tenant: Tenant, group: str = "north") -> tuple[Gateway, Gateway]:
    """Two that stand in for one another, each at a site of its own."""
    made = []
    for name in ("one", "two"):
        site = Site.objects.create(tenant=tenant, name=name)
        Site.objects.filter(pk=site.pk).update(redundancy_group=group)
        made += rolling_out.gateways(tenant, 1, name.upper(), site=site)
    return made[0], made[1]


def offered_to() -> set[int]:
    found = Execution.objects.filter(offered_at__isnull=False, status__in=("QUEUED", "IN_PROGRESS"))
    return set(found.values_list("gateway_id", flat=True))


@pytest.mark.parametrize("deed", ["cancel", "disable", "replace", "time out"])
def test_a_neighbour_waits_for_one_that_was_ended_with_a_ticket_in_its_hands(
    stage: Stage, tenant: Tenant, deed: str
) -> None:
    pair(tenant)
    rollout = launched(
        rolling_out.release(), waves="100 %", limits=replace(QUICK, success_percent=1, failure_percent=100)
    )
    stage.turn(turns=2)
    first = Execution.objects.get(offered_at__isnull=False)
    due = stage.now + timedelta(minutes=30)
    phase = "downloading" if deed == "time out" else "rebooting"
    Execution.objects.filter(pk=first.pk).update(status="IN_PROGRESS", phase=phase, deadline_at=due)
    if deed == "cancel":
        gateway_desk.cancel(COMMAND_LINE, first.pk, now=stage.now)
    elif deed == "disable":
        Gateway.objects.filter(pk=first.gateway_id).update(status="disabled")
        keeper.remove_gone(stage.connection, stage.now, 10)
    elif deed == "replace":
        stage.away = {first.gateway_id}
        desk.replace(COMMAND_LINE, rollout.pk, rolling_out.release(counter=3, sha256="c" * 64), now=stage.now)
    else:
        Execution.objects.filter(pk=first.pk).update(deadline_at=stage.now)
    stage.turn(1, turns=3)
    first.refresh_from_db()
    assert first.status in ("CANCELED", "REMOVED", "TIMED_OUT")
    assert offered_to() == set()
    # It reports, and says nothing of that update any more.
    stage.turn(10)
    RunningFirmware.objects.filter(gateway=first.gateway_id).update(reported_at=stage.now)
    Execution.objects.filter(pk=first.pk).update(deadline_at=None)
    if status(rollout)[0] == "halted":
        desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert len(offered_to()) == 1
    assert first.gateway_id not in offered_to()


def test_a_neighbour_does_not_wait_longer_than_the_ticket_of_one_that_was_canceled(
    stage: Stage, tenant: Tenant
) -> None:
    pair(tenant)
    launched(rolling_out.release(), waves="100 %")
    stage.turn(turns=2)
    first = Execution.objects.get(offered_at__isnull=False)
    gateway_desk.cancel(COMMAND_LINE, first.pk, now=stage.now)
    stage.turn(86_399)
    assert offered_to() == set()
    stage.turn(1)
    assert len(offered_to()) == 1


def test_a_report_of_the_update_itself_does_not_set_the_neighbour_free(stage: Stage, tenant: Tenant) -> None:
    pair(tenant)
    launched(rolling_out.release(), waves="100 %")
    stage.turn(turns=2)
    first = Execution.objects.get(offered_at__isnull=False)
    gateway_desk.cancel(COMMAND_LINE, first.pk, now=stage.now)
    stage.turn(10)
    RunningFirmware.objects.filter(gateway=first.gateway_id).update(reported_at=stage.now)
    Execution.objects.filter(pk=first.pk).update(heard_at=stage.now)  # it downloads
    stage.turn(1, turns=2)
    assert offered_to() == set()


def test_one_that_tries_again_while_it_may_be_at_it_still_holds_its_neighbour_back(
    stage: Stage, tenant: Tenant
) -> None:
    pair(tenant)
    launched(rolling_out.release(), waves="100 %")
    stage.turn(turns=2)
    first = Execution.objects.get(offered_at__isnull=False)
    gateway_desk.cancel(COMMAND_LINE, first.pk, now=stage.now)
    gateway_desk.retry(COMMAND_LINE, first.pk, now=stage.now)
    stage.away = {first.gateway_id}
    stage.turn(1, turns=2)
    assert offered_to() == set()
    stage.away = set()
    stage.turn(1, turns=2)
    assert offered_to() == {first.gateway_id}


@pytest.mark.parametrize("asks", [(False, True), (True, False)])
def test_one_at_a_time_at_a_site_holds_for_two_rollouts_where_only_one_asks_for_it(
    stage: Stage, tenant: Tenant, asks: tuple[bool, bool]
) -> None:
    rolling_out.gateways(tenant, 2, site=Site.objects.create(tenant=tenant, name="plant"))
    for asked, (code, sha256) in zip(asks, (("GW-000000", "b" * 64), ("GW-000001", "c" * 64)), strict=True):
        release = rolling_out.release(sha256=sha256)
        launched(release, waves="100 %", limits=replace(QUICK, one_per_site=asked), target=Target(codes=(code,)))
        stage.turn(turns=2)
    assert len(offered_to()) == 1


def test_where_nobody_asks_for_it_a_whole_site_is_updated_at_once(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 3, site=Site.objects.create(tenant=tenant, name="plant"))
    launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, one_per_site=False))
    stage.turn(turns=2)
    assert len(offered_to()) == 3


def test_a_group_that_is_set_after_the_start_holds(stage: Stage, tenant: Tenant) -> None:
    pair(tenant, group="")
    launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, concurrency=1))
    stage.turn(turns=2)
    Site.objects.update(redundancy_group="late")
    Rollout.objects.update(concurrency=5)
    stage.turn(1, turns=2)
    assert len(offered_to()) == 1


def test_a_time_zone_that_this_machine_does_not_know_is_utc_and_the_heartbeat_says_so(
    stage: Stage, tenant: Tenant
) -> None:
    site = Site.objects.create(tenant=tenant, name="far")
    Site.objects.filter(pk=site.pk).update(time_zone="Mars/Phobos")
    rolling_out.gateways(tenant, 1, site=site)
    launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, window=Window(time(18), time(19))))
    stage.turn(turns=2)
    assert len(offered_to()) == 1
    assert "Mars/Phobos" in stage.conducting.facts()["unknown_zones"]


def test_the_window_is_that_of_each_gateways_own_site(stage: Stage, tenant: Tenant) -> None:
    here = Site.objects.create(tenant=tenant, name="São Paulo")  # the tenant's zone: 15:30 there
    there = Site.objects.create(tenant=tenant, name="Lisboa", time_zone="Europe/Lisbon")  # 18:30
    [a] = rolling_out.gateways(tenant, 1, "A", site=here)
    [b] = rolling_out.gateways(tenant, 1, "B", site=there)
    launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, window=Window(time(18), time(19))))
    stage.turn(turns=2)
    offered = Execution.objects.filter(offered_at__isnull=False)
    assert [each.gateway_id for each in offered] == [b.pk]
    stage.turn(3 * 3_600)
    assert {each.gateway_id for each in offered.all()} == {a.pk, b.pk}


def test_one_that_was_offered_it_as_its_window_closed_has_the_next_one_to_answer(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 1)
    limits = replace(QUICK, window=Window(time(15), time(16)), offer_limit_s=60)  # 15:30 at the tenant's
    rollout = launched(rolling_out.release(), waves="100 %", limits=limits)
    stage.turn(1_799, turns=2)
    stage.turn(86_400)
    assert statuses(rollout) == {1: {"QUEUED": 1}}
    assert stage.offered
    stage.turn(3_601, turns=2)
    assert statuses(rollout) == {1: {"TIMED_OUT": 1}}


def test_who_is_away_is_offered_it_when_it_comes_and_given_up_after_the_waves_time(
    stage: Stage, tenant: Tenant
) -> None:
    made = rolling_out.gateways(tenant, 3)
    rollout = launched(
        rolling_out.release(), waves="100 %", limits=replace(QUICK, success_percent=30, failure_percent=80)
    )
    stage.away = {gateway.pk for gateway in made[1:]}
    stage.turn(turns=2)
    assert len(stage.offered) == 1
    stage.away = {made[2].pk}
    stage.turn(3_600)
    assert len(stage.offered) == 2
    stage.finish()
    stage.turn(82_799)
    assert statuses(rollout) == {1: {"SUCCEEDED": 2, "QUEUED": 1}}
    stage.turn(1)
    assert statuses(rollout) == {1: {"SUCCEEDED": 2, "TIMED_OUT": 1}}
    given_up = Execution.objects.get(status="TIMED_OUT")
    waiting = State(changed_at=T0, deadline_at=T0)
    by_the_table = apply(waiting, Fact(Kind.DEADLINE), stage.now)
    found = State(
        Status(given_up.status),
        given_up.phase,
        given_up.reason,
        given_up.detail,
        given_up.bytes_done,
        given_up.attempt,
        changed_at=given_up.changed_at,
        deadline_at=given_up.deadline_at,
        finished_at=given_up.finished_at,
    )
    assert found == by_the_table
    stage.turn(1)
    assert status(rollout)[0] == "completed"


def test_a_gateway_that_waits_for_its_neighbour_is_not_given_up(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 2, site=Site.objects.create(tenant=tenant, name="plant"))
    rollout = launched(rolling_out.release(), waves="100 %")
    stage.turn(turns=2)
    Execution.objects.filter(offered_at__isnull=False).update(
        status="IN_PROGRESS", phase="downloading", deadline_at=None
    )
    stage.turn(2 * 86_400)
    assert statuses(rollout) == {1: {"IN_PROGRESS": 1, "QUEUED": 1}}
    stage.finish()
    stage.turn(1)
    late = Execution.objects.get(status="QUEUED")
    assert late.deadline_at is not None
    assert late.deadline_at > stage.now  # it has its time to answer, though the wave's is over


def test_an_offer_that_nobody_answers_times_out(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, offer_limit_s=30))
    stage.turn(turns=2)
    stage.turn(29)
    assert statuses(rollout) == {1: {"QUEUED": 1}}
    stage.turn(1, turns=2)
    assert statuses(rollout) == {1: {"TIMED_OUT": 1}}
    assert status(rollout)[0] == "halted"


def test_a_gateway_that_asks_is_offered_it_only_when_its_turn_has_come(stage: Stage, tenant: Tenant) -> None:
    made = rolling_out.gateways(tenant, 4)
    stage.away = {gateway.pk for gateway in made}
    rollout = launched(rolling_out.release(), waves="2, 100 %", limits=replace(QUICK, concurrency=1))
    asking = stage.conducting._offering
    first, second, later, _last = Execution.objects.order_by("wave", "place")

    def asks(execution: Execution) -> bool:
        return asking.may_offer(stage.connection, execution.pk, stage.now)

    assert not asks(first)  # no wave is open yet
    stage.turn()
    assert not asks(later)
    assert asks(second)
    assert not asks(second)  # it has it
    assert not asks(first)  # one at a time
    stage.finish()
    desk.pause(COMMAND_LINE, rollout.pk, now=stage.now)
    assert not asks(first)
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    assert asks(first)


def test_a_release_that_rolled_back_twice_on_some_hardware_is_not_tried_on_more_of_it(
    stage: Stage, tenant: Tenant
) -> None:
    rolling_out.gateways(tenant, 5, "A", hardware="A")
    rolling_out.gateways(tenant, 5, "B", hardware="B")
    release = rolling_out.release()
    rollout = launched(release, waves="2, 100 %")
    stage.turn()
    KnownBad.objects.create(release=release, family="dcu-0080", hardware="B", rolled_back=2, last_at=T0)
    waiting = Execution.objects.filter(offered_at=None, gateway__hardware="B").count()
    stage.turn(1)
    removed = Execution.objects.filter(status="REMOVED", reason="known_bad")
    assert removed.count() == waiting == LeftOut.objects.filter(rollout=rollout, reason="known_bad").count()
    assert not Execution.objects.filter(status="REMOVED", gateway__hardware="A").exists()
    stage.conducting = stage.fresh()
    stage.turn(1)
    assert kinds(rollout).count("known_bad") == 1


def taken_out_on_b(stage: Stage, tenant: Tenant) -> Rollout:
    """A rollout in which all that waited on hardware B were taken out."""
    rolling_out.gateways(tenant, 2, "A", hardware="A")
    rolling_out.gateways(tenant, 4, "B", hardware="B")
    release = rolling_out.release()
    rollout = launched(release, limits=replace(QUICK, concurrency=1), waves="100 %")
    KnownBad.objects.create(release=release, family="dcu-0080", hardware="B", rolled_back=2, last_at=T0)
    stage.turn(turns=2)
    assert Execution.objects.filter(status="REMOVED", reason="known_bad").count() == 4
    return rollout


@pytest.mark.usefixtures("english")
def test_who_was_taken_out_can_not_try_again_while_the_release_is_not_forgiven(stage: Stage, tenant: Tenant) -> None:
    rollout = taken_out_on_b(stage, tenant)
    one = Execution.objects.filter(status="REMOVED")[0]
    with pytest.raises(RolloutRefusedError, match="has to forgive it there first"):
        gateway_desk.retry(COMMAND_LINE, one.pk, now=stage.now)
    assert gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now) == 0


@pytest.mark.usefixtures("english")
def test_who_was_taken_out_tries_again_once_the_release_is_forgiven(stage: Stage, tenant: Tenant) -> None:
    rollout = taken_out_on_b(stage, tenant)
    one = Execution.objects.filter(status="REMOVED")[0]
    forgiving.forgive(rollout.release, "A bad cable.", by="command line", now=stage.now)
    assert gateway_desk.retry(COMMAND_LINE, one.pk, now=stage.now).status == "QUEUED"
    assert gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now) == 3
    assert not LeftOut.objects.exists()
    for _turn in range(7):
        stage.finish()
        stage.turn(1)
    assert statuses(rollout) == {1: {"SUCCEEDED": 6}}
    retried = RolloutEvent.objects.get(rollout=rollout, kind="update_retried")
    assert words.event(retried.kind, retried.words) == f"{one.gateway.code} tries again."


def test_a_release_that_rolls_back_once_more_after_it_was_forgiven_is_taken_out_again(
    stage: Stage, tenant: Tenant
) -> None:
    rollout = taken_out_on_b(stage, tenant)
    forgiving.forgive(rollout.release, "A bad cable.", by="command line", now=stage.now)
    gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1)
    KnownBad.objects.update(rolled_back=3, last_at=stage.now + timedelta(seconds=1))
    stage.turn(2)
    assert Execution.objects.filter(status="REMOVED", reason="known_bad").count() == 4


def test_a_withdrawn_release_is_offered_to_nobody_more(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 5)
    release = rolling_out.release()
    rollout = launched(release, limits=replace(QUICK, concurrency=1), waves="100 %")
    stage.turn(turns=2)
    type(release).objects.update(status="withdrawn")
    stage.finish()
    stage.turn(1, turns=2)
    assert (status(rollout), len(stage.offered)) == (("halted", 1, "withdrawn"), 1)


def test_the_withdrawal_of_a_release_halts_its_rollouts_within_a_turn_and_those_alone(
    stage: Stage, tenant: Tenant
) -> None:
    rolling_out.gateways(tenant, 2, "A")
    rolling_out.gateways(tenant, 2, "B", family="dcu-all")
    bad, good = rolling_out.release(), rolling_out.release(families=["dcu-all"], sha256="c" * 64)
    halted, other = launched(bad), launched(good)
    stage.turn()
    releases.withdraw(bad, "It burns.", by="command line", now=stage.now)
    stage.turn(1)
    assert status(halted) == ("halted", 1, "withdrawn")
    assert status(other) == ("running", 1, "")
    event = RolloutEvent.objects.get(rollout=halted, kind="halted")
    assert words.halt("withdrawn") in words.event(event.kind, event.words)
    with pytest.raises(RolloutRefusedError):
        desk.resume(COMMAND_LINE, halted.pk, now=stage.now)


@pytest.mark.usefixtures("english")
def test_with_its_release_whoever_has_not_begun_is_canceled_in_that_turn_and_who_is_at_it_goes_on(
    stage: Stage, tenant: Tenant
) -> None:
    at_it, offered, waits = rolling_out.gateways(tenant, 3)
    release = rolling_out.release()
    rollout = launched(release, limits=replace(QUICK, concurrency=2), waves="100 %")
    stage.away = {waits.pk}
    stage.turn(turns=2)
    at_it.executions.update(status="IN_PROGRESS", phase="downloading")
    releases.withdraw(release, "It burns.", by="command line", now=stage.now)
    stage.turn(1)
    told = {one.gateway_id: (one.status, one.reason) for one in Execution.objects.all()}
    assert told == {
        at_it.pk: ("IN_PROGRESS", ""),
        offered.pk: ("CANCELED", "withdrawn"),
        waits.pk: ("CANCELED", "withdrawn"),
    }
    assert kinds(rollout)[-2:] == ["halted", "withdrawn"]
    halted, ended = RolloutEvent.objects.filter(rollout=rollout).order_by("id")[3:]
    assert words.event(halted.kind, halted.words) == "Halted. The release was withdrawn."
    assert words.event(ended.kind, ended.words) == (
        "2 gateways had not begun, and do not any more: the release was withdrawn."
    )
    # They are free for another release at once.
    assert launched(rolling_out.release(sha256="c" * 64, counter=3), now=stage.now).executions.count() == 2


@pytest.mark.usefixtures("english")
@pytest.mark.parametrize("stands", ["paused", "halted"])
def test_a_rollout_that_stands_still_ends_with_its_release_too(stage: Stage, tenant: Tenant, stands: str) -> None:
    rolling_out.gateways(tenant, 5)
    release = rolling_out.release()
    rollout = launched(release)
    stage.turn()
    if stands == "paused":
        desk.pause(COMMAND_LINE, rollout.pk, now=stage.now)
    else:
        stage.finish("TIMED_OUT", "lost")
        stage.turn(1)
    assert status(rollout)[0] == stands
    releases.withdraw(release, "It burns.", by="command line", now=stage.now)
    stage.turn(1, turns=3)
    assert status(rollout) == ("halted", 1, "withdrawn")
    assert not Execution.objects.filter(status="QUEUED").exists()
    assert kinds(rollout).count("withdrawn") == 1
    with pytest.raises(RolloutRefusedError, match="was withdrawn"):
        gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now)


def test_counts_are_those_of_the_executions_whatever_happens_to_them(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 60)
    rollout = launched(rolling_out.release(), waves="20, 100 %")
    random = Random(3)
    ends = [("SUCCEEDED", ""), ("FAILED", "rolled_back"), ("FAILED", "self_test_failed"), ("TIMED_OUT", "lost")]
    ends += [
        ("TIMED_OUT", "no_answer"),
        ("REJECTED", "expired"),
        ("CANCELED", "requested"),
        ("REMOVED", "gateway_gone"),
    ]
    ends += [("QUEUED", ""), ("IN_PROGRESS", "")]
    ids = list(Execution.objects.values_list("pk", flat=True))
    for step in range(60):
        end, reason = random.choice(ends)
        Execution.objects.filter(pk__in=random.sample(ids, random.randint(1, 15))).update(status=end, reason=reason)
        if step % 7 == 0:
            counts.fold(stage.connection)
            assert not WaveCountChange.objects.exists()
        found = counts.of(stage.connection, [rollout.pk])[rollout.pk]
        for wave, of_wave in found.items():
            rows = Execution.objects.filter(rollout=rollout, wave=wave)
            assert of_wave.total == rows.count()
            assert of_wave.succeeded == rows.filter(status="SUCCEEDED").count()
            assert of_wave.lost == rows.filter(status="TIMED_OUT", reason="lost").count()
            assert of_wave.bad == rows.filter(status__in=("FAILED", "TIMED_OUT")).count()
            assert of_wave.waiting == rows.filter(status="QUEUED").count()


def test_failures_that_a_person_accepts_do_not_halt_it_again_and_new_ones_do(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 10)
    rollout = launched(rolling_out.release(), waves="1, 5, 100 %")
    stage.turn()
    stage.finish("TIMED_OUT", "lost")
    stage.turn(1)
    assert status(rollout) == ("halted", 1, "lost")
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert status(rollout) == ("running", 2, "")
    stage.finish("FAILED", "rolled_back")
    stage.turn(1)
    assert status(rollout) == ("halted", 2, "failures")
    assert kinds(rollout)[-4:] == ["halted", "accepted", "wave_opened", "halted"]


@pytest.mark.parametrize("deed", ["cancel", "disable"])
def test_a_wave_whose_gateways_are_all_taken_out_opens_nothing_until_a_person_says_so(
    stage: Stage, tenant: Tenant, deed: str
) -> None:
    rolling_out.gateways(tenant, 6)
    rollout = launched(rolling_out.release(), limits=replace(QUICK, failure_percent=100))
    stage.turn()
    first = Execution.objects.get(wave=1)
    if deed == "cancel":
        gateway_desk.cancel(COMMAND_LINE, first.pk, now=stage.now)
    else:
        Gateway.objects.filter(pk=first.gateway_id).update(status="disabled")
        keeper.remove_gone(stage.connection, stage.now, 10)
    stage.turn(1, turns=3)
    assert status(rollout) == ("halted", 1, "nobody_judged")
    event = RolloutEvent.objects.get(rollout=rollout, kind="halted")
    assert words.halt("nobody_judged") in words.event(event.kind, event.words)
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert status(rollout) == ("running", 2, "")


@pytest.mark.parametrize("deed", ["cancel", "disable"])
def test_a_gateway_that_is_taken_out_while_it_reboots_still_counts(stage: Stage, tenant: Tenant, deed: str) -> None:
    rolling_out.gateways(tenant, 6)
    rollout = launched(rolling_out.release(), waves="2, 100 %")
    stage.turn()
    first, second = Execution.objects.filter(wave=1).order_by("place")
    due = stage.now + timedelta(minutes=30)
    Execution.objects.filter(pk=first.pk).update(status="IN_PROGRESS", phase="rebooting", deadline_at=due)
    stage.finish(pk=second.pk)
    if deed == "cancel":
        gateway_desk.cancel(COMMAND_LINE, first.pk, now=stage.now)
    else:
        Gateway.objects.filter(pk=first.gateway_id).update(status="disabled")
        keeper.remove_gone(stage.connection, stage.now, 10)
    stage.turn(1_799, turns=3)
    assert status(rollout) == ("running", 1, "")  # nobody knows what it runs
    assert counts.of(stage.connection, [rollout.pk])[rollout.pk][1] == counts.Counts(succeeded=1, unknown=1)
    stage.turn(1, turns=2)
    assert status(rollout) == ("halted", 1, "lost")
    assert kinds(rollout)[-2:] == ["update_lost", "halted"]


def test_time_in_which_nothing_is_offered_is_not_the_gateways(stage: Stage, tenant: Tenant) -> None:
    made = rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release(), waves="100 %")
    stage.away = {made[0].pk}
    stage.turn()
    desk.pause(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(3 * 86_400)
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(86_399)
    assert statuses(rollout) == {1: {"QUEUED": 1}}
    stage.turn(1)
    assert statuses(rollout) == {1: {"TIMED_OUT": 1}}


def test_what_failed_tries_again_and_is_offered_again(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 3)
    rollout = launched(rolling_out.release(), waves="100 %")
    stage.turn(turns=2)
    before = set(Execution.objects.values_list("public_id", flat=True))
    stage.finish("FAILED", "download_failed")
    stage.turn(1)
    assert status(rollout)[0] == "halted"
    assert gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now) == 3
    assert gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now) == 0
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert len(stage.offered) == 6
    after = set(Execution.objects.values_list("public_id", flat=True))
    assert before.isdisjoint(after)  # a gateway does not take an execution again that it has finished
    stage.finish()
    stage.turn(1, turns=2)
    assert status(rollout)[0] == "completed"


def test_the_conductor_waits_for_a_person_who_is_at_the_rollout(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release())
    with seeding.own_connection() as other, other.transaction():
        other.execute("SELECT FROM tds_new_rollout WHERE id = %s FOR NO KEY UPDATE", (rollout.pk,))
        stage.connection.execute("SET lock_timeout = '100ms'")
        stage.turn()
        assert status(rollout) == ("running", 0, "")
    stage.turn()  # at once, not half a minute later
    assert status(rollout) == ("running", 1, "")


def test_the_timeline_is_never_changed(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 1)
    launched(rolling_out.release())
    for statement in ("UPDATE tds_new_rolloutevent SET actor = 'x'", "DELETE FROM tds_new_rolloutevent"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed"):
            stage.connection.execute(statement)


def test_what_a_gateway_ran_before_and_how_often_it_started_is_known_when_it_succeeds(
    stage: Stage, tenant: Tenant
) -> None:
    [gateway] = rolling_out.gateways(tenant, 1)
    launched(rolling_out.release(), waves="100 %")
    Gateway.objects.filter(pk=gateway.pk).update(last_seen_at=T0 + timedelta(days=1))
    stage.turn(turns=2)
    gateway.running.restarts = 4
    gateway.running.save()
    stage.finish()
    execution = Execution.objects.get()
    assert (execution.from_version, execution.from_sha256, execution.restarts) == ("1.0.0", rolling_out.OLD, 4)
