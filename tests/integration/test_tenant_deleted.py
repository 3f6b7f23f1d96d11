"""A message while its gateway and its tenant are being deleted: it is stored and they stay, or it is nobody's."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from psycopg import errors

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Tenant
from tds.ingest import assign, writer
from tds.ingest.ledger_check import NOBODY
from tds.ingest.messages import Refusal
from tds.ingest.models import QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.balancing import assert_balanced
from tests.consuming import (
    AMPLE,
    STOP_LIMIT_S,
    commits_held_up,
    consumer_thread,
    in_commit,
    prepared_connection,
    publish,
    unacknowledged,
)
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime.now(UTC).replace(microsecond=0)
RUBBISH: Final = b'{"half": '


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over."""
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture
def other() -> Iterator[Connection]:
    """Of who deletes."""
    with seeding.own_connection() as own:
        yield own


@pytest.fixture(autouse=True)
def gateways() -> None:
    """GW-acme's tenant is the one that is deleted."""
    for slug in ("acme", "other"):
        seeding.gateway(seeding.tenant(slug), f"GW-{slug}")


@pytest.fixture
def ours(connection: Connection) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, timedelta(days=90))


def reading(slug: str, n: int = 0) -> tuple[str, bytes]:
    code = f"GW-{slug}"
    return telemetry_topic(code, "D01"), seeding.as_bytes(seeding.message(code, NOW - timedelta(seconds=n)))


def rubbish(slug: str) -> tuple[str, bytes]:
    return telemetry_topic(f"GW-{slug}", "D01"), RUBBISH


def arrivals(*messages: tuple[str, bytes]) -> list[Arrival]:
    return [Arrival(topic, payload) for topic, payload in messages]


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


def delete_acme(connection: Connection) -> None:
    """As a person in a shell; Django would send the same."""
    with connection.transaction():
        connection.execute("DELETE FROM tds_new_gateway WHERE code = 'GW-acme'")
        connection.execute("DELETE FROM tds_new_tenant WHERE slug = 'acme'")


def delete_acme_and_all_it_had(connection: Connection) -> None:
    """Readings, counters and all: whoever goes to such lengths takes what the foreign keys protect first."""
    with connection.transaction():
        for table in ("leituradispositivo", "ledgerhour", "devicemetric", "device", "metric"):
            connection.execute(f"DELETE FROM tds_new_{table}")
        delete_acme(connection)


def before(monkeypatch: pytest.MonkeyPatch, module: Any, function: str, act: Any) -> None:
    """Do something once, right before a writer calls a function."""
    call = getattr(module, function)
    done = False

    def act_and_call(*arguments: Any) -> Any:
        nonlocal done
        if not done:
            done = True
            act()
        return call(*arguments)

    monkeypatch.setattr(module, function, act_and_call)


def kept() -> list[tuple[str, str, int | None, int | None]]:
    """What is in quarantine, and whose it is."""
    columns = ("reason", "gateway_code", "gateway", "tenant")
    return list(QuarantinedMessage.objects.order_by("id").values_list(*columns))


def received_by_tenant() -> dict[str, int]:
    return {account.tenant: account.totals.received for account in assert_balanced().accounts}


# A deletion that is committed between two statements of a batch


def test_a_tenant_that_is_deleted_after_its_gateway_was_looked_up_leaves_its_messages_to_nobody(
    ours: Writer, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(monkeypatch, assign, "lock", lambda: delete_acme(other))
    batch = arrivals(reading("acme"), rubbish("acme"), reading("other"))
    assert reasons(ours.write(batch, now=NOW)) == [Reason.UNKNOWN_GATEWAY, Reason.NOT_JSON, None]
    assert sorted(kept()) == [("not_json", "GW-acme", None, None), ("unknown_gateway", "GW-acme", None, None)]
    assert Reading.objects.get().device.gateway.code == "GW-other"
    assert received_by_tenant() == {NOBODY: 2, "other": 1}


@pytest.mark.parametrize("messages", [1, 2])
def test_rubbish_of_a_gateway_that_is_deleted_meanwhile_is_written_in_the_same_call(
    ours: Writer, other: Connection, monkeypatch: pytest.MonkeyPatch, messages: int
) -> None:
    # Nothing locks the gateway of a refused message: its COMMIT finds the key gone, and it is looked up anew.
    before(monkeypatch, writer, "register_newcomers", lambda: delete_acme(other))
    assert reasons(ours.write(arrivals(*[rubbish("acme")] * messages), now=NOW)) == [Reason.NOT_JSON] * messages
    assert kept() == [("not_json", "GW-acme", None, None)] * messages
    assert received_by_tenant() == {NOBODY: messages}


@pytest.mark.parametrize("messages", [1, 3])
def test_what_a_writer_remembers_of_a_tenant_that_was_deleted_with_all_it_had_is_never_stored(
    ours: Writer, other: Connection, messages: int
) -> None:
    ours.write(arrivals(reading("acme", 60)), now=NOW)
    delete_acme_and_all_it_had(other)  # and the writer has not heard of it yet
    batch = arrivals(*(reading("acme", n) for n in range(messages)))
    assert reasons(ours.write(batch, now=NOW)) == [Reason.UNKNOWN_GATEWAY] * messages
    assert kept() == [("unknown_gateway", "GW-acme", None, None)] * messages
    assert Reading.objects.count() == 0
    assert received_by_tenant() == {NOBODY: messages}


# A deletion and a batch that wait for each other


@pytest.mark.parametrize("message", [reading("acme"), rubbish("acme")], ids=["a reading", "rubbish"])
@pytest.mark.parametrize("deleted", [True, False], ids=["committed", "rolled back"])
def test_a_message_waits_for_a_deletion_under_way_and_what_comes_behind_it_is_stored(
    broker: RunningBroker, connection: Connection, other: Connection, message: tuple[str, bytes], deleted: bool
) -> None:
    with consumer_thread(broker.url):
        with other.transaction(force_rollback=not deleted):
            delete_acme(other)
            publish(broker, message, reading("other", 1))
            wait_until(lambda: in_commit(connection), "a batch that waits for the deletion")
            publish(broker, reading("other", 2))
        wait_until(lambda: received_by_tenant().get("other") == 2, "what came behind it")
    assert Tenant.objects.filter(slug="acme").exists() != deleted
    acme = Gateway.objects.filter(code="GW-acme").values_list("pk", "tenant").first() or (None, None)
    if message == rubbish("acme"):
        assert kept() == [("not_json", "GW-acme", *acme)]
    else:
        assert kept() == ([("unknown_gateway", "GW-acme", None, None)] if deleted else [])
    assert received_by_tenant() == {NOBODY if deleted else "acme": 1, "other": 2}
    assert Reading.objects.filter(device__gateway__code="GW-other").count() == 2
    assert unacknowledged(broker) == []


@pytest.mark.parametrize("message", [reading("acme"), rubbish("acme")], ids=["a reading", "rubbish"])
def test_a_deletion_waits_for_a_batch_in_its_commit_and_is_refused(
    broker: RunningBroker, connection: Connection, other: Connection, message: tuple[str, bytes]
) -> None:
    outcome: list[BaseException | None] = []

    def delete() -> None:
        try:
            delete_acme(other)
            outcome.append(None)
        except psycopg.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=delete)
    with consumer_thread(broker.url):
        with commits_held_up(connection):
            publish(broker, message)
            wait_until(lambda: in_commit(connection), "a batch in its COMMIT")
            thread.start()
            wait_until(lambda: waits(connection, other), "a deletion that waits for the batch")
        thread.join(STOP_LIMIT_S)
        assert [type(error) for error in outcome] == [errors.ForeignKeyViolation]
        wait_until(lambda: received_by_tenant() == {"acme": 1}, "the batch")
    of_acme = Gateway.objects.get(code="GW-acme")
    if message == rubbish("acme"):
        assert kept() == [("not_json", "GW-acme", of_acme.pk, of_acme.tenant_id)]
    else:
        assert kept() == []
        assert Reading.objects.get().device.gateway == of_acme
    assert unacknowledged(broker) == []


def waits(connection: Connection, of: Connection) -> bool:
    """Whether a session waits for a lock of another one's."""
    row = connection.execute(
        "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", (of.info.backend_pid,)
    ).fetchone()
    return row == (True,)
