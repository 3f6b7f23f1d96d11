"""How fast a broker lets gateways with certificates in, and what each one that stays costs it."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import load
from bench.figures import Figure
from bench.processes import pss_mb, watched
from tds.local.apart import shared_folder
from tests.boxes import Maker
from tests.running import RunningBroker, running_broker

RUNS: Final = 5
OPENED: Final = 3_000  # connections a run
OPENED_PLAIN: Final = 15_000  # which takes a second; more would use up this address's ports
HELD: Final = 5_000
AT_ONCE: Final = 16
PROGRAM: Final = load.FOLDER / "build/tlsconn"
S_TIME_S: Final = 4  # a run of `openssl s_time`
LIMIT_S: Final = 300
RATE: Final = 300.0
BROKER_MB: Final = 150.0  # of 5,000 sessions with TLS

_S_TIME: Final = re.compile(r"^(\d+) connections in \d+ real seconds", re.MULTILINE)


@dataclass(slots=True)
class Way:
    """One way to come in; `tls` is 12 or 13, 0 without."""

    name: str
    tls: int
    at_once: int = AT_ONCE
    opened: int = OPENED  # a run
    rates: list[float] = field(default_factory=list)  # connections a second
    broker_ms: list[float] = field(default_factory=list)  # of its processor, for a connection
    p99_ms: list[float] = field(default_factory=list)  # from connect() to CONNACK
    memory_mb: list[float] = field(default_factory=list)  # that HELD sessions took


def measure() -> list[Figure]:
    if not PROGRAM.exists():
        raise RuntimeError("bench/build/tlsconn is not there: install libssl-dev, then `make -C bench`.")
    tls13, tls12, plain = Way("TLS 1.3", 13), Way("TLS 1.2", 12), Way("plain TCP", 0, opened=OPENED_PLAIN)
    alone, s_time = Way("TLS 1.3, one at a time", 13, at_once=1), Way("openssl s_time", 13, at_once=1)
    with shared_folder("bench-box") as folder:
        maker = Maker.new(folder)
        for number in range(HELD):
            maker.provision(load.GATEWAY_FORMAT % number)
        with running_broker(autosave_s=15, authorities=maker.authorities) as broker:
            for _ in range(RUNS):
                for way in (tls13, tls12, plain, alone):
                    _open(broker, maker.box, way)
                s_time.rates.append(_s_time(broker, maker.box))
            for _ in range(3):
                for way in (tls13, tls12, plain):
                    _hold(broker, maker.box, way)
    rate = Figure("gateways let in with certificates, TLS 1.3", tuple(tls13.rates), "1/s", f"≥ {RATE:g}")
    older = Figure("… TLS 1.2, as most ESP32 firmware speaks it", tuple(tls12.rates), "1/s", f"≥ {RATE:g}")
    memory = Figure(f"broker: {HELD:,} sessions, TLS 1.3", tuple(tls13.memory_mb), "MB", f"≤ {BROKER_MB:g}")
    return [
        rate.judged(rate.middle >= RATE),
        older.judged(older.middle >= RATE),
        Figure("… plain TCP", tuple(plain.rates), "1/s"),
        Figure("… TLS 1.3, one at a time", tuple(alone.rates), "1/s"),
        Figure("openssl s_time on the same broker, one at a time, no MQTT", tuple(s_time.rates), "1/s"),
        *(Figure(f"connect to CONNACK, {way.name}: p99", tuple(way.p99_ms), "ms") for way in (tls13, tls12, plain)),
        *(
            Figure(f"broker's processor for a connection, {way.name}", tuple(way.broker_ms), "ms")
            for way in (tls13, tls12, plain)
        ),
        memory.judged(memory.middle <= BROKER_MB),
        Figure(f"broker: {HELD:,} sessions, TLS 1.2", tuple(tls12.memory_mb), "MB"),
        Figure(f"broker: {HELD:,} sessions, plain TCP", tuple(plain.memory_mb), "MB"),
        *(
            Figure(f"… a session, {way.name}", tuple(1_000 * mb / HELD for mb in way.memory_mb), "kB")
            for way in (tls13, tls12, plain)
        ),
    ]


def _open(broker: RunningBroker, box: Path, way: Way) -> None:
    """Each is closed as soon as it is let in."""
    with watched({"broker": _pid(broker)}) as use:
        report = _report(subprocess.run(
            _words(broker, box, way, way.opened, gateways=500), stdout=subprocess.PIPE, check=True, timeout=LIMIT_S
        ).stdout)  # fmt: skip
    way.rates.append(report["per_s"])
    way.p99_ms.append(report["connack_ms"]["p99"])
    way.broker_ms.append(1_000 * use.cpu_s["broker"] / way.opened)


def _hold(broker: RunningBroker, box: Path, way: Way) -> None:
    """A broker that was just started: what another way left behind would count for this one."""
    broker.restart()
    before_mb = pss_mb(_pid(broker))
    with _held(_words(broker, box, way, HELD, gateways=HELD, hold=1)):
        way.memory_mb.append(pss_mb(_pid(broker)) - before_mb)


@contextlib.contextmanager
def _held(words: list[str]) -> Iterator[None]:
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or not _report(process.stdout.readline())["complete"]:
            raise RuntimeError(f"Not all of {HELD} gateways were let in.")
        yield
        output, _ = process.communicate(timeout=LIMIT_S)
        if json.loads(output)["lost"]:
            raise RuntimeError("The broker hung up on gateways that it had let in.")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _words(  # noqa: PLR0913  # what the program takes
    broker: RunningBroker, box: Path, way: Way, connections: int, *, gateways: int, hold: int = 0
) -> list[str]:
    listeners = broker.broker.listeners
    port = listeners.tls if way.tls else listeners.plain
    return [
        *(str(PROGRAM), "--port", str(port), "--gateway-format", load.GATEWAY_FORMAT, "--gateways", str(gateways)),
        *("--connections", str(connections), "--at-once", str(way.at_once), "--hold", str(hold)),
        *("--timeout-s", str(LIMIT_S)),
        *(("--box", str(box), "--tls", str(way.tls)) if way.tls else ()),
    ]


def _s_time(broker: RunningBroker, box: Path) -> float:
    """TLS handshakes a second by a program that nobody here wrote: no MQTT, and with one certificate."""
    folder = box / (load.GATEWAY_FORMAT % 0)
    began = time.perf_counter()
    done = subprocess.run(
        [
            *("openssl", "s_time", "-connect", f"localhost:{broker.broker.listeners.tls}", "-new", "-tls1_3"),
            *("-time", str(S_TIME_S), "-CAfile", folder / "ca.pem"),
            *("-cert", folder / "gateway.crt", "-key", folder / "gateway.key"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )
    took_s = time.perf_counter() - began
    found = _S_TIME.search(done.stdout)
    if found is None:
        raise RuntimeError(f"openssl s_time said nothing of connections: {done.stdout}")
    return int(found[1]) / took_s


def _report(line: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(line)
    return document


def _pid(broker: RunningBroker) -> int:
    if broker.process is None:
        raise RuntimeError("The broker is not running.")
    return broker.process.pid
