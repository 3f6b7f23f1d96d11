"""Time in which the platform was away, or that only its clock made, counts against no gateway."""

from datetime import timedelta

import pytest

from tds.fleet.models import Tenant
from tds.updates.executions import keeper
from tds.updates.executions.absence import AWAY, missed
from tds.updates.models import Execution, Rollout, Wave
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.rules import Halt
from tests import executing, rolling_out
from tests.executing import Unit
from tests.rolling_out import T0, Stage, launched, standing

pytestmark = pytest.mark.django_db(transaction=True)

HOUR_S = 3_600
LOST_S = 1_800


def turn(stage: Stage, seconds: float) -> None:
    stage.now += timedelta(seconds=seconds)
    stage.conducting.turn(stage.connection)


@pytest.fixture
def installing(stage: Stage, tenant: Tenant) -> tuple[Rollout, Unit]:
    """A rollout whose one gateway has just said that it installs."""
    [gateway] = rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release(sha256=executing.TARGET), waves="100 %")
    turn(stage, 1)
    execution = rollout.executions.get()
    unit = Unit(gateway.code, execution.public_id, boot=2, life="00000001")
    assert keeper.take_report(stage.connection, gateway.pk, gateway.code, unit.phase("installing"), stage.now) is None
    return rollout, unit


def status() -> str:
    return Execution.objects.get().status


def test_a_platform_that_was_away_for_an_hour_calls_no_gateway_lost(
    stage: Stage, installing: tuple[Rollout, Unit]
) -> None:
    rollout, unit = installing
    stage.conducting = stage.fresh()
    turn(stage, HOUR_S)
    assert (status(), standing(rollout)[0]) == ("IN_PROGRESS", "running")
    unit.starts(executing.TARGET)
    gateway = Execution.objects.get().gateway
    assert keeper.take_report(stage.connection, gateway.pk, gateway.code, unit.says(), stage.now) is None
    assert status() == "SUCCEEDED"


def test_after_the_absence_it_has_the_time_that_was_left_and_no_more(
    stage: Stage, installing: tuple[Rollout, Unit]
) -> None:
    rollout, _unit = installing
    stage.conducting = stage.fresh()
    turn(stage, HOUR_S)
    for _second in range(LOST_S // 50):
        turn(stage, 50)
    assert (status(), standing(rollout)[2]) == ("TIMED_OUT", Halt.LOST)


def test_a_database_that_was_away_is_an_absence_as_well(stage: Stage, installing: tuple[Rollout, Unit]) -> None:
    turn(stage, HOUR_S)  # the same process: its turns failed
    assert status() == "IN_PROGRESS"


def test_restarts_give_nobody_more_time(stage: Stage, installing: tuple[Rollout, Unit]) -> None:
    before = Execution.objects.get().deadline_at
    for _restart in range(LOST_S // 50):
        stage.conducting = stage.fresh()
        turn(stage, 50)
        assert Execution.objects.get().deadline_at in {before, None}
    assert status() == "TIMED_OUT"


def test_a_clock_that_is_put_forward_and_back_leaves_deadlines_where_they_were(
    stage: Stage, installing: tuple[Rollout, Unit]
) -> None:
    before = Execution.objects.get().deadline_at
    turn(stage, HOUR_S)
    assert status() == "IN_PROGRESS"
    turn(stage, -HOUR_S)
    assert Execution.objects.get().deadline_at == before


@pytest.fixture
def soaking(stage: Stage, tenant: Tenant) -> Rollout:
    """Of which the first wave has begun to soak, for an hour, and the telemetry gate watches it."""
    rolling_out.gateways(tenant, 2)
    rollout = launched(rolling_out.release(), waves="1, 100 %", limits=Limits(soak_s=HOUR_S, gate=True))
    turn(stage, 1)
    stage.finish()
    turn(stage, 1)
    assert Wave.objects.get(number=1).soak_from is not None
    return rollout


def test_nobody_watched_during_an_absence_so_it_is_no_soak(stage: Stage, soaking: Rollout) -> None:
    stage.conducting = stage.fresh()
    turn(stage, 2 * HOUR_S)
    for _minute in range(HOUR_S // 60 - 1):
        turn(stage, 60)
    assert standing(soaking)[1] == 1
    turn(stage, 60)
    turn(stage, 10)  # a start knows the last turn within 5 s
    assert standing(soaking)[1] == 2


def test_the_gate_judges_nobody_by_what_was_not_delivered_during_an_absence(stage: Stage, soaking: Rollout) -> None:
    stage.conducting = stage.fresh()
    turn(stage, 2 * HOUR_S)
    back = stage.now
    stage.conducting = stage.fresh()  # a restart is none
    turn(stage, 50)
    assert {each.since for each in stage.watched} == {back}


def test_whoever_is_away_has_lost_no_time_by_it(stage: Stage, tenant: Tenant) -> None:
    gateways = rolling_out.gateways(tenant, 1)
    stage.away = {each.pk for each in gateways}
    rollout = launched(rolling_out.release(), waves="100 %", limits=Limits(offer_limit_s=HOUR_S))
    turn(stage, 1)
    stage.conducting = stage.fresh()
    turn(stage, 24 * HOUR_S)
    assert Execution.objects.get().status == "QUEUED"
    desk.pause(COMMAND_LINE, rollout.pk, now=stage.now)  # … nor twice, by what a pause adds
    turn(stage, HOUR_S)
    desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)
    for _turn in range(HOUR_S // 50 + 1):
        turn(stage, 50)
    assert (Execution.objects.get().status, Execution.objects.get().reason) == ("TIMED_OUT", "no_answer")


def test_what_it_moves_by_is_the_whole_gap_or_nothing() -> None:
    assert missed(None, T0) == timedelta()
    assert missed(T0, T0 + AWAY) == timedelta()
    assert missed(T0, T0 + 2 * AWAY) == 2 * AWAY
    assert missed(T0, T0 - 2 * AWAY) == -2 * AWAY
