"""The platform's operator, who belongs to no company, rolls out to one: by the page and by the API."""

import json
from typing import Any, Final

import pytest
from django.test import Client

from tds.fleet import audit, tags
from tds.fleet.models import Gateway, Role, Site, Tenant, User
from tds.updates.models import Execution, Release, Rollout, RunningFirmware
from tests import rolling_out, seeding
from tests.refusing import signed_in, text_of

pytestmark = pytest.mark.django_db

NEW: Final = "/tds_new/atualizacoes/nova/"
LIST: Final = "/tds_new/telemetria/api/atualizacoes/"


@pytest.fixture
def release(tenant: Tenant) -> Release:
    rolling_out.gateways(tenant, 3)
    rolling_out.gateways(seeding.tenant("other"), 2, "THEIRS")
    return rolling_out.release()


@pytest.fixture
def chief() -> Client:
    return signed_in(User.objects.create_superuser("chefe", password="correct horse"))


def form(release: Release, **typed: str) -> dict[str, str]:
    given = {"versao": str(release.pk), "quem": "todos", "ondas": "100 %", "sucesso": "95", "falha": "10"}
    given |= {"minimo": "5", "observar": "30", "ao_mesmo_tempo": "500", "espalhar": "0", "ausentes": "24"}
    return given | typed


def send(client: Client, release: Release, **target: Any) -> Any:
    body = {"versao": release.pk, "alvo": target, "plataforma": True}
    return client.post(LIST, json.dumps(body), content_type="application/json")


def those_in() -> set[str]:
    return set(Execution.objects.values_list("gateway__code", flat=True))


def test_by_the_page(release: Release, chief: Client) -> None:
    assert 'name="cliente"' in text_of(chief.get(NEW))
    assert "2 gateways would get it" in text_of(chief.post(NEW, form(release, acao="ver", cliente="other")))
    assert chief.post(NEW, form(release, acao="iniciar", cliente="other")).status_code == 302
    assert those_in() == {"THEIRS-000000", "THEIRS-000001"}
    assert str(Rollout.objects.get().tenant) == str(Tenant.objects.get(slug="other"))


def test_by_the_page_with_what_else_was_chosen(release: Release, chief: Client) -> None:
    chosen = form(release, acao="iniciar", cliente="other", quem="escolher", codigos="GW-000000 THEIRS-000001")
    assert chief.post(NEW, chosen).status_code == 302
    assert those_in() == {"THEIRS-000001"}


def test_a_companys_people_read_nothing_of_what_was_chosen_of_another(release: Release, tenant: Tenant) -> None:
    other, family = Tenant.objects.get(slug="other"), Gateway.objects.filter(tenant=tenant)[0].family
    ours, theirs = (Site.objects.create(tenant=of, name=f"Site of {of.slug}") for of in (tenant, other))
    Gateway.objects.filter(tenant=tenant).update(site=ours)
    Gateway.objects.filter(tenant=other).update(site=theirs, family="relay-mfr")
    RunningFirmware.objects.filter(gateway__tenant=other).update(family="relay-mfr")
    for of, names in ((tenant, ["Norte"]), (other, ["norte", "Secreta"])):
        tags.tag(list(Gateway.objects.filter(tenant=of)), names, by=audit.COMMAND_LINE)
    chosen = {"familias": [family], "etiquetas": ["Norte", "Secreta"], "locais": [ours.pk, theirs.pk]}
    chosen |= {"codigos": ["GW-000000", "THEIRS-000001", "GW-000001"]}
    chief = signed_in(User.objects.create_superuser("chefe", password="correct horse"))
    started = send(chief, release, **chosen)
    assert (started.status_code, started.json()["cliente"]) == (201, "acme")
    member = signed_in(seeding.person("vera", tenant))
    shown = member.get(f"{LIST}{started.json()['id']}/").json()
    assert shown["alvo"] == {
        "todos": False,
        "cliente": "",
        "familias": [family],
        "locais": [ours.pk],
        "etiquetas": ["Norte"],
        "codigos": ["GW-000000", "GW-000001"],
    }
    page = text_of(member.get(f"/tds_new/atualizacoes/{started.json()['id']}/"))
    assert "GW-000001" in page
    for word in ("THEIRS", "Secreta", "Site of other", f"#{theirs.pk}"):
        assert word not in page


def test_by_the_api(release: Release, chief: Client) -> None:
    assert send(chief, release, cliente="other").status_code == 201
    assert those_in() == {"THEIRS-000000", "THEIRS-000001"}


def test_a_company_that_is_not_there_starts_nothing(release: Release, chief: Client) -> None:
    assert send(chief, release, cliente="nobody").status_code == 409
    assert chief.post(NEW, form(release, acao="iniciar", cliente="nobody")).status_code == 400
    assert not Rollout.objects.exists()


def test_a_companys_operator_reaches_no_other_by_its_name(release: Release, tenant: Tenant) -> None:
    client = signed_in(seeding.person("olga", tenant, role=Role.OPERATOR))
    assert 'name="cliente"' not in text_of(client.get(NEW))
    assert client.post(NEW, form(release, acao="ver", cliente="other")).status_code == 403
    assert send(client, release, cliente="other").status_code == 403
    body = {"versao": release.pk, "alvo": {"cliente": "other"}}
    assert client.post(LIST, json.dumps(body), content_type="application/json").status_code == 409
    assert not Rollout.objects.exists()
