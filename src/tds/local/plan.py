"""What a start is about: which parts are ours to run, what to warn of, what to say at the end. Values in and out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tds.environment import BrokerPorts, Environment, Mode, broker_ports, with_brokers
from tds.local.ports import for_url, is_loopback, reachable
from tds.local.refusal import CannotStartError
from tds.processes import broker_name

PARTS: Final = ("database", "broker", "web", "consumer", "worker")
LOW_DISK_MIB: Final = 500
NOT_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)  # a clock that says less was never set
DEFAULT_MQTT_PORT: Final = 1883


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts` are the ones to start: what is left out, or runs elsewhere, is not in it. `brokers` are the private ones.

    `draining` are numbers of private brokers that an earlier start had: what they hold must still be stored.
    """

    environment: Environment
    demo: bool
    parts: frozenset[str]
    brokers: tuple[BrokerPorts, ...]
    draining: tuple[int, ...] = ()

    def ports(self) -> list[str]:
        """The fields of `Ports` that this start listens on."""
        listens = {"database": ["database"], "broker": ["mqtt", "mqtt_ws"], "web": ["web"]}
        return [field for part in PARTS if part in self.parts for field in listens.get(part, [])]


def make_plan(  # noqa: PLR0913  # what a person said, and what is in the home
    environment: Environment,
    *,
    demo: bool | None,
    without: Iterable[str],
    variables: Mapping[str, str],
    brokers: int = 1,
    provisioned: Iterable[int] = (),
) -> Plan:
    """`demo` None is nobody's choice: then a desk gets one, and production does not.

    `provisioned` are the private brokers whose folders have the consumer's session. Raises CannotStartError.
    """
    elsewhere = set(without)
    if variables.get("TDS_DATABASE_URL") or variables.get("TDS_DATABASE_URL_FILE"):
        elsewhere.add("database")
    if environment.mqtt_urls_given and brokers > 1:
        raise CannotStartError(
            "TDS_MQTT_URLS says where the brokers are, so --brokers can't start others; leave one of the two out."
        )
    environment = with_brokers(environment, brokers)
    if not any(_is_ours(url, environment) for url in environment.mqtt_urls):
        elsewhere.add("broker")
    wanted = environment.mode is Mode.DEVELOPMENT if demo is None else demo
    parts = frozenset(PARTS) - elsewhere
    if "broker" in parts and environment.mqtt_shared_slots:
        raise CannotStartError(
            "TDS_MQTT_SHARED_SLOTS is for a clustered broker, and the private one is mosquitto, which loses messages "
            "of shared subscriptions when it restarts; set the slots to 0."
        )
    return Plan(
        environment,
        wanted,
        parts,
        broker_ports(environment.ports, environment.more_ports, brokers) if "broker" in parts else (),
        tuple(sorted(n for n in provisioned if n > brokers)) if parts >= {"broker", "consumer"} else (),
    )


def _is_ours(url: str, environment: Environment) -> bool:
    at = urlsplit(url)
    return is_loopback(at.hostname or "") and (at.port or DEFAULT_MQTT_PORT) == environment.ports.mqtt


def warnings(environment: Environment, free_bytes: int, now: datetime) -> list[str]:
    """What a person should know, and what is no reason not to start."""
    found = []
    if (free_mib := free_bytes // 1024**2) < LOW_DISK_MIB:
        found.append(f"Warning: only {free_mib} MiB are free where {environment.home} is; make room, or readings stop.")
    if now < NOT_BEFORE:
        found.append(f"Warning: the clock says {now:%Y-%m-%d}; set it, or readings are refused as from the future.")
    if not is_loopback(environment.bind):
        found.append(
            f"TDS_BIND is {environment.bind}: the web is open to the network, and answers to the names and addresses "
            f"in TDS_ALLOWED_HOSTS. "
            "MQTT stays on 127.0.0.1, because it asks for no password here."
        )
    return found


def about_earlier_brokers(plan: Plan, provisioned: Iterable[int]) -> list[str]:
    """What becomes of private brokers that an earlier start ran and this one does not."""
    environment = plan.environment
    running = len(plan.brokers if environment.mqtt_urls_given else environment.mqtt_urls)
    left = ", ".join(broker_name(number) for number in provisioned if number > running)
    if not left:
        return []
    if plan.draining:
        what = "what they still hold is fetched and stored, out of reach of gateways; then they are let go."
    elif environment.mqtt_urls_given:
        what = "they may hold messages that are not stored; unset TDS_MQTT_URLS for one start to have them fetched."
    else:
        what = "they may hold messages that are not stored; a start with broker and consumer fetches them."
    return [f"Warning: an earlier start had more brokers ({left}); {what}"]


def web_url(environment: Environment) -> str:
    return f"http://{for_url(reachable(environment.bind))}:{environment.ports.web}"


def mqtt_url(environment: Environment) -> str:
    return f"mqtt://127.0.0.1:{environment.ports.mqtt}"


def mqtt_urls(environment: Environment) -> list[str]:
    """As `mqtt_url`, of every broker; those that TDS_MQTT_URLS names as they stand there."""
    if environment.mqtt_urls_given:
        return list(environment.mqtt_urls)
    return [url.replace("localhost", "127.0.0.1") for url in environment.mqtt_urls]


def ready_facts(
    environment: Environment, admin: str, admin_password_file: Path, pids: Mapping[str, int]
) -> dict[str, object]:
    """The contents of ready.json."""
    return {
        "web_url": web_url(environment),
        "mqtt_url": mqtt_url(environment),
        "mqtt_urls": mqtt_urls(environment),
        "database_url": environment.database_url,
        "ota_url": f"https://127.0.0.1:{environment.ports.ota}",
        "admin_user": admin,
        "admin_password_file": str(admin_password_file),
        "processes": dict(pids),
    }


def announcement(plan: Plan, admin: str, password: str, password_file: Path, *, terminal: bool) -> str:
    """The password itself goes to a terminal only: what is piped ends up in somebody's log."""
    environment = plan.environment
    lines = ["", "TDS is ready."]
    if "web" in plan.parts:
        lines.append(f"  Dashboard   {web_url(environment)}/tds_new/telemetria/")
        sign_in = f"  Sign in     {admin}, with the password in {password_file}"
        lines.append(f"{sign_in}: {password}" if terminal else sign_in)
    for number, broker in enumerate(plan.brokers, start=1):
        name = f"  MQTT {number}" if len(plan.brokers) > 1 else "  MQTT"
        web_socket = f", over WebSocket {broker.mqtt_ws}" if len(plan.brokers) > 1 else ""
        lines.append(f"{name:<14}127.0.0.1:{broker.mqtt}{web_socket}")
    lines.append(f"  Logs        {environment.home / 'log'}")
    lines.append("Ctrl-C stops everything.")
    return "\n".join(lines)
