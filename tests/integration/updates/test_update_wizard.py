"""A new rollout by the page: looking changes nothing, starting starts, and what is wrong is a sentence."""

import re
from datetime import time
from html import unescape
from typing import Any, Final

import pytest
from django.test import Client

from tds.fleet.models import AuditEntry, Gateway, Role, Site, Tenant, User
from tds.updates.models import Execution, Release, Rollout
from tests import rolling_out, seeding
from tests.refusing import signed_in, text_of

pytestmark = pytest.mark.django_db

NEW: Final = "/tds_new/atualizacoes/nova/"


@pytest.fixture
def fleet(tenant: Tenant) -> list[Gateway]:
    return rolling_out.gateways(tenant, 4)


@pytest.fixture
def release() -> Release:
    return rolling_out.release()


@pytest.fixture
def operator(tenant: Tenant) -> Client:
    return signed_in(seeding.person("olga", tenant, role=Role.OPERATOR))


@pytest.fixture
def platform_operator() -> Client:
    return signed_in(User.objects.create_superuser("chefe", password="correct horse"))


def filled(release: Release | None, action: str = "ver", **typed: Any) -> dict[str, Any]:
    """The form as the page gives it, but for what is typed; None leaves a field or a tick out."""
    form = {
        "versao": str(release.pk) if release else "",
        "nome": "",
        "quem": "todos",
        "familias": "",
        "codigos": "",
        "ondas": "1, 5 %, 25 %, 100 %",
        "sucesso": "95",
        "falha": "10",
        "minimo": "5",
        "observar": "30",
        "ao_mesmo_tempo": "500",
        "espalhar": "0",
        "ausentes": "24",
        "das": "",
        "ate": "",
        "um_por_local": "1",
        "medir": "1",
        "acao": action,
    }
    return {name: value for name, value in (form | typed).items() if value is not None}


def words(answer: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text_of(answer))))


def refusal(answer: Any) -> str:
    assert answer.status_code == 400, text_of(answer)
    [said] = re.findall(r'<p class="notice" data-level="error" role="alert">([^<]*)</p>', text_of(answer))
    return unescape(said)


def field(answer: Any, name: str) -> str:
    found = re.search(rf'<input[^>]* name="{name}"[^>]* value="([^"]*)"', text_of(answer))
    assert found, name
    return unescape(found[1])


def test_looking_says_who_gets_it_and_who_not_and_changes_nothing(
    tenant: Tenant, fleet: list[Gateway], release: Release, operator: Client
) -> None:
    rolling_out.gateways(tenant, 25, "RELAY", family="relay-mfr")
    answer = operator.post(NEW, filled(release, ondas="1, 50 %, 100 %"))
    assert answer.status_code == 200
    said = words(answer)
    assert "4 gateways would get it Wave 1 (1): 1 gateway Wave 2 (50 %): 1 gateway Wave 3 (100 %): 2 gateways" in said
    assert ", ".join(gateway.code for gateway in fleet).replace(", ", " , ") in said
    assert "25 are left out 25 × The release is not for its family. RELAY-000000" in said
    assert "RELAY-000019" in said
    assert "RELAY-000020" not in said
    assert 'value="iniciar"' in text_of(answer)
    assert not Rollout.objects.exists()
    assert not AuditEntry.objects.exists()


def test_starting_starts_and_leads_to_its_page(
    tenant: Tenant, fleet: list[Gateway], release: Release, operator: Client
) -> None:
    form = filled(
        release,
        "iniciar",
        nome="Março",
        ondas="50 %, 100 %",
        sucesso="97,5",
        falha="12.5",
        minimo="3",
        observar="1,5",
        ao_mesmo_tempo="7",
        espalhar="10",
        ausentes="0.5",
        das="22:00",
        ate="04:30",
        um_por_local=None,
        medir=None,
    )
    answer = operator.post(NEW, form, follow=True)
    rollout = Rollout.objects.get()
    assert answer.redirect_chain == [(f"/tds_new/atualizacoes/{rollout.pk}/", 302)]
    assert "Started for 4 gateways in 2 waves." in words(answer)
    assert (rollout.status, rollout.tenant, rollout.name, rollout.release) == ("running", tenant, "Março", release)
    assert (rollout.success_percent, rollout.failure_percent, rollout.failure_min_finished) == (97.5, 12.5, 3)
    assert (rollout.soak_s, rollout.concurrency, rollout.spread_s, rollout.offer_limit_s) == (90, 7, 600, 1_800)
    assert (rollout.window_start, rollout.window_end) == (time(22), time(4, 30))
    assert (rollout.one_per_site, rollout.gate) == (False, False)
    assert Execution.objects.count() == len(fleet)
    assert AuditEntry.objects.get(action="rollout.started").actor == "olga"


@pytest.mark.parametrize("changed", [{"codigos": "GW-000001 GW-000002"}, {"quem": "todos"}, {"ondas": "1, 100 %"}])
def test_a_plan_that_was_changed_since_the_look_is_shown_and_not_started(
    operator: Client, fleet: list[Gateway], release: Release, changed: dict[str, str]
) -> None:
    chosen = {"quem": "escolher", "codigos": fleet[0].code, "ondas": "100 %"}
    looked = field(operator.post(NEW, filled(release, **chosen)), "visto")
    answer = operator.post(NEW, filled(release, "iniciar", visto=looked, **(chosen | changed)))
    assert answer.status_code == 200
    assert "You changed the plan since you looked" in words(answer)
    assert not Rollout.objects.exists()
    again = filled(release, "iniciar", visto=field(answer, "visto"), **(chosen | changed))
    assert operator.post(NEW, again).status_code == 302
    assert Rollout.objects.count() == 1


def test_a_plan_that_was_looked_at_is_started_also_with_another_name_and_other_limits(
    operator: Client, fleet: list[Gateway], release: Release
) -> None:
    chosen = {"quem": "escolher", "codigos": fleet[0].code, "ondas": "100 %"}
    looked = field(operator.post(NEW, filled(release, **chosen)), "visto")
    form = filled(release, "iniciar", visto=looked, nome="Março", observar="1", **chosen)
    assert operator.post(NEW, form).status_code == 302
    assert [each.gateway.code for each in Execution.objects.all()] == [fleet[0].code]


def test_a_viewer_neither_looks_nor_starts(tenant: Tenant, fleet: list[Gateway], release: Release) -> None:
    viewer = signed_in(seeding.person("vera", tenant))
    assert viewer.get(NEW).status_code == 403
    for action in ("ver", "iniciar"):
        assert viewer.post(NEW, filled(release, action)).status_code == 403
    assert not Rollout.objects.exists()


def test_a_start_is_a_post_with_the_pages_token(tenant: Tenant, fleet: list[Gateway], release: Release) -> None:
    client = signed_in(seeding.person("olga", tenant, role=Role.ADMIN), enforce_csrf_checks=True)
    assert client.post(NEW, filled(release, "iniciar")).status_code == 403
    assert client.get(NEW, filled(release, "iniciar")).status_code == 200
    assert not Rollout.objects.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"versao": ""}, "Choose one of the published releases."),
        ({"versao": "x"}, "Choose one of the published releases."),
        ({"versao": "9" * 40}, "Choose one of the published releases."),
        ({"ondas": ""}, "The waves are “”"),
        ({"ondas": "1, x, 100 %"}, "“x” is no wave"),
        ({"ondas": "1, 5 %"}, "The last wave is “5 %”"),
        ({"ondas": "50 %, 5 %, 100 %"}, "“5 %” comes after “50 %”"),
        ({"ondas": "0, 100 %"}, "“0” is no wave"),
        ({"ondas": "1," * 40 + "100 %"}, "There are 41 waves"),
        ({"ondas": "1, 100 % " * 99}, "The waves are 890 characters long"),
        ({"sucesso": ""}, "“share that must succeed” is not a number."),
        ({"sucesso": "NaN"}, "“share that must succeed” is not a number."),
        ({"sucesso": "101"}, "“share that must succeed” is 101; use a number from 1 to 100."),
        ({"falha": "0"}, "“share of failures that halts” is 0"),
        ({"falha": "-5"}, "“share of failures that halts” is not a number."),
        ({"minimo": "1,5"}, "“finished ones before failures count” is not a whole number."),
        ({"observar": "1e9"}, "“soak” is not a number."),
        ({"observar": "99999999"}, "“soak” is"),
        ({"ao_mesmo_tempo": "0"}, "“gateways at once” is 0"),
        ({"ao_mesmo_tempo": "²"}, "“gateways at once” is not a number."),
        ({"espalhar": "x"}, "“spread of a wave” is not a number."),
        ({"ausentes": "0"}, "“wait for those that are away” is 0"),
        ({"das": "22:00"}, "The maintenance window needs both times"),
        ({"ate": "22:00"}, "The maintenance window needs both times"),
        ({"das": "22:00", "ate": "22:00"}, "The window ends when it begins"),
        ({"das": "25:00", "ate": "26:00"}, "“25:00-26:00” is no window"),
        ({"das": "10:00+03:00", "ate": "11:00"}, "is no window"),
        ({"quem": "escolher"}, "Say which gateways"),
        ({"quem": None}, "Say which gateways"),
        ({"quem": "escolher", "locais": ["x"]}, "A site is chosen from the list."),
        ({"quem": "escolher", "codigos": "A\x00B"}, "has a character that none can have"),
        ({"quem": "escolher", "codigos": " ".join(map(str, range(10_001)))}, "has 10001 entries"),
        ({"quem": "escolher", "codigos": "x" * 700_001}, "The list of codes is too long"),
        ({"quem": "escolher", "familias": " ".join(map(str, range(1_001)))}, "has 1001 entries"),
        ({"nome": "x" * 201}, "The name is longer than 200 characters."),
        ({"nome": "a\x00b"}, "The name has a character that no name can have."),
    ],
)
def test_what_is_wrong_is_a_sentence_and_starts_nothing(
    fleet: list[Gateway], release: Release, operator: Client, typed: dict[str, Any], said: str
) -> None:
    for action in ("ver", "iniciar"):
        assert said in refusal(operator.post(NEW, filled(release, action, **typed)))
    assert not Rollout.objects.exists()


def test_the_form_keeps_what_was_typed(
    tenant: Tenant, fleet: list[Gateway], release: Release, operator: Client
) -> None:
    site = Site.objects.create(tenant=tenant, name="Galpão")
    other = rolling_out.release(version="1.2.0", counter=3, sha256="c" * 64)
    form = filled(
        release,
        nome='"> <b>',
        quem="escolher",
        familias="dcu-0080, x",
        locais=[str(site.pk)],
        codigos="GW-000001 <i>",
        ondas="nonsense",
        sucesso="x",
        das="10:00",
        um_por_local=None,
        medir=None,
    )
    for answer in (operator.post(NEW, form), operator.post(NEW, form | {"ondas": "100 %", "sucesso": "95", "das": ""})):
        page = text_of(answer)
        assert field(answer, "nome") == '"> <b>'
        assert field(answer, "familias") == "dcu-0080, x"
        assert f'<option value="{release.pk}" selected>' in page
        assert f'<option value="{other.pk}">' in page
        assert f'<option value="{site.pk}" selected>' in page
        assert "GW-000001 &lt;i&gt;</textarea>" in page
        assert 'value="escolher" checked' in page
        assert 'name="um_por_local" value="1">' in page
        assert 'name="medir" value="1">' in page
    assert field(operator.post(NEW, form), "ondas") == "nonsense"
    assert field(operator.post(NEW, form), "das") == "10:00"


def test_codes_that_nobody_has_are_named_another_companys_among_them(
    fleet: list[Gateway], release: Release, operator: Client
) -> None:
    theirs = rolling_out.gateways(seeding.tenant("other"), 1, "THEIRS")[0]
    form = filled(release, quem="escolher", codigos=f"GW-000001,{theirs.code};NOBODY")
    answer = operator.post(NEW, form)
    assert "1 gateway would get it" in words(answer)
    assert f"Nobody is called: {theirs.code} NOBODY" in words(answer)
    operator.post(NEW, form | {"acao": "iniciar"})
    assert [execution.gateway.code for execution in Execution.objects.all()] == ["GW-000001"]


def test_another_companys_site_is_nobodys(fleet: list[Gateway], release: Release, operator: Client) -> None:
    other = seeding.tenant("other")
    site = Site.objects.create(tenant=other, name="Deles")
    rolling_out.gateways(other, 1, "THEIRS", site=site)
    answer = operator.post(NEW, filled(release, quem="escolher", locais=[str(site.pk)]))
    assert "0 gateways would get it" in words(answer)
    assert "Deles" not in words(answer)
    assert "No gateway is as you say" in refusal(
        operator.post(NEW, filled(release, "iniciar", quem="escolher", locais=[str(site.pk)]))
    )


def test_only_the_platforms_operator_starts_over_all_companies(
    fleet: list[Gateway], release: Release, operator: Client, platform_operator: Client
) -> None:
    theirs = rolling_out.gateways(seeding.tenant("other"), 1, "THEIRS")
    assert 'name="plataforma"' not in text_of(operator.get(NEW))
    assert operator.post(NEW, filled(release, "iniciar", plataforma="1")).status_code == 403
    assert operator.post(NEW, filled(release, "ver", plataforma="1")).status_code == 403
    assert not Rollout.objects.exists()
    page = text_of(platform_operator.get(NEW))
    assert 'name="plataforma" value="1" checked' in page  # they belong to no company
    platform_operator.post(NEW, filled(release, "iniciar", plataforma="1"))
    assert Rollout.objects.get().tenant is None
    assert Execution.objects.count() == len(fleet) + len(theirs)


def test_a_rollout_over_all_that_reaches_one_company_is_shown_to_who_started_it(
    tenant: Tenant, fleet: list[Gateway], release: Release, platform_operator: Client
) -> None:
    answer = platform_operator.post(NEW, filled(release, "iniciar", plataforma="1"), follow=True)
    assert answer.status_code == 200
    assert Rollout.objects.get().tenant == tenant


@pytest.mark.parametrize(
    "fields",
    [{"status": "uploaded"}, {"status": "withdrawn"}, {"kind": "hello"}],
    ids=["uploaded", "withdrawn", "hello"],
)
def test_a_release_that_may_not_be_rolled_out_is_not_offered(
    fleet: list[Gateway], operator: Client, fields: dict[str, Any]
) -> None:
    release = rolling_out.release(**fields)
    assert "No release is published yet." in text_of(operator.get(NEW))
    assert refusal(operator.post(NEW, filled(release, "iniciar"))) == "Choose one of the published releases."


def test_a_link_chooses_the_release_and_the_gateway(fleet: list[Gateway], release: Release, operator: Client) -> None:
    rolling_out.release(version="1.2.0", counter=3, sha256="c" * 64)
    answer = operator.get(NEW, {"versao": str(release.pk), "gateway": "GW-000002"})
    assert f'<option value="{release.pk}" selected>' in text_of(answer)
    assert "GW-000002</textarea>" in text_of(answer)
    assert 'value="escolher" checked' in text_of(answer)
    for harm in ({"versao": "<b>"}, {"gateway": "</textarea><b>"}, {"versao": "\x00"}, {"gateway": "\x00"}):
        answer = operator.get(NEW, harm)
        assert answer.status_code == 200
        assert "<b>" not in text_of(answer)


def test_a_gateway_of_another_open_rollout_is_left_out(
    fleet: list[Gateway], release: Release, operator: Client
) -> None:
    operator.post(NEW, filled(release, "iniciar", quem="escolher", codigos="GW-000001"))
    said = words(operator.post(NEW, filled(release)))
    assert "3 gateways would get it" in said
    assert "1 × An update of another rollout is open there: wait for it, or cancel it. GW-000001" in said
