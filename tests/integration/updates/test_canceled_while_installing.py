"""A rollout that is canceled while a gateway installs: over, whatever that says, and in the way of no other one."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tds.fleet.models import Tenant
from tds.updates.executions import keeper
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tests import executing, rolling_out, seeding
from tests.executing import Unit
from tests.rolling_out import T0, launched

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as made:
        yield made


def test_attack_a_gateway_goes_on_after_the_cancel_and_is_in_the_way_of_no_other_rollout(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    [gateway] = rolling_out.gateways(tenant, 1)
    rollout = launched(rolling_out.release(sha256=executing.TARGET))
    execution = rollout.executions.get()
    unit = Unit(gateway.code, execution.public_id, boot=2, life="00000001")

    def take(payload: bytes, at: datetime) -> tuple[str, str]:
        assert keeper.take_report(connection, gateway.pk, gateway.code, payload, at) is None
        execution.refresh_from_db()
        return execution.status, execution.reason

    assert take(unit.phase("installing"), T0) == ("IN_PROGRESS", "")
    desk.cancel(COMMAND_LINE, rollout.pk, now=T0 + MINUTE)
    assert keeper.settle_deadlines(connection, T0 + 31 * MINUTE, 10) == 1
    for n, phase in enumerate(("downloading", "installing", "rebooting"), 40):
        assert take(unit.phase(phase), T0 + n * MINUTE) == ("TIMED_OUT", "lost")
    newer = launched(rolling_out.release(version="1.2.0", counter=9, sha256="9" * 64), now=T0 + 50 * MINUTE)
    assert newer.executions.get().gateway_id == gateway.pk
    unit.starts(executing.TARGET)
    assert take(unit.says("SUCCEEDED"), T0 + 51 * MINUTE) == ("SUCCEEDED", "")
