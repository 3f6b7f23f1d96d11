"""Files that come without a signature: whose release each family gets, and which gateways know no better."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tds.fleet.models import Gateway
from tds.ota_server import product_routes
from tds.updates import shown
from tds.updates.models import Release, RunningFirmware, UnsignedFetch
from tests import imaging, rolling_out, seeding
from tests.enrolling import Board, RunningServer, running_server
from tests.releasing import Maker

pytestmark = pytest.mark.django_db(transaction=True)

FILE = "/ota/dcu/firmware.bin"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("ota")) as running:
        yield running
        assert running.process.errors == ""
        assert not any("A fault of ours" in line for line in running.process.lines)


@pytest.fixture
def gateway() -> Gateway:
    """It has never reported."""
    return seeding.gateway(seeding.tenant("acme"), f"GW-{next(_numbers)}", family="dcu-0080")


@pytest.fixture
def board(server: RunningServer, gateway: Gateway, tmp_path: Path) -> Board:
    made = Board(server, tmp_path / gateway.code, gateway.code)
    made.given(server.authorities.device(), gateway)
    return made


@pytest.fixture
def maker(server: RunningServer) -> Maker:
    return Maker(server.home / "updates", now=timezone.now())


def release(maker: Maker, version: str = "1.1.0", counter: int = 1_001_000, family: str = "dcu-0080") -> Release:
    return maker.publish(maker.upload(imaging.packed(family.encode() * 100, family, version), counter=counter))


def takers(of: Release) -> list[str]:
    return [fetch.gateway.code for fetch in shown.unsigned(of)]


def test_each_family_gets_its_own_program_of_one_version(board: Board, maker: Maker) -> None:
    files = {
        family: maker.artifacts.path(release(maker, family=family).sha256).read_bytes()
        for family in ("dcu-8000-sim", "dcu-0080", "dcu-all")
    }
    assert len(set(files.values())) == 3
    for family, data in files.items():
        assert board.curl(f"{FILE}?family={family}").body == data
    assert board.curl(FILE).body == files["dcu-0080"]  # the product's first
    assert board.curl(f"{FILE}?family=dcu-all", *board.presents).body == files["dcu-0080"]  # its certificate says so


def test_a_gateway_that_takes_the_unsigned_file_and_never_reported_a_trust_set_is_listed(
    board: Board, gateway: Gateway, maker: Maker
) -> None:
    of = release(maker)
    board.curl(FILE, *board.presents, "--head")
    board.curl("/ota/relay/firmware.bin", *board.presents)  # there is none
    assert takers(of) == []
    board.curl(FILE, *board.presents, "--range", "0-99")
    assert takers(of) == [gateway.code]
    rolling_out.running(gateway, trust_version=0).save()
    assert takers(of) == [gateway.code]
    RunningFirmware.objects.update(trust_version=1)
    assert takers(of) == []


def test_who_did_not_say_who_asks_is_not_listed(board: Board, maker: Maker) -> None:
    of = release(maker)
    assert board.curl(FILE).status == 200
    assert not UnsignedFetch.objects.exists()
    assert board.curl(f"{FILE}?gateway={board.code}").status == 200
    assert takers(of) == [board.code]


def test_a_gateway_has_one_row_however_often_and_whatever_it_asks(board: Board, gateway: Gateway, maker: Maker) -> None:
    first = release(maker)
    board.curl(FILE, *board.presents)
    at = UnsignedFetch.objects.get().fetched_at
    board.curl(FILE, *board.presents)
    assert UnsignedFetch.objects.get().fetched_at == at  # a download in many parts is written down once
    early = at - product_routes.NOTED_EVERY - timedelta(seconds=1)
    UnsignedFetch.objects.update(fetched_at=early)
    board.curl(FILE, *board.presents)
    assert UnsignedFetch.objects.get().fetched_at > early
    second = release(maker, "1.2.0", 1_002_000)
    board.curl(FILE, *board.presents)
    assert (takers(first), takers(second)) == ([], [gateway.code])


def test_attack_a_question_with_a_character_that_the_database_can_not_keep(board: Board, maker: Maker) -> None:
    """It was answered as if the database were away."""
    release(maker)
    for question in ("gateway=%00", "gateway=GW%00", "gateway=GW%20%27", "family=%00", "family=dcu%00"):
        assert board.curl(f"{FILE}?{question}").status == 400
    for path in ("/ota/v1/assignment", "/ota/v1/trust"):
        assert board.curl(f"{path}?gateway=%00").status == 400
    assert board.curl("/ota/v1/report?gateway=%00", body=b"{}").status == 400
