"""The quarantine's page and API: who sees what, who may do what, and that no payload is ever markup."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from tds import wiring
from tds.dashboard import quarantine, quarantine_desk
from tds.fleet.models import Gateway, Membership, Role, Tenant, User
from tds.ingest.models import QuarantineCount, QuarantinedMessage
from tds.ingest.quarantined import advice
from tds.ingest.reasons import Reason
from tds.readings.models import Reading
from tests import seeding
from tests.refusing import ACT, API, EXPORT, PAGE, arrive, form, post, refuse, signed_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


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
    ids = refuse(gateway, *(b"%d" % n for n in range(quarantine.MESSAGES_A_PAGE + 7)))
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
    assert client.get(PAGE, {"antes": before}).status_code == 200
    assert client.get(f"{API}{'9' * 30}/").status_code == 404


def test_a_payload_is_shown_as_text_and_never_as_markup(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"<script>alert(1)</script>", b"\xff\xfe\x00", b"x" * 5_000, b"\xff" * 5_000)
    page = text_of(signed_in(seeding.person("ana", tenant)).get(PAGE))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "ff fe 00" in page
    assert "x" * quarantine.MAX_SHOWN_BYTES + "…" in page
    assert "x" * (quarantine.MAX_SHOWN_BYTES + 1) not in page
    assert " ".join(["ff"] * quarantine.MAX_HEX_BYTES) + "…" in page
    refuse(gateway, "€".encode() * 2_000)  # cut in the midst of a character
    assert "€" * (quarantine.MAX_SHOWN_BYTES // 3) + "…" in text_of(signed_in(seeding.person("bia", tenant)).get(PAGE))


def test_replay_stores_what_is_right_by_now_and_once(tenant: Tenant) -> None:
    seeding.gateway(tenant, "GW-1", status="disabled")
    good = seeding.as_bytes(seeding.message("GW-1", timezone.now() - timedelta(minutes=5)))
    arrive("GW-1", good, b"junk")
    Gateway.objects.update(status="active")
    client = signed_in(seeding.person("ana", tenant, role=Role.OPERATOR))

    page = text_of(client.post(ACT, form(text_of(client.get(PAGE)), "reprocessar"), follow=True))
    assert "Messages accepted now: 1 of 2" in page
    assert "Still refused: 1 not_json." in page
    stored = Reading.objects.count()
    assert stored
    again = post(client, "reprocessar", tudo=True).json()
    assert (again["escolhidas"], again["aceitas"], again["recusadas"]) == (1, 0, {"not_json": 1})
    assert Reading.objects.count() == stored


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, []), (Role.OPERATOR, ["reprocessar"])])
def test_who_may_only_look_does_nothing(tenant: Tenant, gateway: Gateway, role: Role, allowed: list[str]) -> None:
    [message] = refuse(gateway, b"junk")
    client = signed_in(seeding.person("ana", tenant, role=role))
    page = text_of(client.get(PAGE))
    for action in ("reprocessar", "eliminar"):
        expected = action in allowed
        assert (f'value="{action}"' in page) is expected
        sent = client.post(ACT, {"acao": action, "certeza": "1", "cliente": "acme", "ate": message})
        assert sent.status_code == (302 if expected else 403)
        assert expected or "Your role in the company does not allow this" in text_of(sent)
        answer = post(client, action, tudo=True)
        assert answer.status_code == (200 if expected else 403)
        assert expected or answer.json()["erro"] == "proibido"
    assert QuarantinedMessage.objects.count() == 1


def test_an_administrator_throws_away_what_was_chosen_and_the_counts_stay(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"one", b"two")
    refuse(gateway, b"late", reason=Reason.TIMESTAMP_TOO_OLD)
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    filled_in = form(text_of(client.get(PAGE, {"motivo": "not_json"})), "eliminar")
    unsure = client.post(ACT, filled_in, follow=True)
    assert "Nothing was thrown away" in text_of(unsure)
    assert QuarantinedMessage.objects.count() == 3
    sure = client.post(ACT, filled_in | {"certeza": "1"}, follow=True)
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
    client.post(ACT, {"acao": "eliminar", "certeza": "1", "cliente": "acme", "ate": theirs, "id": theirs})
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
    monkeypatch.setattr(quarantine_desk, "MAX_AT_ONCE", 2)
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


def test_a_member_of_nothing_sees_nothing_and_why(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"junk")
    person = seeding.person("ana", tenant)
    Membership.objects.all().delete()
    client = signed_in(person)
    page = text_of(client.get(PAGE))
    assert "junk" not in page
    assert "You belong to no company yet" in page
    assert "Nothing in quarantine" not in page
    assert client.get(API).json() == {"cliente": None, "mensagens": [], "proxima": None, "maiores": []}


def test_a_platform_operator_of_no_company_sees_what_is_nobodys() -> None:
    client = signed_in(User.objects.create_superuser("operador", password="correct horse"))
    assert "Nothing in quarantine." in text_of(client.get(PAGE))
    refuse(None, b"nobodys", code="GW-X", reason=Reason.UNKNOWN_GATEWAY)
    page = text_of(client.get(PAGE))
    assert "nobodys" in page
    assert form(page, "eliminar")["de"] == "ninguem"
    assert b"nobodys" in b"".join(client.get(EXPORT))
    assert "GW-X" in text_of(client.get(PAGE, {"gateway": "GW-X"}))


def test_an_emptied_quarantine_does_not_say_that_every_message_was_accepted(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"junk")
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN))
    filled_in = form(text_of(client.get(PAGE)), "eliminar") | {"certeza": "1"}
    page = text_of(client.post(ACT, filled_in, follow=True))
    assert "Nothing in quarantine." in page
    assert "accepted" not in page


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "Messages of unknown gateways are for the platform operator."), ("pt-br", "Mensagens de gateways")],
)
def test_a_page_that_is_forbidden_says_why(tenant: Tenant, language: str, sentence: str) -> None:
    answer = signed_in(seeding.person("ana", tenant, role=Role.ADMIN), language).get(PAGE, {"de": "ninguem"})
    assert answer.status_code == 403
    assert sentence in text_of(answer)
    assert "administrator of your company" not in text_of(answer)


def test_what_to_do_about_too_many_metrics_reads_as_a_sentence(tenant: Tenant, gateway: Gateway) -> None:
    with translation.override("en"):
        assert advice("too_many_metrics", "GW-1").startswith("Gateway GW-1: the device sent a new kind of reading")
    refuse(gateway, b"{}", reason=Reason.TOO_MANY_METRICS)
    page = text_of(signed_in(seeding.person("ana", tenant), "pt-br").get(PAGE))
    assert "Gateway GW-1: o dispositivo enviou um novo tipo de leitura" in page


def test_who_sends_without_a_code_is_chosen_by_the_reason_and_not_by_nothing() -> None:
    refuse(None, b"junk", code="", reason=Reason.BAD_TOPIC)
    client = signed_in(User.objects.create_superuser("operador", password="correct horse"))
    assert 'href="?de=ninguem&amp;motivo=bad_topic"' in text_of(client.get(PAGE))


@pytest.mark.parametrize("address", [PAGE, API])
def test_a_list_reads_of_each_payload_only_how_it_begins(tenant: Tenant, gateway: Gateway, address: str) -> None:
    refuse(gateway, b"x" * 200_000)
    client = signed_in(seeding.person("ana", tenant))
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    column = '"tds_new_quarantinedmessage"."payload"'
    read = [query["sql"] for query in seen.captured_queries if column in query["sql"]]
    assert read
    for sql in read:
        assert column not in sql.replace(f"OCTET_LENGTH({column})", "").replace(f"SUBSTRING({column}, 1, ", "")
    if address == API:
        assert client.get(API).json()["mensagens"][0]["tamanho"] == 200_000
