"""A release that rolls back, or is withdrawn, while it is rolled out: what becomes of those that wait for it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tds.fleet.models import Tenant
from tds.updates.models import (
    Execution,
    KnownBad,
    LeftOut,
    RolledBack,
    Rollout,
    RolloutEvent,
)
from tds.updates.releases import desk as releases
from tds.updates.releases import forgiving
from tds.updates.rollouts import desk, gateway_desk, words
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.refusals import RolloutRefusedError
from tests import rolling_out
from tests.rolling_out import QUICK, Stage, events, launched, standing, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_release_that_rolled_back_twice_on_some_hardware_is_not_tried_on_more_of_it(
    stage: Stage, tenant: Tenant
) -> None:
    rolling_out.gateways(tenant, 5, "A", hardware="A")
    rolling_out.gateways(tenant, 5, "B", hardware="B")
    release = rolling_out.release()
    rollout = launched(release, waves="2, 100 %")
    stage.turn()
    rolling_out.known_bad(release, tenant, "B")
    waiting = Execution.objects.filter(offered_at=None, gateway__hardware="B").count()
    stage.turn(1)
    removed = Execution.objects.filter(status="REMOVED", reason="known_bad")
    assert removed.count() == waiting == LeftOut.objects.filter(rollout=rollout, reason="known_bad").count()
    assert not Execution.objects.filter(status="REMOVED", gateway__hardware="A").exists()
    stage.conducting = stage.fresh()
    stage.turn(1)
    assert events(rollout).count("known_bad") == 1


def taken_out_on_b(stage: Stage, tenant: Tenant) -> Rollout:
    """A rollout in which all that waited on hardware B were taken out."""
    rolling_out.gateways(tenant, 2, "A", hardware="A")
    rolling_out.gateways(tenant, 4, "B", hardware="B")
    release = rolling_out.release()
    rollout = launched(release, limits=replace(QUICK, concurrency=1), waves="100 %")
    rolling_out.known_bad(release, tenant, "B")
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
    again = stage.now + timedelta(seconds=1)
    RolledBack.objects.filter(pk=RolledBack.objects.all()[0].pk).update(at=again)
    KnownBad.objects.update(last_at=again)
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
    assert (standing(rollout), len(stage.offered)) == (("halted", 1, "withdrawn"), 1)


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
    assert standing(halted) == ("halted", 1, "withdrawn")
    assert standing(other) == ("running", 1, "")
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
    assert events(rollout)[-2:] == ["halted", "withdrawn"]
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
    assert standing(rollout)[0] == stands
    releases.withdraw(release, "It burns.", by="command line", now=stage.now)
    stage.turn(1, turns=3)
    assert standing(rollout) == ("halted", 1, "withdrawn")
    assert not Execution.objects.filter(status="QUEUED").exists()
    assert events(rollout).count("withdrawn") == 1
    with pytest.raises(RolloutRefusedError, match="was withdrawn"):
        gateway_desk.retry_failed(COMMAND_LINE, rollout.pk, now=stage.now)
