"""A wave whose soak is broken again and again: its rollout halts, and says by whom."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from django.utils import translation

from tds.fleet.models import Gateway, Tenant
from tds.updates.executions import keeper
from tds.updates.models import Execution, Rollout, RolloutEvent
from tds.updates.rollouts import desk, rules, showing
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.limits import Limits
from tests import executing, rolling_out
from tests.rolling_out import NEW, OLD, QUICK, Stage, events, launched, standing

pytestmark = pytest.mark.django_db(transaction=True)

SOAKING: Final = replace(QUICK, soak_s=3_600)
DAY: Final = timedelta(days=1)


class Flipping:
    """One gateway of a wave of twenty that says by turns that it runs the old and the new image. Another one is away,
    so that not enough succeed without this one, and enough still can; the others have succeeded."""

    def __init__(self, stage: Stage, tenant: Tenant, limits: Limits = SOAKING) -> None:
        self.stage, self.boot = stage, 1
        rolling_out.gateways(tenant, 30)
        self.rollout = launched(rolling_out.release(), waves="20, 100 %", limits=limits)
        stage.turn()
        within = Execution.objects.filter(rollout=self.rollout, wave=1).order_by("gateway_id")
        self.gateway, _away, *others = (each.gateway for each in within.select_related("gateway"))
        stage.finish(gateway__in=[each.pk for each in others])

    def runs(self, sha256: str) -> None:
        self.boot += 1
        runs = executing.running() | {"sha256": sha256}
        code, came_at = self.gateway.code, self.stage.now - timedelta(seconds=2)  # and waited to be kept
        payload = executing.as_bytes(executing.report(code, self.boot, 1, runs, life="00000001"))
        assert keeper.take_report(self.stage.connection, self.gateway.pk, code, payload, came_at) is None
        self.stage.turn(1)

    def flips(self, times: int) -> None:
        for _ in range(times):
            self.runs(NEW)
            self.runs(OLD)


def test_attack_a_gateway_that_runs_now_this_and_now_that_does_not_hold_a_wave_open(
    stage: Stage, tenant: Tenant
) -> None:
    flipping = Flipping(stage, tenant)
    flipping.flips(rules.MAX_BROKEN_SOAKS - 1)
    assert standing(flipping.rollout) == ("running", 1, "")
    flipping.flips(60)
    assert standing(flipping.rollout) == ("halted", 1, "unsteady")
    assert [kind for kind in events(flipping.rollout) if kind in ("unsteady", "halted")] == ["unsteady", "halted"]
    with translation.override("en"):
        told = showing.document(flipping.rollout)
        text = showing.text(flipping.rollout)
    assert (told["status"], told["halted_why"]) == ("halted", "unsteady")
    assert "Again and again enough had succeeded, and then not any more" in text
    assert f"Wave 1: its soak was broken by {flipping.gateway.code} the last time." in text


def test_attack_who_has_no_lines_left_in_the_timeline_is_named_all_the_same(stage: Stage, tenant: Tenant) -> None:
    flipping = Flipping(stage, tenant)
    execution = Execution.objects.get(rollout=flipping.rollout, gateway=flipping.gateway)
    RolloutEvent.objects.bulk_create(
        RolloutEvent(rollout=flipping.rollout, execution=execution, at=stage.now, kind="update_refused")
        for _ in range(10)
    )
    flipping.flips(rules.MAX_BROKEN_SOAKS)
    assert unsteady(flipping.rollout) == [{"wave": 1, "gateways": flipping.gateway.code}]


def test_a_person_who_goes_on_gives_it_as_many_again(stage: Stage, tenant: Tenant) -> None:
    flipping = Flipping(stage, tenant)
    for halts in (1, 2):
        flipping.flips(rules.MAX_BROKEN_SOAKS - 1)
        assert standing(flipping.rollout) == ("running", 1, "")
        flipping.flips(1)
        assert standing(flipping.rollout) == ("halted", 1, "unsteady")
        assert len(unsteady(flipping.rollout)) == halts
        stage.now = rolling_out.T0 - halts * DAY  # also by a clock that went back
        desk.resume(COMMAND_LINE, flipping.rollout.pk, now=stage.now)


def test_one_that_is_disabled_as_it_says_holds_nothing_up(stage: Stage, tenant: Tenant) -> None:
    flipping = Flipping(stage, tenant)
    flipping.flips(rules.MAX_BROKEN_SOAKS)
    Gateway.objects.filter(pk=flipping.gateway.pk).update(status="disabled")
    desk.resume(COMMAND_LINE, flipping.rollout.pk, now=stage.now)
    assert stage.finish(wave=1) == 1  # who was away
    stage.turn(1)
    stage.turn(3_600, turns=2)
    assert standing(flipping.rollout) == ("running", 2, "")


def test_waves_are_counted_each_by_itself(stage: Stage, tenant: Tenant) -> None:
    flipping = Flipping(stage, tenant)
    RolloutEvent.objects.bulk_create(
        RolloutEvent(rollout=flipping.rollout, at=stage.now, kind="soak_broken", words={"wave": 2}) for _ in range(10)
    )
    flipping.flips(rules.MAX_BROKEN_SOAKS - 1)
    assert standing(flipping.rollout) == ("running", 1, "")


def test_one_that_failed_without_a_success_before_is_not_named(stage: Stage, tenant: Tenant) -> None:
    flipping = Flipping(stage, tenant, limits=replace(SOAKING, success_percent=90, failure_percent=50))
    keeps = Execution.objects.filter(rollout=flipping.rollout, wave=1, status="SUCCEEDED").order_by("pk")[:1]
    Execution.objects.filter(pk__in=keeps.values("pk")).update(status="IN_PROGRESS", phase="installing")
    flipping.flips(rules.MAX_BROKEN_SOAKS - 1)
    flipping.runs(NEW)
    assert stage.finish("FAILED", "write_failed", phase="installing") == 1
    flipping.runs(OLD)
    assert standing(flipping.rollout) == ("halted", 1, "unsteady")
    assert unsteady(flipping.rollout) == [{"wave": 1, "gateways": flipping.gateway.code}]


def unsteady(rollout: Rollout) -> list[dict[str, object]]:
    """What its timeline tells of it."""
    found = RolloutEvent.objects.filter(rollout=rollout, kind="unsteady").order_by("id")
    return list(found.values_list("words", flat=True))
