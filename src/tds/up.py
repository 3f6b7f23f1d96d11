"""`tds up`: the whole platform on this machine, as children of one process."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tds.environment import BROKER_COUNT, MAX_BROKERS, BrokerPorts, Environment, broker_count, kept_secret, read
from tds.local import parts, ports
from tds.local.accounts import data_folder, service_account
from tds.local.broker import PROVISIONED, Broker
from tds.local.cluster import Cluster
from tds.local.leftovers import only_one, recover, stop_in_order
from tds.local.plan import (
    Plan,
    about_earlier_brokers,
    announcement,
    make_plan,
    ready_facts,
    warnings,
)
from tds.local.prepared import ADMIN, ADMIN_SECRET, ADMIN_SECRET_BYTES
from tds.local.processes import write_whole
from tds.local.refusal import CannotStartError
from tds.local.supervisor import StopAskedError, Supervisor, say
from tds.processes import broker_name

SESSION_SAVE_S: Final = 5.0


def up(*, demo: bool | None, brokers: int | None, without: frozenset[str]) -> None:
    """Start all, say where it is, and stay until a signal comes. Raises CannotStartError with a sentence."""
    environment = read(os.environ)
    home = environment.home
    count = brokers or (1 if environment.mqtt_urls_given else broker_count(home))
    earlier = [number for number in range(1, MAX_BROKERS + 1) if (home / broker_name(number) / PROVISIONED).exists()]
    plan = make_plan(environment, demo=demo, without=without, variables=os.environ, brokers=count, provisioned=earlier)
    environment = plan.environment
    try:
        home.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(home).free
    except OSError as error:
        raise CannotStartError(f"TDS_HOME is {str(home)!r}, which can't be used: {error.strerror}.") from error
    with only_one(home):
        if left := recover(home):
            say(f"An earlier start was killed; stopped what it left: {', '.join(left)}.")
        for line in (
            *warnings(environment, free_bytes, datetime.now(UTC)),
            *about_earlier_brokers(plan, earlier),
        ):
            say(line)
        supervisor = Supervisor(home, lambda changed: _write_ready(changed, environment))
        supervisor.catch_signals()
        try:
            _start(supervisor, plan)
            _write_ready(supervisor, environment)
            password = kept_secret(home, ADMIN_SECRET, ADMIN_SECRET_BYTES)
            password_file = home / "secrets" / ADMIN_SECRET
            say(announcement(plan, ADMIN, password, password_file, terminal=sys.stdout.isatty()))
            supervisor.watch()
        except StopAskedError:
            pass
        finally:
            (home / "ready.json").unlink(missing_ok=True)
            if supervisor.children:
                say("Stopping …")
            supervisor.stop_all()
        say("Stopped.")


def _start(supervisor: Supervisor, plan: Plan) -> None:
    environment = plan.environment
    home = environment.home
    cluster = None
    if "database" in plan.parts:
        account = service_account("postgres")
        password = kept_secret(home, "database_superuser_password")
        cluster = Cluster(data_folder(home, "database", account), environment.ports.database, password, account)
        if postmaster := cluster.leftover():
            stop_in_order({"database": postmaster})  # on our data folder, so ours, whatever was written down
    ports.refuse_taken(environment.ports, plan.ports(), environment.bind)
    ports.refuse_taken_by_brokers(plan.brokers)
    if not environment.mqtt_urls_given:
        write_whole(home / BROKER_COUNT, f"{len(environment.mqtt_urls)}\n", mode=0o644)
    for number, places in enumerate(plan.brokers, start=1):
        with _step(broker_name(number)):
            _start_broker(supervisor, number, places)
    with _step("database"):
        _start_database(supervisor, cluster, environment)
    with _step("tables and pages"):
        supervisor.run(parts.prepare(environment, demo=plan.demo))
    since = datetime.now(UTC)
    children = [
        *([parts.web(environment)] if "web" in plan.parts else []),
        *(parts.consumers(environment, since) if "consumer" in plan.parts else []),
        *([parts.worker(environment, since)] if "worker" in plan.parts else []),
    ]
    for child in children:
        supervisor.start(child)
    for child in children:
        with _step(child.name):
            supervisor.wait_healthy(child.name)
    if plan.demo and "broker" in plan.parts:
        supervisor.start(parts.simulator(environment))
    _drain_earlier(supervisor, plan)


def _broker(home: Path, number: int, places: BrokerPorts) -> Broker:
    account = service_account("mosquitto")
    return Broker(data_folder(home, broker_name(number), account), places.mqtt, places.mqtt_ws, account)


def _start_broker(supervisor: Supervisor, number: int, places: BrokerPorts) -> None:
    """First of all, and with the consumer's session in it before anybody can publish into nothing."""
    broker, name = _broker(supervisor.home, number, places), broker_name(number)
    supervisor.start(parts.broker(broker, number))
    supervisor.wait_healthy(name)
    if not broker.needs_session():
        return
    saved_before = broker.saved_at()
    if not broker.open_session():
        raise CannotStartError(f"The broker did not open the consumer's session; see {supervisor.home}/log/{name}.log.")
    os.kill(supervisor.pids()[name], signal.SIGUSR1)  # save now: a kill -9 must not lose the session
    _wait(supervisor, lambda: broker.saved_at() != saved_before, "The broker did not save the consumer's session.")
    broker.provisioned.touch()


def _drain_earlier(supervisor: Supervisor, plan: Plan) -> None:
    """Store what brokers of an earlier start still hold: on ports that no gateway knows, so that it comes to an end."""
    private = {number: ports.private_port() for number in plan.draining}
    for number in plan.draining:
        broker = _broker(supervisor.home, number, BrokerPorts(private[number], ports.private_port()))
        supervisor.start(parts.broker(broker, number))
        supervisor.wait_healthy(broker_name(number))

        def drained(broker: Broker = broker, number: int = number) -> None:
            broker.provisioned.unlink(missing_ok=True)  # the session is gone: the next start makes it anew
            supervisor.dismiss(broker_name(number))
            say(f"Broker {number} holds nothing any more and was let go.")

        supervisor.start(parts.draining_consumer(plan.environment, number, private, drained))


def _start_database(supervisor: Supervisor, cluster: Cluster | None, environment: Environment) -> None:
    if cluster is None:
        if not parts.sql_answers(environment.database_url):
            raise CannotStartError("The database does not answer; start it, or correct TDS_DATABASE_URL.")
        return
    cluster.create()
    supervisor.start(parts.database(cluster))
    supervisor.wait_healthy("database")
    cluster.provide("tds", kept_secret(environment.home, "database_password"), "tds")


def _wait(supervisor: Supervisor, done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + SESSION_SAVE_S
    while not done():
        supervisor.refuse_when_stopped()
        if time.monotonic() > deadline:
            raise CannotStartError(otherwise)
        time.sleep(0.02)


@contextmanager
def _step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"  {name:<18}ready after {time.monotonic() - began:.1f} s")


def _write_ready(supervisor: Supervisor, environment: Environment) -> None:
    password_file = environment.home / "secrets" / ADMIN_SECRET
    facts = ready_facts(environment, ADMIN, password_file, supervisor.pids())
    # For its owner alone: the database's password is in it.
    write_whole(environment.home / "ready.json", json.dumps(facts, indent=2), mode=0o600)
