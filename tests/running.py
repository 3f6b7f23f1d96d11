"""Real PostgreSQL and mosquitto for tests: own folders and ports, and the ways to break them."""

import contextlib
import functools
import itertools
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tds.environment import Plain
from tds.identity.access import broker_rules
from tds.identity.authorities.folder import AuthorityFolder
from tds.local import certificates, processes
from tds.local.accounts import service_account
from tds.local.apart import shared_folder
from tds.local.broker import Broker
from tds.local.broker_config import LOOPBACK, Listeners
from tds.local.cluster import Cluster

ROLE: Final = "tds_tests"
PASSWORD: Final = "only-on-loopback-and-only-for-tests"
SERVICE_PASSWORDS: Final = {service: f"{PASSWORD}{service}" for service in broker_rules.SERVICES}
START_LIMIT_S: Final = 30.0
RECOVERY_LIMIT_S: Final = 120.0  # of a database that was killed: it writes all since its last checkpoint once more
FIRST_PORT: Final = 20_000
PORTS_OF_A_RANGE: Final = 1_000
PORT_RANGES: Final = 12
claims: Final[list[socket.socket]] = []


def claimed_range() -> int:
    """One that no other process of tests on this machine has, for as long as this one lives."""
    for number in random.sample(range(PORT_RANGES), PORT_RANGES):
        # A name of Linux's own, in no folder, which goes with its process.
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tds-tests-ports-{number}")
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        return number
    raise AssertionError(f"{PORT_RANGES} processes run tests on this machine at once; end some of them first.")


@functools.cache
def ports_to_give() -> Iterator[int]:
    """Each port of this process's range once, and then again: what was given may not listen yet."""
    first = FIRST_PORT + claimed_range() * PORTS_OF_A_RANGE
    return itertools.cycle(random.sample(range(first, first + PORTS_OF_A_RANGE), PORTS_OF_A_RANGE))


def free_port() -> int:
    """Below the ports that outgoing connections get: one of those could take it before its server starts.

    Processes that run tests beside one another have a range each, for the same reason.
    """
    for port in ports_to_give():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("itertools.cycle has no end")


def wait_until(true: Callable[[], Any], what: str, limit_s: float = START_LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {limit_s} s")
        time.sleep(0.05)


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
        wait_until(self.cluster.answers, "an answer of PostgreSQL", RECOVERY_LIMIT_S)

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
        """Where nobody is asked for a name, unless the test said otherwise."""
        return self.broker.listeners.plain

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def service_url(self, service: str) -> str:
        return f"mqtt://{service}:{self.broker.passwords[service]}@127.0.0.1:{self.broker.listeners.services}"

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

    def reload(self) -> None:
        """Have it read its rules, lists and certificates again."""
        assert self.process
        self.process.send_signal(signal.SIGHUP)

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
def running_broker(
    autosave_s: int = 0,
    *,
    authorities: AuthorityFolder | None = None,
    access: Plain = Plain.LOOPBACK,
    bind: str = LOOPBACK,
) -> Iterator[RunningBroker]:
    """With `autosave_s` 0 it saves when told to (`save`) and at a clean stop.

    With `authorities` it listens for gateways with certificates as well; `access` is of the ports without TLS.
    """
    with shared_folder("broker") as folder:
        tls = free_port() if authorities else 0
        listeners = Listeners(free_port(), tls, free_port(), free_port(), access, bind)
        broker = Broker(folder, listeners, SERVICE_PASSWORDS, service_account("mosquitto"), autosave_s)
        broker.create()
        if authorities:
            certificates.make(broker.tls, authorities, ["localhost", "127.0.0.1"], datetime.now(UTC))
        running = RunningBroker(broker)
        running.start()
        try:
            yield running
        finally:
            running.stop()
