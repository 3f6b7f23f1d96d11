"""Never two of a site at once: what holds a neighbour back, and what sets it free, on a real PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tds.fleet.models import Gateway, Site, Tenant
from tds.updates.executions import keeper
from tds.updates.models import (
    Execution,
    LeftOut,
    Rollout,
    RunningFirmware,
)
from tds.updates.rollouts import desk, gateway_desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.target import Target
from tests import rolling_out
from tests.rolling_out import QUICK, Stage, launched, offered_to, standing, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_gateways_of_one_site_are_never_updated_at_the_same_time(stage: Stage, tenant: Tenant) -> None:
    plant, pump, tower = (Site.objects.create(tenant=tenant, name=name) for name in ("plant", "pump", "tower"))
    Site.objects.filter(pk__in=[pump.pk, tower.pk]).update(redundancy_group="north")  # they stand in for one another
    for number, site in enumerate((plant, pump, tower)):
        rolling_out.gateways(tenant, 3, f"S{number}", site=site)
    rolling_out.gateways(tenant, 3, "FREE")
    rollout = launched(rolling_out.release(), waves="100 %")
    rounds = 0
    while standing(rollout)[0] == "running":
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
    if standing(rollout)[0] == "halted":
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
