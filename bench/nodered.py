"""A batching Node-RED flow, with a broker of its own and the same database: the other way that people take MQTT in.

The flow (nodered/flow.json) is drawn from Node-RED's own nodes: a message for each reading, joined to 500 rows or half
a second, stored by one statement into a table whose key makes a resend no second row. It looks no device up, and it
acknowledges as Node-RED does: when a message arrived, before it is stored.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench import load
from bench.load import Load
from bench.platform import ROOT, Platform
from bench.processes import Use, watched
from tests.running import RunningBroker, free_port, running_broker

FLOW: Final = ROOT / "bench/nodered"
PLACE: Final = ROOT / "bench/build/nodered"
LIMIT_S: Final = 300.0
POLL_S: Final = 0.5  # counting half a million rows takes a tenth of that, which the flow would pay for
LOG_SHOWN_CHARS: Final = 2_000
INSTALL_LIMIT_S: Final = 300.0
CREATE: Final = """CREATE TABLE IF NOT EXISTS bench_node_red_reading (
    gateway_code text, device_code text, tipo text, unidade text, valor float8, "timestamp" timestamptz,
    PRIMARY KEY (gateway_code, device_code, tipo, "timestamp"))"""


class Flow(NamedTuple):
    """A Node-RED that reads a broker of its own."""

    broker: RunningBroker
    processes: dict[str, int]


def npm() -> str | None:
    return shutil.which("npm", path=f"{os.environ.get('PATH', '')}:{ROOT / '.venv/bin'}")


@contextlib.contextmanager
def running_flow(platform: Platform) -> Iterator[Flow]:
    """Node-RED with the flow in it; its packages are installed the first time."""
    _install()
    with running_broker(autosave_s=15) as broker, _node_red(platform, broker) as pid:
        own = {"broker": broker.process.pid} if broker.process else {}
        yield Flow(broker, own | {"Node-RED": pid, "database": platform.ready["processes"]["database"]})


@contextlib.contextmanager
def _node_red(platform: Platform, broker: RunningBroker) -> Iterator[int]:
    with platform.database() as database:
        database.execute(CREATE)
        url = database.info
        environment = os.environ | {
            "MQTT_PORT": str(broker.port),
            "NODE_RED_PORT": str(free_port()),
            "PGHOST": url.host,
            "PGPORT": str(url.port),
            "PGUSER": url.user,
            "PGPASSWORD": url.password,
            "PGDATABASE": url.dbname,
        }
    command = ["node", PLACE / "node_modules/node-red/red.js", "--userDir", PLACE, "--settings", PLACE / "settings.js"]
    with (PLACE / "node-red.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PLACE, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_it_stores(platform, broker, process)
        _clear(platform)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def rate(platform: Platform, flow: Flow, wanted: Load) -> tuple[float, Use]:
    """Messages a second, from the first that is published to the last that is committed; and what it cost."""
    began = time.perf_counter()
    with watched(flow.processes) as use, load.loadgen(flow.broker.port, wanted) as publisher:
        while (done := _stored(platform)) < wanted.messages * wanted.readings:
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError(f"The flow stored {done} readings of {wanted} within {LIMIT_S:.0f} s.")
            time.sleep(POLL_S)
        took_s = time.perf_counter() - began
        use.note(load.PUBLISHER, load.report_of(publisher))
    _clear(platform)
    return wanted.messages / took_s, use


def _clear(platform: Platform) -> None:
    """What it stored goes before another way runs: autovacuum and checkpoints of half a million rows cost that one."""
    with platform.database() as database:
        database.execute("TRUNCATE bench_node_red_reading")


def _install() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    wanted = (FLOW / "package.json").read_text(encoding="utf-8")
    installed = PLACE / "installed.json"
    for name in ("package.json", "settings.js", "flow.json"):
        shutil.copy(FLOW / name, PLACE / name)
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return
    program = npm()
    if program is None:
        raise RuntimeError("Node-RED needs npm, which this machine has not.")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run([program, "install", *quiet], cwd=PLACE, check=True, timeout=INSTALL_LIMIT_S)
    installed.write_text(wanted, encoding="utf-8")


def _wait_until_it_stores(platform: Platform, broker: RunningBroker, process: subprocess.Popen[bytes]) -> None:
    """One message a second until the first is in the table: subscribed, connected, warm."""
    deadline = time.monotonic() + LIMIT_S
    while _stored(platform) == 0:
        if process.poll() is not None or time.monotonic() > deadline:
            log = Path(PLACE / "node-red.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"Node-RED did not start:\n{log[-LOG_SHOWN_CHARS:]}")
        with load.loadgen(broker.port, Load(1)) as publisher:
            load.report_of(publisher)
        time.sleep(1)


def _stored(platform: Platform) -> int:
    with platform.database() as database:
        row = database.execute("SELECT count(*) FROM bench_node_red_reading").fetchone()
        return int(row[0]) if row else 0
