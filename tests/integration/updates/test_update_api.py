"""Rollouts as JSON: what the pages do, for scripts; never a 5xx, and always of the promised shape."""

import json
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import requests
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tds.dashboard.api import api
from tds.dashboard.updates import api as views
from tds.fleet import audit, tags
from tds.fleet.models import AuditEntry, Gateway, Role, Tenant, User
from tds.updates.models import Execution, Release, Rollout
from tests import rolling_out, seeding
from tests.refusing import signed_in
from tests.rolling_out import NEW, OLD

pytestmark = pytest.mark.django_db

API: Final = "/tds_new/telemetria/api/"
LIST: Final = f"{API}atualizacoes/"
PREVIEW: Final = f"{LIST}previa/"
BOUNDED: Final = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCHEMA: Final = schemathesis.openapi.from_dict(api.get_openapi_schema())


@pytest.fixture
def fleet(tenant: Tenant) -> list[Gateway]:
    return rolling_out.gateways(tenant, 4)


@pytest.fixture
def release() -> Release:
    return rolling_out.release()


@pytest.fixture
def rollout(fleet: list[Gateway], release: Release) -> Rollout:
    return rolling_out.launched(release)


@pytest.fixture
def operator(tenant: Tenant) -> Client:
    return signed_in(seeding.person("olga", tenant, role=Role.OPERATOR))


def wanted(release: Release, **other: Any) -> dict[str, Any]:
    return {"versao": release.pk, "alvo": {"todos": True}} | other


def post(client: Client, path: str, body: Any, status: int = 200) -> Any:
    answer = client.post(path, json.dumps(body), content_type="application/json")
    assert answer.status_code == status, answer.content
    return answer.json()


def act(client: Client, rollout: Rollout, status: int = 200, **body: Any) -> Any:
    return post(client, f"{LIST}{rollout.pk}/acao/", body, status)


def test_a_rollout_is_previewed_started_followed_and_ended(
    tenant: Tenant, fleet: list[Gateway], release: Release, operator: Client
) -> None:
    rolling_out.gateways(tenant, 2, "RELAY", family="relay-mfr")
    [listed] = operator.get(f"{API}versoes/").json()["versoes"]
    assert (listed["id"], listed["produto"], listed["versao"], listed["sha256"]) == (release.pk, "dcu", "1.1.0", NEW)
    body = wanted(release, ondas="1, 100 %", nome="Março", limites={"observacao_s": 0, "janela": "22:00-04:00"})
    seen = post(operator, PREVIEW, body)
    assert seen == {
        "gateways": 4,
        "ondas": [{"rotulo": "1", "tamanho": 1}, {"rotulo": "100 %", "tamanho": 3}],
        "deixados_de_fora": [{"motivo": "wrong_family", "detalhe": "The release is not for its family.", "total": 2}],
        "codigos_desconhecidos": [],
        "etiquetas_desconhecidas": [],
        "primeiros": [gateway.code for gateway in fleet],
        "primeiros_de_fora": {"wrong_family": ["RELAY-000000", "RELAY-000001"]},
    }
    assert not Rollout.objects.exists()
    started = post(operator, LIST, body, 201)
    rollout = Rollout.objects.get(pk=started["id"])
    assert (started["cliente"], started["situacao"], started["nome"]) == ("acme", "running", "Março")
    assert started["total"]["esperando"] == sum(started["total"].values()) == 4
    assert (rollout.soak_s, rollout.concurrency, str(rollout.window_start)) == (0, 500, "22:00:00")
    execution = rollout.executions.order_by("wave", "place")[0]
    Execution.objects.filter(pk=execution.pk).update(status="FAILED", reason="rolled_back", detail="boot 2")
    shown = operator.get(f"{LIST}{rollout.pk}/").json()
    assert [(wave["numero"], wave["tamanho"]) for wave in shown["ondas"]] == [(1, 1), (2, 3)]
    assert shown["ondas"][0]["contagem"]["voltaram"] == shown["total"]["voltaram"] == 1
    assert shown["deixados_de_fora"] == seen["deixados_de_fora"]
    assert (shown["alvo"]["todos"], shown["alvo"]["codigos"], shown["limites"]["janela"]) == (True, [], "22:00-04:00")
    first = shown["execucoes"][0]
    assert (first["gateway"], first["execucao"]) == (execution.gateway.code, execution.public_id)
    assert (first["situacao"], first["motivo"], first["detalhe"]) == ("FAILED", "rolled_back", "boot 2")
    assert (first["roda"], first["confirmada"]) == ("1.0.0", True)
    assert act(operator, rollout, acao="pausar")["atualizacao"]["situacao"] == "paused"
    assert act(operator, rollout, acao="continuar")["mensagem"] == "It goes on."
    assert (
        act(operator, rollout, acao="repetir", gateway=execution.gateway.code)["atualizacao"]["total"]["esperando"] == 4
    )
    assert (
        act(operator, rollout, acao="cancelar-um", gateway=execution.gateway.code)["atualizacao"]["total"]["canceladas"]
        == 1
    )
    assert act(operator, rollout, acao="repetir-falhas")["mensagem"] == "0 gateways try again."
    newer = rolling_out.release(version="1.2.0", counter=3, sha256="c" * 64)
    new = act(operator, rollout, acao="substituir", versao=newer.pk)["atualizacao"]
    assert (new["versao"], new["id"]) == ("1.2.0", Rollout.objects.get(release=newer).pk)
    assert act(operator, Rollout.objects.get(pk=new["id"]), acao="cancelar")["atualizacao"]["situacao"] == "canceled"
    assert [each["id"] for each in operator.get(LIST).json()["atualizacoes"]] == [new["id"], rollout.pk]
    assert set(AuditEntry.objects.filter(action__startswith="rollout").values_list("actor", flat=True)) == {"olga"}


def test_what_a_rollout_was_started_with_is_told_as_it_was_sent_and_starts_the_next_one(
    tenant: Tenant, fleet: list[Gateway], release: Release, operator: Client
) -> None:
    tags.tag(fleet, ["Norte"], by=audit.COMMAND_LINE)
    alvo = {
        "todos": False,
        "cliente": "",
        "familias": [fleet[0].family],
        "locais": [],
        "etiquetas": ["Norte"],
        "codigos": [gateway.code for gateway in fleet[:2]],
    }
    limites = {
        "sucesso_percentual": 90.5,
        "falha_percentual": 20.0,
        "falha_minimo": 7,
        "observacao_s": 60,
        "ao_mesmo_tempo": 12,
        "espalhar_s": 30,
        "ausentes_s": 7_200,
        "janela": "22:00-04:00",
        "um_por_local": False,
        "telemetria": False,
    }
    number = post(operator, LIST, wanted(release, alvo=alvo, limites=limites), 201)["id"]
    shown = operator.get(f"{LIST}{number}/").json()
    assert (shown["alvo"], shown["limites"]) == (alvo, limites)
    seen = post(operator, PREVIEW, wanted(release, alvo=shown["alvo"], limites=shown["limites"]))
    assert (seen["gateways"], seen["deixados_de_fora"][0]["total"]) == (0, 2)  # they are in the rollout that goes


def test_a_target_that_this_version_cannot_read_is_told_as_none(rollout: Rollout, operator: Client) -> None:
    for unreadable in ({"weather": "sunny"}, {"codes": ["x" * 201]}):
        Rollout.objects.filter(pk=rollout.pk).update(target=unreadable)
        shown = operator.get(f"{LIST}{rollout.pk}/").json()
        assert (shown["alvo"], len(shown["execucoes"])) == (None, 4)


def test_a_viewer_reads_and_does_nothing(tenant: Tenant, rollout: Rollout, release: Release) -> None:
    viewer = signed_in(seeding.person("vera", tenant))
    assert viewer.get(LIST).json()["atualizacoes"][0]["id"] == rollout.pk
    assert len(viewer.get(f"{LIST}{rollout.pk}/").json()["execucoes"]) == 4
    assert post(viewer, PREVIEW, wanted(release), 403)["erro"] == "proibido"
    assert post(viewer, LIST, wanted(release), 403)["erro"] == "proibido"
    for word in ("pausar", "cancelar", "repetir-falhas"):
        assert act(viewer, rollout, 403, acao=word)["erro"] == "proibido"
    assert Rollout.objects.get().status == "running"


def test_another_companys_rollout_is_unknown(rollout: Rollout) -> None:
    stranger = signed_in(seeding.person("zoe", seeding.tenant("other"), role=Role.ADMIN))
    assert stranger.get(LIST).json()["atualizacoes"] == []
    for number in (rollout.pk, 987_654_321, 2**63, 10**30):
        assert stranger.get(f"{LIST}{number}/").json()["erro"] == "desconhecido"
        answer = stranger.post(f"{LIST}{number}/acao/", {"acao": "cancelar"}, content_type="application/json")
        assert answer.status_code == 404
    assert Rollout.objects.get().status == "running"


def test_a_stranger_and_a_script_without_the_token_get_nothing(
    tenant: Tenant, rollout: Rollout, release: Release
) -> None:
    for path in (LIST, f"{LIST}{rollout.pk}/", f"{API}versoes/"):
        assert Client().get(path).json()["erro"] == "nao_autorizado"
    assert post(Client(), LIST, wanted(release), 401)["erro"] == "nao_autorizado"
    client = signed_in(seeding.person("ana", tenant, role=Role.ADMIN), enforce_csrf_checks=True)
    for path in (LIST, PREVIEW, f"{LIST}{rollout.pk}/acao/"):
        assert post(client, path, wanted(release), 403)["erro"] == "csrf"


def test_only_the_platforms_operator_starts_over_all_companies(
    fleet: list[Gateway], release: Release, operator: Client
) -> None:
    rolling_out.gateways(seeding.tenant("other"), 1, "THEIRS")
    assert post(operator, LIST, wanted(release, plataforma=True), 403)["erro"] == "proibido"
    chief = signed_in(User.objects.create_superuser("chefe", password="correct horse"))
    assert post(chief, LIST, wanted(release), 403)["erro"] == "proibido"  # who belongs to no company says what is meant
    started = post(chief, LIST, wanted(release, plataforma=True), 201)
    assert (started["cliente"], started["total"]["esperando"]) == (None, 5)
    assert act(chief, Rollout.objects.get(), acao="pausar")["atualizacao"]["situacao"] == "paused"
    assert operator.get(LIST).json()["atualizacoes"] == []


def test_a_script_that_names_another_company_is_stopped(
    tenant: Tenant, fleet: list[Gateway], rollout: Rollout, release: Release, operator: Client
) -> None:
    for path, body in ((LIST, wanted(release)), (PREVIEW, wanted(release))):
        assert post(operator, path, body | {"cliente": "other"}, 409)["erro"] == "outro_cliente"
    assert act(operator, rollout, 409, acao="cancelar", cliente="other")["erro"] == "outro_cliente"
    assert act(operator, rollout, acao="pausar", cliente="acme")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"alvo": {}}, "Say which gateways"),
        ({"alvo": {"familias": [str(n) for n in range(1_001)]}}, "has 1001 entries"),
        ({"alvo": {"codigos": ["NOBODY"]}}, "No gateway is as you say"),
        ({"ondas": "5 %"}, "The last wave is"),
        ({"ondas": ""}, "The waves are"),
        ({"limites": {"janela": "25:00-26:00"}}, "is no window"),
        ({"limites": {"janela": "22:00-22:00"}}, "The window ends when it begins"),
        ({"limites": {"ao_mesmo_tempo": 0}}, "“gateways at once” is 0"),
        ({"limites": {"observacao_s": 2**31 - 1}}, "“soak” is"),
        ({"versao": 987_654_321}, "Choose one of the published releases."),
    ],
)
def test_a_plan_that_is_wrong_is_refused_with_a_sentence(
    fleet: list[Gateway], release: Release, operator: Client, other: dict[str, Any], said: str
) -> None:
    refused = post(operator, LIST, wanted(release, **other), 409)
    assert (refused["erro"], said in refused["detalhe"]) == ("recusado", True), refused
    assert not Rollout.objects.exists()


@pytest.mark.parametrize(
    "other",
    [
        {"alvo": {"todos": True, "tags": ["x"]}},
        {"limites": {"soak": 1}},
        {"limites": {"sucesso_percentual": 101}},
        {"limites": {"ao_mesmo_tempo": 1.5}},
        {"alvo": {"codigos": ["a\x00b"]}},
        {"alvo": {"locais": [0]}},
        {"alvo": {"locais": [2**63]}},
        {"versao": "x"},
        {"nome": "a\x00b"},
        {"quando": "now"},
    ],
)
def test_what_is_no_plan_is_a_400(
    fleet: list[Gateway], release: Release, operator: Client, other: dict[str, Any]
) -> None:
    assert post(operator, LIST, wanted(release, **other), 400)["erro"] == "parametro_invalido"
    assert not Rollout.objects.exists()


def test_a_deed_that_can_not_be_done_is_refused_with_a_sentence(rollout: Rollout, operator: Client) -> None:
    assert act(operator, rollout, 409, acao="continuar")["erro"] == "recusado"
    assert act(operator, rollout, 409, acao="substituir")["detalhe"] == "Choose one of the published releases."
    assert act(operator, rollout, 404, acao="repetir", gateway="NOBODY")["erro"] == "desconhecido"
    assert act(operator, rollout, 404, acao="cancelar-um")["erro"] == "desconhecido"
    assert act(operator, rollout, 400, acao="nonsense")["erro"] == "parametro_invalido"
    assert Rollout.objects.get().status == "running"


def test_gateways_come_in_pages_each_once(
    tenant: Tenant, release: Release, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolling_out.gateways(tenant, 7)
    rollout = rolling_out.launched(release, waves="2, 5, 100 %")
    monkeypatch.setattr(views, "EXECUTIONS_A_PAGE", 3)
    seen, after = [], ""
    for _page in range(3):
        page = operator.get(f"{LIST}{rollout.pk}/", {"apos": after}).json()
        seen += [(each["onda"], each["gateway"]) for each in page["execucoes"]]
        after = page["proxima"] or ""
    assert after == ""
    assert len(set(seen)) == 7
    assert [wave for wave, _code in seen] == [1, 1, 2, 2, 2, 3, 3]
    of_one = operator.get(f"{LIST}{rollout.pk}/", {"onda": "2", "estado": "esperando", "busca": "GW"}).json()
    assert len(of_one["execucoes"]) == 3
    wrongs: list[dict[str, str]] = [{"apos": "x"}, {"apos": "1"}, {"estado": "x"}, {"onda": "-1"}, {"busca": "\x00"}]
    for wrong in wrongs:
        assert operator.get(f"{LIST}{rollout.pk}/", wrong).status_code == 400


def test_rollouts_come_in_pages_newest_first(
    fleet: list[Gateway], operator: Client, monkeypatch: pytest.MonkeyPatch, tenant: Tenant
) -> None:
    release = rolling_out.release(sha256=OLD, counter=1)
    made = [
        Rollout.objects.create(
            tenant=tenant,
            release=release,
            success_percent=95,
            failure_percent=10,
            failure_min_finished=5,
            soak_s=0,
            concurrency=1,
            spread_s=0,
            offer_limit_s=60,
        ).pk
        for _n in range(3)
    ]
    monkeypatch.setattr(views, "ROLLOUTS_A_PAGE", 2)
    first = operator.get(LIST).json()
    second = operator.get(LIST, {"antes": first["proxima"]}).json()
    assert [each["id"] for page in (first, second) for each in page["atualizacoes"]] == made[::-1]
    assert second["proxima"] is None


anything = st.text(max_size=40)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), anything),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(anything, inner, max_size=3)),
    max_leaves=8,
)


@pytest.mark.parametrize("path", ["versoes/", "atualizacoes/", "atualizacoes/{id}/"])
def test_the_answers_are_those_of_the_openapi_document(rollout: Rollout, operator: Client, path: str) -> None:
    operation = SCHEMA[f"{API}{path}"]["GET"]

    @BOUNDED
    @given(case=operation.as_strategy())
    def asked(case: Any) -> None:
        query = urlencode(case.query or {}, doseq=True, errors="surrogatepass")
        url = f"{API}{path.format(id=rollout.pk)}?{query}"
        response = operator.get(url)
        assert response.status_code in {200, 400, 404}, url
        operation.validate_response(as_sent(response, "GET", url))

    asked()


@pytest.mark.parametrize("path", ["atualizacoes/previa/", "atualizacoes/", "atualizacoes/{id}/acao/"])
def test_no_body_breaks_a_deed(rollout: Rollout, release: Release, operator: Client, path: str) -> None:
    operation = SCHEMA[f"{API}{path}"]["POST"]
    near = st.fixed_dictionaries(
        {"versao": st.just(release.pk), "alvo": st.just({"todos": True})},
        optional={"ondas": anything, "limites": json_values, "nome": anything, "acao": anything, "gateway": anything},
    )
    bodies = st.one_of(operation.as_strategy().map(lambda case: case.body), json_values, near)

    @BOUNDED
    @given(body=bodies)
    def asked(body: Any) -> None:
        url = f"{API}{path.format(id=rollout.pk)}"
        try:
            text = json.dumps(body)
        except TypeError:  # a body that was left out
            text = ""
        response = operator.post(url, text, content_type="application/json")
        assert response.status_code in {200, 201, 400, 403, 404, 409}, text
        operation.validate_response(as_sent(response, "POST", url))

    asked()


def as_sent(response: Any, method: str, url: str) -> schemathesis.Response:
    headers = {name.lower(): [value] for name, value in response.items()}
    request = requests.Request(method, f"http://testserver{url}").prepare()
    return schemathesis.Response(response.status_code, headers, response.content, request, elapsed=0.0, verify=False)
