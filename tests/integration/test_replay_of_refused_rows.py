"""What the database refused, once more after the rule there was mended."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from tds import wiring
from tds.fleet.directory import Directory
from tds.ingest.ledger import Totals
from tds.ingest.ledger_check import Account
from tds.ingest.messages import Refusal
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.replay import Outcome, replay
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.balancing import assert_balanced
from tests.consuming import AMPLE, ledger, prepared_connection

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
LATER: Final = NOW + timedelta(hours=3)
# A data exception, and a constraint: what a message can be to blame for.
SQLSTATES: Final = ["22003", "22P02", "23502", "23514"]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The ledger is compared with the rows when the test is over."""
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture(autouse=True)
def gateway() -> None:
    seeding.gateway(seeding.tenant("acme"), "GW-1")


def writer(connection: Connection) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, timedelta(days=90))


def arrivals(values: Sequence[int]) -> list[Arrival]:
    """A message for each value, of as many seconds ago."""
    return [
        Arrival(
            telemetry_topic("GW-1", "D01"),
            seeding.as_bytes(seeding.message("GW-1", NOW - timedelta(seconds=n), leituras=[{"tipo": "t", "valor": n}])),
        )
        for n in values
    ]


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


@contextmanager
def a_rule(connection: Connection, sqlstate: str, condition: str) -> Iterator[None]:
    """While it lasts, the database refuses readings that a condition names."""
    connection.execute(
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF {condition} THEN RAISE EXCEPTION 'made up' USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW; END $$"""
    )
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON tds_new_leituradispositivo FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        connection.execute("DROP FUNCTION refuse CASCADE")


def kept() -> list[int]:
    return list(QuarantinedMessage.objects.order_by("id").values_list("id", flat=True))


def replayed(connection: Connection) -> Outcome:
    """All that is in quarantine, once more."""
    outcome = Outcome()
    for of_batch in replay(writer(connection), kept(), now=LATER):
        outcome.add(of_batch)
    return outcome


def refused(messages: int) -> Counter[str]:
    return Counter({Reason.REFUSED_BY_DATABASE.value: messages})


def counted(received: int, in_quarantine: int) -> dict[str, int]:
    """A ledger of messages of one reading each, without copies."""
    taken = received - in_quarantine
    return {"received": received, "quarantined": in_quarantine, "duplicate": 0} | dict.fromkeys(
        ("accepted", "readings", "stored"), taken
    )


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_a_row_that_the_database_refused_is_stored_when_its_rule_is_mended(
    connection: Connection, sqlstate: str
) -> None:
    with a_rule(connection, sqlstate, "NEW.value >= 13"):
        found = reasons(writer(connection).write(arrivals(range(16)), now=NOW))
        assert found == [None] * 13 + [Reason.REFUSED_BY_DATABASE] * 3
        assert ledger(connection) == counted(received=16, in_quarantine=3)
        assert_balanced()
        # The rule still stands: nothing is stored and nothing counted.
        assert replayed(connection) == Outcome(refused=refused(3))
        assert ledger(connection) == counted(received=16, in_quarantine=3)
        assert_balanced()

    assert replayed(connection) == Outcome(accepted=3, readings=3)

    assert sorted(Reading.objects.values_list("value", flat=True)) == [float(n) for n in range(16)]
    assert ledger(connection) == counted(received=16, in_quarantine=0)
    assert QuarantineCount.objects.get().total == 0
    assert_balanced()


def test_to_replay_what_is_stored_by_now_does_nothing_more(connection: Connection) -> None:
    with a_rule(connection, "22003", "true"):
        writer(connection).write(arrivals(range(3)), now=NOW)
    assert replayed(connection).accepted == 3
    before = list(LedgerHour.objects.order_by("id").values())
    marked = list(QuarantinedMessage.objects.order_by("id").values_list("id", "replayed_at"))
    for _ in range(2):
        assert replayed(connection) == Outcome()
    assert list(LedgerHour.objects.order_by("id").values()) == before
    assert list(QuarantinedMessage.objects.order_by("id").values_list("id", "replayed_at")) == marked
    assert Reading.objects.count() == 3
    assert [hour["hour"] for hour in before] == [NOW.replace(minute=0)]  # when they came, not when they were replayed


def test_a_rule_that_is_half_mended_lets_through_what_it_may_and_the_rest_waits(connection: Connection) -> None:
    with a_rule(connection, "23514", "NEW.value >= 5"):
        writer(connection).write(arrivals(range(10)), now=NOW)
    with a_rule(connection, "23514", "NEW.value = 7"):
        assert replayed(connection) == Outcome(accepted=4, readings=4, refused=refused(1))
        assert ledger(connection) == counted(received=10, in_quarantine=1)
        assert [account for account in assert_balanced().accounts if account.tenant == "acme"] == [
            Account("acme", Totals(10, 9, 1, 9, 9, 0), 0, 9)
        ]
    assert replayed(connection) == Outcome(accepted=1, readings=1)
    assert Reading.objects.count() == 10
