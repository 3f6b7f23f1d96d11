"""The platform's status as a page: for its operator alone, at once, and one look for all who ask."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tds import status
from tds.dashboard import platform_status
from tds.environment import ROOT
from tds.fleet.models import Role, User
from tds.heartbeat import Heartbeat
from tds.ingest.segment import Kept
from tds.ingest.spool import Spool
from tds.settings import ENV
from tds.status import Look, Part, State
from tests import seeding
from tests.running import free_port, wait_until
from tests.timescaledb import timescaledb

pytestmark = pytest.mark.django_db

PAGE: Final = "/tds_new/telemetria/situacao/"
JSON: Final = "/tds_new/telemetria/api/situacao/"
LINK: Final = f'href="{PAGE}"'


@pytest.fixture(autouse=True)
def _nobody_has_looked() -> None:
    cache.clear()


@pytest.fixture
def operator() -> Client:
    return signed_in(User.objects.create_superuser("operador", password="correct horse"))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Looks that were begun; each goes on when the test calls it."""
    begun: list[Callable[[], None]] = []
    monkeypatch.setattr(platform_status, "_begin", begun.append)
    return begun


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """Looks that cost nothing: how many there were."""
    taken: list[Look] = []

    def look(_environment: object) -> Look:
        parts = [Part("database", State.HEALTHY, "Well."), Part("disk", State.WARNING, "Filling.", "Make room.")]
        taken.append(Look(parts, [], "native", timezone.now()))
        return taken[-1]

    monkeypatch.setattr(platform_status, "look", look)
    return taken


@pytest.fixture
def real(begun: list[Callable[[], None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of this platform, whose broker is away and whose spools are in a folder of the test."""
    environment = replace(
        ENV,
        mqtt_urls=(f"mqtt://127.0.0.1:{free_port()}", f"mqtt://127.0.0.1:{free_port()}"),
        home=ROOT,
        redis_url="",
        spool_folder=tmp_path,
        spool_bytes=2_000_000,
    )
    monkeypatch.setattr(platform_status, "ENV", environment)
    return environment


@pytest.fixture
def spool(real: Any) -> Iterator[Spool]:
    """The first consumer's, with a minute-old megabyte in it."""
    made = Spool(real.spool_folder / "consumer", limit_bytes=real.spool_bytes)
    made.append(timezone.now() - timedelta(minutes=1), [Kept("t", bytes(1_000_000), retained=False)])
    yield made
    made.close()


def signed_in(user: User, language: str = "en") -> Client:
    client = Client(headers={"Accept-Language": language})
    client.force_login(user)
    return client


def looked(client: Client, begun: list[Callable[[], None]]) -> Any:
    """The answer to whoever asks after a look."""
    client.get(JSON)
    begun.pop()()
    return client.get(JSON).json()


# Who may


def test_a_stranger_is_sent_to_the_sign_in(begun: list[Callable[[], None]]) -> None:
    assert Client().get(PAGE)["Location"] == f"/accounts/login/?next={PAGE}"
    assert Client().get(JSON).status_code == 401
    assert not begun


def test_whoever_is_no_platform_operator_sees_nothing_of_it(begun: list[Callable[[], None]]) -> None:
    clerk = seeding.person("ana", seeding.tenant("acme"), role=Role.ADMIN, is_staff=True)
    client = signed_in(clerk)
    assert client.get(PAGE).status_code == 403
    answer = client.get(JSON)
    assert (answer.status_code, answer.json()["erro"]) == (403, "proibido")
    assert not begun
    assert LINK not in client.get("/tds_new/telemetria/").content.decode()


# The page


@pytest.mark.parametrize(
    ("language", "title", "waiting"),
    [("en", "Platform status", "Looking…"), ("pt-br", "Situação da plataforma", "Verificando…")],
)
def test_the_page_comes_without_a_look(
    operator: Client, begun: list[Callable[[], None]], language: str, title: str, waiting: str
) -> None:
    page = operator.get(PAGE, headers={"accept-language": language}).content.decode()
    assert f"<h1>{title}</h1>" in page
    assert f'<span id="status-updated">{waiting}</span>' in page
    assert f'{LINK} aria-current="page"' in page
    assert "<noscript>" in page
    assert not begun


def test_everything_that_the_script_needs_is_in_the_page(operator: Client) -> None:
    page = operator.get(PAGE).content.decode()
    script = (ROOT / "src/tds/dashboard/static/js/platform_status.js").read_text(encoding="utf-8")
    for wanted in re.findall(r'\$\("([\w-]+)"\)', script):
        assert f'id="{wanted}"' in page, wanted
    for wanted in [*re.findall(r'text\("(\w+)"', script), *State]:
        assert wanted in platform_status._texts(), wanted


# One look for all


def test_the_first_question_begins_a_look_and_does_not_wait_for_it(
    operator: Client, begun: list[Callable[[], None]], looks: list[Look]
) -> None:
    first = operator.get(JSON).json()
    assert (first["verificando"], first["verificado_em"], first["partes"]) == (True, None, [])
    assert looks == []
    begun.pop()()
    then = operator.get(JSON).json()
    assert (then["verificando"], then["saudavel"], then["armazenamento"]) == (False, True, "native")
    assert then["partes"][1] == {
        "nome": "disk",
        "estado": "warning",
        "detalhe": "Filling.",
        "o_que_fazer": "Make room.",
    }


def test_while_a_look_is_under_way_nobody_begins_another(operator: Client, begun: list[Callable[[], None]]) -> None:
    others = [signed_in(User.objects.create_superuser(name, password="correct horse")) for name in ("o2", "o3", "o4")]
    for client in (operator, *others, operator):
        assert client.get(JSON).json()["verificando"] is True
    assert len(begun) == 1


def test_a_look_is_everybodys_until_it_is_old(
    operator: Client, begun: list[Callable[[], None]], looks: list[Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = looked(operator, begun)
    for _ in range(5):
        assert operator.get(JSON).json() == first
    assert (len(looks), begun) == (1, [])
    monkeypatch.setattr(platform_status, "LOOK_SHARED", timedelta(0))
    # What is known is shown while the next look is under way.
    assert operator.get(JSON).json() == first | {"verificando": True}
    assert len(begun) == 1


def test_a_look_whose_process_died_is_begun_anew(
    operator: Client, begun: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_status, "LOOK_LIMIT_S", 0)
    operator.get(JSON)
    operator.get(JSON)
    assert len(begun) == 2


def test_a_look_that_fails_says_so_and_is_not_begun_again_at_once(
    operator: Client, begun: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_environment: object) -> Look:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(platform_status, "look", fails)
    answer = looked(operator, begun)
    assert (answer["saudavel"], answer["verificando"]) == (False, False)
    assert answer["partes"][0]["detalhe"] == "The look itself failed: no such thing"
    assert begun == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("looks")
def test_the_look_goes_on_beside_the_request(operator: Client) -> None:
    assert operator.get(JSON).json()["verificando"] is True
    wait_until(lambda: operator.get(JSON).json()["saudavel"] is True, "the look")


# What it says


def test_it_says_what_the_command_says_of_every_part(
    operator: Client, begun: list[Callable[[], None]], real: Any
) -> None:
    answer = looked(operator, begun)
    names = [part["nome"] for part in answer["partes"]]
    assert names == [
        *("database", "redis", "disk", "spool", "quarantine", "certificates", "web", "consumer", "consumer-2"),
        *("worker", "gateways", "broker", "broker-2", "firmware server", "updates"),
    ]
    assert answer["saudavel"] is False
    shown = {part["nome"]: part for part in answer["partes"]}
    assert "the broker can't be reached" in shown["broker-2"]["detalhe"]
    assert shown["consumer"]["o_que_fazer"].startswith("Look into log/consumer.log")
    assert shown["firmware server"]["estado"] == "unhealthy"  # none runs here


def test_the_spools_are_figures_of_their_own(
    operator: Client, begun: list[Callable[[], None]], real: Any, spool: Spool
) -> None:
    [first, second] = looked(operator, begun)["spools"]
    assert (first["consumidor"], first["limite_bytes"]) == ("consumer", 2_000_000)
    assert first["bytes"] == pytest.approx(1_000_000, rel=0.01)
    assert first["idade_s"] == pytest.approx(60, abs=10)
    assert second == {"consumidor": "consumer-2", "bytes": 0, "limite_bytes": 2_000_000, "idade_s": None}


def test_a_consumer_on_another_machine_says_itself_what_it_keeps(
    operator: Client, begun: list[Callable[[], None]], real: Any, spool: Spool
) -> None:
    now = timezone.now()
    facts = {
        "connected": True,
        "spool_bytes": 700_000,
        "spool_limit_bytes": 1_000_000,
        "spool_oldest_at": (now - timedelta(minutes=5)).isoformat(),
    }
    for process in ("consumer", "consumer-2"):  # of the first one the folder is here, and truer
        Heartbeat.objects.create(process=process, pid=1, started_at=now, beat_at=now, facts=facts)
    answer = looked(operator, begun)
    [first, second] = answer["spools"]
    assert first["bytes"] == pytest.approx(1_000_000, rel=0.01)
    assert (second["bytes"], second["limite_bytes"]) == (700_000, 1_000_000)
    assert second["idade_s"] == pytest.approx(300, abs=10)
    [told] = [part["detalhe"] for part in answer["partes"] if part["nome"] == "spool"]
    assert re.match(r"consumer: 1\.0 of 2 MB, 6\d s old, consumer-2: 0\.7 of 1 MB, 30\d s old; ", told)


def test_without_spools_there_are_no_figures_of_them(
    operator: Client, begun: list[Callable[[], None]], real: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_status, "ENV", replace(real, spool_bytes=0))
    assert looked(operator, begun)["spools"] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("store", ["native", "timescaledb"])
def test_the_command_and_the_page_say_which_store_is_in_use(real: Any, store: str) -> None:
    def told() -> None:
        seen = status.look(real)
        assert seen.parts[0].detail.endswith(f" MB, {store} store.")
        assert seen.store == store
        assert platform_status._document(seen)["armazenamento"] == store
        assert store in platform_status._texts()

    if store == "native":
        told()
    else:
        with timescaledb():
            told()
