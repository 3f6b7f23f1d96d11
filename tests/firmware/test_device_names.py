"""Devices as programs whose name server answers garbage: told apart, tried again, and over when it is mended.

In a network of the test's own (tests/namespaced.py), with a real broker in it.
"""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tds.identity.authorities.tls_files import CHAIN, DEVICE_ANCHORS, KEY
from tds.local.apart import shared_folder
from tests.boxes import Maker
from tests.devices import Device, device
from tests.listening import subscriber
from tests.misnaming import GARBAGE, NameServer, name_server
from tests.namespaced import ADDRESS, PrivateNetwork, private_network
from tests.running import wait_until

PORT: Final = 8_883
CLOSED_PORT: Final = 8_884
ZONE: Final = "broker.test"
INTERVAL: Final = ("--interval", "5")
TRIES: Final = 3
TRIES_LIMIT_S: Final = 60.0
MENDED_LIMIT_S: Final = 70.0  # the pause after the last of them is at most 16 s, and seldom it tries again before
ROUNDS: Final = 8
ROUNDS_BEFORE: Final = 1  # libraries take what they take at first use
MAX_GROWTH_KIB: Final = 64  # of 108 look-ups; one that was not freed would be 900 bytes
LOOK_UPS_AT_ONCE: Final = 3
SLOW_TRIES_LIMIT_S: Final = 75.0  # 10 s each, and the pauses between them
SENTENCE: Final = "The broker's name leads nowhere"
_FAILED: Final = re.compile(r"^(\S+) I mqtt: no connection to \S+: (.*) \((\w+)\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class World:
    """`socket`: the broker's for who is outside."""

    network: PrivateNetwork
    names: NameServer
    socket: Path


@contextlib.contextmanager
def broker(network: PrivateNetwork, folder: Path, files: Path) -> Iterator[Path]:
    """A real mosquitto in there, which lets in who has a certificate. Its socket is of this file system."""
    socket, settings = folder / "socket", folder / "mosquitto.conf"
    lines = [
        "per_listener_settings true",
        "user root",  # of the network's own accounts: whoever runs the test
        f"listener {PORT} {ADDRESS}",
        f"cafile {files / DEVICE_ANCHORS}",
        f"certfile {files / CHAIN}",
        f"keyfile {files / KEY}",
        "require_certificate true",
        "use_identity_as_username true",
        f"listener 0 {socket}",
        "allow_anonymous true",
    ]
    settings.write_text("\n".join(lines), encoding="ascii")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*network.within(), "/usr/sbin/mosquitto", "-c", settings], stderr=log)
    try:
        wait_until(socket.exists, "the broker's start")
        yield socket
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def world(maker: Maker, tmp_path: Path) -> Iterator[World]:
    hosts = [f"{label}.{ZONE}" for label in (*GARBAGE, "closed", "nowhere")]
    files = maker.server_files(hosts)
    with (
        private_network(tmp_path) as network,
        name_server(network) as names,
        shared_folder("names") as folder,
        broker(network, folder, files) as socket,
    ):
        yield World(network, names, socket)


@dataclass(frozen=True, slots=True)
class Failure:
    when: float
    why: str
    name: str


def failures(one: Device) -> list[Failure]:
    return [
        Failure(datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp(), why, name)
        for when, why, name in _FAILED.findall(one.log)
    ]


def pauses_s(one: Device, asked: list[float]) -> list[float]:
    """Between each failure and the next question. The log's times are of whole milliseconds, cut."""
    ends = [failure.when + 0.001 for failure in failures(one)]
    return [next(when for when in asked if when > end) - end for end in ends if asked[-1] > end]


def code(label: str) -> str:
    return f"GW-{label.upper()}"


def test_a_name_server_that_answers_garbage_is_told_apart_and_tried_with_pauses_and_loses_no_reading(
    world: World, maker: Maker, guarded: Path, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:

        def start(label: str, port: int = PORT, **environment: str) -> Device:
            words = ("--box", maker.provision(code(label)), "--broker", f"mqtts://{label}.{ZONE}:{port}", *INTERVAL)
            within = world.network.within(**environment)
            return stack.enter_context(device(guarded / "dcu-0080", tmp_path / label, *words, within=within))

        heard = stack.enter_context(subscriber(world.socket))
        # Good names first, and what is wrong behind them.
        others = {
            label: start(label, port, RES_OPTIONS="timeout:8 attempts:1")  # a good name has the time that it takes
            for label, port in (("closed", CLOSED_PORT), ("nowhere", PORT), ("foreign", PORT))
        }
        misled = {label: start(label) for label in GARBAGE}
        for label, failure, why in (
            ("closed", "tcp", "Connection refused"),
            ("nowhere", "tcp", "Network is unreachable"),
            ("foreign", "tls_host", ""),
        ):
            others[label].wait_for_failure(failure, TRIES_LIMIT_S)
            assert {(found.name, why in found.why) for found in failures(others[label])} == {(failure, True)}
            assert SENTENCE not in others[label].log

        pauses: dict[str, list[float]] = {}
        depths: dict[str, int] = {}

        def mend_who_has_tried() -> bool:
            """Each at once: the pauses grow."""
            for label in set(misled) - set(pauses):
                found, report = pauses_s(misled[label], world.names.whenever(label)), misled[label].report()
                if len(found) >= TRIES and report["outbox_depth"] > 0:
                    world.names.mended.add(label)
                    pauses[label], depths[label] = found, report["outbox_depth"]
                    assert (report["sent"], report["dropped"]) == (0, 0)
            return len(pauses) == len(misled)

        wait_until(mend_who_has_tried, "some tries of each", TRIES_LIMIT_S)
        for label, one in misled.items():
            assert {failure.name for failure in failures(one)} == {"dns"}, one.log
            assert all(failure.why for failure in failures(one))
            assert one.log.count(SENTENCE) == 1
            # Full jitter: up to 1 s before the first try, then up to 2 s, 4 s, 8 s, …
            assert all(pause < 2**turn + 1 for turn, pause in enumerate(pauses[label], 1)), (label, pauses[label])
        # Four times as long in the middle; so many devices are by chance below this once in 100,000 times.
        assert sum(each[TRIES - 1] for each in pauses.values()) > 1.5 * sum(each[0] for each in pauses.values())

        def came_whole(label: str) -> bool:
            return sum(gateway == code(label) for gateway, _, _ in heard.telemetry) >= depths[label]

        for label, one in misled.items():
            report = one.wait_for(lambda report: report["acknowledged"] > 0, "its broker", MENDED_LIMIT_S)
            wait_until(partial(came_whole, label), f"the readings of {label}")
            assert report["dropped"] == 0
            assert "The broker acknowledges again, after dns." in one.log


def test_look_ups_of_garbage_one_after_the_other_take_no_memory(
    world: World, maker: Maker, programs: Path, tmp_path: Path
) -> None:
    """A change of the broker's name asks at once, whoever is still waited for; an address asks nobody."""
    words = ("--box", maker.provision("GW-1"), "--broker", "mqtt://127.0.0.1:1", *INTERVAL)
    with device(programs / "dcu-0080", tmp_path / "1", *words, within=world.network.within()) as one:

        def look_up(name: str) -> None:
            one.type(f"set broker_uri mqtts://{name}:{PORT}")
            wait_until(lambda: world.names.whenever(name), f"the look-up of {name}")

        def kib_at_rest() -> int:
            one.type("set broker_uri mqtt://127.0.0.1:1")
            wait_until(lambda: one.threads == 1, "the end of late look-ups")
            return one.own_kib

        at_rest_kib: list[int] = []
        for turn in range(ROUNDS):
            for label in GARBAGE:
                look_up(f"{label}.{turn}.{ZONE}")
            # At rest after each round: how many of glibc's arenas late look-ups opened side by side is chance.
            at_rest_kib.append(kib_at_rest())
        assert at_rest_kib[-1] - at_rest_kib[ROUNDS_BEFORE] <= MAX_GROWTH_KIB, at_rest_kib
        assert one.report()["outbox_depth"] > 0


@pytest.mark.soak
def test_look_ups_that_take_minutes_are_given_up_and_no_more_than_three_are_under_way(
    world: World, maker: Maker, guarded: Path, tmp_path: Path
) -> None:
    words = ("--box", maker.provision("GW-1"), "--broker", f"mqtts://silence.{ZONE}:{PORT}", *INTERVAL)
    within = world.network.within(RES_OPTIONS="timeout:30 attempts:5")
    with device(guarded / "dcu-0080", tmp_path / "1", *words, within=within) as one:
        told = ["no answer of any name server"] * LOOK_UPS_AT_ONCE + ["too many look-ups are still under way"]
        wait_until(lambda: len(failures(one)) >= len(told), "some tries", SLOW_TRIES_LIMIT_S)
        found = failures(one)[: len(told)]
        assert [failure.why for failure in found] == told
        assert {failure.name for failure in found} == {"dns"}
        assert one.threads == 1 + LOOK_UPS_AT_ONCE
        assert one.report()["outbox_depth"] > 0
