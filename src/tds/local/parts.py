"""The children of `tds up`: how each is started, and when it counts as healthy."""

import http.client
import os
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import psycopg

from tds.environment import ROOT, Environment
from tds.local.broker import Broker
from tds.local.cluster import Cluster
from tds.local.ports import for_url, reachable
from tds.local.supervisor import Child
from tds.processes import AGENT, broker_name, consumer_name, consumers_of

WEB_WORKERS: Final = 2
WEB_THREADS: Final = 4  # a worker; WEB_WORKERS × WEB_THREADS pages are made at once, more wait in the socket's queue
SERVER_CA: Final = "server-ca.pem"  # as identity/authorities/server_files.py names it
WEB_GRACE_S: Final = 2  # what a page may still take when the web is told to stop


def database(cluster: Cluster) -> Child:
    return Child(
        "database",
        cluster.command(),
        cluster.answers,
        limit_s=120,  # after a crash it first replays its log
        account=cluster.account,
        before=cluster.leftover,
    )


def broker(broker: Broker, number: int) -> Child:
    name = broker_name(number)
    return Child(name, broker.command(), broker.answers, limit_s=60, account=broker.account, before=broker.create)


def certificates(environment: Environment, hosts: Iterable[str], folders: Iterable[Path]) -> Child:
    words = [sys.executable, "-m", "tds.local.certificates", "--authorities", str(environment.ca_folder)]
    words += [word for host in hosts for word in ("--host", host)]
    words += [word for folder in folders for word in ("--folder", str(folder))]
    return Child("certificates", words, limit_s=60, cwd=ROOT, environment=variables(environment))


def prepare(environment: Environment, *, demo: bool) -> Child:
    words = [sys.executable, "-m", "tds.local.prepare", *(["--demo"] if demo else [])]
    return Child("prepare", words, limit_s=300, cwd=ROOT, environment=variables(environment))


def web(environment: Environment) -> Child:
    address = for_url(environment.bind)
    words = [sys.executable, "-m", "gunicorn", "tds.wsgi:application", "--bind", f"{address}:{environment.ports.web}"]
    words += ["--worker-class", "gthread", "--workers", str(WEB_WORKERS), "--threads", str(WEB_THREADS)]
    # Loaded once and shared by the workers: half the memory. The control socket would land in the user's home.
    words += ["--preload", "--no-control-socket", "--graceful-timeout", str(WEB_GRACE_S), "--log-level", "warning"]
    if os.access("/dev/shm", os.W_OK):  # noqa: S108  # gunicorn makes its own unguessable file there
        words += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108  # a slow disk must not look like a hung worker
    return Child(
        "web", words, lambda: not web_trouble(environment), limit_s=60, cwd=ROOT, environment=variables(environment)
    )


def consumers(environment: Environment, since: datetime) -> list[Child]:
    """One a broker, or one a slot."""
    found = []
    for number, slot in consumers_of(len(environment.mqtt_urls), environment.mqtt_shared_slots):
        name = consumer_name(number, slot)
        words = [sys.executable, str(ROOT / "manage.py"), "mqtt_consumer", "--broker-number", str(number)]
        words += ["--slot", str(slot)] if slot else []
        healthy = heartbeat(environment, name, since)
        found.append(Child(name, words, healthy, limit_s=60, cwd=ROOT, environment=variables(environment)))
    return found


def draining_consumer(environment: Environment, number: int, then: Callable[[], None]) -> Child:
    """Fetches what a private broker of an earlier start still holds, and ends."""
    words = [sys.executable, str(ROOT / "manage.py"), "mqtt_consumer", "--broker-number", str(number), "--drain"]
    return Child(consumer_name(number), words, cwd=ROOT, environment=variables(environment), then=then)


def worker(environment: Environment, since: datetime) -> Child:
    words = [sys.executable, str(ROOT / "manage.py"), "worker"]
    healthy = heartbeat(environment, "worker", since)
    return Child("worker", words, healthy, limit_s=60, cwd=ROOT, environment=variables(environment))


def agent(environment: Environment, brokers: int, since: datetime) -> Child:
    """Of the access to the private brokers, 1 to `brokers`."""
    words = [sys.executable, str(ROOT / "manage.py"), "broker_agent", "--forget-others"]
    words += [word for number in range(1, brokers + 1) for word in ("--broker-number", str(number))]
    healthy = heartbeat(environment, AGENT, since)
    return Child(AGENT, words, healthy, limit_s=60, cwd=ROOT, environment=variables(environment))


def ota(environment: Environment) -> Child:
    """The firmware server: gateways enrol there too."""
    words = [sys.executable, str(ROOT / "manage.py"), "ota_server"]
    return Child(
        "ota", words, lambda: not ota_trouble(environment), limit_s=60, cwd=ROOT, environment=variables(environment)
    )


def variables(environment: Environment) -> dict[str, str]:
    # Where the brokers are is in the home, or reaches them as it was given: it may hold passwords.
    return {
        "TDS_HOME": str(environment.home),
        "DJANGO_SETTINGS_MODULE": "tds.settings",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUNBUFFERED": "1",  # what a killed child said last must be in its log
    }


def web_trouble(environment: Environment) -> str:
    """Why the web does not answer; empty when it does."""
    connection = http.client.HTTPConnection(reachable(environment.bind), environment.ports.web, timeout=2)
    # Any name that the site answers to will do; a pattern (`.example.org`, `*`) stands for a name as well.
    name = environment.allowed_hosts[0].lstrip(".")
    return _trouble(connection, {"Host": "localhost" if name == "*" else name})


def ota_trouble(environment: Environment) -> str:
    """Why the firmware server does not answer as a gateway would have it, by TLS and its name; empty when it does."""
    try:
        context = ssl.create_default_context(cafile=environment.home / "tls" / SERVER_CA)
    except OSError as error:
        return f"{environment.home / 'tls' / SERVER_CA}: {error.strerror or error}"
    at = reachable(environment.bind)
    return _trouble(http.client.HTTPSConnection(at, environment.ports.ota, timeout=2, context=context), {})


def _trouble(connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> str:
    try:
        connection.request("GET", "/healthz", headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status == http.client.OK else f"status {status}"


def sql_answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def heartbeat(environment: Environment, process: str, since: datetime) -> Callable[[], bool]:
    """Whether that process, started after `since`, has said of itself that it works."""

    def beats() -> bool:
        query = "SELECT 1 FROM tds_new_heartbeat WHERE process = %s AND started_at >= %s"
        try:
            with psycopg.connect(environment.database_url, connect_timeout=3) as connection:
                return connection.execute(query, [process, since]).fetchone() is not None
        except psycopg.OperationalError:
            return False

    return beats
