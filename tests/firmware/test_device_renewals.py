"""Devices as programs whose certificate is due, and servers that answer what they should not."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.boxes import Maker
from tests.devices import Device, device
from tests.est_server import Answer, EstServer, est_server
from tests.listening import subscriber
from tests.running import RunningBroker, wait_until

DAYS = 100.0
AGE = timedelta(days=80)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    prepare: Callable[[EstServer], None]
    said: str  # in its log


def answers(status: int, body: bytes = b"", **headers: str) -> Callable[[EstServer], None]:
    def prepare(server: EstServer) -> None:
        server.answer = Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return prepare


def of_another_key(server: EstServer) -> None:
    server.key = ec.generate_private_key(ec.SECP256R1()).public_key()


def of_another_gateway(server: EstServer) -> None:
    server.code = "GW-OTHER"


def of_another_time(server: EstServer) -> None:
    server.clock = lambda: datetime.now(UTC) - timedelta(days=20 * 365)


CASES = (
    Case("403", answers(403, b"The gateway is disabled.\n"), r"status 403: The gateway is disabled\.\)"),
    Case("429", answers(429, b"Later.", Retry_After="7"), r"status 429: Later\.\)"),
    Case("302", answers(302, b"", Location="https://elsewhere.example/"), r"status 302"),
    Case("GARBAGE", answers(200, b"<html>\x1b[2J not a certificate"), r"no certificate of this gateway"),
    Case("EMPTY", answers(200), r"no certificate of this gateway"),
    Case("LARGE", answers(200, b"A" * 100_000), r"longer than any certificate"),
    Case("KEY", of_another_key, r"no certificate of this gateway"),
    Case("CODE", of_another_gateway, r"no certificate of this gateway"),
    Case("TIME", of_another_time, r"not valid now"),
)


def test_an_answer_that_is_no_certificate_of_ours_for_now_changes_nothing(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    files, broker = maker.server_files(), f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    with contextlib.ExitStack() as stack:
        running: list[tuple[Case, EstServer, Device]] = []
        for case in CASES:
            server = stack.enter_context(est_server(maker, files))
            case.prepare(server)
            unit = maker.provision(f"GW-{case.name}", now=datetime.now(UTC) - AGE, days=DAYS)
            options = ("--box", unit, "--broker", broker, "--ota-url", server.url)
            one = stack.enter_context(device(guarded / "dcu-0080", tmp_path / case.name, *options))
            running.append((case, server, one))
        for case, server, one in running:
            wait_until(lambda one=one, case=case: re.search(case.said, one.log), f"a word on {case.name}")  # type: ignore[misc]
            assert server.asked[0] == ("/.well-known/est/simplereenroll", f"GW-{case.name}", "")
            assert one.wait_for(lambda report: report["state"] == "online", "a connection")["reconnects"] == 0
            assert "\x1b" not in one.log
            assert not (tmp_path / case.name / "state" / "settings" / "renewed").exists()


def test_a_server_that_says_when_to_come_again_is_asked_then(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    unit = maker.provision("GW-1", now=datetime.now(UTC) - AGE, days=DAYS)
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    with est_server(maker, maker.server_files()) as server:
        answers(429, b"Later.", Retry_After="1")(server)
        options = ("--box", unit, "--broker", broker, "--ota-url", server.url)
        with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
            one.wait_for(lambda report: report["state"] == "online", "a connection")
            # By itself it would wait up to one minute, then two, then four.
            wait_until(lambda: len(server.asked) >= 4, "the fourth try", limit_s=15)


def test_a_server_of_another_platform_is_shown_no_certificate(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Maker.new(tmp_path / "other")
    unit = maker.provision("GW-1", now=datetime.now(UTC) - AGE, days=DAYS)
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    with (
        est_server(other, other.server_files()) as server,
        device(guarded / "dcu-0080", tmp_path / "1", "--box", unit, "--broker", broker, "--ota-url", server.url) as one,
    ):
        wait_until(lambda: "was not renewed: unable to get local issuer certificate" in one.log, "its refusal")
        assert server.asked == []


def test_a_renewed_pair_is_kept_for_its_owner_alone_and_a_damaged_one_gives_way_to_the_factorys(
    guarded: Path, maker: Maker, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    unit = maker.provision("GW-1", now=datetime.now(UTC) - AGE, days=DAYS)
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    kept = tmp_path / "1" / "state" / "settings" / "renewed"
    # A device changes its connection when nothing is under way: somebody must take what it sends.
    with subscriber(tls_broker), est_server(maker, maker.server_files()) as server:
        options = ("--box", unit, "--broker", broker, "--ota-url", server.url)
        with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
            one.wait_for(lambda report: report["reconnects"] == 1, "a connection with the new one")
            assert kept.stat().st_mode & 0o777 == 0o600
        damaged = kept.read_bytes()
        kept.write_bytes(damaged[: len(damaged) // 2])
        with device(guarded / "dcu-0080", tmp_path / "1", *options) as one:
            one.wait_for(lambda report: report["reconnects"] == 1, "a connection, and the next renewal")
            assert "the renewed certificate can't be used; the factory's is" in one.log
    assert len(server.asked) == 2
