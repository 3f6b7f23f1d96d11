"""Attacks on what reports make of executions and rollouts, and on what stands beside them at the same moment."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection

from tds.fleet.models import Gateway, Tenant
from tds.updates.executions import delivery, keeper, pushing
from tds.updates.executions.pushing import Pushing
from tds.updates.models import Execution, RolloutEvent, RunningFirmware
from tds.updates.rollouts import desk, roster, rules, snapshot
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.gate import Before, GatewayHealth
from tds.updates.rollouts.refusals import RolloutRefusedError
from tests import executing, rolling_out, seeding
from tests.executing import NOW, OLD, TARGET, Got, Spot, Unit
from tests.rolling_out import QUICK, Stage, launched, standing

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as made:
        yield made


def take(connection: psycopg.Connection[Any], gateway: Gateway, *payloads: bytes, at: datetime = NOW) -> None:
    for payload in payloads:
        assert keeper.take_report(connection, gateway.pk, gateway.code, payload, at) is None


# Numbers that are false


def test_attack_the_highest_number_of_a_start_does_not_hide_a_rollback(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    gateway = seeding.gateway(tenant, "GW-1", family="dcu-0080")
    execution = executing.execution(executing.rollout(executing.release()), gateway, offered_at=NOW, from_sha256=OLD)
    unit = Unit("GW-1", execution.public_id)
    last = 2**53 - 1
    false = executing.as_bytes(executing.report("GW-1", last, last, executing.running(TARGET)))
    take(connection, gateway, unit.phase("downloading"), false)
    execution.refresh_from_db()
    assert (execution.status, gateway.running.boot) == ("SUCCEEDED", last)
    unit.starts(OLD)
    take(connection, gateway, unit.says(), false)
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("FAILED", "rolled_back")
    found = RunningFirmware.objects.get()
    assert (found.sha256, found.boot, found.former_lives) == (OLD, 2, [[executing.LIFE, last, last]])


def test_a_gateway_whose_numbers_went_back_is_heard_when_it_is_given_an_update(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    gateway = seeding.gateway(tenant, "GW-1", family="dcu-0080")
    before = Unit("GW-1", "e-0", boot=60)
    take(connection, gateway, before.says())
    execution = executing.execution(
        executing.rollout(executing.release()), gateway, offered_at=NOW + MINUTE, from_sha256=OLD
    )
    unit = Unit("GW-1", execution.public_id)
    take(connection, gateway, unit.phase("rebooting"), at=NOW + 2 * MINUTE)
    unit.starts(TARGET)
    take(connection, gateway, unit.says(), before.sent[0], at=NOW + 3 * MINUTE)
    execution.refresh_from_db()
    assert execution.status == "SUCCEEDED"
    assert RunningFirmware.objects.get().boot == 2


# One gateway against a rollout


def test_attack_a_gateway_that_runs_now_this_and_now_that_does_not_fill_the_timeline(
    stage: Stage, tenant: Tenant
) -> None:
    """Each time it breaks its wave's soak, and lets it begin anew; see test_broken_soaks.py."""
    gateways = rolling_out.gateways(tenant, 20)
    rollout = launched(rolling_out.release(), waves="100 %", limits=replace(QUICK, soak_s=3_600))
    stage.turn()
    attacker, away = gateways[:2]
    stage.finish(gateway__in=[each.pk for each in gateways if each not in (attacker, away)])
    for boot in range(2, 62):
        runs = executing.running(OLD) | {"sha256": rolling_out.OLD if boot % 2 else rolling_out.NEW}
        payload = executing.report(attacker.code, boot, 1, runs, life="00000001")
        take(stage.connection, attacker, executing.as_bytes(payload), at=stage.now)
        stage.turn(1)
    assert standing(rollout) == ("halted", 1, "unsteady")
    told = RolloutEvent.objects.filter(rollout=rollout)
    assert told.filter(kind="soak_began").count() == rules.MAX_BROKEN_SOAKS
    assert told.filter(kind="soak_broken").count() == rules.MAX_BROKEN_SOAKS - 1


def test_attack_a_gateway_goes_on_with_what_was_over_while_another_rollout_starts(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at who is free and the write of who is in."""
    first, second = rolling_out.gateways(tenant, 2)
    over = executing.execution(
        executing.rollout(executing.release("1.0.5", "5" * 64)),
        first,
        status="REJECTED",
        reason="no_space",
        offered_at=NOW,
        finished_at=NOW,
    )
    unit = Unit(first.code, over.public_id, boot=2, life="00000001")
    looked, goes_on = roster.walk, iter([unit.phase("downloading")])

    def look(*given: Any, **named: Any) -> Any:
        found = list(looked(*given, **named))
        for payload in goes_on:  # once
            take(connection, first, payload, at=NOW + MINUTE)
        return found

    monkeypatch.setattr(roster, "walk", look)
    rollout = launched(rolling_out.release(version="1.2.0", counter=9))
    assert list(rollout.executions.values_list("gateway_id", flat=True)) == [second.pk]
    assert list(rollout.left_out.values_list("gateway_id", "reason")) == [(first.pk, "in_another_rollout")]


@pytest.mark.usefixtures("english")
def test_attack_a_gateway_that_does_so_each_time_costs_a_start_and_no_traceback(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    [gateway] = rolling_out.gateways(tenant, 1)
    over = executing.execution(
        executing.rollout(executing.release("1.0.5", "5" * 64)), gateway, offered_at=NOW, status="REJECTED"
    )
    looked = roster.walk

    def look(*given: Any, **named: Any) -> Any:
        connection.execute("UPDATE tds_new_execution SET status = 'REJECTED' WHERE id = %s", (over.pk,))
        found = list(looked(*given, **named))
        connection.execute("UPDATE tds_new_execution SET status = 'QUEUED' WHERE id = %s", (over.pk,))
        return found

    monkeypatch.setattr(roster, "walk", look)
    with pytest.raises(RolloutRefusedError, match="start it again"):
        launched(rolling_out.release(version="1.2.0", counter=9))
    assert snapshot.TRIES > 1


# At the same moment


def test_a_person_who_goes_on_and_reports_of_the_same_gateways_do_not_wait_for_one_another(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    rollout = executing.rollout(executing.release(), status="halted", halted_why="failures")
    first, second = (
        executing.execution(rollout, seeding.gateway(tenant, f"GW-{n}"), status="FAILED", finished_at=NOW)
        for n in range(2)
    )
    Execution.objects.filter(pk=first.pk).update(place=9)  # so that a scan comes to it last

    def resume() -> None:
        try:
            desk.resume(COMMAND_LINE, rollout.pk, now=NOW)
        finally:
            django_connection.close()

    lock = "SELECT FROM tds_new_execution WHERE id = %s FOR UPDATE"
    with ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute(lock, (first.pk,))
            going_on = pool.submit(resume)
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while connection.execute(waits).fetchone() != (1,):
                assert not going_on.done()
                connection.execute("SELECT pg_sleep(0.01)")
                connection.execute("SELECT pg_stat_clear_snapshot()")
            connection.execute(lock, (second.pk,))
        going_on.result(10)
    assert Execution.objects.filter(accepted=True).count() == 2


# What it costs


def test_a_report_costs_no_more_of_a_gateway_that_was_updated_a_thousand_times(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    rollout = executing.rollout(executing.release())
    once, often = (seeding.gateway(tenant, code) for code in ("ONCE", "OFTEN"))
    for gateway, times in ((once, 1), (often, 1_000)):
        Execution.objects.bulk_create(
            Execution(
                public_id=f"{gateway.code}-{n}",
                rollout=rollout,
                wave=1,
                place=gateway.pk * 10_000 + n,
                gateway=gateway,
                time_zone="UTC",
                status="SUCCEEDED",
                changed_at=NOW,
            )
            for n in range(times)
        )
    connection.execute("ANALYZE tds_new_execution")

    units = {gateway: Unit(gateway.code, f"{gateway.code}-0") for gateway in (once, often)}
    cheapest_s = dict.fromkeys(units, float("inf"))
    for _ in range(10):
        for gateway, unit in units.items():  # by turns: a busy moment of the machine is one of both
            payload = unit.phase("downloading")
            began = perf_counter()
            take(connection, gateway, payload)
            cheapest_s[gateway] = min(cheapest_s[gateway], perf_counter() - began)
    assert cheapest_s[often] < 5 * cheapest_s[once]


# A clock that goes back


def test_after_a_clock_that_went_back_the_gate_looks_all_the_same(stage: Stage, tenant: Tenant) -> None:
    for gateway in rolling_out.gateways(tenant, 4):
        stage.healths[gateway.pk] = GatewayHealth(gateway.pk, 900, 15, 5, 0, 0, Before(168, 60, 5))
    rollout = launched(rolling_out.release(), limits=replace(QUICK, gate=True, soak_s=7_200))
    stage.turn()
    stage.finish()
    stage.turn(1, turns=2)
    stage.turn(-3_600)
    stage.healths = {pk: replace(of, messages=0, series=0) for pk, of in stage.healths.items()}
    stage.turn(60)
    assert standing(rollout) == ("halted", 1, "telemetry")


# What is pushed


@dataclass
class Brokers:
    """`down`: whose commands fail; `refused`: to which gateways."""

    down: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    places: dict[int, Spot] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def where(self, _connection: psycopg.Connection[Any], gateway_ids: Sequence[int]) -> dict[int, Spot]:
        return {each: self.places[each] for each in gateway_ids if each in self.places}

    def update(self, code: str, _document: bytes, *, brokers: Sequence[str] = (), expiry_s: int) -> list[Got]:
        assert expiry_s
        self.tried.append(code)
        if not set(brokers) - self.down:
            return [Got("failed", "The broker is away.")]
        if code in self.refused:
            return [Got("refused", "The broker refused it.")]
        self.sent.append(code)
        return [Got("taken", "")]

    def check_now(self) -> list[Got]:
        return []


@pytest.fixture
def assigned(connection: psycopg.Connection[Any], tenant: Tenant, home: None) -> list[Execution]:
    rollout = executing.rollout(executing.release())
    made = [executing.execution(rollout, seeding.gateway(tenant, f"GW-{n}")) for n in range(8)]
    delivery.offer(connection, [each.pk for each in made], NOW)
    return made


@pytest.fixture
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, home=tmp_path))
    monkeypatch.setattr(pushing, "WAIT_S", 0.0)


def test_a_broker_that_is_away_holds_up_nobody_of_another_one(
    connection: psycopg.Connection[Any], assigned: list[Execution], monkeypatch: pytest.MonkeyPatch
) -> None:
    air = Brokers(down={"broker-2"})
    for n, each in enumerate(assigned):
        air.places[each.gateway_id] = Spot(("broker-2" if n < 4 else "broker",), NOW)
    lane = Pushing(air, air.where, lambda: NOW, "https://ota.example.com:8070")
    for _ in range(3):
        lane.turn(connection)
    assert air.sent == ["GW-4", "GW-5", "GW-6", "GW-7"]
    assert air.tried[:4] == ["GW-0", "GW-1", "GW-2", "GW-4"]  # three were enough to know
    assert lane.trouble == "The broker is away."
    air.down.clear()
    monkeypatch.setattr(lane, "_left_alone", {})  # half a minute later
    lane.turn(connection)
    assert (sorted(air.sent), lane.trouble) == ([f"GW-{n}" for n in range(8)], "")


def test_what_a_broker_refuses_to_some_holds_up_nobody_else(
    connection: psycopg.Connection[Any], assigned: list[Execution]
) -> None:
    air = Brokers(refused={"GW-0", "GW-1", "GW-2", "GW-3"})
    air.places = {each.gateway_id: Spot(("broker",), NOW) for each in assigned}
    lane = Pushing(air, air.where, lambda: NOW, "https://ota.example.com:8070")
    lane.turn(connection)
    assert air.sent == ["GW-4", "GW-5", "GW-6", "GW-7"]
    assert lane.trouble == "The broker refused it."


def test_a_broker_that_takes_a_whole_turn_to_fail_holds_up_nobody_of_another_one(
    connection: psycopg.Connection[Any], assigned: list[Execution], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "TURN_S", 0.05)
    air = Brokers(down={"broker-2"})
    for n, each in enumerate(assigned):
        air.places[each.gateway_id] = Spot(("broker-2" if n < 4 else "broker",), NOW)
    update = air.update

    def slow(*given: Any, **named: Any) -> Any:
        got = update(*given, **named)
        if got[0].outcome == "failed":
            connection.execute("SELECT pg_sleep(0.06)")
        return got

    monkeypatch.setattr(air, "update", slow)
    lane = Pushing(air, air.where, lambda: NOW, "https://ota.example.com:8070")
    for _ in range(4):
        delivery.offer(connection, [assigned[-1].pk], NOW)
        connection.execute("SELECT pg_notify(%s, '')", (delivery.OFFERED,))
        lane.turn(connection)
    assert air.sent == ["GW-4", "GW-5", "GW-6", "GW-7"]


def test_what_was_pushed_by_a_clock_that_went_back_since_is_pushed_again(
    connection: psycopg.Connection[Any], assigned: list[Execution]
) -> None:
    air = Brokers()
    air.places[assigned[0].gateway_id] = Spot(("broker",), NOW - MINUTE)
    clock = [NOW]
    lane = Pushing(air, air.where, lambda: clock[0], "https://ota.example.com:8070")
    lane.turn(connection)
    clock[0] = NOW - timedelta(hours=1)
    air.places[assigned[0].gateway_id] = Spot(("broker",), clock[0])  # it came anew
    lane.turn(connection)
    lane.turn(connection)
    assert air.sent == ["GW-0", "GW-0"]
