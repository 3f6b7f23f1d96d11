"""A batch to one COMMIT, on a real PostgreSQL: what only the database can judge, and that the sums hold."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tds import wiring
from tds.fleet import directory as directory_module
from tds.fleet import registration
from tds.fleet.directory import Directory
from tds.fleet.models import Device, DeviceMetric, Gateway, Metric, Tenant
from tds.ingest import database
from tds.ingest.messages import Message, Refusal
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Bounds
from tds.ingest.reasons import Reason
from tds.ingest.wire import MAX_PAYLOAD_BYTES
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.models import Reading
from tests import seeding
from tests.balancing import assert_balanced
from tests.running import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
AMPLE = Bounds(per_gateway=1_000, messages=100_000, total_bytes=1024**3)


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with seeding.own_connection() as own:
        wiring.reading_store().prepare(own, now=NOW)
        yield own
    with seeding.own_connection() as another:  # a test may have cut the first
        seeding.without_readings(another)


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


def writer(connection: psycopg.Connection[Any], bounds: Bounds = AMPLE) -> Writer:
    return Writer(connection, wiring.reading_store(), Directory(), bounds, timedelta(days=90))


def arrival(
    code: str = "GW-1", device: str = "D01", time: datetime = NOW, *readings: tuple[str, float, str], **more: Any
) -> Arrival:
    entries = [{"tipo": t, "valor": v, "unidade": u} for t, v, u in readings or (("temperatura", 21.5, "°C"),)]
    body = {"gateway_code": code, "device_code": device, "timestamp": time.isoformat(), "leituras": entries}
    return Arrival(f"telemetry/{code}/{device}/data", json.dumps(body).encode(), **more)


def reasons(result: Result) -> list[Reason | None]:
    return [verdict.reason if isinstance(verdict, Refusal) else None for verdict in result.verdicts]


def test_a_reading_is_stored_and_counted(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    result = writer(connection).write([arrival()], now=NOW)
    assert (result.stored, result.duplicate) == (1, 0)
    reading = Reading.objects.select_related("device", "metric").get()
    assert (reading.device.code, reading.metric.tipo, reading.metric.unidade) == ("D01", "temperatura", "°C")
    assert (reading.time, reading.value) == (NOW, 21.5)
    assert_balanced()


def test_the_same_reading_again_changes_nothing_and_is_counted(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    ours = writer(connection)
    ours.write([arrival("GW-1", "D01", NOW, ("t", 1.0, ""))], now=NOW)
    again = ours.write([arrival("GW-1", "D01", NOW, ("t", 2.0, ""))], now=NOW)
    assert (again.stored, again.duplicate) == (0, 1)
    assert again.repeated == {("GW-1", "D01")}
    assert Reading.objects.get().value == 1.0
    assert_balanced()


def test_of_two_values_in_one_batch_the_first_that_came_wins(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    batch = [arrival("GW-1", "D01", NOW, ("t", float(value), "")) for value in range(50)]
    result = writer(connection).write(batch, now=NOW)
    assert (result.stored, result.duplicate) == (1, 49)
    assert Reading.objects.get().value == 0.0


def test_the_first_value_wins_also_when_its_message_brought_a_new_metric(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    ours = writer(connection)
    ours.write([arrival("GW-1", "D01", NOW - timedelta(hours=1), ("t", 0.0, ""))], now=NOW)
    newcomer = arrival("GW-1", "D01", NOW, ("t", 1.0, ""), ("new", 5.0, ""))
    ours.write([newcomer, arrival("GW-1", "D01", NOW, ("t", 2.0, ""))], now=NOW)
    assert Reading.objects.get(metric__tipo="t", time=NOW).value == 1.0


def test_duplicates_are_counted_for_the_tenant_they_belong_to(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    other = seeding.tenant("other")
    seeding.gateway(other, "GW-2")
    ours = writer(connection)
    ours.write([arrival("GW-1")], now=NOW)
    ours.write([arrival("GW-1"), arrival("GW-2"), arrival("GW-2", "D02")], now=NOW)
    by_tenant = {row.tenant_id: row for row in LedgerHour.objects.all()}
    assert (by_tenant[gateway.tenant_id].stored, by_tenant[gateway.tenant_id].duplicate) == (1, 1)
    assert (by_tenant[other.pk].stored, by_tenant[other.pk].duplicate) == (2, 0)


@pytest.mark.parametrize(
    ("status", "reason"), [("disabled", Reason.GATEWAY_DISABLED), ("retired", Reason.UNKNOWN_GATEWAY)]
)
def test_a_gateway_that_is_not_active_is_refused(
    connection: psycopg.Connection[Any], gateway: Gateway, status: str, reason: Reason
) -> None:
    retired_at = NOW if status == "retired" else None
    Gateway.objects.filter(pk=gateway.pk).update(status=status, retired_at=retired_at)
    assert reasons(writer(connection).write([arrival()], now=NOW)) == [reason]
    assert Reading.objects.count() == 0
    assert_balanced()


def test_a_code_that_nobody_has_is_quarantined_for_no_tenant(connection: psycopg.Connection[Any]) -> None:
    assert reasons(writer(connection).write([arrival("GW-NOBODY")], now=NOW)) == [Reason.UNKNOWN_GATEWAY]
    kept = QuarantinedMessage.objects.get()
    assert (kept.gateway_id, kept.tenant_id, kept.gateway_code) == (None, None, "GW-NOBODY")
    assert bytes(kept.payload) == arrival("GW-NOBODY").payload


def test_a_reading_older_than_the_retirement_is_the_former_owners_and_not_shown_to_the_new_one(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    retired_at = NOW - timedelta(hours=1)
    Gateway.objects.filter(pk=gateway.pk).update(status="retired", retired_at=retired_at)
    seeding.gateway(seeding.tenant("successor"), "GW-1")
    just_before = arrival("GW-1", "D01", retired_at - timedelta(microseconds=1))
    result = writer(connection).write([just_before, arrival("GW-1", "D01", retired_at)], now=NOW)
    assert reasons(result) == [Reason.PREVIOUS_OWNER, None]
    assert QuarantinedMessage.objects.get().tenant_id is None
    assert_balanced()


def test_a_gateway_that_registers_no_devices_refuses_an_unknown_one(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(auto_devices=False)
    Device.objects.create(gateway=gateway, code="D01")
    result = writer(connection).write([arrival("GW-1", "D01"), arrival("GW-1", "D02")], now=NOW)
    assert reasons(result) == [None, Reason.UNKNOWN_DEVICE]
    assert [device.code for device in Device.objects.all()] == ["D01"]


def test_the_257th_device_of_a_gateway_is_refused(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    batch = [arrival("GW-1", f"D{n:03d}") for n in range(257)]
    result = writer(connection).write(batch, now=NOW)
    assert reasons(result) == [None] * 256 + [Reason.TOO_MANY_DEVICES]
    assert Device.objects.count() == 256


def test_a_message_with_one_metric_too_many_is_refused_whole(
    connection: psycopg.Connection[Any], gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_METRICS_A_DEVICE", 3)
    first = arrival("GW-1", "D01", NOW, ("a", 1.0, ""), ("b", 1.0, ""))
    over = arrival("GW-1", "D01", NOW, ("b", 9.0, ""), ("c", 1.0, ""), ("d", 1.0, ""))
    result = writer(connection).write([first, over], now=NOW)
    assert reasons(result) == [None, Reason.TOO_MANY_METRICS]
    assert {metric.tipo for metric in Metric.objects.all()} == {"a", "b"}
    assert DeviceMetric.objects.count() == Reading.objects.count() == 2


def test_a_device_is_not_registered_by_a_message_that_is_refused(
    connection: psycopg.Connection[Any], gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_METRICS_A_TENANT", 1)
    result = writer(connection).write([arrival("GW-1", "D01", NOW, ("a", 1.0, ""), ("b", 1.0, ""))], now=NOW)
    assert reasons(result) == [Reason.TOO_MANY_METRICS]
    assert Device.objects.count() == Metric.objects.count() == 0


def test_one_gateway_cannot_use_up_the_metrics_of_its_tenant(
    connection: psycopg.Connection[Any], gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_METRICS_A_GATEWAY", 2)
    seeding.gateway(gateway.tenant, "GW-2")
    batch = [arrival("GW-1", "D01", NOW, (f"t{n}", 1.0, "")) for n in range(4)]
    result = writer(connection).write([*batch, arrival("GW-2", "D01", NOW, ("mine", 1.0, ""))], now=NOW)
    assert reasons(result) == [None, None, Reason.TOO_MANY_METRICS, Reason.TOO_MANY_METRICS, None]


def test_energy_is_registered_as_a_counter(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    writer(connection).write([arrival("GW-1", "D01", NOW, ("energia", 1.0, "kWh"), ("tensao", 1.0, "V"))], now=NOW)
    assert dict(Metric.objects.values_list("tipo", "kind")) == {"energia": "counter", "tensao": "mean"}


def test_a_retained_message_flags_its_gateway(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    writer(connection).write([arrival(retained=True)], now=NOW)
    gateway.refresh_from_db()
    assert gateway.retained_seen_at == NOW


def test_a_missing_partition_is_made_and_the_batch_stored(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    connection.execute("DROP TABLE tds_new_leituradispositivo_p20260218")
    assert writer(connection).write([arrival()], now=NOW).stored == 1


def test_of_a_batch_only_the_message_that_the_database_refuses_is_quarantined(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    with raising(connection, "22003", "NEW.value = 13"):
        batch = [arrival("GW-1", "D01", NOW - timedelta(seconds=n), ("t", float(n), "")) for n in range(20)]
        result = writer(connection).write(batch, now=NOW)
    assert [n for n, reason in enumerate(reasons(result)) if reason] == [13]
    assert reasons(result)[13] == Reason.REFUSED_BY_DATABASE
    assert Reading.objects.count() == 19
    assert_balanced()


def test_a_batch_that_fails_while_the_bad_message_is_looked_for_is_counted_once_when_it_is_tried_again(
    connection: psycopg.Connection[Any], gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = writer(connection)
    batch = [arrival("GW-1", "D01", NOW - timedelta(seconds=n), ("t", float(n), "")) for n in range(8)]
    bisect, calls = Writer._bisect, []

    def cut_off(*words: Any) -> Result:
        calls.append(words)
        if len(calls) == 3:  # the first half's bad message is in quarantine already
            raise psycopg.OperationalError("the connection is gone")
        return bisect(*words)

    with raising(connection, "22003", "NEW.value IN (1, 6)"):
        with monkeypatch.context() as patched:
            patched.setattr(Writer, "_bisect", cut_off)
            with pytest.raises(psycopg.OperationalError):
                ours.write(batch, now=NOW)
        assert LedgerHour.objects.count() == QuarantinedMessage.objects.count() == 0
        ours.write(batch, now=NOW)
    hour = LedgerHour.objects.get()
    assert (hour.received, hour.accepted, hour.quarantined) == (8, 6, 2)
    assert QuarantinedMessage.objects.count() == 2
    assert_balanced()


def test_a_message_that_waited_is_judged_by_the_clock_of_its_arrival_and_the_retention_of_today(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    received_at = NOW - timedelta(hours=6)
    ahead = arrival(time=received_at + timedelta(minutes=11), received_at=received_at)
    right = arrival(time=received_at, received_at=received_at)
    too_old_by_now = arrival(time=NOW - timedelta(days=90, hours=1), received_at=received_at)
    result = writer(connection).write([ahead, right, too_old_by_now], now=NOW)
    assert reasons(result) == [Reason.TIMESTAMP_IN_FUTURE, None, Reason.TIMESTAMP_TOO_OLD]


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "53100", "53300", "57014", "08006"])
def test_trouble_of_the_platform_never_blames_a_message(
    connection: psycopg.Connection[Any], gateway: Gateway, sqlstate: str
) -> None:
    ours = writer(connection)
    with raising(connection, sqlstate, "true"), pytest.raises(psycopg.Error):
        ours.write([arrival(), arrival("GW-1", "D02")], now=NOW)
    assert QuarantinedMessage.objects.count() == LedgerHour.objects.count() == Device.objects.count() == 0
    # What was learned in the transaction that is gone was forgotten with it.
    assert ours.write([arrival(), arrival("GW-1", "D02")], now=NOW).stored == 2
    assert_balanced()


def test_a_cut_connection_leaves_nothing_half_written(
    connection: psycopg.Connection[Any], gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = writer(connection)

    def cut(*_arguments: Any, **_more: Any) -> None:
        with seeding.own_connection() as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        connection.execute("SELECT 1")

    with monkeypatch.context() as patched:
        patched.setattr("tds.ingest.ledger.Ledger.write", cut)
        with pytest.raises(psycopg.OperationalError):
            ours.write([arrival()], now=NOW)
    assert Reading.objects.count() == LedgerHour.objects.count() == 0


def test_quarantine_keeps_the_newest_of_a_gateway_and_counts_them_all(
    connection: psycopg.Connection[Any], gateway: Gateway
) -> None:
    ours = writer(connection, Bounds(per_gateway=5, messages=100, total_bytes=10**6))
    topic = "telemetry/GW-1/D01/data"
    for start in range(0, 12, 3):
        ours.write([Arrival(topic, f"junk {n}".encode()) for n in range(start, start + 3)], now=NOW)
    kept = [bytes(message.payload) for message in QuarantinedMessage.objects.order_by("id")]
    assert kept == [b"junk 7", b"junk 8", b"junk 9", b"junk 10", b"junk 11"]
    count = QuarantineCount.objects.get()
    texts = sum(len(message.topic) + len(message.detail.encode()) for message in QuarantinedMessage.objects.all())
    assert (count.total, count.kept, count.kept_bytes) == (12, 5, sum(map(len, kept)) + texts)
    assert_balanced()


def test_strangers_share_one_bucket(connection: psycopg.Connection[Any]) -> None:
    ours = writer(connection, Bounds(per_gateway=4, messages=100, total_bytes=10**6))
    ours.write([arrival(f"STRANGER-{n}") for n in range(30)], now=NOW)
    assert QuarantinedMessage.objects.count() == 4
    assert QuarantineCount.objects.get().total == 30


@pytest.mark.parametrize("bounds", [Bounds(1_000, 20, 10**6), Bounds(1_000, 10_000, 20 * 100)])
def test_a_flooding_gateway_pushes_out_only_its_own(
    connection: psycopg.Connection[Any], gateway: Gateway, bounds: Bounds
) -> None:
    quiet = seeding.gateway(gateway.tenant, "GW-QUIET")
    ours = writer(connection, bounds)
    ours.write([Arrival("telemetry/GW-QUIET/D01/data", b"q" * 100) for _ in range(3)], now=NOW)
    for _ in range(10):
        ours.write([Arrival("telemetry/GW-1/D01/data", b"f" * 100) for _ in range(15)], now=NOW)
    assert QuarantinedMessage.objects.filter(gateway=quiet).count() == 3
    assert QuarantinedMessage.objects.count() <= 20
    assert QuarantineCount.objects.get(gateway=gateway).total == 150


def test_a_payload_is_kept_byte_for_byte(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    for payload in (bytes(range(256)), b"", b"\\x00\n\t", b"x" * (MAX_PAYLOAD_BYTES + 1)):
        writer(connection).write([Arrival("telemetry/GW-1/D01/data", payload)], now=NOW)
        newest = QuarantinedMessage.objects.order_by("-id").first()
        assert newest is not None
        assert bytes(newest.payload) == payload


def test_news_of_the_fleet_take_effect_on_the_next_batch(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    ours, news = writer(connection), database.News(connection)

    def write(code: str = "GW-1", second: int = 0) -> Reason | None:
        return reasons(ours.write([arrival(code, "D01", NOW - timedelta(seconds=second))], now=NOW))[0]

    def heard(code: str) -> bool:
        codes = news.take()
        for changed in codes:
            ours.directory.forget(changed)
        return code in codes

    def change(**fields: Any) -> None:
        for name, value in fields.items():
            setattr(gateway, name, value)
        gateway.save()
        wait_until(lambda: heard("GW-1"), "the news of GW-1", 5)

    assert write() is None
    change(status="disabled")
    assert write(second=1) is Reason.GATEWAY_DISABLED
    change(status="active")
    assert write(second=2) is None
    assert write("GW-NEW") is Reason.UNKNOWN_GATEWAY
    seeding.gateway(gateway.tenant, "GW-NEW")
    wait_until(lambda: heard("GW-NEW"), "the news of GW-NEW", 5)
    assert write("GW-NEW", 3) is None
    change(status="retired", retired_at=NOW)
    assert write(second=4) is Reason.UNKNOWN_GATEWAY


def test_making_room_in_memory_never_makes_a_known_gateway_a_stranger(
    connection: psycopg.Connection[Any], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "GATEWAYS_REMEMBERED", 3)
    for n in range(8):
        seeding.gateway(tenant, f"GW-{n}")
    ours = writer(connection)
    for turn in range(4):
        batch = [arrival(f"GW-{(turn + n) % 8}", "D01", NOW - timedelta(seconds=turn)) for n in range(6)]
        assert set(reasons(ours.write(batch, now=NOW))) == {None}


def test_two_writers_register_and_store_the_same_at_once_without_deadlock_or_copies(
    connection: psycopg.Connection[Any], tenant: Tenant
) -> None:
    for n in range(10):
        seeding.gateway(tenant, f"GW-{n}")
    batch = [arrival(f"GW-{n % 10}", f"D{n % 7}", NOW - timedelta(seconds=n), ("a", 1.0, "")) for n in range(400)]
    failures: list[BaseException] = []
    barrier = threading.Barrier(2)

    def work(messages: list[Arrival]) -> None:
        try:
            with seeding.own_connection() as own:
                ours = writer(own)
                for start in range(0, len(messages), 50):
                    barrier.wait(timeout=30)
                    ours.write(messages[start : start + 50], now=NOW)
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=[order]) for order in (batch, batch[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert Reading.objects.count() == 400
    assert Device.objects.count() == len({(n % 10, n % 7) for n in range(400)})
    assert_balanced()


def test_an_accepted_message_is_the_one_that_was_sent(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    [verdict] = writer(connection).write([arrival()], now=NOW).verdicts
    assert isinstance(verdict, Message)
    assert (verdict.gateway_code, verdict.device_code, verdict.time) == ("GW-1", "D01", NOW)


class raising:  # noqa: N801  # reads as a word: with raising(…)
    """While it lasts, the database raises an SQLSTATE for readings that a condition names."""

    def __init__(self, connection: psycopg.Connection[Any], sqlstate: str, condition: str) -> None:
        self._connection = connection
        self._body = f"IF {condition} THEN RAISE EXCEPTION 'made up' USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW;"

    def __enter__(self) -> None:
        self._connection.execute(
            f"CREATE FUNCTION made_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {self._body} END $$"
        )
        self._connection.execute(
            """CREATE TRIGGER made_up BEFORE INSERT ON tds_new_leituradispositivo
               FOR EACH ROW EXECUTE FUNCTION made_up()"""
        )

    def __exit__(self, *_error: object) -> None:
        self._connection.execute("DROP FUNCTION made_up CASCADE")


def test_the_made_up_errors_are_real_ones(connection: psycopg.Connection[Any], gateway: Gateway) -> None:
    with raising(connection, "53100", "true"), pytest.raises(errors.DiskFull):
        writer(connection).write([arrival()], now=NOW)
