"""`tds up`: the whole platform on this machine, as children of one process."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tds.environment import BROKER_COUNT, MAX_BROKERS, Environment, broker_count, kept_secret, read
from tds.local import broker_tls, brokers, kept_mode, parts, ports
from tds.local import demo as demos
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
from tds.owners import denied
from tds.processes import broker_name


def up(*, demo: bool | None, brokers: int | None, without: frozenset[str]) -> None:
    """Start all, say where it is, and stay until a signal comes. Raises CannotStartError with a sentence."""
    environment = read(os.environ)
    home = environment.home
    count = brokers or (1 if environment.mqtt_urls_given else broker_count(home))
    try:
        home.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(home).free
        numbers = range(1, MAX_BROKERS + 1)
        earlier = [number for number in numbers if (home / broker_name(number) / PROVISIONED).exists()]
        kept_mode.keep(environment)
    except OSError as error:
        why = denied(Path(error.filename or home)) if isinstance(error, PermissionError) else error.strerror
        raise CannotStartError(f"TDS_HOME is {str(home)!r}, which can't be used: {why}.") from error
    now = datetime.now(UTC)
    plan = make_plan(
        environment, demo=demo, without=without, variables=os.environ, now=now, brokers=count, provisioned=earlier
    )
    environment = replace(plan.environment, mqtt_plain=plan.plain)
    with only_one(home):
        if left := recover(home):
            say(f"An earlier start was killed; stopped what it left: {', '.join(left)}.")
        for line in (
            *warnings(plan.environment, free_bytes, now),
            *about_earlier_brokers(plan, earlier),
        ):
            say(line)
        supervisor = Supervisor(home, lambda changed: _write_ready(changed, environment))
        supervisor.catch_signals()
        try:
            has_programs = plan.shows_demo and demos.has_programs()
            _start(supervisor, plan, has_programs=has_programs)
            _write_ready(supervisor, environment)
            password = kept_secret(home, ADMIN_SECRET, ADMIN_SECRET_BYTES)
            password_file = home / "secrets" / ADMIN_SECRET
            about_demo = demos.told(programs=has_programs) if plan.shows_demo else ""
            terminal = sys.stdout.isatty()
            say(announcement(plan, ADMIN, password, password_file, terminal=terminal, demo=about_demo))
            supervisor.watch()
        except StopAskedError:
            pass
        finally:
            (home / "ready.json").unlink(missing_ok=True)
            if supervisor.children:
                say("Stopping …")
            supervisor.stop_all()
        say("Stopped.")


def _start(supervisor: Supervisor, plan: Plan, *, has_programs: bool) -> None:
    environment = plan.environment
    home = environment.home
    cluster = None
    if "database" in plan.parts:
        account = service_account("postgres")
        password = kept_secret(home, "database_superuser_password")
        cluster = Cluster(data_folder(home, "database", account), environment.ports.database, password, account)
        if postmaster := cluster.leftover():
            stop_in_order({"database": postmaster})  # on our data folder, so ours, whatever was written down
    listens = plan.listens()
    ports.refuse_taken(environment.ports, listens)
    for number, places in enumerate(plan.brokers[1:], start=2):
        ports.refuse_taken_by_broker(number, places, listens)
    if not environment.mqtt_urls_given:
        write_whole(home / BROKER_COUNT, f"{len(environment.mqtt_urls)}\n", mode=0o644)
    private = brokers.private(plan)
    if private or "ota" in plan.parts:
        broker_tls.refuse_without_authority(environment)
        _make_certificates(supervisor, environment, private)
    for number, broker in enumerate(private, start=1):
        with _step(broker_name(number)):
            brokers.start(supervisor, number, broker)
    with _step("database"):
        _start_database(supervisor, cluster, environment)
    with _step("tables and pages"):
        supervisor.run(parts.prepare(environment, demo=plan.demo))
    since = datetime.now(UTC)
    children = [
        *([parts.web(environment)] if "web" in plan.parts else []),
        *(parts.consumers(environment, since) if "consumer" in plan.parts else []),
        *([parts.worker(environment, since)] if "worker" in plan.parts else []),
        *([parts.agent(environment, len(private), since)] if private and "agent" in plan.parts else []),
        *([parts.ota(environment)] if "ota" in plan.parts else []),
    ]
    for child in children:
        supervisor.start(child)
    for child in children:
        with _step(child.name):
            supervisor.wait_healthy(child.name)
    if plan.shows_demo:
        supervisor.start(demos.child(environment, plan.brokers, programs=has_programs))
    brokers.drain_earlier(supervisor, plan)


def _make_certificates(supervisor: Supervisor, environment: Environment, private: Sequence[Broker]) -> None:
    """And, on a desk, the authority that they need. Nothing when all is there and fits."""
    hosts, now = broker_tls.hosts(environment), datetime.now(UTC)
    folders = broker_tls.to_make([broker.tls for broker in private], environment.ca_folder, hosts, now=now)
    if folders or not broker_tls.has_authority(environment):
        with _step("certificates"):
            supervisor.run(parts.certificates(environment, hosts, folders))


def _start_database(supervisor: Supervisor, cluster: Cluster | None, environment: Environment) -> None:
    if cluster is None:
        if not parts.sql_answers(environment.database_url):
            raise CannotStartError("The database does not answer; start it, or correct TDS_DATABASE_URL.")
        return
    cluster.create()
    supervisor.start(parts.database(cluster))
    supervisor.wait_healthy("database")
    cluster.provide("tds", kept_secret(environment.home, "database_password"), "tds")


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
