"""A rollout of 100,000 gateways: what starting it costs, and what a turn of the conductor."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection

from tds import wiring
from tds.updates.models import Execution, Rollout
from tds.updates.rollouts import counts, desk, plan
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.plan import Plan
from tests import rolling_out, seeding
from tests.rolling_out import EVERYBODY, T0, Stage

pytestmark = pytest.mark.django_db(transaction=True)

FLEET = 100_000
LIMITS = Limits(soak_s=0, gate=False, concurrency=500)


def test_a_hundred_thousand_gateways(stage: Stage) -> None:
    """One test, because the fleet takes longer to make than all that is done with it."""
    tenant = seeding.tenant("acme")
    rolling_out.gateways(tenant, FLEET)
    rolling_out.gateways(tenant, 100, "OTHER", family="relay-mfr")
    rolling_out.analyzed()
    release = rolling_out.release()
    asked = Plan(release, EVERYBODY, "1, 5 %, 25 %, 100 %", LIMITS)

    with measured() as previewed:
        look = plan.preview(COMMAND_LINE, asked, now=T0)
    assert (look.gateways, sum(look.left_out.values())) == (FLEET, 100)

    with measured() as start:
        rollout, started = desk.launch(COMMAND_LINE, asked, now=T0)
    assert (started.gateways, started.left_out) == (FLEET, 100)
    assert Execution.objects.filter(rollout=rollout).count() == FLEET

    # The first three waves are over, and of the last one everybody is away.
    everybody = set(Execution.objects.filter(rollout=rollout).values_list("gateway", flat=True))
    stage.away = everybody
    stage.turn()
    for _wave in range(3):
        finish_wave(rollout, stage)
        stage.turn()
    rollout.refresh_from_db()
    assert rollout.current_wave == 4
    with django_connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE tds_new_execution")
    here = set(Execution.objects.filter(rollout=rollout, wave=4, place__gt=70_000).values_list("gateway", flat=True))
    searching = [timed(stage) for _turn in range(100)]
    assert not stage.offered
    stage.away = everybody - here
    turns = [timed(stage) for _turn in range(100)]
    assert len(stage.offered) == LIMITS.concurrency  # it found those behind the 70,000 that are away

    with measured(stage.connection) as counting:
        [of_waves] = counts.of(stage.connection, [rollout.pk]).values()
    assert counts.total(of_waves.values()).total == FLEET

    with measured() as cancel:
        assert desk.cancel(COMMAND_LINE, rollout.pk, now=stage.now) > 70_000
    print(f"\npreview {previewed}; start {start}; counts {counting}; cancel {cancel}")
    print(f"turn: offering {told(turns)}; where all are away {told(searching)}")
    assert start.busy_s <= 10
    assert median(turn.busy_s for turn in turns) <= 0.05
    assert median(turn.busy_s for turn in searching) <= 0.05
    assert counting.busy_s <= 0.05


def finish_wave(rollout: Rollout, stage: Stage) -> None:
    rollout.refresh_from_db()
    Execution.objects.filter(rollout=rollout, wave=rollout.current_wave).update(
        status="SUCCEEDED", finished_at=stage.now, succeeded_at=stage.now, changed_at=stage.now
    )


@dataclass
class Spent:
    """`busy_s`: of this process and of its connection's in the database. What else runs here does not matter to it."""

    took_s: float = 0
    busy_s: float = 0

    def __str__(self) -> str:
        return f"{self.took_s:.3f} s ({self.busy_s:.3f} s of work)"


@contextmanager
def measured(connection: psycopg.Connection[Any] | None = None) -> Iterator[Spent]:
    spent, pid = Spent(), (connection or wiring.database_connection()).info.backend_pid
    began, worked = perf_counter(), process_time() + worked_s(pid)
    yield spent
    spent.took_s, spent.busy_s = perf_counter() - began, process_time() + worked_s(pid) - worked


def worked_s(pid: int) -> float:
    """Seconds of a processor that a process has had (proc(5): schedstat counts nanoseconds)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def timed(stage: Stage) -> Spent:
    with measured(stage.connection) as spent:
        stage.turn(1)
    return spent


def told(turns: list[Spent]) -> str:
    return (
        f"median {median(turn.took_s for turn in turns) * 1_000:.1f} ms"
        f" ({median(turn.busy_s for turn in turns) * 1_000:.1f} ms of work),"
        f" worst {max(turn.took_s for turn in turns) * 1_000:.1f} ms"
    )
