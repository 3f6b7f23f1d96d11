"""`POST leituras/`: the rules of a message, who may send it, and what is kept and counted."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import psycopg
import pytest
from django.conf import settings
from django.test import Client

from tds import wiring
from tds.dashboard import post_readings
from tds.devicelink import fleet_health
from tds.devicelink.health import Session
from tds.environment import ROOT
from tds.fleet import tokens
from tds.fleet.directory import Directory
from tds.fleet.models import Device, Gateway, Metric, Tenant
from tds.ingest import quarantined
from tds.ingest.ledger import FIELDS, Ledger
from tds.ingest.models import LedgerHour, QuarantineCount, QuarantinedMessage
from tds.ingest.presence import LastSeen
from tds.ingest.reasons import Reason
from tds.ingest.room import Room
from tds.ingest.writer import Arrival, Result, Writer
from tds.readings.chosen import ChosenStore
from tds.readings.models import KeptSince, Reading
from tests import seeding
from tests.running import free_port, wait_until

URL: Final = "/tds_new/telemetria/api/leituras/"
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
KIB: Final = 1024
MINUTE: Final = timedelta(minutes=1)
VECTORS: Final = ROOT / "testdata" / "wire"

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def places(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), seeding.own_connection() as connection:
        ChosenStore(timedelta(days=90)).prepare(connection, now=NOW)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_readings, "timezone", SimpleNamespace(now=lambda: NOW))


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


@pytest.fixture
def theirs() -> Gateway:
    return seeding.gateway(seeding.tenant("outra"), "GW-OUTRO")


@pytest.fixture
def secret(tenant: Tenant, gateway: Gateway) -> str:
    """Of a token for all gateways of the tenant."""
    return tokens.create(tenant)[1]


def body(code: Any = "GW-1", **fields: Any) -> bytes:
    return seeding.as_bytes(seeding.message(code, NOW, **fields))


def without(name: str) -> bytes:
    document = seeding.message("GW-1", NOW)
    del document[name]
    return seeding.as_bytes(document)


def entry(tipo: Any = "energia", valor: Any = 1, unidade: Any = "kWh") -> dict[str, Any]:
    return {"tipo": tipo, "valor": valor, "unidade": unidade}


def send(secret: str | None, payload: bytes, content_type: str = "application/json") -> Any:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    return Client().post(URL, payload, content_type, headers=headers)


def answer(secret: str | None, payload: bytes, status: int = 200) -> Any:
    response = send(secret, payload)
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json; charset=utf-8"
    document = json.loads(response.content)
    if status != 200:
        assert sorted(document) == ["detalhe", "erro"]
        assert document["detalhe"].endswith(".")
    return document


def counted() -> dict[str, int]:
    return {name: sum(getattr(row, name) for row in LedgerHour.objects.all()) for name in FIELDS}


def nothing_was_kept_or_counted() -> bool:
    return not (LedgerHour.objects.exists() or QuarantinedMessage.objects.exists() or QuarantineCount.objects.exists())


def assert_the_ledger_balances() -> None:
    sums = counted()
    assert sums["received"] == sums["accepted"] + sums["quarantined"]
    assert sums["readings"] == sums["stored"] + sums["duplicate"]
    assert sums["stored"] == Reading.objects.count()
    assert sums["quarantined"] == sum(count.total for count in QuarantineCount.objects.all())


def by_mqtt(payload: bytes, connection: Any = None) -> Result:
    """What the consumer does with a message from the broker."""
    used = connection or wiring.database_connection()
    writer = Writer(used, wiring.reading_store(), Directory(), wiring.quarantine_bounds(), timedelta(days=90))
    return writer.write([Arrival("telemetry/GW-1/D01/data", payload)], now=NOW)


def test_the_answer_says_how_many_readings_were_stored_and_how_many_were_there(secret: str) -> None:
    assert answer(secret, body(leituras=[entry("a"), entry("b"), entry("b", unidade="Wh")])) == {
        "armazenadas": 3,
        "duplicadas": 0,
    }
    assert answer(secret, body(leituras=[entry("a"), entry("c")])) == {"armazenadas": 1, "duplicadas": 1}
    assert counted() == {
        "received": 2,
        "accepted": 2,
        "quarantined": 0,
        "readings": 5,
        "stored": 4,
        "duplicate": 1,
    }
    assert_the_ledger_balances()


def test_the_first_value_of_a_reading_wins(secret: str) -> None:
    answer(secret, body(leituras=[entry(valor=1.0)]))
    assert answer(secret, body(leituras=[entry(valor=2.0)])) == {"armazenadas": 0, "duplicadas": 1}
    assert Reading.objects.get().value == 1.0


def test_one_time_in_two_zones_is_one_reading(secret: str) -> None:
    answer(secret, body(timestamp="2026-02-18T15:30:00-03:00"))
    assert answer(secret, body(timestamp="2026-02-18T18:30:00Z")) == {"armazenadas": 0, "duplicadas": 1}


@pytest.mark.parametrize("mqtt_first", [True, False])
def test_a_reading_over_mqtt_and_over_http_is_one_row(secret: str, mqtt_first: bool) -> None:
    if mqtt_first:
        by_mqtt(body())
        assert answer(secret, body()) == {"armazenadas": 0, "duplicadas": 1}
    else:
        answer(secret, body())
        assert by_mqtt(body()).duplicate == 1
    assert Reading.objects.count() == 1
    assert_the_ledger_balances()


REFUSED: Final[dict[Reason, list[bytes]]] = {
    Reason.NOT_JSON: [b"", b"{", b"[]", b'{"a": NaN}', b"\xef\xbb\xbf" + body(), b'{"a": "\xff"}', b"[" * 5_000],
    Reason.MISSING_FIELD: [
        *(without(name) for name in ("gateway_code", "device_code", "timestamp", "leituras")),
        *(body(code) for code in (None, 7, True, ["GW-1"], {"GW-1": 1})),
        *(body(device_code=code) for code in (None, 1, ["D01"], {"D01": 1})),
        b"{}",
    ],
    Reason.BAD_TOPIC: [body(device_code=code) for code in ("", "-D", "D 1", "D/1", "D" * 65, "D01\n", "é", "D\x00")],
    Reason.BAD_TIMESTAMP: [body(timestamp=time) for time in (1_771_437_600, "2026-02-18", "2026-02-18 18:30:00Z", "")],
    Reason.TIMESTAMP_IN_FUTURE: [body(timestamp=(NOW + 11 * MINUTE).isoformat())],
    Reason.TIMESTAMP_TOO_OLD: [body(timestamp=(NOW - timedelta(days=90) - MINUTE).isoformat())],
    Reason.NO_READINGS: [body(leituras=value) for value in (list[Any](), {"0": entry()}, "energia")],
    Reason.TOO_MANY_READINGS: [body(leituras=[entry(f"t{n}") for n in range(501)])],
    Reason.BAD_READING: [
        body(leituras=[value])
        for value in (1, entry(""), entry("t" * 65), entry(7), entry("a\u200b"), entry(unidade="u" * 17))
    ],
    Reason.BAD_VALUE: [body(leituras=[entry("a"), entry("b", value)]) for value in ("1", None, True, [1])],
    Reason.REPEATED_READING: [body(leituras=[entry(), entry(valor=2)])],
}


@pytest.mark.parametrize(
    ("reason", "payload"),
    [(reason, payload) for reason, payloads in REFUSED.items() for payload in payloads],
    ids=[f"{reason} {n}" for reason, payloads in REFUSED.items() for n in range(len(payloads))],
)
def test_a_broken_rule_is_a_400_and_the_message_is_in_quarantine_without_a_topic(
    secret: str, tenant: Tenant, reason: Reason, payload: bytes
) -> None:
    document = answer(secret, payload, 400)
    assert document["erro"] == reason
    kept = QuarantinedMessage.objects.get()
    assert (kept.reason, kept.detail, kept.topic) == (reason, document["detalhe"], "")
    assert (bytes(kept.payload), kept.tenant, kept.received_at) == (payload, tenant, NOW)
    assert not Reading.objects.exists()
    assert not Device.objects.exists()
    assert_the_ledger_balances()


def test_a_reading_of_a_day_that_was_dropped_for_room_is_too_old(secret: str) -> None:
    KeptSince.objects.create(since=NOW + timedelta(seconds=1), decided_at=NOW, why="bytes")
    assert answer(secret, body(), 400)["erro"] == "timestamp_too_old"
    assert counted()["quarantined"] == QuarantinedMessage.objects.count() == 1
    assert_the_ledger_balances()


def test_a_disabled_gateways_message_is_in_quarantine(secret: str, gateway: Gateway) -> None:
    Gateway.objects.update(status="disabled")
    assert answer(secret, body(), 400)["erro"] == Reason.GATEWAY_DISABLED
    assert QuarantinedMessage.objects.get().gateway == gateway
    Gateway.objects.update(status="active")
    assert answer(secret, body())["armazenadas"] == 1


def test_a_reading_of_the_former_owner_is_refused_and_not_shown_to_the_present_one(
    secret: str, tenant: Tenant, theirs: Gateway
) -> None:
    theirs.code, theirs.status, theirs.retired_at = "GW-1", "retired", NOW - timedelta(hours=1)
    theirs.save()
    assert answer(secret, body())["armazenadas"] == 1
    before = (NOW - timedelta(hours=2)).isoformat()
    assert answer(secret, body(timestamp=before), 400)["erro"] == Reason.PREVIOUS_OWNER
    assert QuarantinedMessage.objects.get().tenant is None
    assert_the_ledger_balances()


@pytest.mark.parametrize("payload", [b"junk", b"{}", body(7), b"[" * (64 * KIB + 1)])
def test_rubbish_sent_with_a_gateways_token_shows_up_as_that_gateways(
    tenant: Tenant, gateway: Gateway, payload: bytes
) -> None:
    _token, secret = tokens.create(tenant, gateway=gateway)
    for _ in range(2):
        assert send(secret, payload).status_code in (400, 413)
    count = QuarantineCount.objects.get()
    assert (count.gateway, count.tenant, count.total) == (gateway, tenant, 2)
    [sender] = quarantined.worst_of_gateways(QuarantineCount.objects.all(), now=NOW)
    assert (sender.gateway_code, sender.total) == ("GW-1", 2)
    assert quarantined.Choice(gateway="GW-1").of(QuarantinedMessage.objects.all()).count() == 2
    assert_the_ledger_balances()


def test_rubbish_sent_with_a_tenants_token_is_no_gateways(secret: str, tenant: Tenant) -> None:
    answer(secret, b"junk", 400)
    count = QuarantineCount.objects.get()
    assert (count.gateway, count.tenant, count.total) == (None, tenant, 1)


def test_a_gateway_without_automatic_devices_knows_only_those_it_has(secret: str, gateway: Gateway) -> None:
    Gateway.objects.update(auto_devices=False)
    assert answer(secret, body(), 400)["erro"] == Reason.UNKNOWN_DEVICE
    Device.objects.create(gateway=gateway, code="D01")
    assert answer(secret, body())["armazenadas"] == 1
    assert answer(secret, body(device_code="D02"), 400)["erro"] == Reason.UNKNOWN_DEVICE


def test_a_gateway_has_at_most_256_devices(secret: str, gateway: Gateway) -> None:
    Device.objects.bulk_create(Device(gateway=gateway, code=f"D{n}") for n in range(255))
    assert answer(secret, body(device_code="the-256th"))["armazenadas"] == 1
    assert answer(secret, body(device_code="one-more"), 400)["erro"] == Reason.TOO_MANY_DEVICES
    assert_the_ledger_balances()


def test_a_device_has_at_most_500_metrics(secret: str) -> None:
    assert answer(secret, body(leituras=[entry(f"t{n}") for n in range(500)]))["armazenadas"] == 500
    assert answer(secret, body(leituras=[entry("one more")]), 400)["erro"] == Reason.TOO_MANY_METRICS
    assert Metric.objects.count() == 500


def padded(size: int) -> bytes:
    payload = body()
    return payload[:-1] + b" " * (size - len(payload)) + b"}"


def test_a_message_has_at_most_64_kib_and_a_larger_one_is_a_413_that_is_kept(secret: str, tenant: Tenant) -> None:
    assert answer(secret, padded(64 * KIB))["armazenadas"] == 1
    for size in (64 * KIB + 1, 256 * KIB):
        payload = padded(size)
        assert answer(secret, payload, 413)["erro"] == Reason.TOO_LARGE
        kept = QuarantinedMessage.objects.get()
        assert (bytes(kept.payload), kept.tenant, kept.topic) == (payload, tenant, "")
        QuarantinedMessage.objects.all().delete()
    assert_the_ledger_balances()


class Unreadable:
    """A body that must not be asked for."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")

    readline = close = read


def send_unread(length: int, **headers: str) -> Any:
    extra: dict[str, Any] = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(length)}
    return Client().generic("POST", URL, headers=headers, **extra)


def test_a_body_of_more_than_256_kib_is_not_even_read(secret: str) -> None:
    response = send_unread(256 * KIB + 1, Authorization=f"Bearer {secret}")
    assert response.status_code == 413
    assert response.json()["erro"] == Reason.TOO_LARGE
    assert nothing_was_kept_or_counted()


def test_who_may_not_send_is_told_so_before_the_body_is_read() -> None:
    assert send_unread(100).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer tds_" + "A" * 43,
        "Bearer " + "x" * 5_000,
        "Bearer \xff",
        "Basic {secret}",
        "Token {secret}",
        "{secret}",
        "Bearer {secret}x",
        "Bearer {sha256}",
    ],
)
def test_without_a_right_token_it_is_a_401_and_nothing_is_kept(secret: str, tenant: Tenant, header: str | None) -> None:
    shown = None if header is None else header.format(secret=secret, sha256=tenant.tokens.get().sha256)
    response = Client().post(URL, body(), "application/json", headers={} if shown is None else {"Authorization": shown})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["erro"] == "nao_autorizado"
    assert nothing_was_kept_or_counted()


def test_a_token_is_a_401_once_it_is_revoked_or_has_expired(secret: str, tenant: Tenant) -> None:
    tenant.tokens.update(expires_at=NOW + MINUTE)
    answer(secret, body())
    tenant.tokens.update(expires_at=NOW)
    answer(secret, body(), 401)
    tenant.tokens.update(expires_at=None)
    answer(secret, body())
    tenant.tokens.update(revoked_at=NOW)
    answer(secret, body(), 401)


def test_a_signed_in_person_needs_a_token_as_well(tenant: Tenant, gateway: Gateway) -> None:
    client = Client()
    client.force_login(seeding.person("ana", tenant))
    assert client.post(URL, body(), "application/json").status_code == 401


def test_the_word_bearer_may_be_written_in_any_case(secret: str) -> None:
    response = Client().post(URL, body(), "application/json", headers={"Authorization": f"bearer {secret}"})
    assert response.status_code == 200


STRANGE: Final = ["GW-NENHUM", "gw-1", "GW-1 ", "", "-GW", "é", "G" * 10_000, "GW-1\x00", "../GW-1", "🛰"]


@pytest.mark.parametrize("code", ["GW-OUTRO", *STRANGE], ids=range(len(STRANGE) + 1))
@pytest.mark.parametrize(
    "broken", [{}, {"device_code": "/"}, {"device_code": None}, {"timestamp": 1}, {"leituras": []}], ids=str
)
def test_a_code_that_the_token_does_not_cover_is_a_404_before_all_later_rules(
    secret: str, theirs: Gateway, code: str, broken: dict[str, Any]
) -> None:
    document = answer(secret, body(code, **broken), 404)
    assert document == answer(secret, body("GW-NADA"), 404)
    assert document["erro"] == Reason.UNKNOWN_GATEWAY
    assert nothing_was_kept_or_counted()
    assert not Device.objects.exists()


def test_the_last_of_two_codes_in_one_message_counts(secret: str, theirs: Gateway) -> None:
    twice = body()[:-1] + b', "gateway_code": "GW-OUTRO"}'
    assert answer(secret, twice, 404)["erro"] == Reason.UNKNOWN_GATEWAY
    assert nothing_was_kept_or_counted()
    twice = body("GW-OUTRO")[:-1] + b', "gateway_code": "GW-1"}'
    assert answer(secret, twice)["armazenadas"] == 1
    assert Reading.objects.get().device.gateway.code == "GW-1"


@pytest.mark.parametrize("payload", [body("GW-OUTRO")[:-1], body("GW-OUTRO") + b" " * 64 * KIB])
def test_a_code_that_cannot_be_read_is_no_404_and_the_message_is_the_senders(
    secret: str, tenant: Tenant, theirs: Gateway, payload: bytes
) -> None:
    assert send(secret, payload).status_code in {400, 413}
    kept = QuarantinedMessage.objects.get()
    assert (kept.tenant, kept.gateway) == (tenant, None)
    assert [row.tenant for row in LedgerHour.objects.all()] == [tenant]


def test_a_gateways_token_is_for_that_gateway_alone_and_a_tenants_for_all_of_them(
    tenant: Tenant, gateway: Gateway, secret: str
) -> None:
    seeding.gateway(tenant, "GW-2")
    _token, of_gateway = tokens.create(tenant, gateway=gateway)
    assert answer(of_gateway, body("GW-1"))["armazenadas"] == 1
    assert answer(of_gateway, body("GW-2"), 404)["erro"] == Reason.UNKNOWN_GATEWAY
    assert answer(secret, body("GW-2"))["armazenadas"] == 1
    assert counted()["received"] == 2


def test_a_gateways_token_ends_with_the_gateway_also_when_its_code_lives_on(
    tenant: Tenant, gateway: Gateway, secret: str
) -> None:
    _token, of_gateway = tokens.create(tenant, gateway=gateway)
    Gateway.objects.update(status="retired", retired_at=NOW - MINUTE)
    for known in (of_gateway, secret):
        answer(known, body(), 404)
    seeding.gateway(seeding.tenant("outra"), "GW-1")
    for known in (of_gateway, secret):
        answer(known, body(), 404)
    assert nothing_was_kept_or_counted()


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x/y", ""]
)
def test_a_body_is_judged_by_what_it_holds_whatever_it_is_called(secret: str, content_type: str) -> None:
    # curl -d calls every body a form.
    response = send(secret, body(), content_type)
    assert (response.status_code, json.loads(response.content)) == (200, {"armazenadas": 1, "duplicadas": 0})


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_another_method_is_a_405_that_names_the_right_one(secret: str, method: str) -> None:
    response = Client().generic(method, URL, body(), headers={"Authorization": f"Bearer {secret}"})
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert nothing_was_kept_or_counted()


def test_the_ledger_balances_over_all_that_can_happen(secret: str, theirs: Gateway) -> None:
    payloads = [payload for group in REFUSED.values() for payload in group]
    for n, payload in enumerate(payloads):
        send(secret, payload)
        send(secret, body("GW-OUTRO"))
        send(secret, body(device_code=f"D{n % 3}"))
        by_mqtt(body())
        by_mqtt(payload)
    sums = counted()
    assert sums["received"] == 4 * len(payloads)
    assert sums["quarantined"] == 2 * len(payloads)
    assert sums["stored"] == 4
    assert_the_ledger_balances()


def vectors() -> Iterator[Any]:
    """The messages that say all that HTTP needs: without a topic, or refused for what is not the topic's matter."""
    for path in sorted(VECTORS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["retention_days"] > 90:
            continue  # the whole calendar: no installation keeps readings for 10,000 years
        now = datetime.fromisoformat(content["now"])
        for case in content["cases"]:
            if case["topic"] is None or case.get("refused") not in {"bad_topic", "code_mismatch"}:
                yield pytest.param(now, case, id=f"{path.stem}: {case['case']}")


# A token covers no code of these shapes, so they are a stranger's before they are a bad form.
NOBODYS_CODES: Final = {
    "a gateway_code of a bad shape",
    "a gateway_code of a bad shape before no device_code",
}


@pytest.mark.parametrize(("now", "case"), list(vectors()))
def test_a_vector_of_the_wire_gets_its_verdict_over_http_too(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, now: datetime, case: dict[str, Any]
) -> None:
    monkeypatch.setattr(post_readings, "timezone", SimpleNamespace(now=lambda: now))
    accepted = case.get("accepted", {"gateway_code": "GW-TEST-001", "readings": []})
    seeding.gateway(tenant, accepted["gateway_code"])
    _token, secret = tokens.create(tenant)
    payload = b"".join(
        (part["text"].encode() if "text" in part else bytes.fromhex(part["hex"])) * part.get("times", 1)
        for part in case["payload"]
    )
    response = send(secret, payload)
    document = json.loads(response.content)
    if "accepted" in case:
        assert (response.status_code, document) == (
            200,
            {"armazenadas": len(accepted["readings"]), "duplicadas": 0},
        )
        stored = Reading.objects.select_related("device", "metric")
        assert sorted((r.metric.tipo, r.metric.unidade, r.value) for r in stored) == sorted(
            map(tuple, accepted["readings"])
        )
        assert {(r.device.code, r.time) for r in stored} == {
            (accepted["device_code"], datetime.fromisoformat(accepted["time"]))
        }
    elif case["topic"] is None and case["case"] in NOBODYS_CODES:
        assert (response.status_code, document["erro"]) == (404, "unknown_gateway")
    else:
        status = 413 if case["refused"] == "too_large" else 400
        assert (response.status_code, document["erro"]) == (status, case["refused"])
        assert bytes(QuarantinedMessage.objects.get().payload) == payload
    assert_the_ledger_balances()


def said(port: int, request: bytes) -> bytes:
    """All that the server answers, until it closes or has said one small answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            found = connection.recv(65_536)
            while b"\r\n\r\n" not in found or not found.split(b"\r\n\r\n", 1)[1]:
                more = connection.recv(65_536)
                if not more:
                    break
                found += more
            return found
    except (ConnectionError, TimeoutError):  # the port of gunicorn listens before it can answer
        return b""


@pytest.fixture
def _emptied() -> Iterator[None]:
    """After a test that commits."""
    yield
    with seeding.own_connection() as connection:
        seeding.without_readings(connection)


@pytest.fixture
def port(tmp_path: Path, _emptied: None) -> Iterator[int]:
    """Of a gunicorn: how much of a request is read cannot be seen from inside Django."""
    of = settings.DATABASES["default"]
    url = f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "tds.wsgi:application", "--bind", f"127.0.0.1:{port}"],
            env=kept | {"PYTHONPATH": str(ROOT / "src"), "TDS_HOME": str(tmp_path), "TDS_DATABASE_URL": url},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: b"200 OK" in said(port, b"GET /healthz HTTP/1.0\r\n\r\n"), "an answer of gunicorn")
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.django_db(transaction=True)
def test_what_a_request_says_of_its_length_decides(port: int, secret: str) -> None:
    def post(headers: str, payload: bytes = b"") -> tuple[int, bytes]:
        text = f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n{headers}\r\n"
        head, _, rest = said(port, text.encode() + payload).partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    # The body never comes: who waited for it would not answer.
    status, text = post(f"Content-Length: {256 * KIB + 1}\r\n")
    assert (status, json.loads(text)["erro"]) == (413, Reason.TOO_LARGE)
    chunk = body()
    chunks = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n0\r\n\r\n"
    status, text = post("Transfer-Encoding: chunked\r\n", chunks)
    assert (status, json.loads(text)["erro"]) == (411, "tamanho_desconhecido")
    assert nothing_was_kept_or_counted()
    status, text = post("")  # by HTTP's rules an empty body
    assert (status, json.loads(text)["erro"]) == (400, Reason.NOT_JSON)
    recent = body(timestamp=datetime.now(UTC).isoformat())
    status, text = post(f"Content-Length: {len(recent)}\r\nConnection: close\r\n", recent)
    assert (status, json.loads(text)) == (200, {"armazenadas": 1, "duplicadas": 0})
    assert counted()["received"] == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_emptied")
def test_one_reading_that_comes_both_ways_at_once_is_one_row(secret: str) -> None:
    stored: list[int] = []
    together = threading.Barrier(6)

    def over_mqtt() -> None:
        with seeding.own_connection() as connection:
            together.wait(10)
            stored.append(by_mqtt(body(), connection).stored)

    def over_http() -> None:
        from django.db import connection

        together.wait(10)
        try:
            stored.append(answer(secret, body())["armazenadas"])
        finally:
            connection.close()

    threads = [threading.Thread(target=way) for way in (over_mqtt, over_http) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(stored) == [0, 0, 0, 0, 0, 1]
    assert_the_ledger_balances()


# When its gateway was heard


def heard(gateway: Gateway) -> tuple[datetime | None, datetime | None, datetime | None]:
    gateway.refresh_from_db()
    return gateway.last_seen_at, gateway.last_reading_at, gateway.dated_at


def test_a_gateway_that_sends_by_http_alone_is_not_said_to_be_never_seen(secret: str, gateway: Gateway) -> None:
    at = NOW - MINUTE
    answer(secret, body(timestamp=at.isoformat()))
    assert heard(gateway) == (NOW, at, at)
    health = fleet_health.of([gateway], now=NOW + MINUTE)[gateway.pk]
    assert (health.session, health.troubles) == (Session.UNSAID, ())
    # What it kept and sends now is not its newest reading; a copy of one says that it is there as well.
    answer(secret, body(timestamp=(at - MINUTE).isoformat()))
    assert heard(gateway) == (NOW, at, at - MINUTE)
    answer(secret, body(timestamp=at.isoformat()))
    assert heard(gateway) == (NOW, at, at)


def test_a_refused_message_is_one_that_came_and_its_clock_is_known_by_it(secret: str, gateway: Gateway) -> None:
    answer(secret, body(leituras=[]), 400)
    assert heard(gateway) == (NOW, None, None)
    ahead = NOW + timedelta(hours=3)
    answer(secret, body(timestamp=ahead.isoformat()), 400)
    assert heard(gateway) == (NOW, None, ahead)


def test_rubbish_moves_the_gateway_of_the_token_and_of_a_tenants_token_nobody(
    secret: str, tenant: Tenant, gateway: Gateway
) -> None:
    answer(secret, b"junk", 400)
    assert heard(gateway) == (None, None, None)
    answer(tokens.create(tenant, gateway=gateway)[1], b"junk", 400)
    assert heard(gateway) == (NOW, None, None)


def test_a_code_that_the_token_does_not_cover_moves_nobody(secret: str, gateway: Gateway, theirs: Gateway) -> None:
    answer(secret, body("GW-OUTRO"), 404)
    assert heard(theirs) == heard(gateway) == (None, None, None)


def test_a_code_that_changes_hands_under_way_moves_not_its_new_owner(
    secret: str, tenant: Tenant, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*words: Any) -> bool:
        Gateway.objects.filter(pk=gateway.pk).update(status="retired", retired_at=NOW)
        seeding.gateway(seeding.tenant("outra"), "GW-1")
        return True

    monkeypatch.setattr(tokens, "covers", meanwhile)
    assert answer(secret, body(), 400)["erro"] == Reason.PREVIOUS_OWNER
    assert heard(Gateway.objects.get(code="GW-1", retired_at=None)) == (None, None, None)


def test_when_a_gateway_was_heard_is_kept_or_lost_with_its_readings(
    secret: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*words: Any, **more: Any) -> None:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(Ledger, "write", fails)  # the last one of the transaction
    with suppress(psycopg.OperationalError):
        send(secret, body())
    assert heard(gateway) == (None, None, None)
    assert not Reading.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_curl_posts_is_seen_at_once(port: int, secret: str, gateway: Gateway) -> None:
    payload = body(timestamp=datetime.now(UTC).isoformat())
    command = ["curl", "--silent", "--fail", "--max-time", "10", "--data-binary", "@-"]
    command += ["--header", f"Authorization: Bearer {secret}", f"http://127.0.0.1:{port}{URL}"]
    before = datetime.now(UTC)
    found = subprocess.run(command, input=payload, capture_output=True, check=True, timeout=20)
    assert json.loads(found.stdout) == {"armazenadas": 1, "duplicadas": 0}
    seen_at, reading_at, _dated_at = heard(gateway)
    assert seen_at is not None
    assert before <= seen_at <= datetime.now(UTC)
    assert reading_at == Reading.objects.get().time


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_emptied")
def test_posts_and_a_consumers_batches_of_the_same_gateways_do_not_deadlock(secret: str, tenant: Tenant) -> None:
    """Both lock gateways before all else: who held the ledger and then wanted a gateway would end in one."""
    seeding.gateway(tenant, "GW-2")
    failed: list[BaseException] = []
    together = threading.Barrier(4)

    def over_mqtt(order: tuple[str, str]) -> None:
        with seeding.own_connection() as connection:
            writer = Writer(
                connection, wiring.reading_store(), Directory(), wiring.quarantine_bounds(), timedelta(days=90)
            )
            seen = LastSeen()
            together.wait(10)
            for n in range(20):
                batch = [Arrival(f"telemetry/{code}/D{n}/data", body(code, device_code=f"D{n}")) for code in order]
                result = writer.write(batch, now=NOW)
                seen.note(writer.directory, batch, result.verdicts, NOW)
                seen._flushed_at = float("-inf")
                seen.flush(connection)

    def over_http(code: str) -> None:
        from django.db import connection

        together.wait(10)
        try:
            for n in range(20):
                answer(secret, body(code, device_code=f"D{n}"))
        finally:
            connection.close()

    def kept(work: Any, *words: Any) -> None:
        try:
            work(*words)
        except BaseException as error:  # noqa: BLE001  # told below
            failed.append(error)

    ways = ((over_mqtt, ("GW-1", "GW-2")), (over_mqtt, ("GW-2", "GW-1")), (over_http, "GW-1"), (over_http, "GW-2"))
    threads = [threading.Thread(target=kept, args=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    assert Gateway.objects.filter(last_seen_at=NOW, last_reading_at=NOW).count() == 2


def test_with_a_disk_nearly_full_nothing_is_taken(secret: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wiring, "room", lambda: Room([tmp_path], 2**60))
    assert answer(secret, body(), 503)["erro"] == "disco_cheio"
    assert nothing_was_kept_or_counted()
