"""The vectors under testdata/wire to their end: each in its row or in quarantine, and the sums hold."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import pytest

from tds import wiring
from tds.fleet import registration
from tds.fleet.directory import Directory
from tds.fleet.models import Tenant
from tds.ingest.reasons import Reason
from tds.ingest.writer import Arrival, Writer
from tds.readings.sqlstore import TABLE
from tests import seeding
from tests.consuming import AMPLE, consumer_thread, ledger, prepared_connection, publish
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FOLDER: Final = Path(__file__).parents[2] / "testdata" / "wire"
GROUPS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=90)
OF_NOW: Final = [
    case
    for group in GROUPS.values()
    if (datetime.fromisoformat(group["now"]), timedelta(days=group["retention_days"])) == (NOW, RETENTION)
    for case in group["cases"]
]

Connection = psycopg.Connection[Any]


class Row(NamedTuple):
    """A reading as it stands in the database, in the words of the vectors."""

    gateway: str
    device: str
    time: str
    tipo: str
    unidade: str


class Kept(NamedTuple):
    """A message in quarantine."""

    reason: str
    topic: str
    payload: bytes


@pytest.fixture
def connection() -> Iterator[Connection]:
    with prepared_connection(NOW) as own:
        yield own


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """Owns every gateway of the vectors, all of which sends as many metrics as it likes."""
    for limit in ("MAX_METRICS_A_DEVICE", "MAX_METRICS_A_GATEWAY", "MAX_METRICS_A_TENANT"):
        monkeypatch.setattr(registration, limit, 100_000)
    of_all = seeding.tenant("acme")
    cases = [case for group in GROUPS.values() for case in group["cases"]]
    for code in sorted({case["accepted"]["gateway_code"] for case in cases if "accepted" in case}):
        seeding.gateway(of_all, code)
    return of_all


def payload_of(case: dict[str, Any]) -> bytes:
    return b"".join(
        (part["text"].encode() if "text" in part else bytes.fromhex(part["hex"])) * part.get("times", 1)
        for part in case["payload"]
    )


def arrival_of(case: dict[str, Any], tenant: Tenant) -> Arrival:
    return Arrival(case["topic"], payload_of(case), tenant_id=None if case["topic"] is not None else tenant.pk)


def rows_of(cases: list[dict[str, Any]]) -> dict[Row, float]:
    """The readings that these messages leave behind, in this order: of the same reading the first value stays."""
    rows: dict[Row, float] = {}
    for case in cases:
        if accepted := case.get("accepted"):
            for tipo, unidade, value in accepted["readings"]:
                row = Row(accepted["gateway_code"], accepted["device_code"], accepted["time"], tipo, unidade)
                rows.setdefault(row, float(value))
    return rows


def readings_in(cases: list[dict[str, Any]]) -> int:
    return sum(len(case["accepted"]["readings"]) for case in cases if "accepted" in case)


def kept_of(cases: list[dict[str, Any]]) -> Counter[Kept]:
    return Counter(Kept(case["refused"], case["topic"] or "", payload_of(case)) for case in cases if "refused" in case)


def stored(connection: Connection) -> dict[Row, float]:
    found = connection.execute(
        f"""SELECT g.code, d.code, to_char(r.time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   m.tipo, m.unidade, r.value
            FROM {TABLE} AS r JOIN tds_new_metric AS m ON m.id = r.metric_id
            JOIN tds_new_device AS d ON d.id = r.device_id JOIN tds_new_gateway AS g ON g.id = d.gateway_id"""
    ).fetchall()
    rows = {Row(*of): value for *of, value in found}
    assert len(rows) == len(found)
    return rows


def kept(connection: Connection) -> Counter[Kept]:
    found = connection.execute("SELECT reason, topic, payload FROM tds_new_quarantinedmessage").fetchall()
    return Counter(Kept(reason, topic, bytes(payload)) for reason, topic, payload in found)


def assert_ends_as_expected(connection: Connection, cases: list[dict[str, Any]]) -> None:
    """Rows, quarantine and ledger say the same of these messages as the vectors."""
    rows, refused = rows_of(cases), sum("refused" in case for case in cases)
    assert stored(connection) == rows
    assert kept(connection) == kept_of(cases)
    assert ledger(connection) == {
        "received": len(cases),
        "accepted": len(cases) - refused,
        "quarantined": refused,
        "readings": readings_in(cases),
        "stored": len(rows),
        "duplicate": readings_in(cases) - len(rows),
    }


@pytest.mark.parametrize("group", GROUPS)
def test_each_message_alone_ends_where_the_vectors_say(connection: Connection, tenant: Tenant, group: str) -> None:
    retention = timedelta(days=GROUPS[group]["retention_days"])
    now = datetime.fromisoformat(GROUPS[group]["now"])
    for case in GROUPS[group]["cases"]:
        # Rolled back: each begins with nothing stored, so that no value hides behind one that came before.
        with connection.transaction(force_rollback=True):
            # The calendar's group spans ten thousand years; nobody has a partition for each of their days.
            connection.execute(f"CREATE TABLE any_time PARTITION OF {TABLE} DEFAULT")
            writer = Writer(connection, wiring.reading_store(), Directory(), AMPLE, retention)
            writer.write([arrival_of(case, tenant)], now=now)
            try:
                assert_ends_as_expected(connection, [case])
            except AssertionError as error:
                error.add_note(f"The case is {case['case']!r}.")
                raise


def test_all_messages_in_batches_end_where_the_vectors_say(connection: Connection, tenant: Tenant) -> None:
    writer = Writer(connection, wiring.reading_store(), Directory(), AMPLE, RETENTION)
    arrivals = [arrival_of(case, tenant) for case in OF_NOW]
    for start in range(0, len(arrivals), 40):
        writer.write(arrivals[start : start + 40], now=NOW)
    assert_ends_as_expected(connection, OF_NOW)


def test_all_messages_over_the_broker_end_where_the_vectors_say(
    broker: RunningBroker, connection: Connection, tenant: Tenant
) -> None:
    cases = [case for case in OF_NOW if case["topic"] is not None and is_delivered(case["topic"])]
    assert {case["refused"] for case in cases if "refused" in case} >= {Reason.BAD_TOPIC, Reason.TOO_LARGE}
    with consumer_thread(broker.url, now=lambda: NOW, retention=RETENTION):
        publish(broker, *((case["topic"], payload_of(case)) for case in cases))
        wait_until(lambda: ledger(connection)["received"] >= len(cases), "the last message")
    assert_ends_as_expected(connection, cases)


def is_delivered(topic: str) -> bool:
    """Whether MQTT carries a message of this topic to whom subscribed to telemetry/+/+/data."""
    levels = topic.split("/")
    is_text = not any(c in "+#" or ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in topic)
    return is_text and len(levels) == 4 and (levels[0], levels[3]) == ("telemetry", "data")


def test_the_same_messages_again_change_nothing_but_the_counts(connection: Connection, tenant: Tenant) -> None:
    writer = Writer(connection, wiring.reading_store(), Directory(), AMPLE, RETENTION)
    arrivals = [arrival_of(case, tenant) for case in OF_NOW]
    for _ in range(2):
        writer.write(arrivals, now=NOW)
    # As with a device that sends all again after a reconnect: copies are counted, and no row is added.
    assert_ends_as_expected(connection, OF_NOW * 2)
