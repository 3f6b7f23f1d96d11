"""Devices as programs against a real broker: power-up, what outages leave behind, and what they take."""

import contextlib
import itertools
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from paho.mqtt import publish as paho_publish

from tests.boxes import Maker
from tests.consuming import publish
from tests.devices import FAMILIES, Device, device
from tests.listening import Heard, subscriber
from tests.running import RunningBroker, free_port, wait_until

FIRST_PUBLISH_MS = 3_000
MAX_PSS_KIB = 12 * 1024
MAX_GROWTH_KIB = 512
INTERVAL_S = 5


def url(broker: RunningBroker) -> str:
    return f"mqtts://localhost:{broker.broker.listeners.tls}"


def moments(heard: Heard, gateway: str, of: str = "D01") -> list[datetime]:
    return sorted(
        datetime.fromisoformat(stamp) for code, name, stamp in heard.telemetry if (code, name) == (gateway, of)
    )


def assert_whole(heard: Heard, gateway: str, *, least: int) -> None:
    """A sample each interval; the first one of a start is not yet at the gateway's own place in it."""
    found = moments(heard, gateway)
    assert len(found) >= least, found
    first, *others = (later - former for former, later in itertools.pairwise(found))
    assert first < 2 * timedelta(seconds=INTERVAL_S), found
    assert all(step == timedelta(seconds=INTERVAL_S) for step in others), found


def test_each_family_publishes_within_3_s_of_power_up_and_takes_no_more_than_12_mib(
    programs: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    with subscriber(tls_broker) as heard, contextlib.ExitStack() as stack:
        devices = {}
        for family in FAMILIES:
            options = ("--box", maker.provision(family.upper()), "--broker", url(tls_broker))
            one = devices[family] = stack.enter_context(device(programs / family, tmp_path / family, *options))
            # One after the other: what is measured is a device's start, not how busy this machine is with four.
            one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        wait_until(lambda: all(moments(heard, family.upper()) for family in FAMILIES), "a publish of each")
        for family, one in devices.items():
            report = one.report()
            assert (report["gateway_code"], report["family"]) == (family.upper(), family)
            assert report["first_acknowledged_ms"] <= FIRST_PUBLISH_MS
            assert one.pss_kib <= MAX_PSS_KIB
            assert one.stop() == 0
        assert {said for said in heard.presence if said[1] == "online"} == {
            (family.upper(), "online", False) for family in FAMILIES
        }
        goodbyes = {(family.upper(), "offline", False) for family in FAMILIES}
        wait_until(lambda: goodbyes <= set(heard.presence), "their goodbyes")


def test_a_broker_that_is_killed_and_back_has_lost_nothing_and_neither_has_a_network_that_was_away(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    with subscriber(tls_broker) as heard:
        options = ("--broker", url(tls_broker), "--interval", str(INTERVAL_S))
        with (
            device(guarded / "dcu-0080", tmp_path / "1", "--box", maker.provision("GW-1"), *options) as one,
            device(guarded / "dcu-0080", tmp_path / "2", "--box", maker.provision("GW-2"), *options) as other,
        ):
            for each in (one, other):
                each.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
            tls_broker.kill()
            other.type("!network down")
            other.wait_for(lambda report: not report["network"], "its radio to go")
            waiting = one.report()["outbox_depth"]
            one.wait_for(lambda report: report["outbox_depth"] > waiting, "a reading that waits")
            tls_broker.start()
            one.wait_for(lambda report: report["state"] == "online", "the broker", 20.0)
            other.type("!network up")
            wait_until(lambda: len(moments(heard, "GW-1")) >= 4 and len(moments(heard, "GW-2")) >= 4, "all of it")
            assert one.report()["reconnects"] == 1
            assert one.report()["dropped"] == other.report()["dropped"] == 0
        assert_whole(heard, "GW-1", least=4)
        assert_whole(heard, "GW-2", least=4)


def test_a_power_cut_loses_nothing_that_was_measured(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    """Readings of before the cut are sent after it, with the times that they had."""
    options = ("--box", maker.provision("GW-1"), "--broker", url(tls_broker), "--interval", str(INTERVAL_S))
    with subscriber(tls_broker) as heard:
        tls_broker.kill()
        with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
            kept = one.wait_for(lambda report: report["outbox_depth"] >= 2, "readings that wait")
            one.kill()
            tls_broker.start()
            one.start()
            report = one.wait_for(lambda report: report["acknowledged"] >= kept["outbox_depth"], "the readings", 20.0)
            assert report["boot"] == kept["boot"] + 1
            wait_until(lambda: len(moments(heard, "GW-1")) >= 2, "the readings of before")


def test_two_devices_do_not_share_a_state_folder(guarded: Path, maker: Maker, tmp_path: Path) -> None:
    options = ("--box", maker.provision("GW-1"), "--broker", "mqtt://localhost:1")
    with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
        one.wait_for(lambda report: report["state"], "a report")
        second = Device(guarded / "dcu-0080", tmp_path / "1", *options).start()
        assert second.end() == 1
        assert "Another device runs in the state folder" in second.log


def test_a_reboot_from_its_console_is_one_and_says_why(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    options = ("--box", maker.provision("GW-1"), "--broker", url(tls_broker))
    with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
        before = one.wait_for(lambda report: report["state"] == "online", "a connection")
        one.type("reboot")
        after = one.wait_for(lambda report: report["boot"] == before["boot"] + 1, "the next boot")
        assert after["pid"] == before["pid"]
        assert after["boot_reason"] == 9
        assert one.stop(signal.SIGTERM) == 0


def test_a_command_that_is_larger_than_any_is_refused_and_the_device_goes_on(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    """A little larger, that is: what is much larger the broker does not deliver."""
    options = ("--box", maker.provision("GW-1"), "--broker", url(tls_broker))
    with subscriber(tls_broker), device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
        one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        publish(tls_broker, ("ota/GW-1/update", b"[" * 3_100), ("ota/update", b'{"a":' * 620))
        publish(tls_broker, ("ota/update", b"{}"))
        report = one.wait_for(lambda report: report["commands_refused"] + report["commands"] >= 3, "all of them")
        assert report["commands_refused"] >= 2
        assert report["state"] == "online"
        assert report["reconnects"] == 0


@contextlib.contextmanager
def boundless_broker(folder: Path) -> Iterator[int]:
    """Its port. It takes messages of any size, which the platform's does not."""
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="ascii")
    process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", settings], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def test_a_message_of_megabytes_never_comes_into_a_devices_memory(programs: Path, maker: Maker, tmp_path: Path) -> None:
    with boundless_broker(tmp_path) as port:
        options = ("--box", maker.provision("GW-1"), "--broker", f"mqtt://127.0.0.1:{port}")
        with device(programs / "dcu-0080", tmp_path / "1", *options) as one:
            one.wait_for(lambda report: report["sent"] > 0, "a publish, which is behind its subscriptions")
            before_kib = one.peak_kib
            for topic, payload in (("ota/update", b" " * 1_000_000), ("ota/GW-1/update", b" " * 8_000_000)):
                paho_publish.single(topic, payload, qos=1, hostname="127.0.0.1", port=port)
            paho_publish.single("ota/update", b"{}", qos=1, hostname="127.0.0.1", port=port)
            report = one.wait_for(lambda report: report["commands_refused"] + report["commands"] >= 1, "the last one")
            assert report["commands_refused"] + report["commands"] == 1
            assert report["state"] == "online"
            assert report["reconnects"] == 0
            assert one.peak_kib - before_kib <= MAX_GROWTH_KIB
            assert one.pss_kib <= MAX_PSS_KIB


def test_one_units_backlog_is_not_published_as_another_units(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    """A state folder, or a board, that is given another unit's box: of another customer, it may be."""
    state = tmp_path / "state"
    former = ("--box", maker.provision("GW-A"), "--broker", "mqtt://localhost:1", "--interval", str(INTERVAL_S))
    with device(guarded / "dcu-0080", state, *former) as one:
        kept = one.wait_for(lambda report: report["outbox_depth"] >= 2, "readings that wait")["outbox_depth"]
    other = ("--box", maker.provision("GW-B"), "--broker", url(tls_broker), "--interval", str(INTERVAL_S))
    began = datetime.now(UTC).replace(microsecond=0)
    with subscriber(tls_broker) as heard, device(guarded / "dcu-0080", state, *other) as one:
        report = one.wait_for(lambda report: report["acknowledged"] >= 2, "its own readings", 20.0)
        assert report["dropped"] >= kept
        wait_until(lambda: moments(heard, "GW-B"), "its own readings")
        assert moments(heard, "GW-B")[0] >= began
        assert moments(heard, "GW-A") == []
        assert "This board was another unit before" in one.log
