"""A device as a program whose state folder is full: a small tmpfs, in mounts of the device's own."""

import itertools
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from tests.boxes import Maker
from tests.devices import Device
from tests.listening import Heard, subscriber
from tests.running import RunningBroker, wait_until

OWN_MOUNTS: Final = ("unshare", "--mount", "--propagation", "private")
ONE_PAGE, ROOM = "4k", "4m"  # a page has room for the counter of its starts, and nothing else
INTERVAL_S = 5
LIMIT_S = 60.0  # what finds no room is tried ever more seldom


def moments(heard: Heard) -> list[datetime]:
    return sorted({datetime.fromisoformat(stamp) for _, name, stamp in heard.telemetry if name == "D01"})


def small_disk(folder: Path) -> tuple[str, ...]:
    """What a command starts with to find a disk of one page there. Its mounts end with it."""
    tried = subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"nobody may have mounts of their own here: {tried.stderr.strip()}")
    mount = f'mount -t tmpfs -o size={ONE_PAGE},mode=0700 full "$0" && exec "$@"'
    return (*OWN_MOUNTS, "sh", "-c", mount, str(folder))


def make_room(one: Device, folder: Path) -> None:
    assert one.process
    within = ["nsenter", "--mount", "--target", str(one.process.pid)]
    subprocess.run([*within, "mount", "-o", f"remount,size={ROOM}", folder], check=True)


def test_a_device_whose_disk_is_full_says_so_sends_what_it_measures_and_keeps_again_when_there_is_room(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    disk = tmp_path / "1" / "state"
    disk.mkdir(parents=True)
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    options = ("--box", maker.provision("GW-1"), "--broker", broker, "--interval", str(INTERVAL_S))
    one = Device(guarded / "dcu-0080", tmp_path / "1", *options, within=small_disk(disk))
    with subscriber(tls_broker) as heard:
        one.start()
        try:
            report = one.wait_for(lambda report: report["acknowledged"] >= 2, "readings that go unkept", LIMIT_S)
            assert (report["storage_failed"], report["outbox_depth"]) == (True, 0)
            assert "The flash does not take or give readings" in one.log
            one.type("set wifi_ssid yard")
            wait_until(lambda: "The storage is full; nothing was changed." in one.log, "a sentence on the setting")
            make_room(one, disk)
            one.wait_for(lambda report: not report["storage_failed"], "room for its readings", LIMIT_S)
            assert "The flash takes readings again." in one.log
            one.type("set wifi_ssid yard")
            one.type("show wifi_ssid")
            wait_until(lambda: "wifi_ssid = yard" in one.log, "its setting")
            wait_until(lambda: len(moments(heard)) >= 5, "readings of before and after", LIMIT_S)
            assert one.report()["reconnects"] <= 1  # another network was to be joined
            assert one.stop() == 0
        finally:
            if one.process:
                one.kill()
    # The first one of a start is not yet at the gateway's own place in the interval; then none is missing.
    steps = [(later - former).total_seconds() for former, later in itertools.pairwise(moments(heard))]
    assert steps[0] < 2 * INTERVAL_S, steps
    assert set(steps[1:]) == {INTERVAL_S}, steps
