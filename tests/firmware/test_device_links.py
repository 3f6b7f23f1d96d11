"""Devices as programs against servers that are not what they should be: refused, told apart, and tried again."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tds.identity.authorities import keys
from tests.boxes import Maker
from tests.devices import Device, device
from tests.running import RunningBroker, wait_until

INTERVAL: Final[tuple[str, ...]] = ("--interval", "5")
HANDSHAKE_LIMIT_S: Final = 5.0


class Listener:
    """A TCP server that takes everybody; with `context` it shakes hands, and says nothing more."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self.visits = 0
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.settimeout(HANDSHAKE_LIMIT_S)
            if self._context is None:
                self._held.append(visitor)
                continue
            with contextlib.suppress(OSError):
                self._held.append(self._context.wrap_socket(visitor, server_side=True))

    def reset(self) -> None:
        """Whoever is connected, without a goodbye."""
        while self._held:
            held = self._held.pop()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            held.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._thread.join()
        self._socket.close()
        for held in self._held:
            held.close()


@contextlib.contextmanager
def listener(context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    running = Listener(context)
    try:
        yield running
    finally:
        running.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = keys.new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "self.key").write_bytes(keys.pem(key))
    (folder / "self.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    return folder / "self.crt", folder / "self.key"


def issued(maker: Maker, folder: Path, host: str, now: datetime) -> tuple[Path, Path]:
    """As `tds ca issue-server` makes them, at that time."""
    key, service = keys.new_key(), maker.authorities.service()
    leaf = service.issue_server(key.public_key(), [host], now)
    folder.mkdir(exist_ok=True)
    (folder / "server.key").write_bytes(keys.pem(key))
    chain = leaf.public_bytes(Encoding.PEM) + service.certificate.public_bytes(Encoding.PEM)
    (folder / "server.crt").write_bytes(chain)
    return folder / "server.crt", folder / "server.key"


def context_of(files: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


@pytest.fixture(scope="module")
def silent(maker: Maker, guarded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """Begun before all others, for it takes half a minute until a device gives such a server up."""
    unit = maker.provision("GW-SILENT")
    with listener() as server:
        broker = f"mqtts://localhost:{server.port}"
        with device(
            guarded / "dcu-0080", tmp_path_factory.mktemp("silent"), "--box", unit, "--broker", broker, *INTERVAL
        ) as started:
            yield started


@pytest.fixture
def begun(silent: Device) -> None:
    """For the first test of this file."""


@pytest.fixture
def start(maker: Maker, guarded: Path, tmp_path: Path) -> Iterator[Any]:
    """A device that is to connect to that URI."""
    with contextlib.ExitStack() as stack:

        def started(broker: str, *words: str, code: str = "GW-1") -> Device:
            unit = maker.provision(code)
            options: list[str | Path] = ["--box", unit, "--broker", broker, *INTERVAL, *words]
            return stack.enter_context(device(guarded / "dcu-0080", tmp_path / code, *options))

        yield started


@pytest.mark.usefixtures("begun")
def test_a_server_of_another_host_expired_of_another_authority_or_self_signed_is_refused_and_told_apart(
    maker: Maker, start: Any, tmp_path: Path
) -> None:
    other = tmp_path / "other platform"
    other.mkdir()
    now, long_ago = datetime.now(UTC), datetime.now(UTC) - timedelta(days=500)
    servers = {
        "tls_host": issued(maker, tmp_path / "host", "mqtt.example.com", now),
        "tls_expired": issued(maker, tmp_path / "expired", "localhost", long_ago),
        "tls_authority": issued(Maker.new(other), tmp_path / "authority", "localhost", now),
    }
    with contextlib.ExitStack() as stack:
        devices = []
        for number, (failure, files) in enumerate([*servers.items(), ("tls_authority", self_signed(tmp_path))]):
            server = stack.enter_context(listener(context_of(files)))
            devices.append((failure, server, start(f"mqtts://localhost:{server.port}", code=f"GW-{number}")))
        for failure, server, one in devices:
            one.wait_for(lambda report: report["failures"] >= 2, "a second try")
            assert one.report()["last_failure"] == failure, one.log
            assert server.visits >= 2
            assert one.report()["sent"] == 0


def test_a_device_whose_clock_is_years_behind_refuses_a_good_server_for_its_time(
    tls_broker: RunningBroker, start: Any
) -> None:
    one = start(f"mqtts://localhost:{tls_broker.broker.listeners.tls}", "--clock-offset", str(-3 * 365 * 86_400))
    one.wait_for_failure("tls_expired")
    one.type("!clock 0")
    one.wait_for(lambda report: report["state"] == "online", "a connection")


def test_a_server_without_tls_and_one_that_turns_our_certificate_away_are_told(
    maker: Maker, tls_broker: RunningBroker, start: Any, tmp_path: Path
) -> None:
    plain = start(f"mqtts://localhost:{tls_broker.port}", code="GW-PLAIN")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    stranger = Maker.new(foreign)
    unit = stranger.provision("GW-STRANGER")
    (unit / "ca.pem").write_bytes(maker.authorities.server_ca_pem(datetime.now(UTC)))
    refused = start(f"mqtts://localhost:{tls_broker.broker.listeners.tls}", "--box", str(unit), code="GW-STRANGER")
    plain.wait_for_failure("tls_other")
    refused.wait_for_failure("tls_other")
    # The server beside us is at times through with refusing before the call that connects returns.
    refused.wait_for(lambda report: report["failures"] >= 4, "more refusals", 20.0)
    assert refused.report()["state"] != "online"
    assert "(tcp)" not in refused.log


def test_a_name_that_leads_nowhere_and_a_port_where_nobody_listens_are_told_apart(start: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    nowhere = start("mqtts://nowhere.invalid:8883", code="GW-NOWHERE")
    closed = start(f"mqtts://localhost:{port}", code="GW-CLOSED")
    nowhere.wait_for_failure("dns", 20.0)  # a machine without a name server waits for one
    closed.wait_for_failure("tcp")


def test_without_key_and_certificate_it_says_so_and_goes_on_measuring(
    maker: Maker, guarded: Path, tls_broker: RunningBroker, tmp_path: Path
) -> None:
    unit = maker.provision("GW-EMPTY")
    (unit / "gateway.key").write_bytes(b"")
    broker = f"mqtts://localhost:{tls_broker.broker.listeners.tls}"
    with device(guarded / "dcu-0080", tmp_path / "empty", "--box", unit, "--broker", broker) as one:
        one.wait_for_failure("credentials")
        one.wait_for(lambda report: report["outbox_depth"] > 0, "a reading that waits")


def test_a_connection_that_is_reset_at_any_moment_is_tried_again(maker: Maker, start: Any, tmp_path: Path) -> None:
    """Before the handshake, and behind it."""
    context = context_of(issued(maker, tmp_path / "server", "localhost", datetime.now(UTC)))
    for number, of in enumerate((None, context)):
        with listener(of) as server:
            one = start(f"mqtts://localhost:{server.port}", code=f"GW-RESET-{number}")

            def visited_again(server: Listener = server) -> bool:
                server.reset()
                return server.visits >= 2

            wait_until(visited_again, "a second visit")
            assert one.report()["state"] != "online"


def test_a_server_that_accepts_and_never_answers_is_given_up_for_its_silence(silent: Device) -> None:
    silent.wait_for(lambda report: report["failures"] >= 1, "the end of its patience", 35.0)
    assert silent.report()["last_failure"] == "timeout", silent.log
