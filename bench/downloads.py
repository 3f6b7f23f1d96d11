"""What the firmware server serves to a fleet that downloads at once, beside nginx and `openssl s_server`."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import load
from bench.figures import Figure
from bench.platform import ROOT, TENANT, Platform
from bench.processes import watched
from tests.running import free_port

PROGRAM: Final = load.FOLDER / "build/download"
GATEWAYS: Final = 1_000
SIZE: Final = 1_048_576
AROUND_A_PROGRAM: Final = 336  # bytes of an image
RUNS: Final = 5
DROP_RUNS: Final = 3
DROP_PERCENT: Final = 30
SHARE: Final = 0.8
MEMORY_MB: Final = 150 * 1.048576  # 150 MiB
EXTRA_PERCENT: Final = 5.0
FORMAT: Final = "FW-%04d"
BUFFER: Final = 262_144  # large, so that the clients cost as little as they can
SMALL_BUFFER: Final = 16_384  # an ESP32 keeps less for a connection; what is on its way when it breaks is lost
AT_ONCE_OF_S_SERVER: Final = 16  # it serves one after the other
LIMIT_S: Final = 120
COLUMNS: Final = "gateway_code;tenant;site;family;hardware;wifi_ssid;wifi_password;apn;broker"

NGINX: Final = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port} ssl backlog=511; root {folder}/www;
        ssl_certificate {tls}/server.crt; ssl_certificate_key {tls}/server.key;
        ssl_client_certificate {tls}/device-ca.pem; ssl_verify_client on; ssl_verify_depth 3;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20; ssl_session_tickets off;
    }}
}}
"""


@dataclass(slots=True)
class Server:
    name: str
    port: int
    path: str
    pid: int
    at_once: int = GATEWAYS
    rates: list[float] = field(default_factory=list)  # MB/s
    cpu_ms: list[float] = field(default_factory=list)  # a download
    peaks_mb: list[float] = field(default_factory=list)


def measure(platform: Platform) -> list[Figure]:
    if not PROGRAM.exists():
        raise RuntimeError("bench/build/download is not there: install libssl-dev, then `make -C bench`.")
    with tempfile.TemporaryDirectory(prefix="tds-bench-firmware-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        box = _box(platform, folder)
        image = _released(platform, folder)
        ours = _ours(platform, image)
        others = [stack.enter_context(_s_server(platform, folder, image))]
        if shutil.which("nginx"):
            others.insert(0, stack.enter_context(_nginx(platform, folder, image)))
        for _ in range(RUNS):
            for server in (ours, *others):
                _run(server, box)
        whole, extra = _broken_off(ours, box)
    middle = Figure("", tuple(ours.rates), "").middle
    shares = [_share(ours, other) for other in others]
    memory = Figure("memory of the firmware server meanwhile", tuple(ours.peaks_mb), "MB", f"<= {MEMORY_MB:.0f}")
    more = Figure(
        f"… bytes on the wire, {DROP_PERCENT} % of connections broken off", extra, "% more", f"<= {EXTRA_PERCENT:g}"
    )
    return [
        Figure(f"1 MiB to {GATEWAYS:,} gateways at once, with certificates", tuple(ours.rates), "MB/s"),
        *(Figure(f"… by {other.name}", tuple(other.rates), "MB/s") for other in others),
        *(share.judged(share.middle >= SHARE) for share in shares),
        *(Figure(f"processor of {each.name} for a download", tuple(each.cpu_ms), "ms") for each in (ours, *others)),
        memory.judged(max(memory.runs) <= MEMORY_MB),
        Figure("bytes on the wire for a download of 1 MiB", whole, "B"),
        more.judged(more.middle <= EXTRA_PERCENT),
        Figure("gateways served with the middle rate in a minute", (middle * 60e6 / SIZE,), "gateways"),
    ]


def _share(ours: Server, other: Server) -> Figure:
    share = tuple(mine / its for mine, its in zip(ours.rates, other.rates, strict=True))
    return Figure(f"… ours over {other.name}", share, "×", f">= {SHARE:g}")


def _run(server: Server, box: Path) -> None:
    with watched({server.name: server.pid}) as use:
        report = _download(server, box, at_once=server.at_once)
    server.rates.append(report["mb_per_s"])
    server.cpu_ms.append(1_000 * use.cpu_s[server.name] / GATEWAYS)
    server.peaks_mb.append(use.peak_mb[server.name])


def _broken_off(server: Server, box: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bytes on the wire for a download, and how many per cent more with connections that break off."""
    whole, extra = [], []
    for seed in range(1, DROP_RUNS + 1):
        plain = _download(server, box, at_once=100, buffer=SMALL_BUFFER)
        broken = _download(server, box, at_once=100, buffer=SMALL_BUFFER, drop=DROP_PERCENT, seed=seed)
        if not broken["dropped"]:
            raise RuntimeError("No connection was broken off.")
        whole.append(plain["wire_bytes"] / GATEWAYS)
        extra.append(100 * (broken["wire_bytes"] / plain["wire_bytes"] - 1))
    return tuple(whole), tuple(extra)


def _download(  # noqa: PLR0913  # what the program takes
    server: Server, box: Path, *, at_once: int, buffer: int = BUFFER, drop: int = 0, seed: int = 1
) -> Any:
    done = subprocess.run(
        [
            *(PROGRAM, "--port", str(server.port), "--path", server.path, "--size", str(SIZE), "--box", str(box)),
            *("--gateways", str(GATEWAYS), "--gateway-format", FORMAT, "--at-once", str(at_once)),
            *("--buffer", str(buffer), "--drop-percent", str(drop), "--seed", str(seed), "--timeout-s", str(LIMIT_S)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * LIMIT_S,
    )
    report = json.loads(done.stdout) if done.stdout else {}
    if done.returncode or report["completed"] != GATEWAYS:
        raise RuntimeError(f"Not all downloads from {server.name} came to their end: {done.stdout} {done.stderr}")
    return report


def _box(platform: Platform, folder: Path) -> Path:
    units, box = folder / "units.csv", folder / "box"
    rows = (
        f"{FORMAT % number};{TENANT};;dcu-0080;C;factory;secret 00000;;mqtt.example.com" for number in range(GATEWAYS)
    )
    units.write_text("\n".join([COLUMNS, *rows]), encoding="utf-8")
    platform.command("provision", str(units), "--out", str(box))
    return box


def _released(platform: Platform, folder: Path) -> Path:
    """An image of exactly SIZE bytes, signed, published, and assigned to every gateway of the box."""
    program, image, manifest = folder / "program", folder / "app.bin", folder / "manifest.json"
    key = folder / "release.key"
    shutil.copy(Path(platform.environment["TDS_HOME"]) / "release-keys/release.key", key)
    program.write_bytes(os.urandom(SIZE - AROUND_A_PROGRAM))
    words = [str(program), str(image), "--project", "dcu-0080", "--version", "9.0.0"]
    subprocess.run([sys.executable, ROOT / "firmware/tools/pack_image.py", *words], check=True)
    if image.stat().st_size != SIZE:
        raise RuntimeError(f"The image has {image.stat().st_size} bytes and not {SIZE}.")
    signed = manifest.with_suffix(".jws")
    platform.command("release", "build-manifest", str(image), str(manifest), "--product", "dcu")
    platform.command("release", "sign", str(manifest), "--key", str(key), "--out", str(signed))
    platform.command("release", "upload", str(image), str(signed), "--publish")
    with platform.database() as database:
        database.execute(
            """WITH o AS (
                INSERT INTO tds_new_rollout (release_id, name, status, target, success_percent, failure_percent,
                    failure_min_finished, soak_s, concurrency, spread_s, offer_limit_s, one_per_site, gate,
                    current_wave, created_at, halted_why)
                SELECT id, '', 'completed', '{}', 95, 10, 5, 0, 1000, 0, 86400, false, false, 1, now(), ''
                FROM tds_new_release WHERE version = '9.0.0' RETURNING id)
            INSERT INTO tds_new_execution (public_id, rollout_id, wave, place, gateway_id, site_group, time_zone,
                status, phase, reason, detail, seq, ticket, from_version, from_sha256, bytes_done, attempt, queued_at,
                changed_at, accepted)
            SELECT 'bench-' || g.id, o.id, 1, g.id, g.id, '', 'UTC', 'IN_PROGRESS', 'downloading', '', '', g.id, 't',
                '', '', 0, 1, now(), now(), false
            FROM o, tds_new_gateway AS g WHERE g.code LIKE 'FW-%'"""
        )
    return image


def _ours(platform: Platform, image: Path) -> Server:
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    port, pid = int(platform.environment["TDS_OTA_PORT"]), platform.ready["processes"]["ota"]
    return Server("the firmware server", port, f"/ota/v1/artifacts/{sha256}.bin", pid)


@contextlib.contextmanager
def _nginx(platform: Platform, folder: Path, image: Path) -> Iterator[Server]:
    port, tls = free_port(), Path(platform.environment["TDS_HOME"]) / "tls"
    own = folder / "nginx"
    (own / "www").mkdir(parents=True)
    shutil.copy(image, own / "www/app.bin")
    user = "user root;" if os.geteuid() == 0 else ""
    (own / "nginx.conf").write_text(NGINX.format(folder=own, port=port, tls=tls, user=user))
    words = ["nginx", "-c", str(own / "nginx.conf"), "-e", str(own / "error.log")]
    with _running(words, port) as pid:
        yield Server("nginx", port, "/app.bin", pid)


@contextlib.contextmanager
def _s_server(platform: Platform, folder: Path, image: Path) -> Iterator[Server]:
    port, tls = free_port(), Path(platform.environment["TDS_HOME"]) / "tls"
    own = folder / "s_server"
    own.mkdir()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode()
    (own / "app.bin").write_bytes(head + image.read_bytes())  # -HTTP sends a file as it is, head and all
    words = ["openssl", "s_server", "-accept", str(port), "-HTTP", "-quiet", "-Verify", "3", "-verify_return_error"]
    words += ["-num_tickets", "0"]
    words += ["-cert", str(tls / "server.crt"), "-cert_chain", str(tls / "server.crt"), "-key", str(tls / "server.key")]
    words += ["-CAfile", str(tls / "device-ca.pem")]
    with _running(words, port, cwd=own) as pid:
        yield Server("openssl s_server", port, "/app.bin", pid, AT_ONCE_OF_S_SERVER)


@contextlib.contextmanager
def _running(words: list[str], port: int, cwd: Path | None = None) -> Iterator[int]:
    process = subprocess.Popen(
        words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()
