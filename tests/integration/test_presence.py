"""When gateways were last heard: written now and then, and in nobody's way."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds.fleet.directory import Directory
from tds.fleet.models import Gateway
from tds.ingest.messages import Refusal
from tds.ingest.presence import LastSeen
from tds.ingest.reasons import Reason
from tests import seeding
from tests.running import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        yield own


@pytest.fixture
def other() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        yield own


@pytest.fixture
def gateways() -> list[Gateway]:
    tenant = seeding.tenant("acme")
    made = [seeding.gateway(tenant, f"GW-{n}") for n in range(3)]
    # On disk the first one comes last now: whoever takes them as they come takes it last.
    Gateway.objects.filter(pk=made[0].pk).update(name="moved")
    return made


def heard(connection: Connection, *codes: str, now: datetime = NOW) -> LastSeen:
    directory = Directory()
    directory.learn(connection, codes)
    last_seen = LastSeen()
    last_seen.note(directory, [Refusal(Reason.NOT_JSON, "", code) for code in codes], now)
    return last_seen


def test_the_time_a_gateway_was_last_heard_never_goes_back(connection: Connection, gateways: list[Gateway]) -> None:
    earlier = NOW - timedelta(minutes=1)
    heard(connection, "GW-1", "GW-0").flush(connection)
    heard(connection, "GW-2", "GW-1", "GW-?", now=earlier).flush(connection)
    assert list(Gateway.objects.order_by("code").values_list("last_seen_at", flat=True)) == [NOW, NOW, earlier]


def test_gateways_are_locked_in_the_order_in_which_batches_lock_them(
    connection: Connection, other: Connection, gateways: list[Gateway]
) -> None:
    last_seen = heard(connection, "GW-2", "GW-1", "GW-0")
    thread = threading.Thread(target=last_seen.flush, args=[connection])
    with other.transaction():
        lock(other, gateways[0])
        thread.start()
        wait_until(lambda: waits(other, connection), "the flush that waits for the first gateway")
        # It has none of those behind it: a batch that has the first one gets them.
        for gateway in gateways[1:]:
            lock(other, gateway)
    thread.join(timeout=10)
    assert Gateway.objects.filter(last_seen_at=NOW).count() == 3


def lock(connection: Connection, gateway: Gateway) -> None:
    connection.execute("SELECT 1 FROM tds_new_gateway WHERE id = %s FOR NO KEY UPDATE NOWAIT", (gateway.pk,))


def waits(connection: Connection, of: Connection) -> bool:
    """Whether a session waits for a lock of another one's."""
    row = connection.execute(
        "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", (of.info.backend_pid,)
    ).fetchone()
    return row == (True,)
