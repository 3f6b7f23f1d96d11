"""Simulated gateways with certificates: against a real mosquitto, and against servers that are not what they seem."""

import contextlib
import json
import os
import random
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from tds.identity.authorities import crl, keys, tls_files
from tds.local.apart import shared_folder
from tds.simulator import Broker, BrokerError, Fault, Fleet, FleetConfig, est
from tds.simulator import fleet as fleet_module
from tds.simulator import gateway as gateway_module
from tds.simulator.command import simulate
from tds.simulator.credential import keep, load, renewing, reserved
from tds.simulator.link import Link
from tests.boxes import Maker
from tests.connecting import Credential, tls_alert
from tests.est_server import Answer, EstServer, est_server
from tests.listening import Witness, running_fleet, subscriber
from tests.running import RunningBroker, free_port, running_broker, wait_until

HOUR_MS = 3_600_000
LIVE = {"history_ms": 0, "live_ms": None, "interval_ms": 50}

app = typer.Typer()
app.command()(simulate)


@pytest.fixture(scope="module")
def maker() -> Iterator[Maker]:
    with shared_folder("box") as folder:
        found = Maker.new(folder)
        for code in ("GW-1", "GW-2"):
            found.provision(code)
        yield found


@pytest.fixture(scope="module")
def tls(maker: Maker) -> Path:
    return maker.server_files()


@pytest.fixture(scope="module")
def broker(maker: Maker) -> Iterator[RunningBroker]:
    with running_broker(authorities=maker.authorities) as running:
        yield running


@pytest.fixture(scope="module")
def shared_est(maker: Maker, tls: Path) -> Iterator[EstServer]:
    with est_server(maker, tls) as running:
        yield running


@pytest.fixture
def est_there(shared_est: EstServer) -> EstServer:
    shared_est.answer = shared_est.code = shared_est.key = None
    shared_est.clock = lambda: datetime.now(UTC)
    shared_est.loses = False
    shared_est.asked.clear()
    shared_est.keys.clear()
    return shared_est


def at(port: int, host: str = "localhost") -> Broker:
    return Broker(host, port, tls=True)


def config(running: RunningBroker, maker: Maker, **changes: Any) -> FleetConfig:
    values: dict[str, Any] = {
        "gateways": ("GW-1", "GW-2"),
        "devices": ("D01", "D02"),
        "broker": at(running.broker.listeners.tls),
        "box": maker.box,
        "history_ms": 24 * HOUR_MS,
        "live_ms": 0,
    }
    return FleetConfig(**(values | changes))


def command(broker: RunningBroker, maker: Maker, *words: str) -> tuple[int, str]:
    """Exit code, and what it said on one line."""
    result = CliRunner().invoke(
        app,
        ["--broker", f"mqtts://localhost:{broker.broker.listeners.tls}", "--box", str(maker.box), *words],
        env={"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"},
    )
    return result.exit_code, " ".join(result.output.split())


def test_a_box_of_gateways_is_heard_whole_and_each_message_once(broker: RunningBroker, maker: Maker) -> None:
    witness = Witness()
    with subscriber(broker) as heard:
        summary = Fleet(config(broker, maker), witness).run()
        wait_until(lambda: heard.telemetry.total() >= summary.sent, "the last message")
    assert summary.sent == summary.acknowledged == 2 * 2 * 96
    assert summary.connections == 2
    assert summary.never_connected == summary.resent == summary.unacknowledged == 0
    assert heard.telemetry == Counter(witness.acknowledgements)


def test_connections_that_are_cut_lose_nothing(broker: RunningBroker, maker: Maker) -> None:
    witness = Witness()
    cutting = {"faults": frozenset({Fault.RECONNECTS}), "fault_rate": 0.5, "cut_spacing_s": 0.3}
    with subscriber(broker) as heard:
        summary = Fleet(config(broker, maker, history_ms=0, live_ms=1_500, interval_ms=100, **cutting), witness).run()
        wait_until(lambda: not set(witness.acknowledgements) - set(heard.telemetry), "what was acknowledged")
    assert summary.connections >= 4
    assert summary.resent > 0
    assert summary.unacknowledged == 0


def test_what_tls_has_already_decrypted_is_not_left_lying(maker: Maker, tls: Path) -> None:
    """Everything comes in one record, after which the socket is never readable again."""
    connack = bytes.fromhex("2003000000")
    pingresp = bytes.fromhex("d000")
    disconnect = bytes.fromhex("e00198")
    with tls_server(tls, lambda connection: connection.sendall(connack + 50 * pingresp + disconnect)) as port:
        events = Recorded()
        link = Link("GW-1", at(port), events, load(maker.box, "GW-1").context())
        drive(link, lambda: events.said)
    assert events.said == ["connected", "lost"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("name", "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("authority", "unable to get local issuer certificate"),
        ("age", "certificate has expired"),
        ("purpose", "unsuitable certificate purpose"),
    ],
)
def test_a_server_that_is_another_one_is_refused(
    maker: Maker, tmp_path: Path, broker: RunningBroker, wrong: str, why: str
) -> None:
    with tls_server(impostor(maker, tmp_path, wrong), lambda _: None) as port, pytest.raises(BrokerError) as refusal:
        Fleet(config(broker, maker, broker=at(port))).run()
    assert str(refusal.value) == (
        f"The MQTT broker at localhost:{port} shows a certificate that the gateway does not trust ({why}). "
        "Name it as its certificate does, and use the ca.pem of the platform it belongs to."
    )


@pytest.mark.parametrize(
    ("junk", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong version number"),
        (b"", "it hung up during the TLS handshake"),
        (b"\x16\x03\x03\x40\x00" + bytes(16_384), "unexpected message|bad|hung up|length"),
        (b"\x16\x03\x03\xff\xff" + bytes(64), "packet length too long"),
        # The same noise each time: OpenSSL has as many sentences as there are ways to be wrong.
        *((random.Random(seed).randbytes(64), "wrong version number|hung up|unexpected|bad") for seed in range(1, 4)),
    ],
    ids=["another protocol", "nothing", "a record of zeros", "a record too long", "noise 1", "noise 2", "noise 3"],
)
def test_junk_instead_of_a_handshake_is_an_end_with_a_sentence(
    broker: RunningBroker, maker: Maker, junk: bytes, why: str
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4_096)
        connection.sendall(junk)

    with tcp_server(answer) as port, pytest.raises(BrokerError, match=rf"No MQTT broker answers at .*(?:{why})"):
        Fleet(config(broker, maker, broker=at(port))).run()


def test_a_broker_that_says_nothing_holds_up_nobody_but_its_own_gateways(
    broker: RunningBroker, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "CONNACK_TIMEOUT_S", 2.0)
    monkeypatch.setattr(fleet_module, "STOP_LIMIT_S", 0.2)
    witness = Witness()
    with tcp_server(lambda _: time.sleep(5)) as silent, subscriber(broker):
        mute = config(broker, maker, more_brokers=(at(silent),), **LIVE)
        with running_fleet(Fleet(mute, witness)):
            wait_until(lambda: len(witness.acknowledgements) >= 40, "40 messages of the other gateway")
            late = ("GW-2", "connection lost: no end of the TLS handshake")
            wait_until(lambda: late in witness.notices, "a notice")
    assert {code for code, _, _ in witness.acknowledgements} == {"GW-1"}


def test_an_expired_certificate_is_said_with_its_date(broker: RunningBroker, maker: Maker) -> None:
    ended = datetime.now(UTC) - timedelta(days=1)
    maker.provision("GW-OLD", now=ended - timedelta(days=3), days=3)
    with pytest.raises(BrokerError) as refusal:
        Fleet(config(broker, maker, gateways=("GW-OLD",))).run()
    said = str(refusal.value)
    assert "turned the gateway away (" in said
    assert f"the certificate was valid until {ended:%Y-%m-%d %H:%M} UTC" in said
    assert "provision it anew" in said


def test_a_certificate_of_another_platform_is_turned_away(broker: RunningBroker, maker: Maker) -> None:
    with shared_folder("other-box") as folder:
        other = Maker.new(folder)
        (other.provision("GW-1") / "ca.pem").write_bytes((maker.box / "GW-1" / "ca.pem").read_bytes())
        with pytest.raises(
            BrokerError, match=r"turned the gateway away \((?:unknown ca|it hung up before it answered)"
        ):
            Fleet(config(broker, other, gateways=("GW-1",))).run()


def test_a_revoked_gateway_is_turned_away_and_the_others_of_its_box_go_on(
    broker: RunningBroker, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "STOP_LIMIT_S", 0.2)
    maker.provision("GW-0")
    revoke(broker, maker, "GW-0")
    witness = Witness()
    with subscriber(broker):
        fleet = Fleet(config(broker, maker, gateways=("GW-0", "GW-1"), **LIVE), witness)
        with running_fleet(fleet) as summaries:
            wait_until(lambda: len(witness.acknowledgements) >= 2, "messages of the other one")
    assert {code for code, _, _ in witness.acknowledgements} == {"GW-1"}
    assert witness.notices[0][0] == "GW-0"
    assert "turned the gateway away" in witness.notices[0][1]
    assert summaries[0].never_connected == 1


def test_a_gateway_renews_its_certificate_and_goes_on_with_it(
    broker: RunningBroker, maker: Maker, est_there: EstServer
) -> None:
    witness = Witness()
    before = load(maker.box, "GW-2").certificate
    with subscriber(broker) as heard:
        renewing = config(
            broker, maker, est=est.Server.parse(est_there.url), renew_now=frozenset({"GW-2"}), history_ms=HOUR_MS
        )
        summary = Fleet(renewing, witness).run()
        wait_until(lambda: not set(witness.acknowledgements) - set(heard.telemetry), "what was acknowledged")
    after = load(maker.box, "GW-2")
    assert summary.renewed == 1
    assert summary.connections == 3
    assert summary.unacknowledged == 0
    assert est_there.asked == [("/.well-known/est/simplereenroll", "GW-2", "")]
    assert after.certificate.serial_number != before.serial_number
    assert after.certificate.public_key() != before.public_key()
    assert len(after.issuers) == 1  # the server sent the certificate alone; its issuer is the one from before
    assert [text for code, text in witness.notices if code == "GW-2"] == [
        f"renewed its certificate, valid until {after.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    ]
    # The broker wrote down which certificate came in: paho alone can't tell.
    assert (broker.broker.folder / "log").read_text(encoding="utf-8").count(" as GW-2 ") >= 2


def test_a_certificate_of_which_two_thirds_are_over_is_renewed_by_itself(
    broker: RunningBroker, maker: Maker, est_there: EstServer
) -> None:
    maker.provision("GW-DUE", now=datetime.now(UTC) - timedelta(days=80), days=100)
    due = config(broker, maker, gateways=("GW-1", "GW-DUE"), est=est.Server.parse(est_there.url), **LIVE)
    witness = Witness()
    with subscriber(broker), running_fleet(Fleet(due, witness)) as summaries:
        wait_until(lambda: witness.notices, "a notice")
    assert witness.notices[0][0] == "GW-DUE"
    assert witness.notices[0][1].startswith("renewed its certificate")
    assert load(maker.box, "GW-DUE").not_after_ms > time.time() * 1000 + 300 * 86_400_000
    assert len(est_there.asked) == 1
    assert summaries[0].renewed == 1


def test_while_nobody_renews_the_gateway_says_so_and_goes_on(broker: RunningBroker, maker: Maker) -> None:
    witness = Witness()
    before = load(maker.box, "GW-1").certificate
    nobody = est.Server("localhost", free_port())
    with subscriber(broker):
        fleet = Fleet(config(broker, maker, est=nobody, renew_now=frozenset({"GW-1"}), **LIVE), witness)
        with running_fleet(fleet) as summaries:
            wait_until(lambda: witness.notices and len(witness.acknowledgements) > 2, "a notice, and messages")
    assert witness.notices[0][1] == (
        f"its certificate was not renewed: localhost:{nobody.port} can't be asked for a certificate "
        "(Connection refused); trying again"
    )
    assert summaries[0].unacknowledged == summaries[0].renewed == 0
    assert load(maker.box, "GW-1").certificate == before


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(200, b"rubbish"), "can't be read"),
        (Answer(200, b"!!!!" * 20_000), "more than 65536 bytes"),
        (Answer(403, b"This gateway is disabled."), "status 403: This gateway is disabled."),
        (Answer(503, b"", {"Retry-After": "60"}), "status 503: Service Unavailable"),
        (Answer(302, b"", {"Location": "https://evil.example/"}), "status 302"),
    ],
)
def test_an_answer_that_is_no_certificate_leaves_the_present_one(
    maker: Maker, est_there: EstServer, answer: Answer, why: str
) -> None:
    est_there.answer = answer
    present = load(maker.box, "GW-1")
    with pytest.raises(est.EnrolmentError, match=why) as refusal:
        est.renew(est.Server.parse(est_there.url), present)
    assert refusal.value.retry_after_s == (60 if answer.status == 503 else None)
    assert load(maker.box, "GW-1") == present


@pytest.mark.parametrize("of", ["another gateway", "another key"])
def test_a_certificate_for_somebody_else_is_not_taken(maker: Maker, est_there: EstServer, of: str) -> None:
    if of == "another gateway":
        est_there.code = "GW-2"
    else:
        est_there.key = keys.new_key().public_key()
    with pytest.raises(est.EnrolmentError, match="is not of this gateway"):
        est.renew(est.Server.parse(est_there.url), load(maker.box, "GW-1"))


@pytest.mark.parametrize("days", [-10_000, 30])
def test_a_platform_whose_clock_is_wrong_takes_no_certificate_away(
    maker: Maker, est_there: EstServer, days: int
) -> None:
    est_there.clock = lambda: datetime.now(UTC) + timedelta(days=days)
    present = load(maker.box, "GW-1")
    with pytest.raises(est.EnrolmentError, match=r"is valid from .* to .*, not now"):
        est.renew(est.Server.parse(est_there.url), present)
    assert load(maker.box, "GW-1") == present
    # The platform answers the same key with the same certificate for a day, also when its clock is right again.
    assert renewing(present) is None


def test_a_renewal_whose_answer_was_lost_is_asked_for_again_with_the_same_key(
    maker: Maker, est_there: EstServer
) -> None:
    folder = maker.provision("GW-LOST")
    present, server = load(maker.box, "GW-LOST"), est.Server.parse(est_there.url)
    est_there.loses = True
    for _ in range(2):
        with pytest.raises(est.EnrolmentError, match="can't be asked for a certificate"):
            est.renew(server, present)
    assert (folder / "renewing.pem").stat().st_mode & 0o777 == 0o600
    assert load(maker.box, "GW-LOST") == present
    est_there.loses = False
    issued = est.renew(server, present)
    assert est_there.keys == [est_there.keys[0]] * 3
    keep(folder, issued.key_pem, issued.chain_pem)
    renewed = load(maker.box, "GW-LOST")
    assert renewed.certificate.public_key() == est_there.keys[0]
    assert sorted(file.name for file in folder.iterdir()) == ["ca.pem", "gateway.crt", "gateway.key"]
    est.renew(server, renewed)
    assert est_there.keys[3] != est_there.keys[0]


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
def test_the_key_of_a_renewal_is_kept_until_the_server_refuses_it_for_good(
    maker: Maker, est_there: EstServer, status: int
) -> None:
    present = load(maker.box, "GW-1")
    est_there.answer = Answer(status)
    with pytest.raises(est.EnrolmentError, match=f"status {status}"):
        est.renew(est.Server.parse(est_there.url), present)
    assert (renewing(present) is None) == (status in {400, 401, 403})


def test_a_disk_that_takes_no_key_asks_for_no_renewal(
    maker: Maker, est_there: EstServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.provision("GW-NOROOM")
    Filling(monkeypatch, full=True)
    with pytest.raises(est.EnrolmentError, match=r"takes no key \(No space left on device\); make room for it"):
        est.renew(est.Server.parse(est_there.url), load(maker.box, "GW-NOROOM"))
    assert est_there.asked == []


def test_a_server_of_another_authority_gets_no_request(maker: Maker, est_there: EstServer, tmp_path: Path) -> None:
    with tls_server(impostor(maker, tmp_path, "authority"), lambda _: None) as port:
        with pytest.raises(est.EnrolmentError, match="unable to get local issuer certificate"):
            est.renew(est.Server("localhost", port), load(maker.box, "GW-1"))
        # Nor does anybody else get the claim code.
        with pytest.raises(est.EnrolmentError, match="unable to get local issuer certificate"):
            est.claim(est.Server("localhost", port), "GW-1", "secret", maker.box / "GW-1")


def unclaimed(maker: Maker, code: str) -> Path:
    """The folder of a gateway that knows its platform and has no certificate."""
    folder = maker.box / code
    folder.mkdir()
    (folder / "ca.pem").write_bytes((maker.box / "GW-1" / "ca.pem").read_bytes())
    return folder


@pytest.mark.parametrize("days", [-10_000, 30])
def test_a_gateway_whose_clock_is_wrong_keeps_what_its_claim_code_brought(
    maker: Maker, est_there: EstServer, days: int
) -> None:
    folder = unclaimed(maker, f"GW-CLOCK{abs(days)}")
    est_there.clock = lambda: datetime.now(UTC) + timedelta(days=days)
    est.claim(est.Server.parse(est_there.url), folder.name, "s3cret", folder)
    certificate = load(maker.box, folder.name).certificate
    assert not certificate.not_valid_before_utc <= datetime.now(UTC) < certificate.not_valid_after_utc
    assert sorted(file.name for file in folder.iterdir()) == ["ca.pem", "gateway.crt", "gateway.key"]


def test_a_claim_whose_answer_was_lost_succeeds_at_the_second_try_with_the_same_key(
    maker: Maker, est_there: EstServer
) -> None:
    folder, server = unclaimed(maker, "GW-LOSTCLAIM"), est.Server.parse(est_there.url)
    est_there.loses = True
    with pytest.raises(est.EnrolmentError, match="its key is kept: ask again with the same claim code"):
        est.claim(server, folder.name, "s3cret", folder)
    assert len(est_there.keys) == 1
    assert (folder / "claiming.pem").stat().st_mode & 0o777 == 0o600
    est_there.loses = False
    est.claim(server, folder.name, "s3cret", folder)
    assert est_there.keys[1] == est_there.keys[0] == load(maker.box, folder.name).certificate.public_key()
    assert sorted(file.name for file in folder.iterdir()) == ["ca.pem", "gateway.crt", "gateway.key"]


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
def test_the_key_of_a_claim_is_kept_until_the_server_refuses_it_for_good(
    maker: Maker, est_there: EstServer, status: int
) -> None:
    folder = unclaimed(maker, f"GW-KEPT{status}")
    est_there.answer = Answer(status, headers={"Retry-After": "60"})
    with pytest.raises(est.EnrolmentError, match=f"status {status}") as refusal:
        est.claim(est.Server.parse(est_there.url), folder.name, "s3cret", folder)
    assert refusal.value.retry_after_s == 60
    assert (reserved(folder) is None) == (status in {400, 401, 403})
    assert (folder / "claiming.pem").exists() == (status not in {400, 401, 403})


class Filling:
    """A disk on which nothing new can be begun from some moment on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, full: bool) -> None:
        self.full, self._open = full, os.open
        monkeypatch.setattr(os, "open", self._maybe)

    def _maybe(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        if self.full and flags & os.O_CREAT:
            raise OSError(28, "No space left on device")
        return self._open(path, flags, *more, **named)


def test_a_full_disk_is_found_before_the_claim_code_is_used(
    maker: Maker, est_there: EstServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unclaimed(maker, "GW-FULL")
    Filling(monkeypatch, full=True)
    with pytest.raises(est.EnrolmentError, match=r"takes no key \(No space left on device\).* still good"):
        est.claim(est.Server.parse(est_there.url), "GW-FULL", "s3cret", folder)
    assert est_there.asked == []


def test_a_disk_that_fills_up_while_a_claim_is_asked_for_loses_neither_key_nor_certificate(
    maker: Maker, est_there: EstServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unclaimed(maker, "GW-FILLING")
    disk, seen = Filling(monkeypatch, full=False), []

    def asked() -> datetime:
        seen.append((folder / "claiming.pem").stat().st_mode & 0o777)
        assert b"PRIVATE KEY" in (folder / "claiming.pem").read_bytes()
        disk.full = True
        return datetime.now(UTC)

    est_there.clock = asked
    est.claim(est.Server.parse(est_there.url), "GW-FILLING", "s3cret", folder)
    assert set(seen) == {0o600}
    load(maker.box, "GW-FILLING").context()
    disk.full = False
    load(maker.box, "GW-FILLING").context()
    assert sorted(file.name for file in folder.iterdir()) == ["ca.pem", "gateway.crt", "gateway.key"]


def test_a_disk_that_fails_as_a_claim_is_answered_is_no_reason_for_another_claim_code(
    maker: Maker, est_there: EstServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, server, replace = unclaimed(maker, "GW-FAILING"), est.Server.parse(est_there.url), os.replace

    def failing(source: Path, to: Path) -> None:
        if to == folder / "renewed.pem":
            raise OSError(5, "Input/output error")
        replace(source, to)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(est.EnrolmentError, match=r"came, but .* does not take it .* the same claim code"):
            est.claim(server, folder.name, "s3cret", folder)
    Filling(monkeypatch, full=True)  # what was reserved is there
    est.claim(server, folder.name, "s3cret", folder)
    assert est_there.keys[1] == est_there.keys[0] == load(maker.box, folder.name).certificate.public_key()


def test_a_gateway_without_a_certificate_enrols_with_its_claim_code(
    broker: RunningBroker, maker: Maker, est_there: EstServer
) -> None:
    unclaimed(maker, "GW-NEW")
    with subscriber(broker):
        words = ["--est", est_there.url, "--claim", "GW-NEW:s3cret", "--gateway", "GW-NEW", "--json"]
        code, said = command(broker, maker, *words, "--history", "1h", "--history-only")
    assert code == 0, said
    assert json.loads(said)["acknowledged"] == 3 * 4
    [(path, certificate, authorization)] = est_there.asked
    assert (path, certificate) == ("/.well-known/est/simpleenroll", "")
    assert authorization == "Basic R1ctTkVXOnMzY3JldA=="


def test_a_claim_that_is_refused_is_a_sentence_without_the_claim(
    broker: RunningBroker, maker: Maker, est_there: EstServer
) -> None:
    est_there.answer = Answer(401, b"This claim code was used.")
    code, said = command(broker, maker, "--est", est_there.url, "--claim", "GW-1:s3cret")
    assert code == 2
    assert said.endswith("(status 401: This claim code was used.).")
    assert "s3cret" not in said
    assert not (maker.box / "GW-1" / "claiming.pem").exists()


def test_the_command_takes_all_gateways_of_a_box(broker: RunningBroker, maker: Maker, tmp_path: Path) -> None:
    for name in ("GW-1", "GW-2"):
        (tmp_path / name).symlink_to(maker.box / name)
    words = ["--box", str(tmp_path), "--history", "1h", "--history-only", "--json"]
    with subscriber(broker):
        code, said = command(broker, maker, *words)
    assert code == 0, said
    assert json.loads(said)["gateways"] == 2


class Recorded:
    """Of one link, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def on_connected(self, max_in_flight: int) -> None:
        self.said.append("connected")

    def on_turned_away(self, why: str) -> None:
        self.said.append("turned away")

    def on_untrusted(self, why: str) -> None:
        self.said.append("untrusted")

    def on_puback(self, packet_id: int, reason_code: int, reason: str) -> None:
        self.said.append("acknowledged")

    def on_lost(self, why: str) -> None:
        self.said.append("lost")


def drive(link: Link, until: Callable[[], Any]) -> None:
    """Writes and reads as the fleet does: when the socket is ready, and then once."""
    deadline = time.monotonic() + 5
    while not until():
        assert time.monotonic() < deadline
        if link.wants_write:
            link.write()
        if (sock := link.socket) is not None and _is_readable(sock):
            link.read()


def _is_readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0.01)[0])


def revoke(broker: RunningBroker, maker: Maker, code: str) -> None:
    now, folder = datetime.now(UTC), maker.box / code
    revoked = [crl.Revoked(load(maker.box, code).certificate.serial_number, now, crl.Reason.unspecified)]
    signed = crl.sign(maker.authorities.device(), revoked, number=2, now=now, next_update=now + timedelta(days=1))
    (broker.broker.tls / tls_files.REVOKED).write_bytes(signed.public_bytes(Encoding.PEM))
    broker.reload()
    shown = Credential(folder / "gateway.crt", folder / "gateway.key")
    wait_until(lambda: tls_alert(broker, shown), "the new list")


def impostor(maker: Maker, folder: Path, wrong: str) -> Path:
    """Files of a server that is wrong in one way."""
    now, days, authorities = datetime.now(UTC), 30.0, maker.authorities
    if wrong == "authority":
        authorities = Maker.new(folder).authorities
    if wrong == "age":
        now, days = now - timedelta(days=40), 30.0
    key, service = keys.new_key(), authorities.service()
    if wrong == "purpose":  # a gateway of ours that plays the server
        device = authorities.device()
        leaf: x509.Certificate = device.issue_device(key.public_key(), "localhost", now)
        issuer = device.certificate
    else:
        hosts = ["elsewhere.example"] if wrong == "name" else ["localhost"]
        leaf, issuer = service.issue_server(key.public_key(), hosts, now, days=days), service.certificate
    (folder / tls_files.KEY).write_bytes(keys.pem(key))
    (folder / tls_files.CHAIN).write_bytes(leaf.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM))
    return folder


@contextlib.contextmanager
def tcp_server(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Does the same to each who connects, and hangs up at the end of the test or of `answer`."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join()


@contextlib.contextmanager
def tls_server(files: Path, answer: Callable[[ssl.SSLSocket], object]) -> Iterator[int]:
    """`answer` is for what it says after the first bytes that come; then it waits until its client goes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / tls_files.CHAIN, files / tls_files.KEY)

    def speak(connection: socket.socket) -> None:
        connection.settimeout(5)
        with context.wrap_socket(connection, server_side=True) as secured:
            if secured.recv(4_096):
                answer(secured)
                while secured.recv(4_096):
                    pass

    with tcp_server(speak) as port:
        yield port
