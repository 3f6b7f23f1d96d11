"""`./tds metric`: what it sets, what charts make of it at once, and a sentence for each way to get it wrong."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import translation
from typer import Typer
from typer.testing import CliRunner

from tds import wiring
from tds.fleet.metric_commands import metric_app
from tds.fleet.models import Gateway, Metric, MetricKind, Tenant
from tds.readings.store import Series
from tests import seeding

pytestmark = pytest.mark.django_db

APP: Final = Typer()
APP.add_typer(metric_app, name="metric")
API: Final = "/tds_new/telemetria/api"
HOUR: Final = timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def places(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), seeding.own_connection() as connection:
        wiring.reading_store().prepare(connection, now=datetime.now(UTC))


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


@pytest.fixture
def energy(gateway: Gateway) -> Series:
    return seeding.series(gateway, "D01", "energia", "kWh", kind=MetricKind.COUNTER)


def tds(*words: str) -> Any:
    with translation.override("en"):  # as tds.cli does for every command
        return CliRunner().invoke(APP, ["metric", *words], prog_name="tds")


def done(*words: str) -> Any:
    result = tds(*words, "--json")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return json.loads(result.stdout)


def refused(*words: str) -> str:
    before = list(Metric.objects.order_by("pk").values())
    result = tds(*words)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.count("\n") == 1
    assert list(Metric.objects.order_by("pk").values()) == before
    return str(result.stderr)


def test_a_metric_gets_a_register_another_kind_and_loses_the_register_with_it(energy: Series) -> None:
    of = ["--tenant", "acme", "--tipo", "energia", "--unidade", "kWh"]
    told = {"tenant": "acme", "tipo": "energia", "unidade": "kWh", "kind": "counter", "rollover_at": 100_000.0}
    assert done("set", *of, "--kind", "counter", "--rollover-at", "100000") == told
    assert done("list", "--tenant", "acme") == [told]
    assert done("set", *of, "--rollover-at", "42949672.96")["rollover_at"] == 42_949_672.96
    assert done("set", *of, "--no-rollover")["rollover_at"] is None
    done("set", *of, "--rollover-at", "5")
    assert done("set", *of, "--kind", "mean") == told | {"kind": "mean", "rollover_at": None}


def test_people_read_a_sentence_and_a_table(energy: Series) -> None:
    said = tds("set", "--tenant", "acme", "--tipo", "energia", "--rollover-at", "100000").stdout
    assert said == "energia kWh of acme is a counter, and begins again at 0 where it reaches 100000.\n"
    assert "100000" in tds("list").stdout
    assert tds("list", "--tenant", "acme").exit_code == 0


def test_the_list_of_no_metrics_says_where_they_come_from(tenant: Tenant) -> None:
    assert "first reading" in tds("list").stdout
    assert done("list") == []


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "-inf", "1e291", "1e400"])
def test_a_register_has_a_size(energy: Series, size: str) -> None:
    assert "above 0" in refused("set", "--tenant", "acme", "--tipo", "energia", "--rollover-at", size)
    with pytest.raises(IntegrityError), transaction.atomic():
        Metric.objects.update(rollover_at=float(size))


def test_only_a_counter_has_a_register(gateway: Gateway) -> None:
    seeding.series(gateway, "D01", "temperatura", "°C")
    of = ["--tenant", "acme", "--tipo", "temperatura"]
    assert "Only a counter" in refused("set", *of, "--rollover-at", "5")
    assert "Only a counter" in refused("set", *of, "--kind", "sum", "--rollover-at", "5")
    with pytest.raises(IntegrityError), transaction.atomic():
        Metric.objects.update(rollover_at=5.0)
    assert done("set", *of, "--kind", "counter", "--rollover-at", "5")["rollover_at"] == 5.0


def test_each_way_to_get_it_wrong_has_a_sentence(gateway: Gateway, energy: Series) -> None:
    seeding.series(gateway, "D01", "energia", "Wh", kind=MetricKind.COUNTER)
    of = ["--tenant", "acme", "--tipo", "energia"]
    assert "--rollover-at" in refused("set", *of)
    assert "contradict" in refused("set", *of, "--rollover-at", "5", "--no-rollover")
    assert "mean, sum, counter, last" in refused("set", *of, "--kind", "average")
    assert "'Wh', 'kWh'" in refused("set", *of, "--kind", "sum")
    assert "'Wh', 'kWh'" in refused("set", *of, "--unidade", "J", "--kind", "sum")
    assert "first reading" in refused("set", "--tenant", "acme", "--tipo", "agua", "--kind", "sum")
    assert "no tenant" in refused("set", "--tenant", "outra", "--tipo", "energia", "--kind", "sum")
    assert "no tenant" in refused("list", "--tenant", "outra")


def test_another_tenants_metric_of_that_name_is_left_alone(energy: Series) -> None:
    seeding.series(seeding.gateway(seeding.tenant("outra"), "GW-2"), "D01", "energia", "kWh", kind=MetricKind.COUNTER)
    done("set", "--tenant", "acme", "--tipo", "energia", "--rollover-at", "100000")
    assert [row["rollover_at"] for row in done("list")] == [100_000.0, None]


@pytest.mark.parametrize("aggregated", [False, True])
def test_charts_and_cards_follow_a_new_setting_at_once_and_without_a_rebuild(
    tenant: Tenant, energy: Series, aggregated: bool
) -> None:
    client = Client()
    client.force_login(seeding.person("ana", tenant))
    now = datetime.now(UTC)
    begin = now.replace(minute=0, second=0, microsecond=0) - 6 * HOUR
    minute = timedelta(minutes=1)
    seeding.store(
        energy,
        (begin, 99_950.0),
        (begin + HOUR, 99_980.0),  # falls within the hour
        (begin + HOUR + minute, 10.0),
        (begin + 2 * HOUR, 99_990.0),
        (begin + 3 * HOUR, 15.0),  # falls between two hours
    )
    if aggregated:
        wiring.reading_store().roll_up(wiring.database_connection(), now=now)

    def shown() -> tuple[list[float], float, float | None]:
        line = client.get(f"{API}/timeline/").json()["datasets"][0]["data"]
        days = client.get(f"{API}/barras/").json()["datasets"][0]["data"]
        [card] = client.get(f"{API}/cartoes/").json()["cartoes"]
        by_day = sum(value for value in days if value is not None)
        return [value for value in line if value is not None], by_day, card["leituras"][0]["dia"]

    assert shown() == ([40.0, 99_980.0, 15.0], 100_035.0, 100_035.0)
    seen = client.get(f"{API}/timeline/").json()
    done("set", "--tenant", "acme", "--tipo", "energia", "--rollover-at", "100000")
    assert shown() == ([60.0, 99_980.0, 25.0], 100_065.0, 100_065.0)
    # A page that polls gets its past anew.
    tail = client.get(f"{API}/timeline/", {"desde": seen["cursor"]}).json()
    assert tail["labels"] == client.get(f"{API}/timeline/").json()["labels"]
    done("set", "--tenant", "acme", "--tipo", "energia", "--no-rollover")
    assert shown()[0] == [40.0, 99_980.0, 15.0]
    done("set", "--tenant", "acme", "--tipo", "energia", "--kind", "last")
    assert shown()[0] == [99_950.0, 10.0, 99_990.0, 15.0]
