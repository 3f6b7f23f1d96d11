"""When gateways were last heard: written now and then, and in nobody's way."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds.fleet.directory import Directory
from tds.fleet.models import Gateway
from tds.ingest.messages import Arrival, Message, Refusal
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
    verdicts = [Refusal(Reason.NOT_JSON, "", code) for code in codes]
    last_seen.note(directory, [Arrival("telemetry/GW/D/data", b"{") for _ in codes], verdicts, now)
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


# Of when its readings are


def accepted(code: str, time: datetime) -> Message:
    return Message(code, "D01", time, [], ())


def dated(code: str, time: datetime) -> Arrival:
    return Arrival(f"telemetry/{code}/D01/data", seeding.as_bytes(seeding.message(code, time)))


def times(code: str) -> tuple[datetime | None, datetime | None, datetime | None]:
    gateway = Gateway.objects.get(code=code)
    return gateway.last_seen_at, gateway.last_reading_at, gateway.dated_at


def told(connection: Connection, *messages: tuple[Arrival, Message | Refusal], now: datetime = NOW) -> None:
    """To a consumer that writes at once what it heard."""
    directory = Directory()
    directory.learn(connection, {verdict.gateway_code for _, verdict in messages if verdict.gateway_code})
    last_seen = LastSeen()
    last_seen.note(directory, [arrival for arrival, _ in messages], [verdict for _, verdict in messages], now)
    last_seen.flush(connection)


def test_the_newest_reading_of_a_gateway_is_kept_and_never_goes_back(
    connection: Connection, gateways: list[Gateway]
) -> None:
    for minutes in ((3, 1, 2), (5, 4)):
        ages = [NOW - timedelta(minutes=n) for n in minutes]
        told(connection, *[(dated("GW-1", at), accepted("GW-1", at)) for at in ages])
    newest = NOW - timedelta(minutes=1)
    # What it kept and sends now is newer than nothing, but not its newest reading.
    assert times("GW-1") == (NOW, newest, NOW - timedelta(minutes=4))
    assert times("GW-0") == (None, None, None)


@pytest.mark.parametrize(
    ("reason", "ahead"),
    [(Reason.TIMESTAMP_IN_FUTURE, timedelta(hours=3)), (Reason.TIMESTAMP_TOO_OLD, -timedelta(days=400))],
)
def test_of_a_message_that_is_refused_for_its_time_the_time_is_kept_and_no_reading(
    connection: Connection, gateways: list[Gateway], reason: Reason, ahead: timedelta
) -> None:
    told(connection, (dated("GW-1", NOW + ahead), Refusal(reason, "", "GW-1")))
    assert times("GW-1") == (NOW, None, NOW + ahead)
    # Its clock was set right.
    later = NOW + timedelta(minutes=1)
    told(connection, (dated("GW-1", later), accepted("GW-1", later)), now=later)
    assert times("GW-1") == (later, later, later)


def test_a_message_whose_time_can_not_be_read_says_nothing_of_its_clock(
    connection: Connection, gateways: list[Gateway]
) -> None:
    told(connection, (dated("GW-1", NOW), accepted("GW-1", NOW)))
    later = NOW + timedelta(hours=2)
    told(connection, (Arrival("telemetry/GW-1/D01/data", b"{"), Refusal(Reason.NOT_JSON, "", "GW-1")), now=later)
    assert times("GW-1") == (later, NOW, None)


def test_what_waited_in_the_spool_came_when_it_was_written_down(
    connection: Connection, gateways: list[Gateway]
) -> None:
    came = NOW - timedelta(hours=1)
    waited = Arrival("telemetry/GW-1/D01/data", b"", received_at=came)
    told(connection, (waited, accepted("GW-1", came)))
    assert times("GW-1") == (came, came, came)
    # A consumer that heard it since then knows better.
    told(connection, (dated("GW-1", NOW), accepted("GW-1", NOW)))
    told(connection, (waited, accepted("GW-1", came)))
    assert times("GW-1") == (NOW, NOW, NOW)
