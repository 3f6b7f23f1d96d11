"""`timeline/`, `barras/` and `cartoes/`: each parameter's rule, and what a page that polls ends up with."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tds import wiring
from tds.dashboard import chart_api
from tds.fleet.models import Gateway, MetricKind, Tenant
from tds.readings import sqlstore
from tds.readings.chosen import ChosenStore
from tds.readings.store import HourOfReadings, Series
from tests import seeding

pytestmark = pytest.mark.django_db

API = "/tds_new/telemetria/api"
NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)  # 09:30 in São Paulo
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LONG = "x" * 10_000
CHARTS = ["timeline", "barras"]
ALL = [*CHARTS, "cartoes"]


@pytest.fixture(scope="module", autouse=True)
def places(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), seeding.own_connection() as connection:
        for now in (NOW, datetime.now(UTC)):
            ChosenStore(timedelta(days=10)).prepare(connection, now=now)


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=lambda: NOW)
    monkeypatch.setattr(chart_api, "timezone", clock)
    return clock


@pytest.fixture
def _closed_long_ago() -> None:
    """As if the worker had run all the time: three months of empty hours are not closed first."""
    wiring.database_connection().execute(
        "UPDATE tds_new_estadorollup SET closing_before = date_trunc('hour', now() - interval '12 days'),"
        " complete_before = date_trunc('hour', now() - interval '12 days')"
    )


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


@pytest.fixture
def client(tenant: Tenant) -> Client:
    client = Client()
    client.force_login(seeding.person("ana", tenant))
    return client


def get(client: Client, name: str, status: int = 200, **parameters: Any) -> Any:
    answer = client.get(f"{API}/{name}/", parameters)
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/json; charset=utf-8"

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(answer.content, parse_constant=refuse)


def labels_of(document: Any) -> list[str]:
    return [dataset["label"] for dataset in document["datasets"]]


def test_a_line_chart_has_a_point_an_hour_with_gaps(client: Client, gateway: Gateway, frozen: SimpleNamespace) -> None:
    of = seeding.series(gateway, "D01", "temperatura", "°C")
    seeding.store(of, (NOW - 70 * MINUTE, 20.0), (NOW - 65 * MINUTE, 22.0), (NOW - 3 * HOUR, 18.0))
    document = get(client, "timeline")
    assert document["labels"][0] == "2026-06-09T09:00:00-03:00"
    assert document["labels"][-1] == "2026-06-10T09:00:00-03:00"
    assert len(document["labels"]) == 25
    [dataset] = document["datasets"]
    assert (dataset["label"], dataset["unidade"]) == ("GW-1/D01 temperatura", "°C")
    assert dataset["data"][-5:] == [None, 18.0, None, 21.0, None]
    assert dataset["min"][-5:] == [None, 18.0, None, 20.0, None]
    assert dataset["max"][-5:] == [None, 18.0, None, 22.0, None]
    assert {len(dataset[key]) for key in ("data", "min", "max")} == {25}
    assert document["unidade"] == "°C"
    assert document["fuso"] == "America/Sao_Paulo"
    assert datetime.fromisoformat(document["gerado_em"]) == NOW
    assert document["inicio"] == document["labels"][0]


def test_a_bar_is_a_day_of_the_tenant(client: Client, gateway: Gateway, frozen: SimpleNamespace) -> None:
    of = seeding.series(gateway, "D01", "temperatura")
    seeding.store(of, (NOW.replace(hour=2), 10.0), (NOW.replace(hour=3), 20.0))
    document = get(client, "barras", periodo="7d")
    assert document["labels"] == [f"2026-06-{day:02}" for day in range(3, 11)]
    assert document["datasets"][0]["data"][-2:] == [10.0, 20.0]
    assert document["inicio"] == "2026-06-03"


@pytest.mark.parametrize(("period", "hours"), [("24h", 25), ("7d", 7 * 24 + 1), ("30d", 30 * 24 + 1)])
def test_a_period_is_as_long_as_it_says(
    client: Client, gateway: Gateway, frozen: SimpleNamespace, period: str, hours: int
) -> None:
    assert len(get(client, "timeline", periodo=period)["labels"]) == hours


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("value", ["", "1h", "24H", " 24h", "24h\x00", LONG, "30d,7d"])
def test_another_period_is_refused_in_a_sentence(client: Client, name: str, value: str) -> None:
    document = get(client, name, 400, periodo=value)
    assert sorted(document) == ["detalhe", "erro"]
    assert "24h, 7d, 30d" in document["detalhe"]
    assert document["detalhe"].endswith(".")


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("value", ["", "1", "1.2.3.4", "1.1.1\x00", "1.999999999999999.1", LONG, "1.٣.1"])
def test_a_cursor_that_is_not_ours_is_refused_in_a_sentence(client: Client, name: str, value: str) -> None:
    document = get(client, name, 400, desde=value)
    assert document["erro"] == "cursor_invalido"
    assert document["detalhe"].endswith(".")


@pytest.mark.parametrize("value", ["1.0.0", "1.1.999999999999", "1.99999999999999.99999999999999", "1.5.5"])
def test_a_cursor_of_any_age_gives_a_tail_at_most_as_long_as_the_chart(
    client: Client, gateway: Gateway, frozen: SimpleNamespace, value: str
) -> None:
    for name in CHARTS:
        whole, tail = get(client, name), get(client, name, desde=value)
        assert tail["labels"] == whole["labels"][-len(tail["labels"]) :]
        assert tail["labels"]


@pytest.mark.parametrize("name", ALL)
def test_another_tenants_gateway_and_device_are_as_unknown_as_none_at_all(
    client: Client, gateway: Gateway, name: str
) -> None:
    theirs = seeding.gateway(seeding.tenant("outra"), "GW-OUTRO")
    seeding.series(theirs, "DEV-OUTRO", "temperatura")
    seeding.series(gateway, "D01", "temperatura")
    for parameter, known, unknown in [
        ("gateway", "GW-OUTRO", ["GW-NENHUM", "GW-OUTRO\x00", "\x00", LONG, "gw-1", "GW-1 "]),
        ("dispositivo", "DEV-OUTRO", ["DEV-NENHUM", "D01\x00", LONG, "d01"]),
    ]:
        answer = client.get(f"{API}/{name}/", {parameter: known})
        assert answer.status_code == 404
        assert answer.json()["detalhe"].endswith(".")
        for value in unknown:
            other = client.get(f"{API}/{name}/", {parameter: value})
            assert (other.status_code, other.content) == (answer.status_code, answer.content)
            assert {k: v for k, v in other.items() if k != "Content-Length"} == {
                k: v for k, v in answer.items() if k != "Content-Length"
            }
    get(client, name, 404, gateway="GW-1", dispositivo="DEV-OUTRO")
    get(client, name, 404, dispositivo=["D01", "DEV-OUTRO"])


@pytest.mark.parametrize("name", ALL)
def test_a_device_is_unknown_in_a_gateway_that_does_not_have_it(client: Client, gateway: Gateway, name: str) -> None:
    seeding.series(gateway, "D01", "t")
    seeding.series(seeding.gateway(gateway.tenant, "GW-2"), "D02", "t")
    get(client, name, 404, gateway="GW-2", dispositivo="D01")
    get(client, name, 200, gateway="GW-2", dispositivo="D02")


def test_devices_and_gateway_narrow_the_chart(client: Client, gateway: Gateway) -> None:
    other = seeding.gateway(gateway.tenant, "GW-2")
    for of_gateway, device in ((gateway, "D01"), (gateway, "D02"), (gateway, "D03"), (other, "D01")):
        seeding.series(of_gateway, device, "t")
    assert labels_of(get(client, "timeline")) == ["GW-1/D01 t", "GW-1/D02 t", "GW-1/D03 t", "GW-2/D01 t"]
    assert labels_of(get(client, "timeline", gateway="GW-1")) == ["GW-1/D01 t", "GW-1/D02 t", "GW-1/D03 t"]
    assert labels_of(get(client, "timeline", dispositivo=["D01", "D03", "D01"])) == [
        "GW-1/D01 t",
        "GW-1/D03 t",
        "GW-2/D01 t",
    ]
    assert labels_of(get(client, "timeline", dispositivo="D01", gateway="GW-2")) == ["GW-2/D01 t"]
    # An emptied field of a form is no choice.
    assert len(labels_of(get(client, "timeline", dispositivo="", gateway="", tipo=""))) == 4


def test_a_chart_holds_twenty_devices_and_says_so_when_more_are_asked_for(client: Client, gateway: Gateway) -> None:
    codes = [f"D{n:02}" for n in range(22)]
    for code in codes:
        seeding.series(gateway, code, "t")
    assert len(labels_of(get(client, "timeline"))) == 20
    assert len(labels_of(get(client, "timeline", dispositivo=codes[:20]))) == 20
    document = get(client, "timeline", 400, dispositivo=codes[:21])
    assert "20" in document["detalhe"]
    assert len(get(client, "cartoes")["cartoes"]) == 20


def test_the_tipo_that_most_devices_send_is_shown_unless_one_is_named(client: Client, gateway: Gateway) -> None:
    seeding.series(gateway, "D01", "umidade")
    seeding.series(gateway, "D01", "temperatura")
    seeding.series(gateway, "D02", "temperatura")
    another = seeding.gateway(seeding.tenant("outra"), "GW-OUTRO")
    for n in range(5):
        seeding.series(another, f"D{n}", "pressao")
    assert labels_of(get(client, "timeline")) == ["GW-1/D01 temperatura", "GW-1/D02 temperatura"]
    assert labels_of(get(client, "timeline", tipo="umidade")) == ["GW-1/D01 umidade"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("tipo", ["nunca", "pressao", "Temperatura", "t\x00", LONG, "🌡", "%00", "' OR 1=1 --"])
def test_a_tipo_that_nobody_sent_is_an_empty_answer(client: Client, gateway: Gateway, name: str, tipo: str) -> None:
    seeding.series(gateway, "D01", "temperatura")
    seeding.series(seeding.gateway(seeding.tenant("outra"), "GW-OUTRO"), "D01", "pressao")
    document = get(client, name, tipo=tipo)
    if name == "cartoes":
        assert [card["leituras"] for card in document["cartoes"]] == [[]]
    else:
        assert document["datasets"] == []
        assert document["labels"]
        assert document["unidade"] is None


def test_a_tipo_in_two_units_is_two_datasets_and_the_chart_has_no_unit(client: Client, gateway: Gateway) -> None:
    celsius = seeding.series(gateway, "D01", "temperatura", "°C")
    kelvin = seeding.series(gateway, "D01", "temperatura", "K")
    now = datetime.now(UTC)
    seeding.store(celsius, (now, 20.0))
    seeding.store(kelvin, (now, 293.0))
    document = get(client, "timeline")
    assert [(d["label"], d["unidade"], d["data"][-1]) for d in document["datasets"]] == [
        ("GW-1/D01 temperatura", "K", 293.0),
        ("GW-1/D01 temperatura", "°C", 20.0),
    ]
    assert document["unidade"] is None


@pytest.mark.parametrize("name", CHARTS)
def test_a_counters_first_hour_is_null_and_the_next_is_the_difference(
    client: Client, gateway: Gateway, frozen: SimpleNamespace, name: str
) -> None:
    of = seeding.series(gateway, "D01", "energia", "kWh", kind=MetricKind.COUNTER)
    seeding.store(of, (NOW - 2 * HOUR, 100.0), (NOW - 2 * HOUR + MINUTE, 101.0), (NOW - HOUR, 104.5))
    document = get(client, name, tipo="energia")
    [dataset] = document["datasets"]
    assert dataset["agregacao"] == "counter"
    if name == "timeline":
        assert dataset["data"][-3:] == [None, 3.5, None]
        assert dataset["min"][-3:] == [100.0, 104.5, None]
    else:
        assert dataset["data"][-1] == 3.5


def test_a_card_says_the_newest_value_and_how_it_was_a_day_ago(
    client: Client, gateway: Gateway, frozen: SimpleNamespace
) -> None:
    warm = seeding.series(gateway, "D01", "temperatura", "°C")
    energy = seeding.series(gateway, "D01", "energia", "kWh", kind=MetricKind.COUNTER)
    seeding.series(gateway, "D02", "temperatura", "°C")
    seeding.store(warm, (NOW - 5 * MINUTE, 21.0), (NOW - 24 * HOUR - 6 * MINUTE, 19.0))
    seeding.store(energy, *((NOW - n * HOUR, 1_000.0 - 2 * n) for n in range(60)))
    document = get(client, "cartoes")
    first, second = document["cartoes"]
    assert (first["gateway"], first["dispositivo"], second["leituras"]) == ("GW-1", "D01", [])
    assert second["visto_em"] is None
    assert datetime.fromisoformat(first["visto_em"]) == NOW
    by_tipo = {reading["tipo"]: reading for reading in first["leituras"]}
    assert (by_tipo["temperatura"]["valor"], by_tipo["temperatura"]["ontem"]) == (21.0, 19.0)
    assert by_tipo["energia"]["valor"] == 1_000.0
    assert (by_tipo["energia"]["dia"], by_tipo["energia"]["dia_anterior"]) == (48.0, 48.0)


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Kolkata"])
@pytest.mark.parametrize("every_hours", [2, 6, 24])
def test_a_counter_that_reports_seldom_gained_as_much_a_day_on_its_card(
    frozen: SimpleNamespace, every_hours: int, zone: str
) -> None:
    tenant = seeding.tenant("acme", time_zone=zone)
    energy = seeding.series(seeding.gateway(tenant, "GW-1"), "D01", "energia", "kWh", kind=MetricKind.COUNTER)
    ago = range(0, 7 * 24, every_hours)
    seeding.store(energy, *((NOW - 90 * MINUTE - n * HOUR, 5_000.0 - 10 * n) for n in ago))
    client = Client()
    client.force_login(seeding.person("ana", tenant))
    [[reading]] = [card["leituras"] for card in get(client, "cartoes")["cartoes"]]
    assert (reading["dia"], reading["dia_anterior"]) == (240.0, 240.0)


def test_an_hour_is_looked_at_once_however_many_counters_the_cards_have(
    monkeypatch: pytest.MonkeyPatch, client: Client, gateway: Gateway, frozen: SimpleNamespace
) -> None:
    for n in range(20):
        of = seeding.series(gateway, f"D{n % 5}", f"energia {n}", "kWh", kind=MetricKind.COUNTER)
        seeding.store(of, *((NOW - n * HOUR, 1_000.0 - n) for n in range(4 * 24)))
    looks: Counter[datetime] = Counter()

    class Watched(HourOfReadings):
        def __getattribute__(self, name: str) -> Any:
            if name == "device_id":
                looks[self.hour] += 1
            return super().__getattribute__(name)

    monkeypatch.setattr(sqlstore, "HourOfReadings", Watched)
    cards = get(client, "cartoes")["cartoes"]
    assert {reading["dia_anterior"] for card in cards for reading in card["leituras"]} == {24.0}
    assert set(looks.values()) == {20}


def test_the_largest_numbers_are_still_json(client: Client, gateway: Gateway, frozen: SimpleNamespace) -> None:
    largest = 1.7976931348623157e308
    for tipo, kind in (("a", MetricKind.COUNTER), ("b", MetricKind.SUM), ("c", MetricKind.MEAN)):
        of = seeding.series(gateway, "D01", tipo, kind=kind)
        seeding.store(of, *((NOW - n * 30 * MINUTE, largest if n % 2 else -largest) for n in range(9)))
        for name in CHARTS:
            get(client, name, tipo=tipo)
        get(client, "cartoes")


@pytest.mark.parametrize("name", ALL)
def test_who_is_signed_out_gets_a_401_in_json(client: Client, name: str) -> None:
    client.logout()
    document = get(client, name, 401)
    assert sorted(document) == ["detalhe", "erro"]


@pytest.mark.parametrize("name", ALL)
def test_who_belongs_to_no_tenant_gets_an_empty_answer(gateway: Gateway, name: str) -> None:
    seeding.series(gateway, "D01", "t")
    client = Client()
    client.force_login(seeding.person("sozinha"))
    document = get(client, name)
    assert document.get("datasets", document.get("cartoes")) == []
    get(client, name, 404, gateway="GW-1")


def test_who_belongs_to_two_tenants_sees_the_one_they_picked(client: Client, gateway: Gateway) -> None:
    other = seeding.tenant("zeta", time_zone="Asia/Kolkata")
    seeding.series(gateway, "D01", "t")
    seeding.series(seeding.gateway(other, "GW-Z"), "D09", "t")
    client.force_login(seeding.person("bia", gateway.tenant, other))
    assert labels_of(get(client, "timeline")) == ["GW-1/D01 t"]
    assert client.post("/tds_new/telemetria/cliente/", {"tenant": "zeta"}).status_code == 302
    document = get(client, "timeline")
    assert labels_of(document) == ["GW-Z/D09 t"]
    assert document["fuso"] == "Asia/Kolkata"
    assert all(":30:00+05:30" in label or ":00:00+05:30" in label for label in document["labels"])
    get(client, "timeline", 404, gateway="GW-1")


def test_what_is_no_parameter_of_ours_is_no_matter(client: Client, gateway: Gateway) -> None:
    assert client.get(f"{API}/timeline/", {"inventado": "1", "a\x00": "b"}).status_code == 200


def test_the_answers_are_not_for_caches_to_share(client: Client, gateway: Gateway) -> None:
    for name in ALL:
        assert "Cookie" in client.get(f"{API}/{name}/")["Vary"]


def merged(seen: Any, tail: Any) -> Any:
    """What a page makes of a tail: its labels replace the old ones from its first on; those before `inicio` go."""
    kept = [n for n, label in enumerate(seen["labels"]) if tail["inicio"] <= label < tail["labels"][0]]
    datasets = []
    for dataset in tail["datasets"]:
        before = next((d for d in seen["datasets"] if d["label"] == dataset["label"]), None)
        blank = [None] * len(seen["labels"])
        datasets.append(
            dataset
            | {
                key: [(before[key] if before else blank)[n] for n in kept] + dataset[key]
                for key in ("data", "min", "max")
            }
        )
    return tail | {"labels": [seen["labels"][n] for n in kept] + tail["labels"], "datasets": datasets}


def stable(document: Any) -> Any:
    return {key: value for key, value in document.items() if key not in {"gerado_em", "cursor"}}


minutes_ago = st.integers(min_value=0, max_value=60 * 90)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.lists(st.tuples(st.integers(0, 2), minutes_ago), min_size=1, max_size=4)),
        st.tuples(st.just("roll up"), minutes_ago),
        st.tuples(st.just("poll"), st.none()),
    ),
    min_size=2,
    max_size=10,
)


@pytest.mark.parametrize("name", CHARTS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_a_page_that_polls_ends_with_the_chart_of_one_that_loads_anew(
    monkeypatch: pytest.MonkeyPatch, client: Client, gateway: Gateway, name: str, steps: list[tuple[str, Any]]
) -> None:
    monkeypatch.setattr(sqlstore, "CHANGE_OVERLAP", timedelta(0))  # kindness that would hide a mistake
    with transaction.atomic():
        several = [seeding.series(gateway, f"D{n}", "energia", "kWh", kind=MetricKind.COUNTER) for n in range(3)]
        store, connection = wiring.reading_store(), wiring.database_connection()
        long_ago = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 120 * HOUR
        connection.execute("UPDATE tds_new_estadorollup SET closing_before = %s, complete_before = %s", [long_ago] * 2)
        seen = get(client, name)
        for step, (what, given_value) in enumerate([*steps, ("poll", None)]):
            now = datetime.now(UTC)
            if what == "insert":
                for of, ago in given_value:
                    seeding.store(several[of], (now - ago * MINUTE, float(step * 100 + ago)))
            elif what == "roll up":
                store.roll_up(connection, now=now - given_value * MINUTE)
            else:
                seen = merged(seen, get(client, name, desde=seen["cursor"]))
        assert stable(seen) == stable(get(client, name))
        transaction.set_rollback(True)


def test_a_poll_asks_for_little_when_nothing_is_late(client: Client, gateway: Gateway) -> None:
    of: Series = seeding.series(gateway, "D01", "t")
    now = datetime.now(UTC)
    seeding.store(of, *((now - n * 30 * MINUTE, 1.0) for n in range(100)))
    wiring.reading_store().roll_up(wiring.database_connection(), now=now)
    cursor = get(client, "timeline", periodo="7d")["cursor"]
    # Those hours were aggregated a moment ago, which counts as a change for a minute.
    made_at, open_since = cursor.split(".")[1:]
    later = f"1.{int(made_at) + 120_000}.{open_since}"
    assert len(get(client, "timeline", periodo="7d", desde=later)["labels"]) <= 3
