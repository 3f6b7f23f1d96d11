"""A rollout with the worker's own parts: its rules, real tickets, and gateways that report what became of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tds import wiring
from tds.devicelink.models import GatewayPresence
from tds.fleet.models import Gateway
from tds.updates.executions import delivery, keeper
from tds.updates.models import Execution, Rollout, RunningFirmware, Wave
from tds.updates.rollouts.conductor import Conducting
from tds.updates.rollouts.limits import STANDARD, Limits
from tests import executing, rolling_out, seeding
from tests.executing import OLD, TARGET, Unit
from tests.rolling_out import QUICK, T0

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
SERVER = "https://ota.example.com:8070"
Way = Callable[[Unit], list[bytes]]


class Field:
    """Gateways that are connected, take what they are offered, and report."""

    def __init__(self, connection: psycopg.Connection[Any], seed: int) -> None:
        self.connection = connection
        self.now = T0
        self.random = Random(seed)
        self.conducting = self.fresh()
        self.units: dict[str, Unit] = {}

    def fresh(self) -> Conducting:
        return wiring.conducting(lambda: self.now, lambda _s: None)

    def fleet(self, number: int) -> list[Gateway]:
        made = rolling_out.gateways(seeding.tenant("acme"), number)
        RunningFirmware.objects.update(sha256=OLD, counter=6, hardware="A", life=executing.LIFE, boot=1, number=0)
        for gateway in made:
            GatewayPresence.objects.create(
                gateway=gateway, online=True, brokers=["broker"], broker="broker", changed_at=T0, witnessed=True
            )
        return made

    def second(self, way: Way) -> None:
        """A turn of the worker, and then what all that were offered it report, late, twice and in any order."""
        self.now += SECOND
        self.conducting.conduct_all(self.connection)
        sent: list[tuple[Gateway, bytes]] = []
        offered = Execution.objects.filter(status="QUEUED", offered_at__isnull=False).select_related("gateway")
        for execution in offered:
            assert delivery.document_for(self.connection, execution.gateway_id, self.now, base_url=SERVER) is not None
            unit = Unit(execution.gateway.code, execution.public_id)
            sent += [(execution.gateway, payload) for payload in way(unit)]
        sent += self.random.sample(sent, len(sent) // 3)
        self.random.shuffle(sent)
        for gateway, payload in sent:
            assert keeper.take_report(self.connection, gateway.pk, gateway.code, payload, self.now) is None


def updates(unit: Unit) -> list[bytes]:
    for phase in ("downloading", "downloaded", "verified", "installing", "rebooting"):
        unit.phase(phase)
    unit.starts(TARGET, confirmed=False)
    unit.phase("confirming")
    unit.confirmed = True
    unit.says("SUCCEEDED")
    return unit.sent


def crashes(unit: Unit) -> list[bytes]:
    """It boots the new image, which never reports, and the boot loader goes back."""
    for phase in ("downloading", "verified", "rebooting"):
        unit.phase(phase)
    unit.boot += 1
    unit.starts(OLD)
    unit.says()
    return unit.sent


def fails_its_self_test(unit: Unit) -> list[bytes]:
    unit.phase("rebooting")
    unit.starts(TARGET, confirmed=False)
    unit.says("FAILED", reason="self_test_failed")
    unit.starts(OLD)
    unit.says()
    return unit.sent


def lies(unit: Unit) -> list[bytes]:
    """It claims success, and runs what it ran."""
    unit.phase("rebooting")
    unit.starts(OLD)
    unit.says("SUCCEEDED")
    return unit.sent


def refuses(unit: Unit) -> list[bytes]:
    unit.says("REJECTED", reason="signature_invalid")
    return unit.sent


def is_never_heard_again(unit: Unit) -> list[bytes]:
    unit.phase("rebooting")
    return unit.sent


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, home=tmp_path))
    with seeding.own_connection() as made:
        yield made


def started(field: Field, limits: Limits, waves: str = "2, 50 %, 100 %", fleet: int = 12) -> Rollout:
    field.fleet(fleet)
    return rolling_out.launched(executing.release(counter=7), waves=waves, limits=limits)


def test_a_good_build_reaches_everybody(connection: psycopg.Connection[Any]) -> None:
    field = Field(connection, seed=1)
    rollout = started(field, QUICK)
    for _second in range(12):
        field.second(updates)
    rollout.refresh_from_db()
    assert (rollout.status, rolling_out.statuses(rollout)) == (
        "completed",
        {1: {"SUCCEEDED": 2}, 2: {"SUCCEEDED": 4}, 3: {"SUCCEEDED": 6}},
    )
    assert set(RunningFirmware.objects.values_list("sha256", "confirmed")) == {(TARGET, True)}


@pytest.mark.parametrize("way", [crashes, fails_its_self_test, lies, refuses])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_bad_build_never_gets_beyond_the_first_wave(connection: psycopg.Connection[Any], way: Way, seed: int) -> None:
    field = Field(connection, seed)
    rollout = started(field, replace(STANDARD, soak_s=0, gate=False))
    seconds_to_halt = 0
    for second in range(1, 8):
        field.second(way)
        if field.random.random() < 0.3:
            field.conducting = field.fresh()
        rollout.refresh_from_db()
        if rollout.status == "halted" and not seconds_to_halt:
            seconds_to_halt = second
    assert (rollout.status, rollout.current_wave) == ("halted", 1)
    assert seconds_to_halt == 2  # offered and reported in the first second, halted by the next turn
    assert not Wave.objects.filter(rollout=rollout, number__gt=1, opened_at__isnull=False).exists()
    assert set(RunningFirmware.objects.values_list("sha256", flat=True)) == {OLD}


def test_a_gateway_that_is_lost_while_it_installs_halts_at_its_deadline_and_its_late_truth_corrects_it(
    connection: psycopg.Connection[Any],
) -> None:
    field = Field(connection, seed=5)
    rollout = started(field, STANDARD, waves="1, 100 %")
    field.second(is_never_heard_again)
    [execution] = Execution.objects.filter(offered_at__isnull=False)
    assert execution.deadline_at is not None
    lost_after = execution.deadline_at - field.now
    field.now = execution.deadline_at - SECOND
    field.second(is_never_heard_again)
    rollout.refresh_from_db()
    assert (rollout.status, rollout.halted_why) == ("halted", "lost")
    assert lost_after <= timedelta(minutes=30)
    unit = Unit(execution.gateway.code, execution.public_id, boot=2)
    unit.starts(TARGET)
    assert keeper.take_report(connection, execution.gateway_id, unit.code, unit.says(), field.now) is None
    assert rolling_out.statuses(rollout)[1] == {"SUCCEEDED": 1}
    field.second(updates)
    rollout.refresh_from_db()
    assert rollout.status == "halted"  # a person decides
