"""The quarantine's page and API: who sees what, who may do what, and that no payload is ever markup."""

import json
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from tds import wiring
from tds.dashboard import quarantine as desk
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Membership, Role, Tenant, User
from tds.ingest.models import QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Refused, keep
from tds.ingest.reasons import Reason
from tds.ingest.writer import Arrival, Writer
from tds.readings.models import Reading
from tests import seeding

pytestmark = pytest.mark.django_db

PAGE: Final = "/tds_new/telemetria/quarentena/"
ACT: Final = f"{PAGE}acao/"
EXPORT: Final = f"{PAGE}exportar/"
API: Final = "/tds_new/telemetria/api/quarentena/"


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


def signed_in(user: User, language: str = "en", **client: Any) -> Client:
    made = Client(headers={"Accept-Language": language}, **client)
    made.force_login(user)
    return made


def refuse(gateway: Gateway | None, *payloads: bytes, reason: Reason = Reason.NOT_JSON, code: str = "") -> list[int]:
    """Their ids."""
    code = gateway.code if gateway else code
    of = (gateway.pk if gateway else None, gateway.tenant_id if gateway else None, code, f"telemetry/{code}/D01/data")
    keep(
        wiring.database_connection(),
        [Refused(reason, "What is wrong.", *of, payload) for payload in payloads],
        wiring.quarantine_bounds(),
        now=timezone.now(),
    )
    return sorted(QuarantinedMessage.objects.order_by("-pk").values_list("pk", flat=True)[: len(payloads)])


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"{API}{path}/", json.dumps(body), content_type="application/json")


def text_of(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def test_a_viewer_sees_the_tenants_messages_and_nobody_elses(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"mine")
    refuse(seeding.gateway(seeding.tenant("other"), "GW-OTHER"), b"theirs")
    refuse(None, b"nobodys", code="GW-X", reason=Reason.UNKNOWN_GATEWAY)
    client = signed_in(seeding.person("ana", tenant, role=Role.VIEWER))
    page = text_of(client.get(PAGE))
    assert "mine" in page
    assert not any(word in page for word in ("theirs", "nobodys", "GW-OTHER", "GW-X"))
    assert [row["gateway"] for row in client.get(API).json()["mensagens"]] == ["GW-1"]
    exported = b"".join(client.get(EXPORT))
    assert [json.loads(line)["payload"] for line in exported.splitlines()] == ["mine"]


def test_what_is_nobodys_is_for_the_platform_operator_alone(tenant: Tenant) -> None:
    [message] = refuse(None, b"nobodys", code="GW-X", reason=Reason.UNKNOWN_GATEWAY)
    admin = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    for path in (PAGE, EXPORT, API, f"{API}{message}/"):
        assert admin.get(path, {"de": "ninguem"}).status_code == 403, path
    assert admin.get(f"{API}{message}/").status_code == 404
    assert admin.post(ACT, {"de": "ninguem", "acao": "eliminar", "certeza": "1"}).status_code == 403
    assert post(admin, "eliminar", de="ninguem", tudo=True).status_code == 403

    operator = signed_in(User.objects.create_superuser("operador", password="correct horse"))
    assert "nobodys" in text_of(operator.get(PAGE, {"de": "ninguem"}))
    document = operator.get(API, {"de": "ninguem"}).json()
    assert [(row["id"], row["gateway"]) for row in document["mensagens"]] == [(message, "GW-X")]
    assert [(worst["gateway"], worst["total"]) for worst in document["maiores"]] == [("GW-X", 1)]


def test_it_is_filtered_by_reason_and_gateway_and_turned_by_pages(tenant: Tenant, gateway: Gateway) -> None:
    refuse(seeding.gateway(tenant, "GW-2"), b"late", reason=Reason.TIMESTAMP_TOO_OLD)
    ids = refuse(gateway, *(b"%d" % n for n in range(desk.MESSAGES_A_PAGE + 7)))
    client = signed_in(seeding.person("ana", tenant))
    assert [row["gateway"] for row in client.get(API, {"motivo": "timestamp_too_old"}).json()["mensagens"]] == ["GW-2"]
    first = client.get(API, {"gateway": "GW-1"}).json()
    second = client.get(API, {"gateway": "GW-1", "antes": first["proxima"]}).json()
    assert [row["id"] for row in first["mensagens"] + second["mensagens"]] == ids[::-1]
    assert second["proxima"] is None
    page = text_of(client.get(PAGE, {"gateway": "GW-1"}))
    assert f"gateway=GW-1&amp;antes={first['proxima']}" in page
    assert "late" not in page
    assert text_of(client.get(PAGE, {"gateway": "GW-1", "antes": first["proxima"]})).count("<pre") == 7


@pytest.mark.parametrize("before", ["0", "-1", "x", "9" * 30, "１２", "1.5", ""])
def test_a_page_that_is_none_is_an_answer(tenant: Tenant, gateway: Gateway, before: str) -> None:
    refuse(gateway, b"junk")
    client = signed_in(seeding.person("ana", tenant))
    assert client.get(PAGE, {"antes": before, "motivo": "x", "gateway": "\x00"}).status_code == 200
    assert client.get(f"{API}{'9' * 30}/").status_code == 404


def test_a_payload_is_shown_as_text_and_never_as_markup(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"<script>alert(1)</script>", b"\xff\xfe\x00", b"x" * 5_000)
    page = text_of(signed_in(seeding.person("ana", tenant)).get(PAGE))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "ff fe 00" in page
    assert "x" * desk.MAX_SHOWN_CHARS + "…" in page
    assert "x" * (desk.MAX_SHOWN_CHARS + 1) not in page


def test_replay_stores_what_is_right_by_now_and_once(tenant: Tenant) -> None:
    connection, store, now = wiring.database_connection(), wiring.reading_store(), timezone.now()
    store.prepare(connection, now=now)
    Gateway.objects.filter(pk=seeding.gateway(tenant, "GW-1").pk).update(status="disabled")
    good = seeding.as_bytes(seeding.message("GW-1", now - timedelta(minutes=5)))
    writer = Writer(connection, store, Directory(), wiring.quarantine_bounds(), wiring.retention())
    writer.write([Arrival("telemetry/GW-1/D01/data", payload) for payload in (good, b"junk")], now=now)
    Gateway.objects.update(status="active")
    client = signed_in(seeding.person("ana", tenant, role=Role.OPERATOR))

    page = text_of(client.post(ACT, {"acao": "reprocessar"}, follow=True))
    assert "Messages accepted now: 1 of 2" in page
    assert "Still refused: 1 not_json." in page
    stored = Reading.objects.count()
    assert stored
    again = post(client, "reprocessar", tudo=True).json()
    assert (again["escolhidas"], again["aceitas"], again["recusadas"]) == (1, 0, {"not_json": 1})
    assert Reading.objects.count() == stored


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, []), (Role.OPERATOR, ["reprocessar"])])
def test_who_may_only_look_does_nothing(tenant: Tenant, gateway: Gateway, role: Role, allowed: list[str]) -> None:
    refuse(gateway, b"junk")
    client = signed_in(seeding.person("ana", tenant, role=role))
    page = text_of(client.get(PAGE))
    for action in ("reprocessar", "eliminar"):
        expected = action in allowed
        assert (f'value="{action}"' in page) is expected
        assert client.post(ACT, {"acao": action, "certeza": "1"}).status_code == (302 if expected else 403)
        answer = post(client, action, tudo=True)
        assert answer.status_code == (200 if expected else 403)
        assert expected or answer.json()["erro"] == "proibido"
    assert QuarantinedMessage.objects.count() == 1


def test_an_administrator_throws_away_what_was_chosen_and_the_counts_stay(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"one", b"two")
    refuse(gateway, b"late", reason=Reason.TIMESTAMP_TOO_OLD)
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    unsure = client.post(ACT, {"acao": "eliminar", "motivo": "not_json"}, follow=True)
    assert "Nothing was thrown away" in text_of(unsure)
    assert QuarantinedMessage.objects.count() == 3
    sure = client.post(ACT, {"acao": "eliminar", "motivo": "not_json", "certeza": "1"}, follow=True)
    assert "2 messages are gone; the counts stay." in text_of(sure)
    assert [bytes(message.payload) for message in QuarantinedMessage.objects.all()] == [b"late"]
    assert QuarantineCount.objects.get(reason="not_json").total == 2


def test_an_empty_body_chooses_nothing(tenant: Tenant, gateway: Gateway) -> None:
    [message] = refuse(gateway, b"junk")
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    assert post(client, "eliminar").json()["eliminadas"] == 0
    assert post(client, "eliminar", ids=[message + 1]).json()["eliminadas"] == 0
    assert post(client, "eliminar", ids=[message]).json() == {"eliminadas": 1, "restantes": 0}


def test_ids_of_another_tenant_are_ids_that_nobody_has(tenant: Tenant, gateway: Gateway) -> None:
    [theirs] = refuse(seeding.gateway(seeding.tenant("other"), "GW-OTHER"), b"theirs")
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    assert client.get(f"{API}{theirs}/").status_code == 404
    assert post(client, "eliminar", ids=[theirs]).json()["eliminadas"] == 0
    assert post(client, "reprocessar", ids=[theirs]).json()["escolhidas"] == 0
    client.post(ACT, {"acao": "eliminar", "certeza": "1", "id": theirs})
    assert QuarantinedMessage.objects.filter(pk=theirs).exists()


def test_a_form_of_another_site_does_nothing(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"junk")
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN), enforce_csrf_checks=True)
    assert client.post(ACT, {"acao": "eliminar", "certeza": "1"}).status_code == 403
    answer = post(client, "eliminar", tudo=True)
    assert (answer.status_code, answer.json()["erro"]) == (403, "csrf")
    assert QuarantinedMessage.objects.count() == 1


def test_no_more_than_a_bound_at_once_and_the_rest_is_named(
    tenant: Tenant, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MAX_AT_ONCE", 2)
    refuse(gateway, b"1", b"2", b"3")
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    assert post(client, "eliminar", tudo=True).json() == {"eliminadas": 2, "restantes": 1}


def test_who_sends_rubbish_for_ever_shows_up_by_itself_and_takes_bounded_room(tenant: Tenant, gateway: Gateway) -> None:
    bounds = wiring.quarantine_bounds()
    refuse(seeding.gateway(tenant, "GW-QUIET"), b"once")
    for _ in range(3):
        refuse(gateway, *([b"rubbish"] * bounds.per_gateway))
    assert QuarantinedMessage.objects.filter(gateway=gateway).count() == bounds.per_gateway
    client = signed_in(seeding.person("ana", tenant, role=Role.VIEWER))
    worst, *others = client.get(API).json()["maiores"]
    assert (worst["gateway"], worst["motivo"], worst["total"]) == ("GW-1", "not_json", 3 * bounds.per_gateway)
    assert [other["gateway"] for other in others] == ["GW-QUIET"]
    page = text_of(client.get(PAGE))
    assert "Who sends most of it" in page
    assert "correct how it writes its messages" in page
    QuarantineCount.objects.update(last_at=timezone.now() - timedelta(hours=25))
    assert client.get(API).json()["maiores"] == []


def test_the_page_speaks_portuguese(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"junk")
    page = text_of(signed_in(seeding.person("ana", tenant, role=Role.ADMIN), "pt-br").get(PAGE))
    for words in ("Quarentena", "Quem mais envia", "Reprocessar 1 mensagem", "Exportar", "não é um objeto JSON"):
        assert words in page, words


def test_a_member_of_nothing_sees_nothing(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"junk")
    person = seeding.person("ana", tenant)
    Membership.objects.all().delete()
    client = signed_in(person)
    assert "junk" not in text_of(client.get(PAGE))
    assert client.get(API).json() == {"mensagens": [], "proxima": None, "maiores": []}
