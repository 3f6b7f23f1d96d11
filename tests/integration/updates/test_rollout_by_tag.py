"""A rollout for gateways of a tag: by desk, command line, API and page; and that it is a snapshot."""

import json
import re
from typing import Any, Final

import pytest
from django.test import Client
from typer.testing import CliRunner

from tds.fleet import audit, tags
from tds.fleet.models import Gateway, Role, Site, Tenant, User
from tds.updates.models import Execution, Release, Rollout
from tds.updates.rollouts import desk, plan
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.rollout_commands import rollout_app
from tds.updates.rollouts.target import Target
from tests import rolling_out, seeding
from tests.refusing import signed_in, text_of
from tests.rolling_out import QUICK, T0, Stage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]

API: Final = "/tds_new/telemetria/api/atualizacoes/"
NEW: Final = "/tds_new/atualizacoes/nova/"


@pytest.fixture
def acme() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def fleet(acme: Tenant) -> list[Gateway]:
    """Four; the first two are of `Norte`."""
    made = rolling_out.gateways(acme, 4)
    tags.tag(made[:2], ["Norte"], by=audit.COMMAND_LINE)
    return made


@pytest.fixture
def theirs() -> list[Gateway]:
    """Another company's: the first is of `norte` as well, and all are of `secreta`."""
    made = rolling_out.gateways(seeding.tenant("rival"), 2, "THEIRS")
    tags.tag(made[:1], ["norte"], by=audit.COMMAND_LINE)
    tags.tag(made, ["secreta"], by=audit.COMMAND_LINE)
    return made


@pytest.fixture
def release() -> Release:
    return rolling_out.release()


@pytest.fixture
def operator(acme: Tenant) -> Client:
    return signed_in(seeding.person("olga", acme, role=Role.OPERATOR))


def within() -> list[str]:
    return sorted(Execution.objects.values_list("gateway__code", flat=True))


def codes(gateways: list[Gateway]) -> list[str]:
    return [gateway.code for gateway in gateways]


# The desk


def test_over_several_companies_a_tag_is_each_ones_of_that_name(
    fleet: list[Gateway], theirs: list[Gateway], release: Release
) -> None:
    aim = Target(tags=("NORTE", "oeste"))
    found = plan.preview(COMMAND_LINE, Plan(release, aim, "100 %", QUICK), now=T0)
    assert (found.gateways, found.unknown_tags) == (3, ("oeste",))
    rollout, _started = desk.launch(COMMAND_LINE, Plan(release, aim, "100 %", QUICK), now=T0)
    assert within() == codes(fleet[:2]) + codes(theirs[:1])
    assert (rollout.tenant, rollout.target) == (None, {"tags": ["NORTE", "oeste"]})


def test_of_one_company_among_several_a_tag_that_only_another_has_is_unknown(
    fleet: list[Gateway], theirs: list[Gateway], release: Release
) -> None:
    aim = Target(tenant="acme", tags=("norte", "secreta"))
    found = plan.preview(COMMAND_LINE, Plan(release, aim), now=T0)
    assert (found.gateways, found.unknown_tags) == (2, ("secreta",))


@pytest.mark.django_db(transaction=True)
def test_tags_that_change_after_the_start_change_nothing(fleet: list[Gateway], release: Release) -> None:
    rolling_out.launched(release, target=Target(tags=("norte",)))
    tags.untag(fleet[:2], ["norte"], by=audit.COMMAND_LINE)
    tags.tag(fleet[2:], ["norte"], by=audit.COMMAND_LINE)
    with seeding.own_connection() as connection:
        stage = Stage(connection)
        for _wave in range(2):
            stage.turn(60, turns=2)
            assert stage.finish() == 1
        stage.turn(60, turns=2)
    assert within() == codes(fleet[:2])
    assert Rollout.objects.get().status == "completed"


# The command line


def run(*words: str) -> Any:
    return CliRunner().invoke(rollout_app, [*words])


def test_the_command_line_previews_and_starts_by_tag(
    fleet: list[Gateway], theirs: list[Gateway], release: Release
) -> None:
    looked = run("start", "1.1.0", "--tenant", "acme", "--tag", "norte", "--tag", "secreta", "--preview")
    assert "2 gateways would get dcu 1.1.0." in looked.output
    assert "  no gateway has the tag: secreta\n" in looked.output
    document = json.loads(run("start", "1.1.0", "--tag", "secreta", "--tag", "oeste", "--preview", "--json").output)
    assert (document["gateways"], document["unknown_tags"]) == (2, ["oeste"])
    assert run("start", "1.1.0", "--tag", "norte", "--tenant", "acme").exit_code == 0
    assert within() == codes(fleet[:2])
    assert Rollout.objects.get().target == {"tenant": "acme", "tags": ["norte"]}
    assert "\n  company: acme; tag: norte\n" in run("show").output
    assert json.loads(run("show", "--json").output)["target"] == {"tenant": "acme", "tags": ["norte"]}
    refused = run("start", "1.1.0", "--tag", "oeste")
    assert (refused.exit_code, "No gateway is as you say" in refused.output) == (1, True)


# The API


def post(client: Client, path: str, target: dict[str, Any], release: Release, status: int = 200) -> Any:
    body = {"versao": release.pk, "alvo": target}
    answer = client.post(path, json.dumps(body), content_type="application/json")
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_script_previews_and_starts_by_tag_and_another_companys_is_unknown(
    fleet: list[Gateway], theirs: list[Gateway], release: Release, operator: Client
) -> None:
    target = {"etiquetas": ["norte", "secreta", "norte"]}
    seen = post(operator, f"{API}previa/", target, release)
    assert (seen["primeiros"], seen["etiquetas_desconhecidas"]) == (codes(fleet[:2]), ["secreta"])
    misspelt = post(operator, f"{API}previa/", {"etiquetas": ["secretx"]}, release)
    only_theirs = post(operator, f"{API}previa/", {"etiquetas": ["secreta"]}, release)
    assert json.loads(json.dumps(only_theirs).replace("secreta", "secretx")) == misspelt
    post(operator, API, target, release, 201)
    assert within() == codes(fleet[:2])
    assert Rollout.objects.get().target == {"tags": ["norte", "secreta"]}


@pytest.mark.parametrize("wrong", [{"etiquetas": "norte"}, {"etiquetas": ["a\x00b"]}, {"etiquetas": [1]}])
def test_what_is_no_list_of_tags_is_a_400(
    fleet: list[Gateway], release: Release, operator: Client, wrong: dict[str, Any]
) -> None:
    assert post(operator, API, wrong, release, 400)["erro"] == "parametro_invalido"


# The page


def filled(release: Release, action: str = "ver", **typed: Any) -> dict[str, Any]:
    form = {
        "versao": str(release.pk),
        "quem": "escolher",
        "ondas": "100 %",
        "sucesso": "95",
        "falha": "10",
        "minimo": "5",
        "observar": "0",
        "ao_mesmo_tempo": "500",
        "espalhar": "0",
        "ausentes": "24",
        "acao": action,
    }
    return form | typed


def offered(page: str) -> list[tuple[str, bool]]:
    """The tags to choose from, and whether each is chosen."""
    selects = re.findall(r'<select[^>]* name="etiquetas".*?</select>', page, re.DOTALL)
    return [(name, bool(mark)) for mark, name in re.findall(r"<option( selected)?>([^<]*)</option>", "".join(selects))]


def test_the_page_offers_the_companys_tags_and_starts_by_them(
    fleet: list[Gateway], theirs: list[Gateway], release: Release, operator: Client
) -> None:
    tags.tag(fleet[3:], ["sul"], by=audit.COMMAND_LINE)
    assert offered(text_of(operator.get(NEW))) == [("Norte", False), ("sul", False)]
    looked = text_of(operator.post(NEW, filled(release, etiquetas=["Norte", "sul"])))
    assert "3 gateways would get it" in looked
    assert offered(looked) == [("Norte", True), ("sul", True)]
    answer = operator.post(NEW, filled(release, "iniciar", etiquetas=["Norte", "sul"]), follow=True)
    assert within() == [fleet[0].code, fleet[1].code, fleet[3].code]
    [told] = re.findall(r'<p class="help" id="target">([^<]*)</p>', text_of(answer))
    assert told == "Chosen: tag: Norte, sul"


def test_the_page_names_tags_that_no_gateway_has_another_companys_among_them(
    fleet: list[Gateway], theirs: list[Gateway], release: Release, operator: Client
) -> None:
    page = text_of(operator.post(NEW, filled(release, etiquetas=["secreta", "<b>"])))
    [notice] = re.findall(r"No gateway has the tag:(.*?)</p>", page)
    assert re.findall(r'<span class="code">([^<]*)</span>', notice) == ["secreta", "&lt;b&gt;"]
    assert offered(page) == [("Norte", False), ("secreta", True), ("&lt;b&gt;", True)]


def test_a_choice_of_tags_that_was_changed_since_the_look_is_not_started(
    fleet: list[Gateway], release: Release, operator: Client
) -> None:
    tags.tag(fleet[3:], ["sul"], by=audit.COMMAND_LINE)
    looked = text_of(operator.post(NEW, filled(release, etiquetas=["Norte"])))
    [seen] = re.findall(r'name="visto" value="(\w+)"', looked)
    page = text_of(operator.post(NEW, filled(release, "iniciar", etiquetas=["sul"], visto=seen)))
    assert "You changed the plan since you looked" in page
    assert not Rollout.objects.exists()


def test_without_any_tag_the_page_offers_none(acme: Tenant, release: Release, operator: Client) -> None:
    assert 'name="etiquetas"' not in text_of(operator.get(NEW))


def test_whoever_operates_the_platform_chooses_from_all_companies_tags_each_name_once(
    fleet: list[Gateway], theirs: list[Gateway], release: Release
) -> None:
    chief = signed_in(User.objects.create_superuser("chefe", password="correct horse"))
    assert offered(text_of(chief.get(NEW))) == [("Norte", False), ("secreta", False)]
    chief.post(NEW, filled(release, "iniciar", plataforma="1", etiquetas=["Norte"]))
    assert within() == codes(fleet[:2]) + codes(theirs[:1])


def test_the_rollouts_page_tells_how_its_gateways_were_chosen(
    acme: Tenant, fleet: list[Gateway], theirs: list[Gateway], release: Release, operator: Client
) -> None:
    site = Site.objects.create(tenant=acme, name="Galpão")
    other = Site.objects.create(tenant=theirs[0].tenant, name="Deles")
    Gateway.objects.filter(pk=fleet[0].pk).update(site=site)

    def told(target: Target) -> str:
        rollout, _started = desk.launch(COMMAND_LINE, Plan(release, target, "100 %", QUICK), now=T0)
        [found] = re.findall(r'id="target">([^<]*)</p>', text_of(operator.get(f"/tds_new/atualizacoes/{rollout.pk}/")))
        desk.cancel(COMMAND_LINE, rollout.pk, now=T0)
        return str(found)

    assert told(Target(everything=True, tenant="acme")) == "Chosen: all gateways that it is for · company: acme"
    by_all = Target("acme", ("dcu-0080",), (site.pk, other.pk), (fleet[0].code,), tags=("norte",))
    # What is another company's is not for these people to read: not even that it was chosen.
    assert told(by_all) == "Chosen: company: acme · family: dcu-0080 · site: Galpão · tag: norte · code: GW-000000"
    many = tuple(gateway.code for gateway in (*fleet, *rolling_out.gateways(acme, 21, "MORE")))
    assert told(Target(codes=many)).endswith("MORE-000015, …")
