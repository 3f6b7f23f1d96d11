"""What the platform says of itself: to a load balancer, to Prometheus, and to whoever runs `tds status`."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
import pytest
from django.db import OperationalError
from django.db import connection as django_connection
from django.test import Client
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tds import health, wiring
from tds.environment import ROOT
from tds.fleet.models import Gateway
from tds.fleet.probe import PROBE_GATEWAY, PROBE_TENANT
from tds.heartbeat import STALE_S, Heartbeat
from tds.ingest.ledger import FIELDS
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage, SpoolState
from tds.ingest.segment import Kept
from tds.ingest.spool import Spool
from tds.mqtt.connection import SessionConfig
from tds.mqtt.session import Session
from tds.settings import ENV
from tds.status import Part, State, as_document, brokers, examine, healthy
from tds.status.processes import examine_worker
from tds.status.storage import examine_spool
from tests import seeding
from tests.consuming import (
    STOP_LIMIT_S,
    Silent,
    consumer_thread,
    environment,
    ledger,
    message,
    prepared_connection,
    publish,
)
from tests.running import RunningBroker, free_port, wait_until

TOKEN: Final = "a-token-of-24-characters"
PARTS: Final = [
    *("database", "redis", "disk", "spool", "quarantine", "certificates", "web", "consumer", "worker", "gateways"),
    *("broker", "firmware server", "updates"),
]

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(transactional_db: None) -> Iterator[Connection]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ENV", replace(ENV, metrics_token=TOKEN))


@pytest.fixture
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the wait is for what does not come."""
    monkeypatch.setattr(brokers, "ROUND_TRIP_LIMIT_S", 1.0)


# /healthz


@pytest.mark.parametrize("method", ["get", "head"])
def test_the_liveness_page_answers_without_a_database(client: Client, method: str) -> None:
    # No mark of pytest-django here: a look at the database would fail the test.
    answer = getattr(client, method)("/healthz")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.content == (b"ok\n" if method == "get" else b"")
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_the_pages_of_machines_are_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


# /metrics


def scraped(client: Client, **headers: str) -> dict[str, Metric]:
    """The metrics by name, as Prometheus reads them."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {metric.name: metric for metric in text_string_to_metric_families(answer.content.decode())}


def by_label(metric: Metric, label: str) -> dict[str, float]:
    """A counter's samples alone, without when each began."""
    return {s.labels[label]: s.value for s in metric.samples if not s.name.endswith("_created")}


def value(metric: Metric) -> float:
    [sample] = [sample for sample in metric.samples if not sample.name.endswith("_created")]
    return sample.value


@pytest.mark.django_db
def test_the_metrics_are_the_ledgers_sums(client: Client) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    acme, other = seeding.tenant("acme"), seeding.tenant("other")
    for of_tenant, at, n in ((acme, hour, 1), (acme, hour - timedelta(hours=1), 10), (other, hour, 100)):
        LedgerHour.objects.create(
            tenant=of_tenant, hour=at, received=n * 3, accepted=n * 2, quarantined=n, readings=n * 9, stored=n * 8
        )
    LedgerHour.objects.create(tenant=None, hour=hour, received=1_000, quarantined=1_000)
    gateway = seeding.gateway(acme, "GW-001")
    QuarantineCount.objects.create(reason="not_json", gateway=gateway, total=7, kept=5, last_at=hour)
    QuarantineCount.objects.create(reason="not_json", gateway=None, total=70, kept=50, last_at=hour)
    QuarantineCount.objects.create(reason="bad_topic", gateway=None, total=1, kept=0, last_at=hour)

    metrics = scraped(client)

    sums = {name: value(metrics[f"tds_ledger_{name}"]) for name in FIELDS}
    assert sums == {
        "received": 1_333,
        "accepted": 222,
        "quarantined": 1_111,
        "readings": 999,
        "stored": 888,
        "duplicate": 0,
    }
    assert by_label(metrics["tds_quarantined"], "reason") == {"not_json": 77, "bad_topic": 1}
    assert by_label(metrics["tds_quarantine_kept"], "reason") == {"not_json": 55, "bad_topic": 0}
    for name in (*(f"tds_ledger_{name}" for name in FIELDS), "tds_quarantined"):
        assert metrics[name].type == "counter"


@pytest.mark.django_db
def test_the_metrics_of_an_empty_platform_are_zero(client: Client) -> None:
    metrics = scraped(client)
    assert {value(metrics[f"tds_ledger_{name}"]) for name in FIELDS} == {0}
    assert metrics["tds_heartbeat_age_seconds"].samples == []


@pytest.mark.django_db
def test_the_metrics_tell_how_old_each_sign_of_life_is_and_what_waits(client: Client) -> None:
    now = timezone.now()
    for process, age_s, facts in (("consumer", 7, {"waiting_messages": 42}), ("worker", 90, {})):
        Heartbeat.objects.create(
            process=process, pid=1, started_at=now, beat_at=now - timedelta(seconds=age_s), facts=facts
        )
    metrics = scraped(client)
    ages = by_label(metrics["tds_heartbeat_age_seconds"], "process")
    assert ages == {"consumer": pytest.approx(7, abs=5), "worker": pytest.approx(90, abs=5)}
    assert by_label(metrics["tds_consumer_waiting_messages"], "process") == {"consumer": 42}


@pytest.fixture
def spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    """A consumer's spool with a minute-old megabyte in it, where the platform looks for it."""
    changed = replace(ENV, spool_folder=tmp_path, spool_bytes=2_000_000)
    monkeypatch.setattr(health, "ENV", changed)
    spool = Spool(tmp_path / "consumer", limit_bytes=changed.spool_bytes)
    spool.append(timezone.now() - timedelta(minutes=1), [Kept("t", bytes(1_000_000), retained=False)])
    yield spool
    spool.close()


@pytest.mark.django_db
def test_the_metrics_tell_what_the_spool_holds(client: Client, spooled: Spool) -> None:
    facts = {"spool_lost": 3}
    now = timezone.now()
    Heartbeat.objects.create(process="consumer", pid=1, started_at=now, beat_at=now, facts=facts)
    metrics = scraped(client)
    assert by_label(metrics["tds_spool_bytes"], "process") == {"consumer": pytest.approx(1_000_000, rel=0.01)}
    assert by_label(metrics["tds_spool_age_seconds"], "process") == {"consumer": pytest.approx(60, abs=10)}
    assert by_label(metrics["tds_spool_lost_messages"], "process") == {"consumer": 3}
    assert metrics["tds_database_up"].samples[0].value == 1


def test_while_the_database_is_away_the_metrics_still_tell_what_the_spool_holds(
    client: Client, spooled: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No mark of pytest-django here: the database can't be asked, which is what is tested.
    def away(_self: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(health.PlatformMetrics, "_from_database", away)
    metrics = scraped(client)
    assert by_label(metrics["tds_spool_bytes"], "process") == {"consumer": pytest.approx(1_000_000, rel=0.01)}
    assert metrics["tds_database_up"].samples[0].value == 0


@pytest.mark.django_db
def test_the_status_tells_what_the_spool_holds_and_when_it_fills(spooled: Spool) -> None:
    settings = replace(ENV, spool_folder=spooled.folder.parent, spool_bytes=spooled.limit_bytes)
    part = examine_spool(settings, database_there=True)
    assert part.state is State.HEALTHY
    assert re.match(r"consumer: 1\.0 of 2 MB, 6\d s old; stored when the database is back\.$", part.detail)
    spooled.append(timezone.now(), [Kept("t", bytes(800_000), retained=False)])
    assert examine_spool(settings, database_there=True).state is State.UNHEALTHY
    spooled.done(spooled.read(10))
    SpoolState.objects.create(
        id=spooled.id, consumer="consumer", segment=1, offset=0, sequence=0, lost=5, updated_at=timezone.now()
    )
    part = examine_spool(settings, database_there=True)
    assert (part.state, part.detail) == (
        State.HEALTHY,
        "Empty; room for 2 MB a consumer. A damaged disk has cost 5 acknowledged messages so far.",
    )
    assert examine_spool(replace(settings, spool_bytes=0), database_there=True).state is State.OFF


@pytest.mark.django_db
def test_no_tenant_and_no_gateway_is_named_in_the_metrics(client: Client) -> None:
    gateway = seeding.gateway(seeding.tenant("acme-secret"), "GW-SECRET")
    now = timezone.now()
    LedgerHour.objects.create(tenant=gateway.tenant, hour=now, received=1, quarantined=1)
    QuarantineCount.objects.create(reason="not_json", gateway=gateway, total=1, kept=1, last_at=now)
    assert b"secret" not in client.get("/metrics").content.lower()


@pytest.mark.django_db
@pytest.mark.usefixtures("token")
def test_the_token_opens_the_metrics_from_anywhere(client: Client) -> None:
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}, REMOTE_ADDR="198.51.100.7")
    assert answer.status_code == 200


# No mark of pytest-django: who is refused costs no look at the database.
@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Basic x", TOKEN, f"Basic {TOKEN}"],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "198.51.100.7"])
def test_without_the_right_token_nobody_reads_the_metrics(client: Client, given: str | None, address: str) -> None:
    headers = {} if given is None else {"authorization": given}
    # From loopback neither: with a token set there is a proxy in front, and behind it everybody comes from there.
    answer = client.get("/metrics", headers=headers, REMOTE_ADDR=address)
    assert answer.status_code == 403
    assert answer.content == b"Set TDS_METRICS_TOKEN and send it as a bearer token.\n"


def test_without_a_token_set_only_loopback_reads_the_metrics(client: Client) -> None:
    assert client.get("/metrics", REMOTE_ADDR="198.51.100.7").status_code == 403
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.1").status_code == 403
    assert health.may_read_metrics("127.0.0.1", "", "")
    assert health.may_read_metrics("::1", "", "")


# tds status


def parts_of(broker_url: str, **changes: Any) -> dict[str, Part]:
    environment_now = replace(ENV, mqtt_urls=(broker_url,), home=ROOT, redis_url="", **changes)
    return {part.name: part for part in examine(environment_now)}


def beaten(process: str, *, age_s: float = 0, **facts: Any) -> None:
    now = timezone.now()
    Heartbeat.objects.update_or_create(
        process=process,
        defaults={"pid": 1, "started_at": now, "beat_at": now - timedelta(seconds=age_s), "facts": facts},
    )


def test_a_working_path_is_proved_by_a_message_that_goes_all_the_way(
    broker: RunningBroker, connection: Connection
) -> None:
    with consumer_thread(broker.url):
        wait_until(Heartbeat.objects.filter(facts__connected=True).exists, "the consumer's sign of life")
        for _ in range(2):  # the second time its device is known
            parts = parts_of(broker.url)
            assert {parts[name].state for name in ("database", "consumer", "broker", "disk")} == {State.HEALTHY}
            assert "published, stored and read again" in parts["broker"].detail
    assert ledger(connection) == {
        "received": 2,
        "accepted": 2,
        "quarantined": 0,
        "readings": 2,
        "stored": 2,
        "duplicate": 0,
    }


@pytest.mark.parametrize("command", ["disable", "retire"])
def test_what_was_done_to_the_probes_gateway_is_no_fault_of_the_platform(
    broker: RunningBroker, connection: Connection, command: str
) -> None:
    with consumer_thread(broker.url):
        assert parts_of(broker.url)["broker"].state is State.HEALTHY
        probe = Gateway.objects.get(code=PROBE_GATEWAY)
        probe.status = {"disable": "disabled", "retire": "retired"}[command]
        probe.retired_at = timezone.now() if command == "retire" else None
        probe.save()
        wait_until(lambda: parts_of(broker.url)["broker"].state is State.HEALTHY, "a round trip")
    assert [gateway.status for gateway in Gateway.objects.exclude(status="retired")] == ["active"]


@pytest.mark.usefixtures("haste")
def test_without_a_consumer_the_message_waits_and_the_status_says_so(
    broker: RunningBroker, connection: Connection
) -> None:
    assert broker.broker.open_session()
    parts = parts_of(broker.url)
    assert parts["consumer"] == Part(
        "consumer",
        State.UNHEALTHY,
        "It has never run.",
        "Look into log/consumer.log under TDS_HOME; start it with ./tds up.",
    )
    assert parts["broker"].state is State.UNHEALTHY
    assert parts["broker"].detail.endswith("took a message, but it was not stored within 1 s.")
    # What the broker took is stored once the consumer runs, as the sentence promises.
    with consumer_thread(broker.url):
        wait_until(lambda: ledger(connection)["stored"] == 1, "the message")


def test_a_database_that_goes_away_while_the_message_is_awaited_is_said(
    broker: RunningBroker, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broker.broker.open_session()

    def cut(*_arguments: object) -> bool:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        django_connection.ensure_connection()
        with django_connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        raise AssertionError("the connection was cut")

    monkeypatch.setattr(brokers, "_stored", cut)
    part = parts_of(broker.url)["broker"]
    assert part.state is State.UNHEALTHY
    assert "took a message, but the database went away" in part.detail
    django_connection.close()


@pytest.mark.parametrize(("bind", "reached"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "[::1]")])
@pytest.mark.django_db
def test_the_web_is_asked_where_it_is_bound(bind: str, reached: str) -> None:
    part = parts_of(f"mqtt://127.0.0.1:{free_port()}", bind=bind, ports=replace(ENV.ports, web=free_port()))["web"]
    assert part.state is State.UNHEALTHY
    assert part.detail.startswith(f"http://{reached}:")


def test_a_broker_that_would_throw_messages_away_is_unhealthy(broker: RunningBroker, connection: Connection) -> None:
    # Nobody ever subscribed: the broker acknowledges what it drops.
    part = parts_of(broker.url)["broker"]
    assert part.state is State.UNHEALTHY
    assert "nobody is subscribed" in part.detail


def test_a_broker_that_is_away_is_unhealthy(connection: Connection) -> None:
    part = parts_of(f"mqtt://127.0.0.1:{free_port()}")["broker"]
    assert part.state is State.UNHEALTHY
    assert "the broker can't be reached" in part.detail
    assert part.action


@pytest.mark.django_db
def test_a_sign_of_life_that_is_old_or_without_a_broker_is_unhealthy() -> None:
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    beaten("consumer", connected=True)
    beaten("worker", age_s=STALE_S - 5)
    parts = parts_of(nobody)
    assert (parts["consumer"].state, parts["worker"].state) == (State.HEALTHY, State.HEALTHY)
    beaten("consumer", connected=False, broker="localhost:1883")
    beaten("worker", age_s=STALE_S + 5)
    parts = parts_of(nobody)
    assert (parts["consumer"].state, parts["worker"].state) == (State.UNHEALTHY, State.UNHEALTHY)
    assert parts["consumer"].detail == "It runs, but has no session with localhost:1883."


@pytest.mark.django_db
def test_a_consumer_whose_disk_is_nearly_full_says_so() -> None:
    shortage = "/data has 0.9 of the 1.0 GB that stay free."
    beaten("consumer", connected=True, shortage=shortage)
    assert parts_of(f"mqtt://127.0.0.1:{free_port()}")["consumer"] == Part(
        "consumer", State.UNHEALTHY, shortage, "Make room on that disk; nothing is lost meanwhile."
    )


@pytest.mark.django_db
def test_a_worker_that_is_busy_says_with_what() -> None:
    now = timezone.now()
    beaten("worker", doing={"compression": (now - timedelta(minutes=12)).isoformat(), "rollup": now.isoformat()})
    part = examine_worker(database_there=True)
    assert part.state is State.HEALTHY
    assert part.detail.endswith("s ago. At work on compression for 12 min.")


def test_days_that_are_not_dropped_because_the_clock_may_be_wrong_are_said(connection: Connection) -> None:
    beaten("worker")
    assert examine_worker(database_there=True).state is State.HEALTHY
    of = seeding.series(seeding.gateway(seeding.tenant("acme"), "GW-001"), "D01", "t")
    # Past ingest, as if the readings had been stored before the clock jumped.
    old = datetime.now(UTC) - wiring.retention() - timedelta(days=5)
    wiring.reading_store().prepare(connection, now=old)
    seeding.insert(connection, [(of, old, 1.0)])
    part = examine_worker(database_there=True)
    assert part.state is State.WARNING
    assert "gateways sent readings of 0 of the last 7 days: no day is dropped before there are" in part.detail
    assert part.action.startswith("Correct the clock if it is wrong.")
    seeding.insert(connection, [(of, datetime.now(UTC) - timedelta(days=n), 1.0) for n in range(3)])
    assert examine_worker(database_there=True).state is State.HEALTHY
    connection.execute("DELETE FROM tds_new_leituradispositivo")
    wiring.reading_store().expire(connection, now=datetime.now(UTC))


@pytest.mark.django_db
def test_each_broker_has_a_consumer_and_a_round_trip_of_its_own() -> None:
    urls = tuple(f"mqtt://127.0.0.1:{free_port()}" for _ in range(3))
    names = [part.name for part in examine(replace(ENV, mqtt_urls=urls, home=ROOT, redis_url=""))]
    assert [name for name in names if "consumer" in name] == ["consumer", "consumer-2", "consumer-3"]
    assert [name for name in names if "broker" in name] == ["broker", "broker-2", "broker-3"]


@pytest.mark.django_db
def test_each_slot_of_a_shared_subscription_has_a_line_and_so_has_one_that_was_never_drained() -> None:
    beaten("consumer-s1", connected=True)
    beaten("consumer-s3", age_s=3_600)
    parts = parts_of(f"mqtt://127.0.0.1:{free_port()}", mqtt_shared_slots=2)
    assert [name for name in parts if name.startswith("consumer")] == ["consumer-s1", "consumer-s2", "consumer-s3"]
    assert parts["consumer-s1"].state is State.HEALTHY
    assert parts["consumer-s2"].detail == "It has never run."
    assert parts["consumer-s3"].state is State.UNHEALTHY
    assert parts["consumer-s3"].action == "Store them with python manage.py mqtt_consumer --drain --slot 3."


def test_what_is_off_is_no_fault() -> None:
    parts = [Part("a", State.HEALTHY, ""), Part("b", State.OFF, "")]
    assert healthy(parts)
    assert not healthy([*parts, Part("c", State.UNHEALTHY, "")])
    document = as_document(parts)
    assert document["healthy"] is True
    assert json.loads(json.dumps(document))["parts"]["b"]["state"] == "off"


def test_the_probe_leaves_nothing_that_tenants_see(broker: RunningBroker, connection: Connection) -> None:
    with consumer_thread(broker.url):
        parts_of(broker.url)
    assert QuarantinedMessage.objects.count() == 0
    tenants = connection.execute("SELECT slug FROM tds_new_tenant").fetchall()
    assert tenants == [(PROBE_TENANT,)]


def test_while_a_flood_is_being_stored_the_status_is_still_true(broker: RunningBroker, connection: Connection) -> None:
    seeding.gateway(seeding.tenant("acme"), "GW-001")
    with consumer_thread(broker.url):
        publish(broker, *(message(n) for n in range(2_000)))
        assert parts_of(broker.url)["broker"].state is State.HEALTHY
        # The probe came behind the flood, so when it was read again all before it was stored.
        assert ledger(connection)["stored"] == 2_001


@pytest.mark.usefixtures("haste")
def test_a_session_of_nobody_we_know_is_no_proof(broker: RunningBroker, connection: Connection) -> None:
    listener = Session(SessionConfig("127.0.0.1", broker.port, "somebody", ("telemetry/#",)), Silent())
    listener.start()
    try:
        assert listener.up.wait(STOP_LIMIT_S)
        assert parts_of(broker.url)["broker"].state is State.UNHEALTHY
    finally:
        listener.stop()


@pytest.mark.usefixtures("transactional_db")
def test_the_command_without_a_database_is_one_document_a_sentence_each_and_exit_1(
    broker: RunningBroker, tmp_path: Path
) -> None:
    variables = {
        "TDS_DATABASE_URL": f"postgresql://tds:very-secret@127.0.0.1:{free_port()}/tds",
        "TDS_MQTT_URLS": broker.url,
        "TDS_WEB_PORT": str(free_port()),
    }
    tmp_path.joinpath("home").mkdir()
    began = monotonic()
    done = subprocess.run(
        [ROOT / "tds", "status", "--json"],
        env=environment(tmp_path / "home", **variables),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert monotonic() - began < 15
    assert done.returncode == 1
    assert done.stderr == b""
    document = json.loads(done.stdout)
    assert document["healthy"] is False
    assert list(document["parts"]) == PARTS
    states = {name: part["state"] for name, part in document["parts"].items()}
    assert states == dict.fromkeys(PARTS, "unhealthy") | {
        "redis": "off",
        "disk": "healthy",
        "spool": "healthy",
        "quarantine": "warning",
        "certificates": "warning",
        "gateways": "warning",
        "updates": "warning",
    }
    for part in document["parts"].values():
        assert part["state"] != "unhealthy" or (part["detail"] and part["action"])
    assert document["parts"]["worker"]["action"] == "See database."
    assert b"very-secret" not in done.stdout
