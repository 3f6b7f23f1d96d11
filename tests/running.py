"""Real PostgreSQL and mosquitto for tests: own folders and ports, and the ways to break them."""

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tds.local import processes
from tds.local.accounts import service_account
from tds.local.broker import Broker
from tds.local.cluster import Cluster

ROLE: Final = "tds_tests"
PASSWORD: Final = "only-on-loopback-and-only-for-tests"
START_LIMIT_S: Final = 30.0


def free_port() -> int:
    """Below the ports that outgoing connections get: one of those could take it before its server starts."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(true: Callable[[], Any], what: str, limit_s: float = START_LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {limit_s} s")
        time.sleep(0.05)


@contextlib.contextmanager
def shared_folder(name: str) -> Iterator[Path]:
    """A temporary folder that other accounts may pass through; pytest's own can be entered by its user alone."""
    folder = Path(tempfile.mkdtemp(prefix=f"tds-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class RunningCluster:
    """A private PostgreSQL without fsync."""

    cluster: Cluster
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.cluster.port

    def start(self) -> None:
        with (self.cluster.folder / "log").open("ab") as log:
            self.process = processes.start(self.cluster.command(), log=log, account=self.cluster.account)
        wait_until(self.cluster.answers, "an answer of PostgreSQL")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=START_LIMIT_S)
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


@contextlib.contextmanager
def running_cluster() -> Iterator[RunningCluster]:
    with shared_folder("database") as folder:
        cluster = Cluster(folder, free_port(), PASSWORD, service_account("postgres"), durable=False)
        cluster.create()
        running = RunningCluster(cluster)
        running.start()
        try:
            cluster.provide(ROLE, PASSWORD, ROLE, may_create_databases=True)
            yield running
        finally:
            running.stop()


@dataclass
class RunningBroker:
    """A private mosquitto. `kill` is what a power cut does to it; what it saved before is there after `start`."""

    broker: Broker
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def port(self) -> int:
        return self.broker.port

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.broker.port}"

    def start(self) -> None:
        with (self.broker.folder / "log").open("ab") as log:
            self.process = processes.start(self.broker.command(), log=log, account=self.broker.account)
        wait_until(lambda: self.broker.answers(0.5), "an answer of mosquitto")

    def save(self) -> None:
        """Make it write its database now, and wait for that."""
        before = self.broker.saved_at()
        assert self.process
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.broker.saved_at() != before, "mosquitto's save")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=START_LIMIT_S)
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()


@contextlib.contextmanager
def running_broker(autosave_s: int = 0) -> Iterator[RunningBroker]:
    """With `autosave_s` 0 it saves when told to (`save`) and at a clean stop."""
    with shared_folder("broker") as folder:
        broker = Broker(folder, free_port(), free_port(), service_account("mosquitto"), autosave_s)
        broker.create()
        running = RunningBroker(broker)
        running.start()
        try:
            yield running
        finally:
            running.stop()
