"""A gateway that asks the real firmware server for its update, by the rules of a real rollout: nothing is pushed."""

import itertools
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.utils import timezone

from tds import wiring
from tds.fleet.models import Gateway, Site, Tenant
from tds.updates.models import Execution, Release, Rollout
from tds.updates.releases import desk as releases
from tds.updates.rollouts import desk, gateway_desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.windows import Window
from tests import executing, rolling_out, seeding
from tests.enrolling import Board, RunningServer, running_server
from tests.executing import Unit
from tests.releasing import Maker
from tests.rolling_out import QUICK

pytestmark = pytest.mark.django_db(transaction=True)

HOUR: Final = timedelta(hours=1)
_numbers = itertools.count(2)  # counters: above that of what gateways run


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("ota")) as running:
        yield running
        assert running.process.errors == ""
        assert not any("A fault of ours" in line for line in running.process.lines)


@pytest.fixture
def board(server: RunningServer, tmp_path: Path) -> Board:
    return Board(server, tmp_path / "board")


@pytest.fixture
def maker(server: RunningServer) -> Maker:
    return Maker(server.home / "updates", now=timezone.now())


@pytest.fixture
def release(maker: Maker) -> Release:
    return maker.released(counter=next(_numbers), program=os.urandom(20_000))


def started(of: Release, waves: str = "100 %", limits: Limits = QUICK) -> Rollout:
    """Its first wave is open; nobody is connected, so nobody was offered anything."""
    rollout = rolling_out.launched(of, waves=waves, limits=limits, now=timezone.now())
    conducted()
    assert not Execution.objects.filter(offered_at__isnull=False).exists()
    return rollout


def conducted() -> None:
    with seeding.own_connection() as own:
        wiring.conducting(timezone.now, lambda _s: None).conduct_all(own)


def asks(board: Board, gateway: Gateway) -> dict[str, Any] | None:
    """What it is told; None: nothing to do."""
    answer = board.curl(f"/ota/v1/assignment?gateway={gateway.code}")
    assert answer.status in (200, 204), answer
    return json.loads(answer.body) if answer.status == 200 else None


def ended(gateway: Gateway) -> None:
    Execution.objects.filter(gateway=gateway).update(status="SUCCEEDED", deadline_at=None, finished_at=timezone.now())


def test_an_update_goes_from_the_question_to_its_end_by_http_alone(
    board: Board, tenant: Tenant, maker: Maker, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    [gateway] = rolling_out.gateways(tenant, 1)
    board.code = gateway.code
    board.given(board.server.authorities.device(), gateway)
    rollout = started(release)
    answer = board.curl("/ota/v1/assignment", *board.presents)
    assert answer.status == 200
    command = json.loads(answer.body)
    execution = Execution.objects.get()
    assert (execution.status, execution.ticket, command["ticket"]) == ("QUEUED", command["ticket"], execution.ticket)
    assert execution.seq is not None
    assert execution.deadline_at is not None
    assert (command["execution_id"], command["manifest"]) == (execution.public_id, release.manifest)
    assert board.curl("/ota/v1/assignment", *board.presents).body == answer.body  # the same once more

    image = board.curl(_path(command["url"]), *board.presents)
    assert image.body == maker.artifacts.path(release.sha256).read_bytes()

    monkeypatch.setitem(executing.VERSIONS, release.sha256, (release.version, release.counter))
    unit = Unit(gateway.code, execution.public_id, boot=2)
    told = [unit.phase(phase) for phase in ("downloading", "verified", "installing", "rebooting")]
    unit.starts(release.sha256)
    for said in (*told, unit.says()):
        assert board.curl("/ota/v1/report", *board.presents, body=said).status == 204
    execution.refresh_from_db()
    assert execution.status == "SUCCEEDED"
    assert board.curl("/ota/v1/assignment", *board.presents).status == 204
    conducted()
    rollout.refresh_from_db()
    assert rollout.status == "completed"


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_nobody_more_is_told_than_may_be_at_it_at_once(board: Board, tenant: Tenant, release: Release) -> None:
    first, second = rolling_out.gateways(tenant, 2)
    started(release, limits=replace(QUICK, concurrency=1))
    assert asks(board, first)
    assert asks(board, second) is None
    assert asks(board, first)  # it may ask again
    ended(first)
    conducted()
    told = asks(board, second)
    assert told
    assert told["execution_id"] == Execution.objects.get(gateway=second).public_id


def test_of_many_that_ask_for_the_last_place_at_once_one_gets_it(
    server: RunningServer, tmp_path: Path, tenant: Tenant, release: Release
) -> None:
    made = rolling_out.gateways(tenant, 6)
    started(release, limits=replace(QUICK, concurrency=2))
    boards = [Board(server, tmp_path / gateway.code) for gateway in made]
    told: list[dict[str, Any] | None] = []
    threads = [
        threading.Thread(target=lambda pair: told.append(asks(*pair)), args=(pair,))
        for pair in zip(boards, made, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6
    assert sum(each is not None for each in told) == 2
    assert Execution.objects.filter(offered_at__isnull=False).count() == 2


def test_a_gateway_of_a_wave_that_is_not_open_is_told_nothing(board: Board, tenant: Tenant, release: Release) -> None:
    rolling_out.gateways(tenant, 3)
    started(release, waves="1, 100 %")
    now, *later = Execution.objects.order_by("wave", "place").select_related("gateway")
    assert [asks(board, each.gateway) for each in later] == [None, None]
    assert asks(board, now.gateway)


def test_outside_of_the_maintenance_window_of_its_site_a_gateway_is_told_nothing(
    board: Board, tenant: Tenant, release: Release
) -> None:
    """Two sites, of which one has the window now: the clock is the site's."""
    utc = timezone.now()
    here = Site.objects.create(tenant=tenant, name="Here", time_zone="UTC")
    there = Site.objects.create(tenant=tenant, name="There", time_zone="Asia/Tokyo")  # nine hours ahead
    [first] = rolling_out.gateways(tenant, 1, "HERE", site=here)
    [second] = rolling_out.gateways(tenant, 1, "THERE", site=there)
    window = Window((utc - HOUR).time(), (utc + HOUR).time())
    started(release, limits=replace(QUICK, window=window))
    assert asks(board, second) is None
    assert asks(board, first)


def test_two_gateways_of_one_site_are_never_at_it_at_once(board: Board, tenant: Tenant, release: Release) -> None:
    site, other = (Site.objects.create(tenant=tenant, name=name) for name in ("A", "B"))
    first, second = rolling_out.gateways(tenant, 2, "A", site=site)
    [elsewhere] = rolling_out.gateways(tenant, 1, "B", site=other)
    started(release)
    assert asks(board, first)
    assert asks(board, second) is None
    assert asks(board, elsewhere)
    ended(first)
    assert asks(board, second)


@pytest.mark.parametrize("deed", ["pause", "cancel", "cancel one", "withdraw"])
def test_who_asks_after_a_person_stopped_it_is_told_nothing(
    board: Board, tenant: Tenant, release: Release, deed: str
) -> None:
    offered, waits = rolling_out.gateways(tenant, 2)
    rollout, now = started(release), timezone.now()
    assert asks(board, offered)
    match deed:
        case "pause":
            desk.pause(COMMAND_LINE, rollout.pk, now=now)
        case "cancel":
            desk.cancel(COMMAND_LINE, rollout.pk, now=now)
        case "cancel one":
            for execution in Execution.objects.all():
                gateway_desk.cancel(COMMAND_LINE, execution.pk, now=now)
        case "withdraw":
            releases.withdraw(release, "It burns.", by="command line", now=now)
    assert [asks(board, each) for each in (offered, waits)] == [None, None]


def test_a_gateway_that_downloads_a_release_which_is_withdrawn_is_told_that_it_is_gone_and_its_end_is_kept(
    board: Board, tenant: Tenant, release: Release
) -> None:
    [gateway] = rolling_out.gateways(tenant, 1)
    rollout = started(release)
    command = asks(board, gateway)
    assert command
    unit = Unit(gateway.code, command["execution_id"], boot=2)
    assert board.curl(f"/ota/v1/report?gateway={gateway.code}", body=unit.phase("downloading")).status == 204
    releases.withdraw(release, "It burns.", by="command line", now=timezone.now())
    gone = board.curl(f"{_path(command['url'])}?gateway={gateway.code}", "--range", "100-")
    assert gone.status == 410
    conducted()
    rollout.refresh_from_db()
    assert (rollout.status, rollout.halted_why) == ("halted", "withdrawn")
    said = unit.says("FAILED", reason="withdrawn")
    assert board.curl(f"/ota/v1/report?gateway={gateway.code}", body=said).status == 204
    assert Execution.objects.values_list("status", "reason").get() == ("FAILED", "withdrawn")
