"""Quarantined messages once more, by the command that people use; the ledger stays true to the rows."""

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from typer import Typer
from typer.testing import CliRunner

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Tenant
from tds.ingest import ledger_check, quarantine
from tds.ingest.ledger import FIELDS
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Bounds
from tds.ingest.replay import replay
from tds.ingest.writer import Arrival, Writer
from tds.quarantine_commands import quarantine_app
from tds.readings.models import Reading
from tests import seeding
from tests.seeding import own_connection

pytestmark = pytest.mark.django_db(transaction=True)

NOW: Final = datetime.now(UTC).replace(microsecond=0)
EARLIER: Final = NOW - timedelta(hours=3)
AMPLE: Final = Bounds(per_gateway=1_000, messages=100_000, payload_bytes=1024**3)
APP: Final = Typer()
APP.add_typer(quarantine_app, name="quarantine")


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    with own_connection() as own:
        wiring.reading_store().prepare(own, now=NOW)
        yield own
    with own_connection() as another:
        seeding.without_readings(another)


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


def writer(connection: psycopg.Connection[Any]) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), AMPLE, timedelta(days=90))


def arrival(code: str, n: int, *, at: datetime = EARLIER) -> Arrival:
    body = seeding.message(code, at - timedelta(seconds=n), leituras=[{"tipo": "t", "valor": n}])
    return Arrival(f"telemetry/{code}/D01/data", seeding.as_bytes(body))


def tds(*words: str, stdin: str = "") -> Any:
    result = CliRunner().invoke(APP, ["quarantine", *words], prog_name="tds", input=stdin)
    assert "Traceback" not in result.output, result.output
    return result


def ids() -> list[int]:
    return list(QuarantinedMessage.objects.order_by("id").values_list("id", flat=True))


def balanced() -> None:
    with own_connection() as connection:
        report = ledger_check.check(connection, wiring.reading_store())
    assert report.differences == []


def sums(hour: datetime, tenant: Tenant | None) -> dict[str, int]:
    row = LedgerHour.objects.get(hour=hour.replace(minute=0, second=0), tenant=tenant)
    return {name: getattr(row, name) for name in FIELDS}


def test_after_a_gateway_is_registered_its_messages_are_stored_and_counted_where_they_belong(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(5)], now=EARLIER)
    assert sums(EARLIER, None)["quarantined"] == 5
    first = json.loads(tds("replay", "--reason", "unknown_gateway", "--json").stdout)
    assert first == {"chosen": 5, "accepted": 0, "readings": 0, "duplicates": 0, "refused": {"unknown_gateway": 5}}
    seeding.gateway(tenant, "GW-NEW")
    second = json.loads(tds("replay", "--gateway", "GW-NEW", "--json").stdout)
    assert second == {"chosen": 5, "accepted": 5, "readings": 5, "duplicates": 0, "refused": {}}
    assert Reading.objects.count() == 5
    nothing = dict.fromkeys(FIELDS, 0)
    assert sums(EARLIER, None) == nothing
    assert sums(EARLIER, tenant) == nothing | {"received": 5, "accepted": 5, "readings": 5, "stored": 5}
    assert QuarantinedMessage.objects.exclude(replayed_at=None).count() == 5
    balanced()


def test_to_replay_twice_changes_nothing(connection: psycopg.Connection[Any], tenant: Tenant) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(5)], now=EARLIER)
    seeding.gateway(tenant, "GW-NEW")
    tds("replay", "--gateway", "GW-NEW")
    again = json.loads(tds("replay", "--gateway", "GW-NEW", "--json").stdout)
    assert again == {"chosen": 0, "accepted": 0, "readings": 0, "duplicates": 0, "refused": {}}
    assert Reading.objects.count() == 5
    balanced()


def test_a_message_that_came_again_by_itself_is_a_duplicate(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    writer(connection).write([arrival("GW-NEW", 1)], now=EARLIER)
    seeding.gateway(tenant, "GW-NEW")
    writer(connection).write([arrival("GW-NEW", 1)], now=NOW)
    document = json.loads(tds("replay", *map(str, ids()), "--json").stdout)
    assert (document["accepted"], document["duplicates"]) == (1, 1)
    assert Reading.objects.count() == 1
    balanced()


def test_a_disabled_gateways_messages_come_back_when_it_is_enabled(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    gateway = seeding.gateway(tenant, "GW-1", status="disabled")
    writer(connection).write([arrival("GW-1", 1)], now=EARLIER)
    Gateway.objects.filter(pk=gateway.pk).update(status="active")
    assert "1 of 1 messages are accepted now" in tds("replay", "--tenant", "acme").stdout
    assert QuarantineCount.objects.get(reason="gateway_disabled").total == 0
    balanced()


def test_a_clock_is_judged_as_of_its_arrival_and_never_becomes_right_by_waiting(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    seeding.gateway(tenant, "GW-1")
    writer(connection).write([arrival("GW-1", 0, at=EARLIER + timedelta(hours=1))], now=EARLIER)
    document = json.loads(tds("replay", "--gateway", "GW-1", "--json").stdout)
    assert document["refused"] == {"timestamp_in_future": 1}


def test_a_former_owners_reading_never_goes_to_the_new_owner(connection: psycopg.Connection[Any]) -> None:
    former = seeding.gateway(seeding.tenant("former"), "GW-1", status="disabled")
    writer(connection).write([arrival("GW-1", 1)], now=EARLIER)
    Gateway.objects.filter(pk=former.pk).update(status="retired", retired_at=NOW)
    seeding.gateway(seeding.tenant("present"), "GW-1")
    document = json.loads(tds("replay", "--gateway", "GW-1", "--json").stdout)
    assert document["refused"] == {"previous_owner": 1}
    assert Reading.objects.count() == 0
    balanced()


def test_two_replays_and_the_consumer_at_once_neither_double_nor_deadlock(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(900)], now=EARLIER)
    seeding.gateway(tenant, "GW-NEW")
    wanted, failures = ids(), []
    accepted: list[int] = []

    def run() -> None:
        try:
            with own_connection() as own:
                accepted.append(sum(outcome.accepted for outcome in replay(writer(own), wanted, now=NOW)))
        except BaseException as error:  # noqa: BLE001  # seen below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    with own_connection() as own:
        for n in range(30):
            refused = [arrival("GW-STRANGER", n * 10 + m) for m in range(10)]
            writer(own).write([*refused, arrival("GW-NEW", n, at=NOW)], now=NOW)
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sum(accepted) == 900
    assert Reading.objects.count() == 930
    balanced()


def test_a_message_that_is_evicted_meanwhile_is_not_stored_past_the_ledger(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(5)], now=EARLIER)
    seeding.gateway(tenant, "GW-NEW")
    wanted = ids()
    accept = Writer.accept
    evicted = False

    def accept_and_evict(self: Writer, *words: Any, **more: Any) -> Any:
        nonlocal evicted
        result = accept(self, *words, **more)
        if not evicted:
            evicted = True
            with own_connection() as own:
                assert quarantine.purge(own, wanted[:2]) == 2
        return result

    monkeypatch.setattr(Writer, "accept", accept_and_evict)
    [outcome] = replay(writer(connection), wanted, now=NOW)
    assert outcome.accepted == 3
    assert Reading.objects.count() == 3
    balanced()


def test_purge_frees_room_and_leaves_the_count(connection: psycopg.Connection[Any]) -> None:
    writer(connection).write([arrival("GW-X", n) for n in range(7)], now=NOW)
    assert tds("purge", "--gateway", "GW-X", stdin="n\n").exit_code == 1
    assert len(ids()) == 7
    assert json.loads(tds("purge", "--gateway", "GW-X", "--yes", "--json").stdout) == {"purged": 7}
    count = QuarantineCount.objects.get(reason="unknown_gateway")
    assert (count.total, count.kept, count.kept_bytes) == (7, 0, 0)
    balanced()


def test_an_export_holds_every_byte(connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    junk = bytes(range(256))
    writer(connection).write([arrival("GW-X", 1), Arrival("telemetry/GW-X/D01/data", junk)], now=NOW)
    file = tmp_path / "export.jsonl"
    assert tds("export", "--output", str(file)).exit_code == 0
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    by_reason = {line["reason"]: line for line in lines}
    assert json.loads(by_reason["unknown_gateway"]["payload"])["gateway_code"] == "GW-X"
    assert base64.b64decode(by_reason["not_json"]["payload_base64"]) == junk
    assert "can't be written" in tds("export", "--output", str(file)).stderr


def test_a_hostile_payload_does_not_move_the_readers_cursor(connection: psycopg.Connection[Any]) -> None:
    writer(connection).write([Arrival("telemetry/GW-X/D01/data", b"\x1b[2J\x1b[31mforged [bold]line\n")], now=NOW)
    [message_id] = ids()
    for words in (("list",), ("show", str(message_id))):
        assert "\x1b[2J" not in tds(*words).stdout
    shown = tds("show", str(message_id)).stdout
    assert "what_to_do" in shown
    assert "not_json" in shown


def test_wrong_words_are_sentences(transactional_db: None) -> None:
    assert "use one of: bad_topic" in tds("list", "--reason", "nonsense").stderr
    assert "Say which" in tds("replay").stderr
    assert "no message 5" in tds("show", "5").stderr
    assert "no tenant 'nobody'" in tds("list", "--tenant", "nobody").stderr
    assert tds("list").stdout == "Nothing in quarantine of that choice.\n"
