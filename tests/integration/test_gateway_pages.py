"""The pages of gateways: who sees what, who may do what, what is told of presence, and that a code is shown once."""

import re
import secrets
from datetime import timedelta
from html import unescape
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tds.dashboard import gateways as pages
from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.fleet import audit, lifecycle, tags
from tds.fleet.models import AuditEntry, Device, Gateway, GatewayStatus, Role, Site, Tenant, User
from tds.identity.enrolment import claims
from tds.identity.models import BrokerAccess, Certificate, ClaimCode, GatewayPassword, How, RevocationList
from tds.ingest.models import QuarantineCount
from tests import seeding
from tests.refusing import level_and_notice, signed_in, text_of

pytestmark = pytest.mark.django_db

LIST: Final = "/tds_new/gateways/"
PAGE: Final = f"{LIST}GW-1/"
ACT: Final = f"{PAGE}acao/"
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1", name="Linha 3")


@pytest.fixture
def broker() -> None:
    BrokerLink.objects.create(broker="broker", heard_until=timezone.now(), started_at=timezone.now() - DAY)


def client_of(tenant: Tenant, role: Role) -> Client:
    return signed_in(seeding.person(f"a-{role}", tenant, role=role))


def words(page: str) -> str:
    """What a person reads."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def buttons(page: str) -> set[str]:
    return set(re.findall(r'name="acao" value="(\w+)"', page))


def form(page: str, action: str) -> dict[str, str]:
    """What the page's button of an action sends, before a box is ticked."""
    [found] = [form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if f'value="{action}"' in form]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', found)) | {"acao": action}


def certificate(gateway: Gateway, ends_in: timedelta = 400 * DAY, **fields: Any) -> Certificate:
    now = timezone.now()
    return Certificate.objects.create(
        **{
            "gateway": gateway,
            "serial": secrets.token_hex(20),
            "issuer": "device-1",
            "fingerprint": secrets.token_hex(32),
            "how": How.FACTORY,
            "not_before": now - 800 * DAY,
            "not_after": now + ends_in,
            "issued_at": now,
        }
        | fields
    )


def presence(gateway: Gateway, *, online: bool, since: timedelta = 3 * HOUR, **fields: Any) -> None:
    GatewayPresence.objects.create(
        gateway=gateway,
        online=online,
        brokers=["broker"] if online else [],
        broker="broker",
        changed_at=timezone.now() - since,
        witnessed=True,
        heard_at=timezone.now() - since,
        **fields,
    )


def heard(gateway: Gateway, message: timedelta, reading: timedelta | None = None) -> None:
    now = timezone.now()
    read_at = now - (message if reading is None else reading)
    Gateway.objects.filter(pk=gateway.pk).update(last_seen_at=now - message, last_reading_at=read_at, dated_at=read_at)


def codes(client: Client, **chosen: str) -> list[str]:
    answer = client.get(LIST, chosen)
    assert answer.status_code == 200
    return re.findall(r'<a class="code" href="[^"]+">([^<]+)</a>', text_of(answer))


# Who sees what, who may do what


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, set()),
        (Role.OPERATOR, {"desativar", "codigo", "etiquetar", "desetiquetar"}),
        (Role.ADMIN, {"desativar", "codigo", "etiquetar", "desetiquetar", "aposentar"}),
    ],
)
def test_viewers_look_operators_act_and_admins_retire(
    tenant: Tenant, gateway: Gateway, role: Role, allowed: set[str]
) -> None:
    tags.tag([gateway], ["norte"], by=audit.COMMAND_LINE)
    before = AuditEntry.objects.count()
    client = client_of(tenant, role)
    assert "GW-1" in text_of(client.get(LIST))
    assert "norte" in words(text_of(client.get(PAGE)))
    assert buttons(text_of(client.get(PAGE))) == allowed
    for action in ("desativar", "ativar", "aposentar", "codigo", "etiquetar", "desetiquetar"):
        may = Role.ADMIN if action == "aposentar" else Role.OPERATOR
        answer = client.post(ACT, {"acao": action, "id": gateway.pk, "ultimo": "0"})  # no box is ticked
        expected = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}
        assert (answer.status_code == 403) is (expected[role] < expected[may]), action
    if role is Role.VIEWER:
        assert AuditEntry.objects.count() == before
        assert not ClaimCode.objects.exists()


def test_who_belongs_to_no_company_is_told_so() -> None:
    client = signed_in(User.objects.create_user("ana", password="correct horse"))
    assert "You belong to no company yet" in text_of(client.get(LIST))
    assert client.get(PAGE).status_code == 404


def test_a_form_of_another_site_does_nothing(tenant: Tenant, gateway: Gateway) -> None:
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN), enforce_csrf_checks=True)
    assert client.post(ACT, {"acao": "desativar", "id": gateway.pk, "certeza": "1"}).status_code == 403
    assert client.get(ACT).status_code == 405
    gateway.refresh_from_db()
    assert gateway.status == GatewayStatus.ACTIVE


# Deeds


def test_a_gateway_is_disabled_and_enabled_and_the_page_says_who_did_it(tenant: Tenant, gateway: Gateway) -> None:
    client = client_of(tenant, Role.OPERATOR)
    sent = form(text_of(client.get(PAGE)), "desativar")
    unsure = text_of(client.post(ACT, sent, follow=True))
    assert level_and_notice(unsure) == ("warning", "Nothing was done: tick the box to say that you mean it.")
    gateway.refresh_from_db()
    assert gateway.status == GatewayStatus.ACTIVE

    disabled = text_of(client.post(ACT, sent | {"certeza": "1"}, follow=True))
    gateway.refresh_from_db()
    assert gateway.status == GatewayStatus.DISABLED
    assert "GW-1 is disabled: the brokers cut it off" in disabled
    assert buttons(disabled) == {"ativar", "etiquetar"}

    enabled = text_of(client.post(ACT, form(disabled, "ativar"), follow=True))
    gateway.refresh_from_db()
    assert gateway.status == GatewayStatus.ACTIVE
    trail = words(enabled).partition("What was done")[2]
    assert re.search(r"enabled a-operator before: disabled .* disabled a-operator before: active", trail)


def test_an_operator_gives_tags_and_takes_them_away_and_the_page_says_who_did_it(
    tenant: Tenant, gateway: Gateway
) -> None:
    client = client_of(tenant, Role.OPERATOR)
    sent = form(text_of(client.get(PAGE)), "etiquetar")
    tagged = text_of(client.post(ACT, sent | {"etiquetas": "Norte, solar  BR-101"}, follow=True))
    assert level_and_notice(tagged) == ("success", "The tags of GW-1 were changed.")
    assert tags.of([gateway.pk])[gateway.pk] == ["BR-101", "Norte", "solar"]
    assert re.search(r"tagged a-operator tags: Norte, solar, BR-101", words(tagged))
    assert '<a href="/tds_new/gateways/?etiqueta=BR-101">BR-101</a>' in tagged

    again = text_of(client.post(ACT, sent | {"etiquetas": "norte"}, follow=True))
    assert level_and_notice(again) == ("warning", "Nothing was changed: its tags were so already.")
    [of_norte] = [each for each in re.findall(r"<form.*?</form>", again, re.DOTALL) if 'value="Norte"' in each]
    untagged = text_of(client.post(ACT, form(of_norte, "desetiquetar"), follow=True))
    assert tags.of([gateway.pk])[gateway.pk] == ["BR-101", "solar"]
    assert re.search(r"tag taken away a-operator tags: Norte", words(untagged))

    wrong = text_of(client.post(ACT, sent | {"etiquetas": "a/b"}, follow=True))
    level, said = level_and_notice(wrong)
    assert (level, said.startswith("“a/b” can't be a tag: use letters")) == ("error", True)
    assert AuditEntry.objects.count() == 2


def test_the_page_suggests_the_companys_tags_and_no_others(tenant: Tenant, gateway: Gateway) -> None:
    other, theirs = seeding.gateway(tenant, "GW-2"), seeding.gateway(seeding.tenant("rival"), "R-1")
    tags.tag([other], ["solar"], by=audit.COMMAND_LINE)
    tags.tag([theirs], ["secreta"], by=audit.COMMAND_LINE)
    page = text_of(client_of(tenant, Role.OPERATOR).get(PAGE))
    assert re.findall(r'<option value="([^"]*)"></option>', page) == ["solar"]
    assert "secreta" not in page
    assert "solar" not in text_of(client_of(tenant, Role.VIEWER).get(PAGE))


def test_the_list_finds_by_tag_and_another_companys_is_nobodys(tenant: Tenant, gateway: Gateway) -> None:
    rival = seeding.tenant("rival")
    seeding.gateway(tenant, "GW-2")
    tags.tag([gateway, seeding.gateway(rival, "R-1")], ["Norte"], by=audit.COMMAND_LINE)
    tags.tag([seeding.gateway(rival, "R-2")], ["secreta"], by=audit.COMMAND_LINE)
    client = client_of(tenant, Role.VIEWER)
    assert codes(client) == ["GW-1", "GW-2"]
    assert codes(client, etiqueta="NORTE") == ["GW-1"]
    assert codes(client, etiqueta="secreta") == codes(client, etiqueta="oeste") == []
    page = text_of(client.get(LIST, {"etiqueta": "NORTE"}))
    assert '<option value="Norte" selected>' in page
    assert "secreta" not in page
    assert "etiqueta=NORTE" in page  # of what is kept up to date
    for harm in ("a/b", "<b>", "\x00", "x" * 33):
        assert client.get(LIST, {"etiqueta": harm}).status_code == 400


def test_an_admin_retires_it_and_its_history_stays(tenant: Tenant, gateway: Gateway) -> None:
    client = client_of(tenant, Role.ADMIN)
    sent = form(text_of(client.get(PAGE)), "aposentar") | {"certeza": "1"}
    page = text_of(client.post(ACT, sent, follow=True))
    gateway.refresh_from_db()
    assert (gateway.status, gateway.retired_at is not None) == (GatewayStatus.RETIRED, True)
    assert buttons(page) == set()
    again = text_of(client.post(ACT, sent, follow=True))
    assert level_and_notice(again) == ("error", "GW-1 was retired, and stays so.")
    assert codes(client) == []
    assert codes(client, estado="aposentado") == ["GW-1"]


def test_a_page_of_before_acts_on_the_gateway_that_it_showed(tenant: Tenant, gateway: Gateway) -> None:
    client = client_of(tenant, Role.ADMIN)
    stale = form(text_of(client.get(PAGE)), "desativar") | {"certeza": "1"}
    lifecycle.change(gateway, GatewayStatus.RETIRED, by=audit.COMMAND_LINE, now=timezone.now())
    successor = seeding.gateway(tenant, "GW-1", name="Sucessor")
    assert "was retired" in text_of(client.post(ACT, stale, follow=True))
    successor.refresh_from_db()
    assert successor.status == GatewayStatus.ACTIVE
    now, former = text_of(client.get(PAGE)), text_of(client.get(PAGE, {"id": gateway.pk}))
    assert ("Sucessor" in now, "Sucessor" in former) == (True, False)
    assert f'href="{PAGE}?id={gateway.pk}"' in now
    assert "the one in use" in former


@pytest.mark.parametrize("fields", [{}, {"acao": "explodir"}, {"acao": "desativar"}, {"acao": "desativar", "id": "x"}])
def test_a_form_that_does_not_say_what_to_do_is_a_sentence(
    tenant: Tenant, gateway: Gateway, fields: dict[str, str]
) -> None:
    answer = client_of(tenant, Role.ADMIN).post(ACT, fields)
    assert answer.status_code == 400
    assert "reload the page and try again" in text_of(answer)


# Claim codes


def test_a_claim_code_is_shown_once_and_kept_nowhere(tenant: Tenant, gateway: Gateway) -> None:
    client = client_of(tenant, Role.OPERATOR)
    sent = form(text_of(client.get(PAGE)), "codigo")
    answer = client.post(ACT, sent)
    [secret] = re.findall(r'<code id="claim-code">([^<]+)</code>', text_of(answer))
    found = claims.find(secret)
    assert found is not None
    assert found.gateway == gateway
    assert "no-store" in answer["Cache-Control"]
    stored = repr((dict(client.session), client.cookies.output(), list(AuditEntry.objects.values())))
    assert secret not in stored
    assert secret not in text_of(client.get(PAGE))
    assert f"begins with {secret[:4]}" in words(text_of(client.get(PAGE)))
    # A reload sends the form again: another code would end the first, which somebody has just written down.
    again = text_of(client.post(ACT, sent))
    assert level_and_notice(again)[1].startswith("No code was made")
    assert "claim-code" not in again
    assert ClaimCode.objects.count() == 1


def test_a_gateway_that_would_be_turned_away_gets_no_claim_code(tenant: Tenant, gateway: Gateway) -> None:
    client = client_of(tenant, Role.OPERATOR)
    sent = form(text_of(client.get(PAGE)), "codigo")
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=audit.COMMAND_LINE, now=timezone.now())
    assert level_and_notice(text_of(client.post(ACT, sent)))[1].startswith("A gateway gets a claim code while")
    assert not ClaimCode.objects.exists()


# The three facts


def test_the_three_facts_of_presence_are_told_apart(tenant: Tenant, gateway: Gateway, broker: None) -> None:
    client = client_of(tenant, Role.VIEWER)

    def told() -> str:
        return words(text_of(client.get(PAGE))).partition("Presence")[2].partition("What it is")[0]

    assert "Nothing of it has ever come." in told()
    heard(gateway, timedelta(seconds=20))
    assert "It sends, and has never said on its status topic whether it is there." in told()
    presence(gateway, online=True)
    assert "The broker has had a session with it for 3 h." in told()
    assert "Its last message came 20 s ago." in told()
    heard(gateway, 2 * HOUR)
    assert "It is connected, but silent for 2 h." in told()
    heard(gateway, timedelta(seconds=20), reading=3 * HOUR)
    assert "What it sends is 2 h old: its clock is behind, or it sends what it kept" in told()
    GatewayPresence.objects.update(clock_ahead=-3 * HOUR, clock_at=timezone.now() - 3 * HOUR)
    assert "Its clock is 3 h behind" in told()
    heard(gateway, timedelta(seconds=20), reading=-5 * HOUR)
    assert "Its clock is 5 h ahead: what it sends is quarantined." in told()
    GatewayPresence.objects.update(online=False, brokers=[])
    assert "It said that it left, and yet messages of it come." in told()
    heard(gateway, 4 * HOUR)
    assert "No broker has had a session with it for 3 h." in told()


def test_what_is_known_of_a_gateway_is_on_its_page(tenant: Tenant, gateway: Gateway, broker: None) -> None:
    site = Site.objects.create(tenant=tenant, name="Galpão Norte")
    Gateway.objects.filter(pk=gateway.pk).update(
        site=site, family="dcu-0080", hardware="B2", retained_seen_at=timezone.now()
    )
    presence(gateway, online=True, firmware="1.4.2")
    Device.objects.create(gateway=gateway, code="D01", name="Medidor")
    QuarantineCount.objects.create(
        reason="bad_value", gateway=gateway, tenant=tenant, total=7, kept=5, last_at=timezone.now()
    )
    good = certificate(gateway, how=How.RENEWAL)
    gone = certificate(gateway, revoked_at=timezone.now(), revocation_reason="keyCompromise")
    page = text_of(client_of(tenant, Role.VIEWER).get(PAGE))
    said = words(page)
    for text in (
        *("Linha 3", "Galpão Norte", "dcu-0080", "B2", "1.4.2", "D01", "Medidor", "bad_value", "7 messages"),
        *(good.serial, "renewal", "device-1", gone.serial, "keyCompromise", "It sent a reading as a retained message"),
    ):
        assert text in said, text
    assert "?motivo=bad_value&amp;gateway=GW-1" in page
    assert "?gateway=GW-1&amp;dispositivo=D01" in page


def test_good_certificates_that_a_thief_may_have_renewed_are_named_with_the_way_to_revoke_them(
    tenant: Tenant, gateway: Gateway, broker: None
) -> None:
    stolen = certificate(gateway, revoked_at=timezone.now(), revocation_reason="keyCompromise")
    client = client_of(tenant, Role.VIEWER)
    assert "--with-renewed" not in text_of(client.get(PAGE))
    certificate(gateway, how=How.RENEWAL)
    page = words(text_of(client.get(PAGE)))
    assert f"1 certificate that was renewed after {stolen.serial}, which is revoked, is still good." in page
    assert f"./tds certificate revoke {stolen.serial} --reason keyCompromise --with-renewed" in page
    certificate(gateway, how=How.RENEWAL)
    assert f"2 certificates that were renewed after {stolen.serial}" in words(text_of(client.get(PAGE)))


def test_what_people_and_gateways_wrote_is_never_markup(tenant: Tenant, gateway: Gateway) -> None:
    evil = "<script>alert(1)</script>"
    Gateway.objects.update(name=evil, family="<b>x</b>", site=Site.objects.create(tenant=tenant, name=evil))
    presence(gateway, online=True, firmware="<img src=x>")
    Device.objects.create(gateway=gateway, code="D01", name=evil)
    client = client_of(tenant, Role.ADMIN)
    for page in (text_of(client.get(LIST)), text_of(client.get(PAGE)), text_of(client.get(PAGE, {"parte": "viva"}))):
        assert not re.search(r"<script>alert|<b>x|<img", page)
        assert "&lt;script&gt;alert(1)" in page


# What the brokers do


def test_the_page_waits_until_the_brokers_have_cut_it_off(tenant: Tenant, gateway: Gateway) -> None:
    held = certificate(gateway)
    client = client_of(tenant, Role.OPERATOR)
    client.post(ACT, form(text_of(client.get(PAGE)), "desativar") | {"certeza": "1"})
    said_at = AuditEntry.objects.get().at

    def reached() -> tuple[bool, str]:
        page = text_of(client.get(PAGE, {"parte": "viva"}))
        return "data-waiting" in page, unescape(re.findall(r'id="reached">([^<]+)<', page)[0])

    assert reached() == (True, "Waiting for the worker, which signs the revocation list…")
    lists = {"this_update": said_at, "next_update": said_at + DAY, "pem": "", "anchor": "", "canary": "the-canarys-key"}
    RevocationList.objects.create(issuer="device-1", revision=7, **lists)
    Certificate.objects.filter(pk=held.pk).update(listed_in=7)
    assert reached()[1].startswith("No broker has said yet")
    BrokerAccess.objects.create(broker="broker", revision=6, applied_at=said_at, as_of=said_at)
    assert reached() == (True, "Waiting for broker, to take in the revocation list…")
    BrokerAccess.objects.update(revision=7, applied_at=said_at + timedelta(seconds=0.3))
    assert reached() == (False, "Cut off after 0.3 s; the brokers refuse it.")
    assert "the-canarys-key" not in text_of(client.get(PAGE))
    BrokerAccess.objects.update(revision=8, applied_at=said_at + HOUR)  # it took another list since
    assert reached() == (False, "The brokers refuse it.")
    portuguese = signed_in(User.objects.get(username="a-operator"), "pt-br")
    BrokerAccess.objects.update(revision=7, applied_at=said_at + timedelta(seconds=0.3))
    assert "Desconectado após 0,3 s; os brokers o recusam." in text_of(portuguese.get(PAGE))


def test_a_gateway_with_a_password_waits_for_brokers_that_have_looked_since(tenant: Tenant, gateway: Gateway) -> None:
    GatewayPassword.objects.create(gateway=gateway, hash="$7$secret")
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=audit.COMMAND_LINE, now=timezone.now())
    said_at = AuditEntry.objects.get().at
    BrokerAccess.objects.create(broker="broker", applied_at=said_at, as_of=said_at - timedelta(seconds=1))
    client = client_of(tenant, Role.VIEWER)
    assert "Waiting for broker, to take in" in text_of(client.get(PAGE))
    BrokerAccess.objects.update(as_of=said_at + timedelta(seconds=1))
    page = text_of(client.get(PAGE))
    assert "The brokers refuse it." in page
    assert "$7$secret" not in page


def test_an_enabled_gateway_says_nothing_of_brokers_after_a_while(tenant: Tenant, gateway: Gateway) -> None:
    certificate(gateway)
    client = client_of(tenant, Role.VIEWER)
    assert 'id="reached"' not in text_of(client.get(PAGE))
    for status in (GatewayStatus.DISABLED, GatewayStatus.ACTIVE):
        lifecycle.change(gateway, status, by=audit.COMMAND_LINE, now=timezone.now())
    assert 'id="reached"' in text_of(client.get(PAGE))


# The list


def test_the_list_is_narrowed_by_text_state_and_site(tenant: Tenant, gateway: Gateway, broker: None) -> None:
    north = Site.objects.create(tenant=tenant, name="Norte")
    silent = seeding.gateway(tenant, "GW-SILENT", site=north)
    presence(silent, online=True)
    heard(silent, HOUR)
    gone = seeding.gateway(tenant, "GW-GONE", site=north)
    presence(gone, online=False)
    late = seeding.gateway(tenant, "GW-LATE")
    presence(late, online=True)
    heard(late, timedelta(0), reading=HOUR)
    off = seeding.gateway(tenant, "GW-OFF", status="disabled", retained_seen_at=timezone.now())
    certificate(late, 3 * DAY)
    certificate(off, 3 * DAY)  # it is let in by none
    certificate(gone, -3 * DAY)
    renewed = seeding.gateway(tenant, "gw_renewed")
    certificate(renewed, 3 * DAY)
    certificate(renewed, 700 * DAY)
    client = client_of(tenant, Role.VIEWER)
    everybody = ["GW-1", "GW-GONE", "GW-LATE", "GW-OFF", "GW-SILENT", "gw_renewed"]
    assert sorted(codes(client)) == everybody
    assert codes(client, estado="desativado") == ["GW-OFF"]
    assert codes(client, estado="mudo") == ["GW-SILENT"]
    assert codes(client, estado="sem-sessao") == ["GW-GONE"]
    assert codes(client, estado="relogio") == ["GW-LATE"]
    assert codes(client, estado="vence") == ["GW-LATE"]
    assert codes(client, estado="vencido") == ["GW-GONE"]
    assert codes(client, estado="retida") == ["GW-OFF"]
    assert codes(client, estado="sem-certificado") == ["GW-1", "GW-SILENT"]
    assert codes(client, local=str(north.pk)) == ["GW-GONE", "GW-SILENT"]
    assert codes(client, local=str(north.pk), busca="sil") == ["GW-SILENT"]
    assert codes(client, busca="linha") == ["GW-1"]  # by its name
    assert codes(client, busca="_") == ["gw_renewed"]  # no wildcard of LIKE
    assert codes(client, busca="%") == []
    assert "No gateway of that choice." in text_of(client.get(LIST, {"busca": "nada"}))


def test_the_list_warns_of_certificates_that_run_out(tenant: Tenant, gateway: Gateway) -> None:
    certificate(seeding.gateway(seeding.tenant("other"), "GW-OTHER"), DAY)
    client = client_of(tenant, Role.VIEWER)
    assert 'class="notice"' not in text_of(client.get(LIST))
    certificate(gateway, DAY)
    for n in range(2):
        certificate(seeding.gateway(tenant, f"GW-OVER-{n}"), -DAY)
    said = words(text_of(client.get(LIST)))
    assert "The certificate of 1 gateway runs out within 30 days, and should have been renewed. Show which" in said
    assert "The certificates of 2 gateways ran out: they get in no more." in said


def test_another_tenants_site_chooses_nobody(tenant: Tenant, gateway: Gateway) -> None:
    theirs = Site.objects.create(tenant=seeding.tenant("other"), name="Deles")
    client = client_of(tenant, Role.VIEWER)
    assert codes(client, local=str(theirs.pk)) == []
    assert "Deles" not in text_of(client.get(LIST))


@pytest.mark.parametrize(
    "chosen",
    [
        {"estado": "x"},
        {"busca": "x" * 65},
        {"busca": "\x00"},
        {"local": "x"},
        {"local": "-1"},
        {"local": "9" * 30},
        {"pagina": "0"},
        {"pagina": "x"},
        {"pagina": "１"},
    ],
)
def test_a_choice_that_can_not_be_understood_never_means_all(
    tenant: Tenant, gateway: Gateway, chosen: dict[str, str]
) -> None:
    answer = client_of(tenant, Role.VIEWER).get(LIST, chosen)
    assert answer.status_code == 400
    assert "GW-1" not in text_of(answer)


@pytest.mark.parametrize("code", ["GW 1", "_x", "%00", "GW-1%00", "a" * 65, "GW-2", "É"])
def test_a_code_that_nobody_has_is_a_404(tenant: Tenant, gateway: Gateway, code: str) -> None:
    client = client_of(tenant, Role.VIEWER)
    assert client.get(f"{LIST}{code}/").status_code == 404
    assert client.get(PAGE, {"id": "9" * 30}).status_code == 404
    assert client.get(PAGE, {"id": gateway.pk + 1}).status_code == 404


def test_the_list_is_turned_by_pages_and_costs_the_same_whatever_their_number(
    tenant: Tenant, gateway: Gateway, broker: None
) -> None:
    client = client_of(tenant, Role.VIEWER)
    presence(gateway, online=True)
    certificate(gateway)
    with CaptureQueriesContext(connection) as few:
        assert len(codes(client)) == 1
    many = Gateway.objects.bulk_create(Gateway(tenant=tenant, code=f"GW-M{n:03}") for n in range(120))
    GatewayPresence.objects.bulk_create(
        GatewayPresence(gateway=g, online=True, broker="broker", changed_at=timezone.now(), witnessed=True)
        for g in many
    )
    with CaptureQueriesContext(connection) as more:
        first = codes(client)
    assert len(more) == len(few)
    assert len(first) == pages.GATEWAYS_A_PAGE
    rest = codes(client, pagina="2") + codes(client, pagina="3")
    assert sorted({*first, *rest}) == sorted(["GW-1", *(g.code for g in many)])
    assert codes(client, pagina="900") == codes(client, pagina="3")  # the last one that there is
    assert "Page 2 of 3" in text_of(client.get(LIST, {"pagina": "2"}))


def test_the_page_of_a_gateway_that_has_much_is_bounded(tenant: Tenant, gateway: Gateway, broker: None) -> None:
    client = client_of(tenant, Role.ADMIN)
    with CaptureQueriesContext(connection) as few:
        client.get(PAGE)
    for n in range(30):
        certificate(gateway, n * DAY)
    Device.objects.bulk_create(Device(gateway=gateway, code=f"D{n:03}") for n in range(256))
    for _ in range(60):
        for status in (GatewayStatus.DISABLED, GatewayStatus.ACTIVE):
            lifecycle.change(gateway, status, by=audit.COMMAND_LINE, now=timezone.now())
    with CaptureQueriesContext(connection) as more:
        page = text_of(client.get(PAGE))
    assert len(more) <= len(few) + 3  # how far the brokers are: its certificates, its password, and they
    assert page.count("device-1</td>") == 20
    assert page.count("command line") == 50
    assert "The newest ones; older ones are kept as well." in page


def test_the_living_part_comes_alone(tenant: Tenant, gateway: Gateway) -> None:
    client = client_of(tenant, Role.OPERATOR)
    for path in (LIST, PAGE):
        part = text_of(client.get(path, {"parte": "viva"}))
        assert part.lstrip().startswith('<div id="live"')
        assert "GW-1" in part
        assert "<html" not in part
        assert "<script" not in part
