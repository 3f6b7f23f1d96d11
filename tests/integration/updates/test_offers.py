"""When a gateway is offered its update, and when it is given up: limits, windows, absence, its own asking."""

from dataclasses import replace
from datetime import time

import pytest

from tds.fleet.models import Site, Tenant
from tds.updates.executions.statuses import Status
from tds.updates.executions.transitions import Fact, Kind, State, apply
from tds.updates.models import (
    Execution,
)
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.windows import Window
from tests import rolling_out
from tests.rolling_out import QUICK, T0, Stage, launched, offered_to, standing, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_more_than_the_limit_are_under_way_at_once(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 30)
    rollout = launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, concurrency=7))
    for _turn in range(6):
        stage.turn(1, turns=2)
        under_way = Execution.objects.filter(rollout=rollout, offered_at__isnull=False, status="QUEUED")
        assert under_way.count() <= 7
        stage.finish()
    stage.turn(1, turns=2)
    assert standing(rollout)[0] == "completed"


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
    assert standing(rollout)[0] == "completed"


def test_an_offer_that_nobody_answers_times_out(stage: Stage, tenant: Tenant) -> None:
    rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, offer_limit_s=30))
    stage.turn(turns=2)
    stage.turn(29)
    assert statuses(rollout) == {1: {"QUEUED": 1}}
    stage.turn(1, turns=2)
    assert statuses(rollout) == {1: {"TIMED_OUT": 1}}
    assert standing(rollout)[0] == "halted"


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
