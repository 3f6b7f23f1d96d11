"""The ledger against the rows: it agrees at every moment, and a difference is found and named."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
import pytest
from django.conf import settings
from django.db.models import ProtectedError, Sum

from bench import load
from tds import cli, health, wiring
from tds.environment import ROOT
from tds.fleet.directory import Directory
from tds.fleet.models import Device, Gateway, Tenant
from tds.ingest import database, ledger, ledger_check
from tds.ingest.ledger import FIELDS, HOURS_KEPT, Totals
from tds.ingest.ledger_check import MAX_NAMED, NOBODY, Account, Report, check, compare
from tds.ingest.models import LedgerDay, LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.reasons import Reason
from tds.ingest.writer import Arrival, Writer
from tds.readings import dropped, move
from tds.readings.models import LedgerDropped, Reading
from tds.readings.partitions import DAY, PartitionStore, partition_name
from tds.readings.timescale import TimescaleStore
from tests import seeding
from tests.balancing import assert_balanced
from tests.consuming import AMPLE, STOP_LIMIT_S, consumer_process, environment, prepared_connection
from tests.consuming import ledger as sums
from tests.running import RunningBroker
from tests.timescaledb import afterwards_native, timescaledb

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("believed_clock")]

Connection = psycopg.Connection[Any]
# Long before all that other tests store: retention drops nothing of theirs.
NOW: Final = datetime(2002, 6, 10, 12, 30, tzinfo=UTC)
RETENTION: Final = timedelta(days=3)
STORE: Final = PartitionStore(RETENTION)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        STORE.prepare(own, now=NOW)
        yield own
    with seeding.own_connection() as another:
        seeding.without_readings(another)
        STORE.expire(another, now=NOW + 30 * DAY)


@pytest.fixture(autouse=True)
def gateways() -> list[Gateway]:
    return [seeding.gateway(seeding.tenant(slug), f"GW-{slug}") for slug in ("acme", "other")]


def writer(connection: Connection) -> Writer:
    return Writer(connection, STORE, Directory(), AMPLE, RETENTION)


def arrivals(code: str, *times: datetime, device: str = "D01") -> list[Arrival]:
    return [
        Arrival(f"telemetry/{code}/{device}/data", seeding.as_bytes(seeding.message(code, time, device)))
        for time in times
    ]


def minutes(count: int, start: datetime = NOW) -> list[datetime]:
    return [start - timedelta(minutes=n) for n in range(count)]


def found(connection: Connection, **options: Any) -> Report:
    return check(connection, STORE, **options)


def only(report: Report) -> ledger_check.Difference:
    [difference] = report.differences
    return difference


# It agrees


def test_the_counters_agree_with_the_rows_by_tenant(connection: Connection) -> None:
    ours = writer(connection)
    ours.write(arrivals("GW-acme", *minutes(10)), now=NOW)
    ours.write([*arrivals("GW-acme", *minutes(3)), *arrivals("GW-other", *minutes(2)), *arrivals("GW-?", NOW)], now=NOW)
    STORE.roll_up(connection, now=NOW + DAY)

    report = assert_balanced()

    assert report.accounts == [
        Account(NOBODY, Totals(1, 0, 1, 0, 0, 0), 0, 0),
        Account("acme", Totals(13, 13, 0, 13, 10, 3), 0, 10),
        Account("other", Totals(2, 2, 0, 2, 2, 0), 0, 2),
    ]


def test_what_retention_drops_is_counted_by_tenant_with_rows_that_came_late_and_were_not_aggregated(
    connection: Connection,
) -> None:
    ours = writer(connection)
    ours.write(arrivals("GW-acme", *minutes(7, NOW - 2 * DAY)), now=NOW)
    STORE.roll_up(connection, now=NOW)
    ours.write(arrivals("GW-other", *minutes(5, NOW - 2 * DAY)), now=NOW)  # late: in no hour yet
    ours.write(arrivals("GW-acme", *minutes(4)), now=NOW)

    assert partition_name(NOW - 2 * DAY) in STORE.expire(connection, now=NOW + 2 * DAY)

    by_tenant = dict(LedgerDropped.objects.values_list("tenant__slug", "rows"))
    assert by_tenant == {"acme": 7, "other": 5}
    assert {row.day for row in LedgerDropped.objects.all()} == {(NOW + 2 * DAY).date()}
    assert Reading.objects.count() == 4
    assert_balanced()


def test_two_that_drop_at_once_count_once(connection: Connection) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(50, NOW - 2 * DAY)), now=NOW)
    barrier = threading.Barrier(2)

    def drop() -> None:
        with seeding.own_connection() as own:
            barrier.wait(STOP_LIMIT_S)
            for _ in range(20):
                STORE.expire(own, now=NOW + 2 * DAY)

    threads = [threading.Thread(target=drop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(STOP_LIMIT_S)
    assert LedgerDropped.objects.get().rows == 50
    assert_balanced()


def test_a_drop_that_fails_after_it_was_counted_is_not_counted(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(5, NOW - 2 * DAY)), now=NOW)
    monkeypatch.setattr(dropped, "PATIENCE_MS", 100)
    with seeding.own_connection() as reader, reader.transaction():
        reader.execute(f"SELECT count(*) FROM {partition_name(NOW - 2 * DAY)}")
        assert partition_name(NOW - 2 * DAY) not in STORE.expire(connection, now=NOW + 2 * DAY)
        assert LedgerDropped.objects.count() == 0
        assert_balanced()
    assert partition_name(NOW - 2 * DAY) in STORE.expire(connection, now=NOW + 2 * DAY)
    assert_balanced()


def test_nothing_is_dropped_while_the_rows_are_counted(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(5, NOW - 2 * DAY)), now=NOW)
    count = dropped.counted_by_tenant
    tried: list[list[str]] = []

    def and_drop(*arguments: Any) -> Any:
        with seeding.own_connection() as own:
            tried.append(STORE.expire(own, now=NOW + 2 * DAY))
        return count(*arguments)

    monkeypatch.setattr("tds.ingest.ledger_check.counted_by_tenant", and_drop)
    assert_balanced()
    assert tried
    assert not any(tried)
    assert partition_name(NOW - 2 * DAY) in STORE.expire(connection, now=NOW + 2 * DAY)


def test_it_is_exact_while_messages_come_in_and_days_are_dropped(connection: Connection) -> None:
    stopping = threading.Event()
    failures: list[BaseException] = []
    batches = 0

    def write() -> None:
        nonlocal batches
        try:
            with seeding.own_connection() as own:
                ours = writer(own)
                while not stopping.is_set():
                    times = [NOW - 2 * DAY + timedelta(seconds=batches * 40 + n) for n in range(50)]
                    code = ("GW-acme", "GW-other", "GW-?")[batches % 3]
                    ours.write(arrivals(code, *times), now=NOW)
                    batches += 1
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        stored: list[int] = []
        for n in range(15):
            if n % 5 == 4:
                STORE.roll_up(connection, now=NOW)
            report = found(connection, deep=True)
            assert [difference.sentence for difference in report.differences] == []
            stored.append(sum(account.totals.stored for account in report.accounts))
    finally:
        stopping.set()
        thread.join(STOP_LIMIT_S)
    assert failures == []
    assert stored[0] < stored[-1], "nothing was written meanwhile"
    assert stored == sorted(stored)
    assert_balanced()


def test_chunks_are_counted_compressed_or_not_and_dropped_ones_too(gateways: list[Gateway]) -> None:
    store = TimescaleStore(timedelta(days=12))
    with timescaledb(), seeding.own_connection() as own:
        ours = Writer(own, store, Directory(), AMPLE, timedelta(days=12))
        for days in (0, 8, 9, 11):
            ours.write(arrivals("GW-acme", *minutes(7, NOW - days * DAY)), now=NOW)
        assert_balanced()
        assert store.compact(own, now=NOW)
        store.roll_up(own, now=NOW)
        assert_balanced()
        ours.write(arrivals("GW-other", *minutes(5, NOW - 11 * DAY)), now=NOW)  # late, into a compressed chunk

        [gone] = store.expire(own, now=NOW + 2 * DAY)

        assert gone
        assert dict(LedgerDropped.objects.values_list("tenant__slug", "rows")) == {"acme": 7, "other": 5}
        account = next(account for account in assert_balanced().accounts if account.tenant == "acme")
        assert (account.rows, account.dropped) == (21, 7)


def test_nothing_is_compressed_while_the_rows_are_counted(
    gateways: list[Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TimescaleStore(timedelta(days=12))
    count = dropped.counted_by_tenant
    with timescaledb(), seeding.own_connection() as own:
        times = minutes(7, NOW - 9 * DAY)
        Writer(own, store, Directory(), AMPLE, timedelta(days=12)).write(arrivals("GW-acme", *times), now=NOW)

        def and_compress(*arguments: Any) -> Any:
            assert store.compact(own, now=NOW) == []
            return count(*arguments)

        monkeypatch.setattr("tds.ingest.ledger_check.counted_by_tenant", and_compress)
        assert_balanced()
        assert store.compact(own, now=NOW)


def test_a_day_that_is_dropped_while_the_readings_are_moved_is_dropped_and_counted_once(
    connection: Connection, gateways: list[Gateway]
) -> None:
    ours = writer(connection)
    for days in range(3):
        ours.write(arrivals("GW-acme", *minutes(7, NOW - days * DAY)), now=NOW)
    steps: list[str] = []

    def expire(what: str, _day: object) -> None:
        steps.append(what)
        if steps == ["copied"] * 3:  # of six days: the three oldest are in both
            with seeding.own_connection() as own:
                STORE.expire(own, now=NOW + 2 * DAY)
            assert_balanced()

    with afterwards_native():
        move.move(connection, now=NOW, step=expire)
        assert steps[-1] == "switched"
        account = next(account for account in assert_balanced().accounts if account.tenant == "acme")
        assert (account.rows, account.dropped) == (14, 7)
        TimescaleStore(RETENTION).expire(connection, now=NOW + 30 * DAY)
        account = next(account for account in assert_balanced().accounts if account.tenant == "acme")
        assert (account.rows, account.dropped) == (0, 21)


@pytest.mark.skipif(not shutil.which("make") or not shutil.which("cc"), reason="the load generator needs make, cc")
def test_it_is_exact_under_the_load_of_a_fleet(broker: RunningBroker, tmp_path: Path) -> None:
    load.build()
    tenant = seeding.tenant("fleet")
    for code in load.gateway_codes():
        seeding.gateway(tenant, code)
    messages, checks, seen, deadline = 60_000, 0, 0, monotonic() + 120
    with (
        prepared_connection(datetime.now(UTC)) as own,
        consumer_process(broker, tmp_path, TDS_MODE="production", TDS_SECRET_KEY="x" * 40),
        load.loadgen(broker.port, load.Load(messages=messages, rate=10_000), limit_s=120) as generator,
    ):
        while (stored := sums(own)["stored"]) < messages:
            assert monotonic() < deadline, f"only {stored} arrived"
            account = next((a for a in assert_balanced().accounts if a.tenant == "fleet"), None)
            checks += stored > seen
            seen = account.rows if account else 0
        assert load.report_of(generator)["acked"] == messages
    assert checks >= 3, "nothing came in meanwhile"


# It does not agree


def test_a_reading_that_is_gone_is_missed(connection: Connection) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(10)), now=NOW)
    connection.execute("DELETE FROM tds_new_leituradispositivo WHERE time = %s", (NOW,))
    difference = only(found(connection))
    assert (difference.tenant, difference.what, difference.expected, difference.found) == ("acme", "rows", 10, 9)
    assert difference.sentence.startswith("Tenant acme: 1 reading is missing.")


def test_a_day_that_was_dropped_past_the_platform_is_missed(connection: Connection) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(10)), now=NOW)
    connection.execute(f"DROP TABLE {partition_name(NOW)}")
    assert only(found(connection)).found == 0


def test_a_reading_past_ingest_is_one_too_many(connection: Connection) -> None:
    writer(connection).write(arrivals("GW-acme", NOW), now=NOW)
    connection.execute(
        "INSERT INTO tds_new_leituradispositivo SELECT device_id, metric_id, time - interval '1 minute', value "
        "FROM tds_new_leituradispositivo"
    )
    difference = only(found(connection))
    assert (difference.expected, difference.found) == (1, 2)
    assert difference.sentence.startswith("Tenant acme: 1 readings more than were counted.")


def test_readings_of_a_device_that_was_deleted_are_named(connection: Connection) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(3)), now=NOW)
    Device.objects.all().delete()
    differences = found(connection).differences
    assert [(d.tenant, d.expected, d.found) for d in differences] == [(NOBODY, 0, 3), ("acme", 3, 0)]


@pytest.mark.parametrize(("column", "what"), [("accepted", "messages"), ("duplicate", "readings")])
def test_an_hour_that_does_not_add_up_is_named(connection: Connection, column: str, what: str) -> None:
    writer(connection).write(arrivals("GW-acme", NOW), now=NOW)
    LedgerHour.objects.update(**{column: 7})
    assert only(found(connection)).what == what
    report = found(connection, since=NOW - timedelta(hours=1))
    assert (only(report).what, report.rows_compared) == (what, False)
    assert found(connection, since=NOW + timedelta(hours=1)).balanced


def test_a_lost_count_of_the_quarantine_is_named(connection: Connection) -> None:
    writer(connection).write([Arrival("telemetry/GW-acme/D01/data", b"junk")], now=NOW)
    QuarantinedMessage.objects.all().delete()
    assert [d.what for d in found(connection).differences] == ["kept"]
    QuarantineCount.objects.all().delete()
    assert [d.what for d in found(connection).differences] == ["quarantined"]


def test_a_count_of_the_quarantine_that_went_to_another_tenant_is_named_for_both(
    connection: Connection, gateways: list[Gateway]
) -> None:
    # The sum of all tenants stays right.
    writer(connection).write([Arrival("telemetry/GW-acme/D01/data", b"junk"), *arrivals("GW-?", NOW)], now=NOW)
    QuarantineCount.objects.filter(gateway=None).update(total=0)
    QuarantineCount.objects.exclude(gateway=None).update(total=2)
    found_now = [(d.tenant, d.what, d.expected, d.found) for d in found(connection).differences]
    assert found_now == [(NOBODY, "quarantined", 1, 0), ("acme", "quarantined", 1, 2)]


def test_differences_beyond_those_that_are_named_are_counted(connection: Connection) -> None:
    hours = MAX_NAMED + 3
    ours = writer(connection)
    for n in range(hours):
        ours.write(arrivals("GW-acme", NOW - timedelta(minutes=n)), now=NOW - timedelta(hours=n))
    LedgerHour.objects.update(received=7)
    report = found(connection)
    assert [d.what for d in report.differences] == ["messages"] * MAX_NAMED
    assert (report.more, report.document()["more"]) == (3, 3)


def test_an_hour_that_was_aggregated_wrongly_is_named(connection: Connection) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(3)), now=NOW)
    STORE.roll_up(connection, now=NOW + DAY)
    assert found(connection).balanced  # the sample: there is one device
    connection.execute("UPDATE tds_new_leiturahora SET n = n + 2")
    difference = only(found(connection, deep=True))
    assert (difference.what, difference.expected, difference.found) == ("hours", 3, 5)


def test_the_comparison_is_a_rule_of_its_arguments() -> None:
    sums = Totals(10, 10, 0, 10, 10, 0)
    assert compare(Account("acme", sums, 4, 6)) == []
    assert compare(Account("acme", sums, 4, 5))[0].expected == 6


# Who is deleted


def test_a_tenant_with_gateways_or_a_ledger_cannot_be_deleted(connection: Connection, gateways: list[Gateway]) -> None:
    writer(connection).write(arrivals("GW-acme", NOW), now=NOW)
    with pytest.raises(ProtectedError):
        gateways[0].tenant.delete()
    # Past Django, the database says the same.
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM tds_new_tenant WHERE slug = 'acme'")
    assert_balanced()


def test_a_gateway_with_quarantine_cannot_be_deleted_because_its_counts_would_go(
    connection: Connection, gateways: list[Gateway]
) -> None:
    writer(connection).write([Arrival("telemetry/GW-acme/D01/data", b"junk")], now=NOW)
    with pytest.raises(ProtectedError):
        gateways[0].delete()
    assert_balanced()


def test_messages_of_a_gateway_that_is_deleted_meanwhile_are_quarantined_for_nobody_and_counted(
    connection: Connection, gateways: list[Gateway]
) -> None:
    ours = writer(connection)
    ours.directory.learn(connection, ["GW-acme"])  # as after an earlier batch
    tenant = gateways[0].tenant
    gateways[0].delete()
    tenant.delete()
    result = ours.write([*arrivals("GW-acme", *minutes(5)), *arrivals("GW-other", NOW)], now=NOW)
    refused = [verdict.reason for verdict in result.verdicts if hasattr(verdict, "reason")]
    assert refused == [Reason.UNKNOWN_GATEWAY] * 5
    assert not Tenant.objects.filter(slug="acme").exists()
    report = assert_balanced()
    assert {a.tenant: a.totals.received for a in report.accounts} == {NOBODY: 5, "other": 1}


# For years


def test_old_hours_are_added_up_into_days_and_nothing_is_lost(connection: Connection) -> None:
    ours = writer(connection)
    for hours in (0, 1, 5, 30):
        ours.write(arrivals("GW-acme", NOW - timedelta(minutes=hours)), now=NOW - timedelta(hours=hours))
        ours.write(arrivals("GW-?", NOW), now=NOW - timedelta(hours=hours))
    before = LedgerHour.objects.aggregate(**{name: Sum(name) for name in FIELDS})
    assert ledger.fold(connection, now=NOW) == 0

    assert ledger.fold(connection, now=NOW + HOURS_KEPT) == 2  # of the day before: those of today stay
    assert ledger.fold(connection, now=NOW + HOURS_KEPT + DAY) == 6

    assert LedgerHour.objects.count() == 0
    assert LedgerDay.objects.count() == 4
    assert LedgerDay.objects.aggregate(**{name: Sum(name) for name in FIELDS}) == before
    assert_balanced()


def test_a_correction_of_a_day_that_was_added_up_joins_it(connection: Connection, gateways: list[Gateway]) -> None:
    writer(connection).write([Arrival("telemetry/GW-acme/D01/data", b"junk")], now=NOW)
    later = NOW + HOURS_KEPT + DAY
    ledger.fold(connection, now=later)
    hour = NOW.replace(minute=0)
    LedgerHour.objects.create(tenant=gateways[0].tenant, hour=hour, accepted=1, quarantined=-1)
    assert ledger.fold(connection, now=later) == 1
    day = LedgerDay.objects.get()
    assert (day.received, day.accepted, day.quarantined) == (1, 1, 0)


def test_metrics_count_what_was_added_up(connection: Connection) -> None:
    ours = writer(connection)
    ours.write(arrivals("GW-acme", *minutes(3)), now=NOW)
    ledger.fold(connection, now=NOW + HOURS_KEPT + DAY)
    ours.write(arrivals("GW-acme", *minutes(3)), now=NOW)
    samples = {s.name: s.value for family in health.PlatformMetrics().collect() for s in family.samples}
    assert (samples["tds_ledger_received_total"], samples["tds_ledger_stored_total"]) == (6, 3)


# The command


def tds(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tds", *words],
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_prints_by_hour_and_day_with_totals(connection: Connection, tmp_path: Path) -> None:
    ours = writer(connection)
    ours.write(arrivals("GW-acme", *minutes(3)), now=NOW)
    ours.write([*arrivals("GW-acme", NOW), *arrivals("GW-?", NOW)], now=NOW + timedelta(hours=1))
    since = ("--since", "2002-06-10")

    shown = tds(tmp_path, "ledger", "show", *since)
    assert shown.returncode == 0, shown.stderr
    assert "2002-06-10T12:00Z" in shown.stdout
    assert "total" in shown.stdout

    by_day = json.loads(tds(tmp_path, "ledger", "show", *since, "--by", "day", "--json").stdout)
    assert {row["tenant"]: row["received"] for row in by_day["rows"]} == {"acme": 4, "-": 1}
    assert by_day["totals"] == {
        "received": 5,
        "accepted": 4,
        "quarantined": 1,
        "readings": 4,
        "stored": 3,
        "duplicate": 1,
    }
    of_one = json.loads(tds(tmp_path, "ledger", "show", *since, "--tenant", "-", "--json").stdout)
    assert of_one["totals"]["received"] == 1
    assert tds(tmp_path, "ledger").stdout == "Nothing was received in this time.\n"
    assert tds(tmp_path, "ledger", "show", "--since", "gestern").stderr.startswith("'gestern' is no moment;")
    assert tds(tmp_path, "ledger", "show", "--tenant", "nobody").stderr.startswith("There is no tenant 'nobody'")


def test_the_command_ends_with_1_and_a_sentence_on_a_difference(connection: Connection, tmp_path: Path) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(10)), now=NOW)
    right = tds(tmp_path, "ledger", "check")
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout.endswith("10 there, 0 dropped.\nThe ledger balances.\n")

    connection.execute("DELETE FROM tds_new_leituradispositivo WHERE time = %s", (NOW,))

    wrong = tds(tmp_path, "ledger", "check", "--json")
    assert wrong.returncode == 1
    document = json.loads(wrong.stdout)
    assert (document["balanced"], document["differences"][0]["found"]) == (False, 9)
    assert "1 reading is missing" in tds(tmp_path, "ledger", "check").stderr
    since = tds(tmp_path, "ledger", "check", "--since", "2002-01-01")
    assert (since.returncode, since.stdout) == (0, "The counters agree; rows were not compared.\n")


def test_more_differences_than_are_named_are_said(connection: Connection, tmp_path: Path) -> None:
    ours = writer(connection)
    for n in range(MAX_NAMED + 2):
        ours.write(arrivals("GW-acme", NOW - timedelta(minutes=n)), now=NOW - timedelta(hours=n))
    LedgerHour.objects.update(received=7)
    wrong = tds(tmp_path, "ledger", "check", "--since", "2002-01-01")
    assert wrong.returncode == 1
    assert wrong.stderr.endswith("And 2 more differences of these kinds, which are not named.\n")


def test_a_ledger_that_could_not_be_checked_is_no_difference(tmp_path: Path) -> None:
    away = {"TDS_DATABASE_URL": "postgresql://tds:tds@127.0.0.1:1/tds"}
    said = tds(tmp_path, "ledger", "check", **away)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("The ledger was not checked. The database did not do it: ")
    assert len(said.stderr.splitlines()) == 1
    document = json.loads(tds(tmp_path, "ledger", "check", "--json", **away).stdout)
    assert (document["checked"], document["balanced"]) == (False, None)
    assert document["error"] == said.stderr.strip()
    assert tds(tmp_path, "ledger", "check", "--since", "gestern").returncode == 2


def test_a_command_whose_store_finds_no_database_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(**_: str) -> None:
        raise psycopg.OperationalError("connection failed\nDETAIL: refused")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("The database did not do it: connection failed. If the platform")


# While a day is dropped


def test_a_check_waits_for_a_drop_longer_than_its_connection_lets_a_statement_last(connection: Connection) -> None:
    reports: list[Report] = []

    def run() -> None:
        with database.connect(settings.DATABASES["default"], name="tests", statement_timeout_s=1) as own:
            reports.append(check(own, STORE))
            limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
            assert own.execute(limits).fetchone() == ("1s", "30s")

    thread = threading.Thread(target=run)
    with connection.transaction():
        assert dropped.may_drop(connection)
        thread.start()
        thread.join(2)
        assert thread.is_alive(), "it did not wait"
    thread.join(STOP_LIMIT_S)
    assert [report.balanced for report in reports] == [True]


def test_a_check_whose_patience_ends_leaves_its_connection_as_it_was(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_check, "PATIENCE_MS", 50)
    with seeding.own_connection() as own:
        with connection.transaction():
            assert dropped.may_drop(connection)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                check(own, STORE)
        assert own.execute("SELECT current_setting('lock_timeout')").fetchone() == ("30s",)
        assert check(own, STORE).balanced


def test_the_store_in_use_is_the_one_that_is_compared() -> None:
    assert set(dir(wiring.reading_store())) >= {"parts", "expire"}


def test_rows_of_a_bulk_load_are_adopted_when_a_person_says_so(
    connection: Connection, gateways: list[Gateway], tmp_path: Path
) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(10)), now=NOW)
    connection.execute(
        """INSERT INTO tds_new_leituradispositivo SELECT device_id, metric_id, time - interval '1 second', value
           FROM tds_new_leituradispositivo"""
    )
    assert "./tds ledger adopt acme" in tds(tmp_path, "ledger", "check").stderr
    assert tds(tmp_path, "ledger", "adopt", "acme").returncode == 1  # nobody is there to say yes

    adopted = tds(tmp_path, "ledger", "adopt", "acme", "--yes")
    assert (adopted.returncode, adopted.stdout) == (0, "10 readings of acme are counted now.\n")
    assert tds(tmp_path, "ledger", "adopt", "acme", "--yes").stdout == "All readings of acme are counted.\n"
    report = assert_balanced()
    assert [(a.tenant, a.totals.received, a.totals.stored, a.rows) for a in report.accounts] == [("acme", 10, 20, 20)]


def test_missing_rows_are_not_adopted(connection: Connection, tmp_path: Path) -> None:
    writer(connection).write(arrivals("GW-acme", *minutes(10)), now=NOW)
    connection.execute("DELETE FROM tds_new_leituradispositivo WHERE time = %s", (NOW,))
    refused = tds(tmp_path, "ledger", "adopt", "acme", "--yes")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "1 reading of acme is missing; nothing was counted. See ./tds ledger check.\n"
    assert LedgerHour.objects.get().stored == 10
