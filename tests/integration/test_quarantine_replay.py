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
from django.db.models import Sum
from psycopg import errors
from typer import Typer
from typer.testing import CliRunner

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Tenant
from tds.ingest import ledger_check, quarantine
from tds.ingest.ledger import FIELDS
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Bounds, Refused
from tds.ingest.reasons import Reason
from tds.ingest.replay import ATTEMPTS, replay
from tds.ingest.room import Room
from tds.ingest.writer import Arrival, Writer
from tds.quarantine_commands import quarantine_app
from tds.readings.models import Reading
from tests import seeding
from tests.running import wait_until
from tests.seeding import own_connection

pytestmark = pytest.mark.django_db(transaction=True)

NOW: Final = datetime.now(UTC).replace(microsecond=0)
EARLIER: Final = NOW - timedelta(hours=3)
AMPLE: Final = Bounds(per_gateway=10_000, messages=100_000, total_bytes=1024**3)
APP: Final = Typer()
APP.add_typer(quarantine_app, name="quarantine")
NOTHING: Final[dict[str, Any]] = {
    "chosen": 0,
    "accepted": 0,
    "readings": 0,
    "duplicates": 0,
    "refused": {},
    "untried": 0,
    "obstacle": "",
}


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
    assert first == NOTHING | {"chosen": 5, "refused": {"unknown_gateway": 5}}
    seeding.gateway(tenant, "GW-NEW")
    second = json.loads(tds("replay", "--gateway", "GW-NEW", "--json").stdout)
    assert second == NOTHING | {"chosen": 5, "accepted": 5, "readings": 5}
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
    assert again == NOTHING
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
    said = tds("replay", "--tenant", "acme").stdout
    assert said == "Accepted now: 1 of 1 message, with 1 reading (0 of them there already).\n"
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


def test_a_replay_of_several_hours_locks_no_gateway_of_one_hour_while_it_waits_for_one_of_another(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    first, second = (seeding.gateway(tenant, code, status="disabled") for code in ("GW-1", "GW-2"))
    # In the order of their hours the gateways come the other way round than in that of their ids.
    writer(connection).write([arrival("GW-2", 1)], now=EARLIER)
    writer(connection).write([arrival("GW-1", 1, at=NOW)], now=NOW)
    Gateway.objects.update(status="active")
    wanted, accepted = ids(), list[int]()
    lock = "SELECT 1 FROM tds_new_gateway WHERE id = %s FOR NO KEY UPDATE"

    def run() -> None:
        with own_connection() as own:
            accepted.extend(outcome.accepted for outcome in replay(writer(own), wanted, now=NOW))

    thread = threading.Thread(target=run)
    with own_connection() as ingest:
        # As a batch of the consumer does that brings something new of both.
        with ingest.transaction():
            ingest.execute(lock, (first.pk,))
            thread.start()
            wait_until(lambda: waits_for(ingest, connection), "a replay that waits for the first gateway")
            ingest.execute("SET LOCAL lock_timeout = '500ms'")
            ingest.execute(lock, (second.pk,))
        thread.join(30)
    assert accepted == [1, 1]
    balanced()


def waits_for(holder: psycopg.Connection[Any], connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid)))", (holder.info.backend_pid,)
    ).fetchone()
    return row == (True,)


def rolled_back(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The first transactions of a replay end as the one of two in a deadlock that PostgreSQL chooses."""
    accept, left = Writer.accept, times

    def accept_unless_chosen(self: Writer, *words: Any, **more: Any) -> Any:
        nonlocal left
        result = accept(self, *words, **more)
        if left:
            left -= 1
            raise errors.DeadlockDetected("deadlock detected\nDETAIL: made up")
        return result

    monkeypatch.setattr(Writer, "accept", accept_unless_chosen)


def test_a_replay_that_the_database_rolled_back_is_tried_again(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(5)], now=EARLIER)
    seeding.gateway(tenant, "GW-NEW")
    rolled_back(monkeypatch, ATTEMPTS - 1)
    [outcome] = replay(writer(connection), ids(), now=NOW)
    assert (outcome.accepted, outcome.untried) == (5, 0)
    balanced()


def test_what_could_not_be_tried_is_counted_and_said_and_the_rest_is_stored(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(5)], now=EARLIER)
    writer(connection).write([arrival("GW-NEW", n, at=NOW) for n in range(2)], now=NOW)
    seeding.gateway(tenant, "GW-NEW")
    with monkeypatch.context() as patched:
        rolled_back(patched, ATTEMPTS)
        result = tds("replay", "--gateway", "GW-NEW", "--json")
    assert result.exit_code == 1
    assert result.stderr.startswith("5 messages were not tried; do it again. The database rolled it back 5 times: dead")
    document = json.loads(result.stdout)
    assert (document["chosen"], document["accepted"], document["untried"]) == (7, 2, 5)
    balanced()
    again = tds("replay", "--gateway", "GW-NEW", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout) == NOTHING | {"chosen": 5, "accepted": 5, "readings": 5}
    balanced()


def test_with_a_disk_nearly_full_nothing_is_replayed_and_the_sentence_says_why(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    writer(connection).write([arrival("GW-NEW", n) for n in range(5)], now=EARLIER)
    seeding.gateway(tenant, "GW-NEW")
    monkeypatch.setattr(wiring, "room", lambda: Room([tmp_path], 2**60))
    result = tds("replay", "--gateway", "GW-NEW", "--json")
    assert result.exit_code == 1
    assert "TDS_DISK_RESERVE_BYTES" in result.stderr
    assert json.loads(result.stdout)["untried"] == 5
    assert Reading.objects.count() == 0
    balanced()


def test_a_disk_that_fills_up_during_a_replay_stops_it(
    connection: psycopg.Connection[Any], tenant: Tenant, tmp_path: Path
) -> None:
    for hours in range(3):
        at = NOW - timedelta(hours=hours)
        writer(connection).write([arrival("GW-NEW", hours, at=at)], now=at)
    seeding.gateway(tenant, "GW-NEW")
    free = iter([2, 0])
    room = Room([tmp_path], 1, free_bytes=lambda _: next(free), now_s=iter(range(10)).__next__)
    first, second = replay(writer(connection), ids(), now=NOW, room=room)
    assert (first.accepted, second.untried) == (1, 2)
    assert second.obstacle.startswith("Only 0 MB are free")
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


def test_purge_frees_room_and_leaves_the_count(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(connection).write([arrival("GW-X", n) for n in range(7)], now=NOW)
    monkeypatch.setattr(quarantine, "PURGE_MESSAGES", 3)
    assert tds("purge", "--gateway", "GW-X", stdin="n\n").exit_code == 1
    assert len(ids()) == 7
    assert json.loads(tds("purge", "--gateway", "GW-X", "--yes", "--json").stdout) == {"purged": 7}
    count = QuarantineCount.objects.get(reason="unknown_gateway")
    assert (count.total, count.kept, count.kept_bytes) == (7, 0, 0)
    balanced()


def test_messages_of_thousands_of_gateways_are_purged_and_marked_without_holding_ingest_up(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    connection.execute(
        """INSERT INTO tds_new_gateway (code, name, tenant_id, status, auto_devices, created_at)
           SELECT 'GW-' || n, '', %s, 'active', true, now() FROM generate_series(1, 20000) AS n""",
        (tenant.pk,),
    )
    with connection.transaction():
        gateways = Gateway.objects.values_list("pk", flat=True)
        refused = [Refused(Reason.NOT_JSON, "", pk, tenant.pk, "", "", b"x") for pk in gateways]
        quarantine.keep(connection, refused, AMPLE, now=NOW)
    # A comparison of every bucket with every message takes many seconds; this, hundredths, on any machine, also with
    # the plan that comes of tables that grew since they were last analyzed.
    connection.execute("SET statement_timeout = '2s'")
    connection.execute("SET enable_hashjoin = off")
    connection.execute("SET enable_mergejoin = off")
    wanted = ids()
    with connection.transaction(force_rollback=True):
        assert quarantine.mark_replayed(connection, wanted[:200], now=NOW) == 200
    assert quarantine.purge(connection, wanted) == 20_000
    sums = QuarantineCount.objects.aggregate(*(Sum(name) for name in ("total", "kept", "kept_bytes")))
    assert sums == {"total__sum": 20_000, "kept__sum": 0, "kept_bytes__sum": 0}


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
