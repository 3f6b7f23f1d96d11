"""The device code on the whole platform: what was measured is in the database, whatever happens on the way.

Judged by journals that the devices keep of what they measured (tests/journals.py).
"""

import itertools
import os
import signal
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page

from device_fleet.faults import OF_NETWORK, Fault
from tds.identity.authorities import keys, server_files
from tds.identity.authorities.folder import AuthorityFolder
from tests.boxes import HOSTS
from tests.browsing import chromium, opened, refresh_until, sign_in
from tests.connecting import served
from tests.devices import FAMILIES, Device, Report
from tests.fielded import INTERVAL_S, PERSON, Field, make_field
from tests.journals import Journals
from tests.proxied import ways
from tests.running import wait_until
from tests.started import Started

MAX_PSS_KIB: Final = 12 * 1024
TROUBLE_S: Final = 6.0
BACK_S: Final = 40.0  # the longest pause after a few failures in a row, and a connection
OF_FAMILY: Final = {f"F-{family}": family for family in FAMILIES}
TROUBLED: Final = {f"T-{fault}": fault for fault in (*OF_NETWORK, Fault.CLOCK)}


@pytest.fixture(scope="module")
def on(platform: Started, tmp_path_factory: pytest.TempPathFactory) -> Field:
    units = OF_FAMILY | dict.fromkeys(TROUBLED, "dcu-0080")
    return make_field(platform, tmp_path_factory.mktemp("field"), units)


@pytest.fixture(scope="module")
def families(on: Field) -> Iterator[dict[str, Device]]:
    """One of each, on for all of this file."""
    with ExitStack() as stack:
        started = {code: stack.enter_context(on.device(code, family)) for code, family in OF_FAMILY.items()}
        for device in started.values():
            device.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        yield started


@pytest.fixture
def page(on: Field) -> Iterator[Page]:
    with chromium() as browser, opened(browser, on.platform) as found:
        sign_in(found, PERSON)
        yield found


def assert_no_gap(journals: Journals, codes: Sequence[str]) -> None:
    """Nobody stopped measuring. A first sample after power-up is up to half an interval away from the others' grid."""
    for code in codes:
        times = sorted(journals.moments[code, "D01"])
        steps = [later - former for former, later in itertools.pairwise(times)]
        assert max(steps) <= timedelta(seconds=1.5 * INTERVAL_S + 1), code


def is_well(report: Report) -> bool:
    return bool(report["state"] == "online" and report["unacknowledged"] == 0)


def is_back_since(before: Report) -> Callable[[Report], bool]:
    return lambda report: is_well(report) and report["reconnects"] > before["reconnects"]


def refused_since(before: Report, times: int) -> Callable[[Report], bool]:
    return lambda report: report["failures"] >= before["failures"] + times


def newest_on(page: Page, gateway: str) -> str:
    """The time of a card's newest reading; empty when there is no card yet."""
    seen = page.locator(f".card[data-device='{gateway}/D01'] .card-seen time")
    return seen.get_attribute("datetime") or "" if seen.count() else ""


def test_each_familys_readings_are_in_the_database_and_live_on_the_dashboard(
    on: Field, families: dict[str, Device], page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh_until(page, lambda: all(newest_on(page, code) for code in families), "a card of each")
    before = {code: newest_on(page, code) for code in families}
    later = {code: datetime.fromisoformat(seen) + timedelta(seconds=INTERVAL_S) for code, seen in before.items()}
    refresh_until(
        page,
        lambda: all(datetime.fromisoformat(newest_on(page, code)) >= later[code] for code in families),
        "a newer reading of each",
    )
    journals = on.assert_whole(list(families))
    for code in families:
        assert datetime.fromisoformat(newest_on(page, code)) in journals.moments[code, "D01"]
    sizes = {code: device.pss_kib for code, device in families.items()}
    with capsys.disabled():
        print(f"\nPSS of a device, of four: {', '.join(f'{kib / 1024:.1f}' for kib in sizes.values())} MiB")
    assert max(sizes.values()) <= MAX_PSS_KIB


def test_trouble_on_the_way_or_with_the_clock_loses_nothing_and_doubles_nothing(on: Field) -> None:
    """Each on a device of its own: bytes that do not come, come late, are changed; connections that are reset, or that
    one side alone believes in; a clock that jumps back and ahead."""
    with ways(on.broker_port) as open_ways, ExitStack() as stack:
        networks = {code: open_ways.open() for code in TROUBLED}
        devices = {
            code: stack.enter_context(on.device(code, "dcu-0080", port=networks[code].port)) for code in TROUBLED
        }
        for device in devices.values():
            device.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        jumping = devices[f"T-{Fault.CLOCK}"]
        for code, fault in TROUBLED.items():
            if fault is not Fault.CLOCK:
                open_ways.spoil(networks[code], fault)
        jump(jumping, -7200, 1)
        for network in networks.values():
            open_ways.mend(network)
        jump(jumping, 480, 2)
        jumping.type("!clock 0")
        # Half-open, it believes in its connection until a broker that is back resets it.
        for device in devices.values():
            device.wait_for(is_well, "all is well", BACK_S)
        journals = on.assert_whole(list(TROUBLED))
        for code in TROUBLED.keys() - {f"T-{Fault.CLOCK}"}:
            assert_no_gap(journals, [code])
        for code in (f"T-{fault}" for fault in (Fault.RESET, Fault.CORRUPT, Fault.HALF_OPEN)):
            assert devices[code].report()["failures"] > 0, code
        jumping.wait_for(lambda report: report["clock_steps"] == 3, "the third jump")
        hours = {moment.astimezone(UTC) for moment in journals.moments[f"T-{Fault.CLOCK}", "D01"]}
        assert max(hours) - min(hours) >= timedelta(seconds=7200 + 480)
        assert all(device.report()["dropped"] == 0 for device in devices.values())


def test_a_broker_that_is_killed_costs_nothing_of_what_was_measured_meanwhile(
    on: Field, families: dict[str, Device]
) -> None:
    before = {device: device.report() for device in families.values()}
    on.kill_broker()
    for device, report in before.items():
        device.wait_for(is_back_since(report), "all is sent again", BACK_S)
    journals = on.assert_whole(list(families))
    assert_no_gap(journals, list(families))
    assert all(device.report()["dropped"] == 0 for device in families.values())


def jump(device: Device, seconds: int, steps: int) -> None:
    """And until something was measured by that clock: a step back also moves the next sample."""
    device.type(f"!clock {seconds}")
    before = device.wait_for(lambda report: report["clock_steps"] == steps, "the jump")
    time.sleep(TROUBLE_S)
    earlier = before["acknowledged"] + before["unacknowledged"]
    device.wait_for(lambda report: report["acknowledged"] > earlier, "a reading by that clock")


def show_another_certificate(on: Field, authorities: AuthorityFolder) -> None:
    """The broker's own files, as they lie, which it then reads again; until it shows them."""
    tls, key = on.platform.home / "broker" / "tls", keys.new_key()
    # Written into, and not replaced: they stay the broker's account's.
    chain = server_files.chain_pem(authorities, key.public_key(), HOSTS, datetime.now(UTC))
    (tls / "server.crt").write_bytes(chain)
    (tls / "server.key").write_bytes(keys.pem(key))
    os.kill(on.platform.pids["broker"], signal.SIGHUP)
    shown = ssl.PEM_cert_to_DER_cert(chain.decode().partition("-----END CERTIFICATE-----")[0] + ssl.PEM_FOOTER)
    wait_until(lambda: served(on.broker_port) == shown, "the broker's other certificate")


def come_in_anew(devices: Iterable[Device]) -> dict[Device, Report]:
    """How they were between: without a network nothing more is sent."""
    between = {}
    for device in devices:
        device.type("!network down")
        between[device] = device.wait_for(lambda report: not report["network"], "its radio to go")
        device.type("!network up")
    return between


def test_a_certificate_of_the_next_pinned_authority_is_accepted_and_a_foreign_one_refused_until_it_goes(
    on: Field, families: dict[str, Device], tmp_path: Path
) -> None:
    on.platform.tds("ca", "rotate", "service")
    ours, foreign = AuthorityFolder(on.platform.home / "ca"), AuthorityFolder(tmp_path / "foreign")
    foreign.init(datetime.now(UTC))

    show_another_certificate(on, ours)
    for device, before in come_in_anew(families.values()).items():
        device.wait_for(is_back_since(before), "the next authority's", BACK_S)
    try:
        show_another_certificate(on, foreign)
        for device, before in come_in_anew(families.values()).items():
            again = device.wait_for(refused_since(before, 2), "a second refusal", BACK_S)
            assert again["last_failure"] == "tls_authority"
            assert again["sent"] == before["sent"]
    finally:
        show_another_certificate(on, ours)
    for device in families.values():
        device.wait_for(is_well, "the right one", BACK_S)
    assert_no_gap(on.assert_whole(list(families)), list(families))
