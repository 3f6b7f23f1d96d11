"""Devices as programs whose renewed certificate a real broker refuses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.boxes import Maker
from tests.devices import device
from tests.est_server import est_server
from tests.listening import subscriber
from tests.running import RunningBroker, wait_until

AGE, DAYS = timedelta(days=80), 100.0
REFUSED_S = 2
LIMIT_S = 30.0  # the rule's time, and three pauses of up to 1, 2 and 4 s
A_DAY_AND_MORE_S = 90_000
GIVES_WAY = "The broker refuses the renewed certificate for long: the factory's is tried."
GOES_BACK = "The factory's certificate is refused too: the renewed one is tried again."


def keep_renewed(state: Path, unit: Path) -> None:
    """What `unit` has, as the pair that was renewed last."""
    settings = state / "settings"
    settings.mkdir(parents=True)
    pair = (unit / "gateway.key").read_bytes() + b"\0" + (unit / "gateway.crt").read_bytes()
    (settings / "renewed").write_bytes(pair)


@pytest.fixture
def stranger(tmp_path: Path) -> Maker:
    """Another platform's authorities, which the broker does not know."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    return Maker.new(folder)


def test_a_device_whose_renewed_pair_the_broker_refuses_comes_back_with_the_factorys_and_renews_from_there(
    guarded: Path, maker: Maker, stranger: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    unit = maker.provision("GW-1", now=datetime.now(UTC) - AGE, days=DAYS)
    keep_renewed(tmp_path / "1" / "state", stranger.provision("GW-1"))
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    with subscriber(tls_broker) as heard, est_server(maker, maker.server_files()) as server:
        options = ("--box", unit, "--broker", broker, "--ota-url", server.url, "--pair-refused", str(REFUSED_S))
        with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
            report = one.wait_for(lambda report: report["failures"] > 0, "a refusal")
            assert (report["pair"], report["last_failure"]) == ("renewed", "tls_other")
            report = one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement", LIMIT_S)
            assert (report["pair"], report["pair_changes"]) == ("factory", 1)
            assert one.log.count(GIVES_WAY) == 1
            assert server.asked == []  # of what was wrong with the last one nobody knows: not at once
            wait_until(lambda: heard.telemetry, "its readings")
            one.type(f"!clock {A_DAY_AND_MORE_S}")
            one.wait_for(lambda report: report["pair"] == "renewed" and report["reconnects"] == 1, "a new one in use")
            assert [code for _, code, _ in server.asked] == ["GW-1"]
            one.kill()
            one.start()
            report = one.wait_for(lambda report: report["state"] == "online", "a connection")
            assert (report["pair"], report["failures"]) == ("renewed", 0)


def test_one_whose_pairs_are_both_refused_shows_them_by_turns_and_goes_on_measuring(
    guarded: Path, maker: Maker, stranger: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    unit = stranger.provision("GW-1")
    keep_renewed(tmp_path / "1" / "state", unit)
    stranger.provision("GW-1", now=datetime.now(UTC) - AGE, days=DAYS)
    (unit / "ca.pem").write_bytes(maker.authorities.server_ca_pem(datetime.now(UTC)))
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    options = ("--box", unit, "--broker", broker, "--pair-refused", "1", "--interval", "5")
    with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
        wait_until(lambda: GIVES_WAY in one.log, "the factory's", LIMIT_S)
        # The next three pauses are of up to 8, 16 and 32 s.
        wait_until(lambda: GOES_BACK in one.log, "the renewed one again", 3 * LIMIT_S)
        report = one.report()
        assert (report["acknowledged"], report["dropped"]) == (0, 0)
        assert report["outbox_depth"] > 0
