"""A statement that takes too long for a page: it is stopped, and the reader is told what to do."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection as django_connection
from django.test import Client
from django.utils import timezone

from tds import wiring
from tds.environment import ROOT
from tds.fleet import tokens
from tds.fleet.models import Gateway, Role
from tds.readings.models import Reading
from tds.settings import WEB_STATEMENT_TIMEOUT_S
from tests import seeding
from tests.consuming import environment

pytestmark = pytest.mark.django_db(transaction=True)

SITE = "/tds_new/telemetria"
SHOW = """
from django.db import connection
cursor = connection.cursor()
cursor.execute("SHOW statement_timeout")
print(cursor.fetchone()[0])
"""


@pytest.fixture
def gateway() -> Gateway:
    gateway = seeding.gateway(seeding.tenant("acme"), "GW-1")
    seeding.series(gateway, "D01", "energia", "kWh")
    return gateway


@contextmanager
def held(*tables: str) -> Iterator[None]:
    """Somebody holds these, and the web waits 0.2 s for nobody."""
    with seeding.own_connection() as own, own.transaction():
        own.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        wiring.database_connection().execute("SET statement_timeout = '200ms'")
        try:
            yield
        finally:
            wiring.database_connection().execute("RESET statement_timeout")


def reader(gateway: Gateway, language: str = "en") -> Client:
    client = Client(raise_request_exception=False, headers={"accept-language": language})
    client.force_login(seeding.person(f"ana-{language}", gateway.tenant, role=Role.ADMIN))
    return client


@pytest.mark.parametrize("chart", ["timeline", "barras", "cartoes"])
def test_a_chart_that_takes_too_long_says_to_choose_a_shorter_period(gateway: Gateway, chart: str) -> None:
    clients = [(reader(gateway), "Choose a shorter period"), (reader(gateway, "pt-br"), "Escolha um período menor")]
    for client, advice in clients:
        with held("tds_new_leituradispositivo"):
            answer = client.get(f"{SITE}/api/{chart}/")
        assert (answer.status_code, answer["Retry-After"]) == (503, "60")
        assert answer.json()["erro"] == "resposta_demorada"
        assert advice in answer.json()["detalhe"]
        # The connection is as good as before.
        assert client.get(f"{SITE}/api/{chart}/").status_code == 200
    django_connection.close()


def test_a_page_that_takes_too_long_says_so_with_a_503(gateway: Gateway) -> None:
    client = reader(gateway)
    with held("tds_new_quarantinecount", "tds_new_quarantinedmessage"):
        answer = client.get(f"{SITE}/quarentena/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "took too long and was stopped; nothing was done" in answer.content.decode()
    django_connection.close()


def test_a_post_that_takes_too_long_is_not_stored_and_comes_again(gateway: Gateway) -> None:
    _, secret = tokens.create(gateway.tenant)
    now = timezone.now()
    with seeding.own_connection() as own:
        wiring.reading_store().prepare(own, now=now)

    def post() -> int:
        return client.post(
            f"{SITE}/api/leituras/",
            seeding.as_bytes(seeding.message("GW-1", now)),
            content_type="application/json",
            headers={"authorization": f"Bearer {secret}"},
        ).status_code

    client = Client(raise_request_exception=False)
    with held("tds_new_leituradispositivo"):
        assert post() == 503
    assert not Reading.objects.exists()
    assert post() == 200
    assert Reading.objects.count() == 1
    django_connection.close()
    with seeding.own_connection() as own:
        seeding.without_readings(own)


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["-c", f"import tds.wsgi{SHOW}"], f"{WEB_STATEMENT_TIMEOUT_S}s"),
        ([str(ROOT / "manage.py"), "shell", "--no-imports", "-c", SHOW], "0"),
        (["-c", f"from tds.cli import load_django\nload_django(){SHOW}"], "0"),
    ],
    ids=["the web", "manage.py", "tds"],
)
def test_only_the_webs_statements_have_a_limit(tmp_path: Path, words: list[str], limit: str) -> None:
    told = subprocess.run(
        [sys.executable, *words],
        env=environment(tmp_path, PYTHONPATH=str(ROOT / "src")),
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == limit
