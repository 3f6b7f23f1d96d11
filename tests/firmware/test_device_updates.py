"""Whole updates of the device's own program, under its launcher, against a broker and a firmware server."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boxes import Maker
from tests.firmware_server import FirmwareServer, Signers, firmware_server
from tests.running import RunningBroker, wait_until
from tests.update_boards import CODE, INTERVAL_S, TRIAL_S, Around, Board, Platform, board, platform_on, runs


@pytest.fixture
def platform(tls_broker: RunningBroker) -> Iterator[Platform]:
    with platform_on(tls_broker) as found:
        yield found


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def server(maker: Maker, signers: Signers) -> Iterator[FirmwareServer]:
    with firmware_server(signers, maker.server_files()) as found:
        yield found


@pytest.fixture
def around(maker: Maker, tls_broker: RunningBroker, platform: Platform, server: FirmwareServer) -> Around:
    return Around(maker, tls_broker, platform, server)


@pytest.fixture
def unit(guarded: Path, around: Around, tmp_path: Path) -> Iterator[Board]:
    with board(guarded, around, tmp_path) as found:
        around.platform.wait_for(runs("1.0.0"), "a report of 1.0.0")
        yield found


def test_an_update_is_fetched_in_pieces_installed_confirmed_and_told(unit: Board) -> None:
    first = unit.platform.reports[0]
    assert first["boot"] == 1
    assert first["execution"] is None
    image = unit.image("1.1.0")
    # Seven of eight connections drop.
    chance = random.Random(1)
    unit.server.cut_after = [chance.randrange(50_000, len(image) // 8) for _ in range(7)]
    unit.platform.command(unit.server.offer(CODE, "e-1", image, "1.1.0", 7))
    done = unit.platform.wait_for(runs("1.1.0"), "1.1.0 confirmed", 60)
    assert done["running"]["slot"] == 1
    assert done["running"]["counter"] == 7
    assert done["running"]["boot_reason"] == "update"
    assert done["execution"]["status"] == "SUCCEEDED"
    assert "rebooting" in unit.platform.phases("e-1")
    assert "confirming" in unit.platform.phases("e-1")
    more = unit.server.sent_bytes / len(image) - 1
    print(f"{len(unit.server.cut_after)} cuts left; {more:.2%} more bytes than the image has")
    assert not unit.server.cut_after
    assert more <= 0.05
    # The same once more, and an older one.
    unit.platform.command(unit.server.offer(CODE, "e-2", image, "1.1.0", 7))
    unit.platform.wait_for(lambda report: (report["execution"] or {}).get("reason") == "already_running", "a refusal")
    unit.platform.command(unit.server.offer(CODE, "e-3", unit.image("1.0.1"), "1.0.1", 6))
    unit.platform.wait_for(lambda report: (report["execution"] or {}).get("reason") == "downgrade_refused", "a refusal")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("crashes", "rolled_back"),
        ("hangs", "rolled_back"),  # the launcher's watchdog ends it
        ("cut-off", "not_confirmed"),
        ("fails-itself", "self_test_failed"),
    ],
)
def test_an_image_that_does_not_prove_itself_is_gone_back_from_and_that_is_told(
    unit: Board, program: str, reason: str
) -> None:
    image = unit.image("1.2.0", f"faulty/{program}")
    unit.platform.command(unit.server.offer(CODE, "e-1", image, "1.2.0", 8))
    told = unit.platform.wait_for(
        lambda report: (report["execution"] or {}).get("status") == "FAILED", "the truth", TRIAL_S + 40
    )
    assert told["execution"]["reason"] == reason
    assert (told["running"]["version"], told["running"]["confirmed"]) == ("1.0.0", True)
    assert told["running"]["boot_reason"] == "rollback"


def test_an_image_that_stops_measuring_behind_its_trial_is_seen_in_its_telemetry_and_a_good_one_takes_its_place(
    unit: Board,
) -> None:
    unit.platform.command(unit.server.offer(CODE, "e-1", unit.image("1.2.0", "faulty/stops"), "1.2.0", 8))
    unit.platform.wait_for(runs("1.2.0"), "1.2.0 confirmed", 60)
    unit.platform.wait_for(lambda report: (report["execution"] or {}).get("status") == "SUCCEEDED", "that it says so")
    time.sleep(3 * INTERVAL_S)
    heard = unit.platform.telemetry
    time.sleep(2 * INTERVAL_S)
    assert unit.platform.telemetry == heard
    unit.platform.command(unit.server.offer(CODE, "e-2", unit.image("1.3.0"), "1.3.0", 9))
    unit.platform.wait_for(runs("1.3.0"), "1.3.0 confirmed", 60)
    wait_until(lambda: unit.platform.telemetry > heard, "telemetry", 30)
