"""The API under input that nobody thought of: never a 5xx, always JSON of the promised shape."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import requests
import schemathesis
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup

from tds import wiring
from tds.dashboard.api import api
from tds.fleet import tokens
from tds.fleet.models import Tenant
from tds.ingest.models import LedgerHour
from tds.ingest.reasons import Reason
from tds.readings.chosen import ChosenStore
from tds.readings.models import Reading
from tests import seeding

pytestmark = pytest.mark.django_db

API: Final = "/tds_new/telemetria/api/"
MINUTE: Final = timedelta(minutes=1)
# The same inputs at each run: a failure here must be one that another run shows as well.
BOUNDED: Final = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCHEMA: Final = schemathesis.openapi.from_dict(api.get_openapi_schema())


@pytest.fixture(scope="module", autouse=True)
def places(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), seeding.own_connection() as connection:
        ChosenStore(timedelta(days=90)).prepare(connection, now=datetime.now(UTC))


@pytest.fixture
def tenant() -> Tenant:
    tenant = seeding.tenant("acme")
    of = seeding.series(seeding.gateway(tenant, "GW-1"), "D01", "temperatura", "°C")
    now = datetime.now(UTC)
    seeding.store(of, *((now - n * 30 * MINUTE, float(n)) for n in range(60)))
    wiring.database_connection().execute(
        # As if the worker had run all the time: three months of empty hours are not closed first.
        "UPDATE tds_new_estadorollup SET closing_before = date_trunc('hour', now()), complete_before = closing_before"
    )
    return tenant


@pytest.fixture
def reader(tenant: Tenant) -> Client:
    client = Client()
    client.force_login(seeding.person("ana", tenant))
    return client


@pytest.fixture
def secret(tenant: Tenant) -> str:
    return tokens.create(tenant)[1]


def document_of(response: Any) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert response["Content-Type"] == "application/json; charset=utf-8"
    return json.loads(response.content, parse_constant=refuse)


def assert_refused(document: Any) -> None:
    assert sorted(document) == ["detalhe", "erro"]
    assert document["erro"]
    assert document["detalhe"].endswith(".")


def assert_a_chart(document: Any) -> None:
    length = len(document["labels"])
    assert isinstance(document["cursor"], str)
    assert isinstance(document["unidade"], str | None)
    assert datetime.fromisoformat(document["gerado_em"]).tzinfo
    for dataset in document["datasets"]:
        assert dataset["label"] == f"{dataset['gateway']}/{dataset['dispositivo']} {dataset['tipo']}"
        assert isinstance(dataset["unidade"], str)
        for key in ("data", "min", "max"):
            assert len(dataset[key]) == length
            assert all(isinstance(value, float | int | None) for value in dataset[key])


def assert_cards(document: Any) -> None:
    for card in document["cartoes"]:
        assert {"gateway", "dispositivo", "leituras"} <= set(card)


SHAPES: Final = {"timeline": assert_a_chart, "barras": assert_a_chart, "cartoes": assert_cards}

anything = st.text(max_size=80)
numbers = st.integers(min_value=-(10**20), max_value=10**20).map(str)
cursors = st.lists(numbers, min_size=1, max_size=4).map(".".join)
near = {
    "periodo": st.sampled_from(["24h", "7d", "30d", "1h", ""]),
    "gateway": st.sampled_from(["GW-1", "GW-2", ""]),
    "dispositivo": st.sampled_from(["D01", "D02", ""]),
    "tipo": st.sampled_from(["temperatura", "umidade", ""]),
    "desde": st.one_of(cursors, cursors.map(lambda rest: f"1.{rest}")),
}
pairs = st.one_of(
    *(st.tuples(st.just(name), st.one_of(values, anything)) for name, values in near.items()),
    st.tuples(anything, anything),
)


@pytest.mark.parametrize("name", SHAPES)
@BOUNDED
@given(query=st.lists(pairs, max_size=6))
def test_no_parameter_breaks_a_chart(reader: Client, name: str, query: list[tuple[str, str]]) -> None:
    response = reader.get(f"{API}{name}/?{urlencode(query, errors='surrogatepass')}")
    assert response.status_code in {200, 400, 404}, query
    document = document_of(response)
    if response.status_code == 200:
        SHAPES[name](document)
    else:
        assert_refused(document)


@pytest.mark.parametrize("name", SHAPES)
@BOUNDED
@given(query=st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_query_breaks_a_chart_whatever_its_bytes(reader: Client, name: str, query: str) -> None:
    # As a server hands it over: bytes as characters of Latin-1, escaped or not.
    response = reader.generic("GET", f"{API}{name}/", QUERY_STRING=query)
    assert response.status_code in {200, 400, 404}, query
    document_of(response)


@pytest.mark.parametrize("name", SHAPES)
def test_the_answers_are_those_of_the_openapi_document(reader: Client, name: str) -> None:
    operation = SCHEMA[f"{API}{name}/"]["GET"]

    @BOUNDED
    @given(case=operation.as_strategy())
    def asked(case: Any) -> None:
        url = f"{API}{name}/?{urlencode(case.query or {}, doseq=True, errors='surrogatepass')}"
        response = reader.get(url)
        assert response.status_code in {200, 400, 404}, url
        operation.validate_response(as_sent(response, url))

    asked()


def test_the_look_at_an_answer_finds_what_it_looks_for() -> None:
    of_another_shape = HttpResponse(b'{"labels": 1}', content_type="application/json")
    with pytest.raises(FailureGroup):
        SCHEMA[f"{API}timeline/"]["GET"].validate_response(as_sent(of_another_shape, f"{API}timeline/"))


def as_sent(response: Any, url: str) -> schemathesis.Response:
    headers = {name.lower(): [value] for name, value in response.items()}
    request = requests.Request("GET", f"http://testserver{url}").prepare()
    return schemathesis.Response(response.status_code, headers, response.content, request, elapsed=0.0, verify=False)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), anything),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(anything, inner, max_size=4)),
    max_leaves=12,
)
recent = st.integers(-20, 200 * 24 * 60).map(lambda minutes: (datetime.now(UTC) - minutes * MINUTE).isoformat())
entries = st.fixed_dictionaries(
    {},
    optional={
        "tipo": st.one_of(st.sampled_from(["temperatura", "energia"]), anything, json_values),
        "unidade": st.one_of(st.sampled_from(["°C", ""]), anything, json_values),
        "valor": st.one_of(st.floats(), st.integers(), json_values),
    },
)
messages = st.fixed_dictionaries(
    {"gateway_code": st.one_of(st.just("GW-1"), st.sampled_from(["GW-2", "GW\x00"]), json_values)},
    optional={
        "device_code": st.one_of(st.just("D01"), anything, json_values),
        "timestamp": st.one_of(recent, anything, json_values),
        "leituras": st.one_of(st.lists(st.one_of(entries, json_values), max_size=4), json_values),
        "extra": json_values,
    },
)
good_entries = st.fixed_dictionaries(
    {"tipo": st.text(min_size=1, max_size=66), "unidade": st.text(max_size=17), "valor": st.floats(allow_nan=False)}
)
nearly_good = st.fixed_dictionaries(
    {
        "gateway_code": st.just("GW-1"),
        "device_code": st.just("D01"),
        "timestamp": st.integers(0, 1000).map(lambda minutes: (datetime.now(UTC) - minutes * MINUTE).isoformat()),
        "leituras": st.lists(good_entries, min_size=1, max_size=3),
    }
)
bodies = st.one_of(
    st.binary(max_size=300),
    *(shape.map(lambda value: json.dumps(value).encode()) for shape in (json_values, messages, nearly_good)),
    nearly_good.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")),
)


@BOUNDED
@given(body=bodies, content_type=st.sampled_from(["application/json", "text/plain", "multipart/form-data", ""]))
def test_no_body_breaks_the_post_and_the_ledger_balances(secret: str, body: bytes, content_type: str) -> None:
    with transaction.atomic():  # each example begins with nothing counted
        before = Reading.objects.count()
        response = Client().post(f"{API}leituras/", body, content_type, headers={"Authorization": f"Bearer {secret}"})
        assert response.status_code in {200, 400, 404}, body
        document = document_of(response)
        rows = list(LedgerHour.objects.all())
        if response.status_code == 200:
            assert sorted(document) == ["armazenadas", "duplicadas"]
            assert document["armazenadas"] == Reading.objects.count() - before
            [row] = rows
            assert (row.received, row.accepted, row.stored) == (1, 1, document["armazenadas"])
            assert row.readings == document["armazenadas"] + document["duplicadas"]
        else:
            assert_refused(document)
            assert document["erro"] in set(Reason)
            assert document["erro"] != Reason.REFUSED_BY_DATABASE  # a rule of ours should have said it
            assert Reading.objects.count() == before
            assert [row.quarantined for row in rows] == ([1] if response.status_code == 400 else [])
        transaction.set_rollback(True)


@BOUNDED
@given(header=st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_authorization_breaks_the_post(tenant: Tenant, header: str) -> None:
    response = Client().post(f"{API}leituras/", b"{}", "application/json", headers={"Authorization": header})
    assert response.status_code == 401
    assert_refused(document_of(response))
