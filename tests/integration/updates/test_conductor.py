"""The conductor on a real PostgreSQL: waves, halts, offers; and that it may be ended at any moment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from random import Random

import psycopg
import pytest

from tds.fleet.models import AuditEntry, Gateway, Tenant
from tds.updates.executions import keeper
from tds.updates.models import (
    Execution,
    Rollout,
    RolloutEvent,
    Wave,
    WaveCountChange,
)
from tds.updates.rollouts import counts, desk, gateway_desk, showing, words
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.conductor import Connection
from tds.updates.rollouts.gate import Before, GatewayHealth
from tests import rolling_out, seeding
from tests.rolling_out import QUICK, T0, Stage, events, launched, standing

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_good_release_goes_through_all_waves(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 20)
    rollout = launched(rolling_out.release(), waves="1, 25 %, 100 %", limits=replace(QUICK, soak_s=60))
    stage.turn()
    assert (standing(rollout), len(stage.offered)) == (("running", 1, ""), 1)
    for wave, offered in ((1, 5), (2, 20)):
        stage.finish()
        stage.turn(1)
        stage.turn(59)
        assert standing(rollout) == ("running", wave, "")
        stage.turn(1)
        assert (standing(rollout), len(stage.offered)) == (("running", wave + 1, ""), offered)
    stage.finish()
    stage.turn(1)
    stage.turn(60)
    assert standing(rollout) == ("completed", 3, "")
    assert events(rollout) == [
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
    assert standing(rollout) == ("halted", 1, why)
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
    assert standing(rollout) == ("halted", 1, "telemetry")
    assert events(rollout)[-2:] == ["gate_failed", "halted"]
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
    assert standing(rollout) == ("running", 1, "")
    stage.conducting = stage.fresh()  # a worker that began anew does not tell it again
    stage.turn(1)
    event = RolloutEvent.objects.get(rollout=rollout, kind="gate_waits")
    assert words.event(event.kind, event.words) == (
        "Wave 1 was watched for so long, and 1 gateway has not had the time to send enough to be compared: it goes on"
        " when that has come."
    )
    stage.healths = {pk: replace(of, observed_s=900, messages=15, series=5) for pk, of in stage.healths.items()}
    stage.turn(60, turns=2)
    assert standing(rollout) == ("running", 2, "")
    assert "gate_blind" not in events(rollout)


@pytest.mark.usefixtures("english")
def test_that_the_gate_had_nothing_to_compare_with_is_told(stage: Stage, tenant: Tenant) -> None:
    for gateway in rolling_out.gateways(tenant, 4):
        stage.healths[gateway.pk] = GatewayHealth(gateway.pk, 3_600, 0, 0, 0, 0, Before(hours=3))
    rollout = launched(rolling_out.release(), limits=replace(QUICK, gate=True, soak_s=60))
    stage.turn()
    stage.finish()
    stage.turn(1)
    stage.turn(3_600)
    assert standing(rollout) == ("running", 1, "")  # it sent readings before, and sends none
    stage.healths = {pk: replace(of, observed_s=6 * 3_600) for pk, of in stage.healths.items()}
    stage.turn(5 * 3_600)
    assert standing(rollout) == ("running", 2, "")
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
    assert standing(rollout)[:2] == ("halted", 1)


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
    assert events(rollout).count("wave_opened") == 1


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
    assert standing(rollout) == ("halted", 1, "lost")
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert standing(rollout) == ("running", 2, "")
    stage.finish("FAILED", "rolled_back")
    stage.turn(1)
    assert standing(rollout) == ("halted", 2, "failures")
    assert events(rollout)[-4:] == ["halted", "accepted", "wave_opened", "halted"]


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
    assert standing(rollout) == ("halted", 1, "nobody_judged")
    event = RolloutEvent.objects.get(rollout=rollout, kind="halted")
    assert words.halt("nobody_judged") in words.event(event.kind, event.words)
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert standing(rollout) == ("running", 2, "")


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
    assert standing(rollout) == ("running", 1, "")  # nobody knows what it runs
    assert counts.of(stage.connection, [rollout.pk])[rollout.pk][1] == counts.Counts(succeeded=1, unknown=1)
    stage.turn(1, turns=2)
    assert standing(rollout) == ("halted", 1, "lost")
    assert events(rollout)[-2:] == ["update_lost", "halted"]


def test_what_failed_tries_again_and_is_offered_again(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 3)
    rollout = launched(rolling_out.release(), waves="100 %")
    stage.turn(turns=2)
    before = set(Execution.objects.values_list("public_id", flat=True))
    stage.finish("FAILED", "download_failed")
    stage.turn(1)
    assert standing(rollout)[0] == "halted"
    assert gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now) == 3
    assert gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now) == 0
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    stage.turn(1, turns=2)
    assert len(stage.offered) == 6
    after = set(Execution.objects.values_list("public_id", flat=True))
    assert before.isdisjoint(after)  # a gateway does not take an execution again that it has finished
    stage.finish()
    stage.turn(1, turns=2)
    assert standing(rollout)[0] == "completed"


def test_the_conductor_waits_for_a_person_who_is_at_the_rollout(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release())
    with seeding.own_connection() as other, other.transaction():
        other.execute("SELECT FROM tds_new_rollout WHERE id = %s FOR NO KEY UPDATE", (rollout.pk,))
        stage.connection.execute("SET lock_timeout = '100ms'")
        stage.turn()
        assert standing(rollout) == ("running", 0, "")
    stage.turn()  # at once, not half a minute later
    assert standing(rollout) == ("running", 1, "")


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
