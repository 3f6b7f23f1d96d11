"""A hundred devices at once, put through what happens to a fleet: nothing of it is missing, nothing is there twice.

Judged by journals that the devices keep of what they measured (tests/journals.py).
"""

import json
import time
from typing import Final

import pytest

from device_fleet.faults import OF_NETWORK, Fault
from tests.devices import FAMILIES
from tests.fielded import INTERVAL_S, TENANT, Field, fleet, make_field
from tests.running import wait_until
from tests.started import Started

HUNDRED: Final = 100
MAX_PSS_KIB: Final = 12 * 1024
FAULTS: Final = ("network=15%", "kill=8%", "clock=8%")
FAULTS_FOR_S: Final = 20
FAULTS_FOR_LONG_S: Final = 240
BACK_S: Final = 90.0  # the longest pause after many failures in a row, and a connection


@pytest.fixture(scope="module")
def on(platform: Started, tmp_path_factory: pytest.TempPathFactory) -> Field:
    return make_field(platform, tmp_path_factory.mktemp("fleet"), {"HUNDRED-1": FAMILIES[0]})


def put_through(on: Field, prefix: str, faults_for_s: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred devices of all families, with random faults each ten seconds, and the broker killed in the middle."""
    words = ["--tenant", TENANT, "--prefix", prefix, "--family", "all", "--count", str(HUNDRED // len(FAMILIES))]
    words += ["--interval", str(INTERVAL_S), "--journal", "--faults-for", f"{faults_for_s}s"]
    words += [word for fault in FAULTS for word in ("--fault", fault)]
    with fleet(on.platform, *words) as running:
        wait_until(lambda: running.counted("acknowledged") == HUNDRED, "a reading of each", BACK_S)
        time.sleep(faults_for_s / 2)
        on.kill_broker()
        wait_until(lambda: not running.said["faults_go_on"], "the end of the faults", faults_for_s + 30)
        wait_until(running.is_online, "all of them, again", BACK_S)
        state = on.platform.home / "fleet"
        codes = [device["code"] for device in running.said["devices"]]
        journals = on.assert_whole(codes, state=state)
        totals, struck = dict(running.totals), running.said["faults"]
        assert running.stop() == 0, running.errors
    measured = sum(map(len, journals.moments.values()))
    with capsys.disabled():
        print(
            f"\n{HUNDRED} devices: {measured:,} samples, all there, none twice; faults: {struck}; "
            f"PSS {totals['pss_kib'] / 1024:.0f} MiB in all, {totals['pss_max_kib'] / 1024:.1f} the largest"
        )
    assert totals["devices"] == HUNDRED
    assert (totals["dropped"], totals["ends"]) == (0, 0)
    assert totals["pss_max_kib"] <= MAX_PSS_KIB
    assert set(struck) == {*OF_NETWORK, Fault.KILL, Fault.CLOCK}


def test_a_hundred_devices_with_random_faults_lose_nothing_and_double_nothing(
    on: Field, capsys: pytest.CaptureFixture[str]
) -> None:
    put_through(on, "C", FAULTS_FOR_S, capsys)


@pytest.mark.soak
def test_a_hundred_devices_with_minutes_of_faults_lose_nothing_and_double_nothing(
    on: Field, capsys: pytest.CaptureFixture[str]
) -> None:
    put_through(on, "L", FAULTS_FOR_LONG_S, capsys)


def sessions(platform: Started, prefix: str) -> dict[str, str]:
    listed = json.loads(platform.tds("gateway", "list", "--json").stdout)
    return {each["code"]: each["session"] for each in listed if each["code"].startswith(prefix)}


def test_a_larger_count_adds_units_and_keeps_those_that_are_there_and_ctrl_c_ends_all_in_good_order(on: Field) -> None:
    first, second = "U-relay-mfr-0001", "U-relay-mfr-0002"
    words = ["--tenant", TENANT, "--prefix", "U", "--family", "relay-mfr"]
    box = on.platform.home / "fleet-box"
    with fleet(on.platform, *words, "--count", "1") as running:
        wait_until(running.is_online, "the first")
        wait_until(lambda: sessions(on.platform, "U-") == {first: "connected"}, "its word")
        assert running.stop() == 0, running.errors
    certificate = (box / first / "gateway.crt").read_bytes()
    with fleet(on.platform, *words, "--count", "2") as running:
        wait_until(running.is_online, "both")
        assert [device["code"] for device in running.said["devices"]] == [first, second]
        assert running.stop() == 0, running.errors
    assert running.said["final"]
    assert (box / first / "gateway.crt").read_bytes() == certificate
    gone = {first: "not_connected", second: "not_connected"}
    wait_until(lambda: sessions(on.platform, "U-") == gone, "their goodbyes")


def test_a_tenant_that_is_not_there_is_a_sentence(on: Field) -> None:
    with fleet(on.platform, "--tenant", "nobody", "--prefix", "N", "--count", "1") as running:
        assert running.wait() == 2
    assert "The fleet's units were not provisioned:" in running.errors
    assert "nobody" in running.errors
