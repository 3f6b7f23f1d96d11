"""The load generators and the bare subscriber, built with sanitizers: what they send is what the platform takes."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tds.ingest.messages import Message
from tds.ingest.wire import judge
from tds.local.apart import shared_folder
from tests.boxes import Maker
from tests.firmware_server import FirmwareServer, Signers, firmware_server
from tests.running import RunningBroker, running_broker, wait_until

BENCH = Path(__file__).parents[2] / "bench"
IMAGE = bytes(range(256)) * 1_024
FILE = hashlib.sha256(IMAGE).hexdigest()
START = datetime(2026, 2, 18, 18, 30, 59, 999_000, UTC)

pytestmark = pytest.mark.skipif(not shutil.which("make") or not shutil.which("cc"), reason="needs make and cc")


@pytest.fixture(scope="module")
def programs() -> Path:
    subprocess.run(["make", "--quiet", "-C", str(BENCH), "sanitized"], check=True)
    return BENCH / "build/sanitized"


def start(program: Path, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([str(program), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, complaint = process.communicate(timeout=60)
    assert complaint == ""
    document: dict[str, Any] = json.loads(output.splitlines()[-1])
    return document


@pytest.mark.parametrize("words", [[], ["--protocol", "4"], ["--readings", "500"], ["--connections", "3"]])
def test_every_message_of_the_load_is_accepted_and_another_reading(
    broker: RunningBroker, programs: Path, words: list[str]
) -> None:
    came: list[tuple[str, bytes]] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: came.append((message.topic, bytes(message.payload)))
    subscribed: list[bool] = []
    client.on_subscribe = lambda *_: subscribed.append(True)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.subscribe("telemetry/+/+/data", qos=1)
    wait_until(lambda: subscribed, "the subscription")
    load = start(
        *(programs / "loadgen", "--port", broker.port, "--messages", 2_000, "--gateways", 11, "--devices", 7),
        *("--start-time", START.isoformat().replace("+00:00", "Z"), "--step-ms", 1, *words),
    )
    report = report_of(load)
    wait_until(lambda: len(came) == 2_000, "the last message")
    client.disconnect()
    client.loop_stop()

    verdicts = [
        judge(topic, payload, now=START + timedelta(days=1), retention=timedelta(days=90)) for topic, payload in came
    ]
    messages = [verdict for verdict in verdicts if isinstance(verdict, Message)]
    assert len(messages) == 2_000
    assert len({(one.gateway_code, one.device_code, one.time) for one in messages}) == 2_000
    assert {one.gateway_code for one in messages} == {f"BENCH-{n:04}" for n in range(11)}
    assert {one.device_code for one in messages} == {f"D{n:02}" for n in range(1, 8)}
    assert min(one.time for one in messages) == START
    assert (report["acked"], report["refused"], report["no_subscriber"]) == (2_000, 0, 0)
    assert load.returncode == 0


def test_the_bare_subscriber_counts_all_that_was_published(broker: RunningBroker, programs: Path) -> None:
    sink = start(programs / "sink", "--port", broker.port, "--messages", 20_000)
    assert sink.stdout is not None
    assert sink.stdout.readline() == "ready\n"
    load = start(programs / "loadgen", "--port", broker.port, "--messages", 20_000)
    assert report_of(load)["acked"] == 20_000
    assert report_of(sink)["messages"] == 20_000
    assert sink.returncode == load.returncode == 0


def test_what_nobody_subscribes_to_does_not_count_as_acknowledged(broker: RunningBroker, programs: Path) -> None:
    report = report_of(start(programs / "loadgen", "--port", broker.port, "--messages", 1_000))
    assert (report["acked"], report["no_subscriber"]) == (0, 1_000)


@pytest.fixture(scope="module")
def maker(programs: Path) -> Iterator[Maker]:
    if not (programs / "tlsconn").exists():
        pytest.skip("needs OpenSSL's headers (libssl-dev)")
    with shared_folder("bench-box") as folder:
        found = Maker.new(folder)
        for number in range(20):
            found.provision(f"BENCH-{number:04}")
        yield found


@pytest.fixture(scope="module")
def tls_broker(maker: Maker) -> Iterator[RunningBroker]:
    with running_broker(authorities=maker.authorities) as running:
        yield running


@pytest.mark.parametrize("version", [12, 13])
def test_every_gateway_of_a_box_comes_in_by_its_certificate(
    tls_broker: RunningBroker, maker: Maker, programs: Path, version: int
) -> None:
    opener = start(
        *(programs / "tlsconn", "--port", tls_broker.broker.listeners.tls, "--box", maker.box, "--gateways", 20),
        *("--connections", 60, "--at-once", 7, "--tls", version),
    )
    report = report_of(opener)
    assert (report["accepted"], report["refused"], report["failed"], report["complete"]) == (60, 0, 0, True)
    assert 0 < report["connack_ms"]["p50"] <= report["connack_ms"]["max"]
    assert opener.returncode == 0


def test_held_connections_are_all_there_until_the_end(tls_broker: RunningBroker, maker: Maker, programs: Path) -> None:
    opener = subprocess.Popen(
        [
            *(programs / "tlsconn", "--port", str(tls_broker.broker.listeners.tls), "--box", maker.box, "--hold", "1"),
            *("--gateways", "20", "--connections", "20"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert opener.stdout is not None
    assert json.loads(opener.stdout.readline())["accepted"] == 20
    assert established(tls_broker.broker.listeners.tls) == 20
    output, complaint = opener.communicate(timeout=20)
    assert json.loads(output) == {"held": 20, "lost": 0}
    assert (opener.returncode, complaint) == (0, "")


def test_without_a_box_connections_are_plain(broker: RunningBroker, programs: Path, maker: Maker) -> None:
    report = report_of(start(programs / "tlsconn", "--port", broker.port, "--connections", 50))
    assert (report["accepted"], report["complete"]) == (50, True)


def test_a_certificate_of_another_authority_does_not_count(
    tls_broker: RunningBroker, maker: Maker, programs: Path, tmp_path: Path
) -> None:
    other = Maker.new(tmp_path)
    ca = (maker.box / "BENCH-0000/ca.pem").read_bytes()
    (other.provision("BENCH-0000") / "ca.pem").write_bytes(ca)
    words = ("--port", tls_broker.broker.listeners.tls, "--box", other.box, "--gateways", 1, "--at-once", 1)
    opener = start(programs / "tlsconn", *words, "--connections", 3)
    output, complaint = opener.communicate(timeout=20)
    report = json.loads(output)
    assert (report["accepted"], report["failed"], opener.returncode) == (0, 3, 1)
    assert complaint.startswith("BENCH-0000: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--box", "/nowhere"], "can't be read; fill the box"),
        (["--gateways", "3"], "give as many --gateways"),
        (["--hold", "1", "--connections", "100000", "--gateways", "100000"], "one address has no more ports"),
        (["--host", "example.org", "--connections", "1"], "is not this machine"),
    ],
)
def test_a_wrong_option_of_the_opener_is_a_sentence(
    programs: Path, maker: Maker, words: list[str], sentence: str
) -> None:
    opener = start(programs / "tlsconn", *words)
    _, complaint = opener.communicate(timeout=20)
    assert opener.returncode != 0
    assert sentence in complaint


@pytest.fixture
def served(maker: Maker) -> Iterator[FirmwareServer]:
    with firmware_server(Signers(), maker.server_files()) as running:
        running.images[FILE] = IMAGE
        yield running


def downloads(programs: Path, maker: Maker, served: FirmwareServer, *words: object) -> subprocess.Popen[str]:
    return start(
        *(programs / "download", "--port", served.url.rpartition(":")[2], "--box", maker.box),
        *("--path", f"/ota/v1/artifacts/{FILE}.bin", "--size", len(IMAGE), "--gateways", 20, *words),
    )


@pytest.mark.parametrize("version", [12, 13])
def test_every_gateway_of_a_box_downloads_the_whole_file(
    programs: Path, maker: Maker, served: FirmwareServer, version: int
) -> None:
    loader = downloads(programs, maker, served, "--at-once", 7, "--tls", version)
    report = report_of(loader)
    assert (report["completed"], report["failed"], report["connections"], report["dropped"]) == (20, 0, 20, 0)
    assert served.sent_bytes == 20 * len(IMAGE)
    assert served.sent_bytes < report["wire_bytes"] < 1.1 * served.sent_bytes
    assert 0 < report["download_ms"]["p50"] <= report["download_ms"]["max"]
    assert loader.returncode == 0


def test_a_download_that_broke_off_goes_on_where_it_was(programs: Path, maker: Maker, served: FirmwareServer) -> None:
    report = report_of(downloads(programs, maker, served, "--drop-percent", 60, "--buffer", 4_096, "--seed", 3))
    assert (report["completed"], report["failed"]) == (20, 0)
    assert report["dropped"] > 0
    assert report["connections"] == 20 + report["dropped"] == len(served.asked)
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for _line, wanted in served.asked if wanted]
    assert len(starts) > 0
    assert all(0 < at < len(IMAGE) for at in starts)


def test_a_download_that_is_turned_away_comes_again(programs: Path, maker: Maker, served: FirmwareServer) -> None:
    served.status = 503
    loader = downloads(programs, maker, served)
    wait_until(lambda: len(served.asked) >= 20, "all that ask")
    served.status = 0
    report = report_of(loader)
    assert (report["completed"], report["failed"], loader.returncode) == (20, 0, 0)
    assert report["turned_away"] >= 16  # as many as are at it at once


@pytest.mark.parametrize(
    ("words", "cut", "sentence"),
    [
        (["--path", "/ota/v1/artifacts/nothing.bin"], None, "HTTP/1.1 404 Not Found"),
        (["--size", len(IMAGE) + 1], None, "the request failed"),
        (["--size", len(IMAGE) - 1], None, "the request failed"),
        ([], 5_000, "reading failed"),
    ],
    ids=["not there", "shorter than it should be", "longer than it should be", "cut off by the server"],
)
def test_what_is_not_the_whole_file_does_not_count(  # noqa: PLR0917  # fixtures and cases
    programs: Path, maker: Maker, served: FirmwareServer, words: list[object], cut: int | None, sentence: str
) -> None:
    served.cut_after += [] if cut is None else [cut] * 20
    loader = downloads(programs, maker, served, *words)
    output, complaint = loader.communicate(timeout=20)
    report = json.loads(output)
    assert (report["completed"], report["failed"], loader.returncode) == (0, 20, 1)
    assert sentence in complaint
    assert len(complaint.splitlines()) <= 2  # one speaks for all


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--box", "/nowhere"], "can't be read; fill the box"),
        (["--host", "example.org"], "is not this machine"),
        (["--drop-percent", "100"], "from 0 to 90"),
    ],
)
def test_a_wrong_option_of_the_downloader_is_a_sentence(
    programs: Path, maker: Maker, words: list[str], sentence: str
) -> None:
    loader = start(programs / "download", "--box", maker.box, "--gateways", 1, *words)
    _, complaint = loader.communicate(timeout=20)
    assert loader.returncode != 0
    assert sentence in complaint


def established(port: int) -> int:
    """Connections to that port of this machine, at the server's side (proc_pid_net(5); 01 is ESTABLISHED)."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


def test_a_rate_is_kept(broker: RunningBroker, programs: Path) -> None:
    report = report_of(start(programs / "loadgen", "--port", broker.port, "--messages", 5_000, "--rate", 1_000))
    assert 900 < report["msg_per_s"] < 1_100


def test_both_end_by_themselves(broker: RunningBroker, programs: Path) -> None:
    sink = start(programs / "sink", "--port", broker.port, "--timeout-s", 1, "--messages", 1_000)
    load = start(programs / "loadgen", "--port", broker.port, "--timeout-s", 1, "--rate", 10, "--messages", 1_000)
    assert sink.wait(timeout=20) == load.wait(timeout=20) == 1
    sink.communicate()
    assert "Not all was acknowledged" in load.communicate()[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--host", "192.0.2.1"], "is not this machine"),
        (["--host", "example.org"], "is not this machine"),
        (["--port", "0"], "from 1 to 65535"),
        (["--gateway-format", "%s"], "is no format of codes"),
        (["--gateway-format", "%n%04d"], "is no format of codes"),
        (["--gateway-format", "G%01d", "--gateways", "11"], "too narrow"),
        (["--start-time", "yesterday"], "is no time"),
        (["--messages"], "needs a value"),
        (["--speed", "1"], "is no option"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(programs: Path, words: list[str], sentence: str) -> None:
    load = start(programs / "loadgen", *words)
    _, complaint = load.communicate(timeout=20)
    assert load.returncode == 2
    assert sentence in complaint
