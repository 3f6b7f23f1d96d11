"""What a start is about: which parts are ours to run, what to warn of, what to say at the end. Values in and out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tds.environment import (
    EVERY_ADDRESS,
    BrokerPorts,
    Environment,
    Mode,
    Plain,
    broker_ports,
    firmware_url,
    plain_at,
    with_brokers,
)
from tds.local.broker_config import Listeners
from tds.local.ports import LOOPBACK, for_url, is_loopback, reachable
from tds.local.refusal import CannotStartError
from tds.processes import broker_name

PARTS: Final = ("database", "broker", "web", "consumer", "worker", "agent", "ota")
LOW_DISK_MIB: Final = 500
NOT_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)  # a clock that says less was never set
DEFAULT_MQTT_PORT: Final = 1883
LAST_WORDS: Final = "Ctrl-C stops everything."  # of a start: all is there


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts` are the ones to start: what is left out, or runs elsewhere, is not in it. `brokers` are the private ones.

    `draining` are numbers of private brokers that an earlier start had: what they hold must still be stored.
    """

    environment: Environment
    demo: bool
    parts: frozenset[str]
    brokers: tuple[BrokerPorts, ...]
    plain: Plain  # at this moment
    draining: tuple[int, ...] = ()

    @property
    def shows_demo(self) -> bool:
        """Its gateways come in by our own broker."""
        return self.demo and "broker" in self.parts

    def listens(self) -> dict[str, str]:
        """The fields of `Ports` that this start listens on, and the address of each."""
        bind = self.environment.bind
        broker = {"mqtt_tls": bind}
        if self.plain is not Plain.OFF:
            at = self.listeners(BrokerPorts(0, 0, 0), 0)
            broker |= {"mqtt": at.plain_address, "mqtt_ws": at.websocket_address}
        found = {"database": {"database": LOOPBACK}, "broker": broker, "web": {"web": bind}, "ota": {"ota": bind}}
        return {field: at for part in PARTS if part in self.parts for field, at in found.get(part, {}).items()}

    def listeners(self, places: BrokerPorts, services: int) -> Listeners:
        """Of one private broker."""
        return Listeners(services, places.mqtt_tls, places.mqtt, places.mqtt_ws, self.plain, self.environment.bind)

    @property
    def consumer_port(self) -> int:
        """Of the private broker, when a person named it as the consumer's; 0: the one for our own processes."""
        return self.environment.ports.mqtt if self.environment.mqtt_urls_given else 0


def make_plan(  # noqa: PLR0913  # what a person said, and what is in the home
    environment: Environment,
    *,
    demo: bool | None,
    without: Iterable[str],
    variables: Mapping[str, str],
    now: datetime,
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
    plain = plain_at(environment, now)
    if environment.mqtt_urls_given and not any(_is_ours(url, environment) for url in environment.mqtt_urls):
        elsewhere.add("broker")
    wanted = environment.mode is Mode.DEVELOPMENT if demo is None else demo
    parts = frozenset(PARTS) - elsewhere
    if "broker" in parts and environment.mqtt_shared_slots:
        raise CannotStartError(
            "TDS_MQTT_SHARED_SLOTS is for a clustered broker, and the private one is mosquitto, which loses messages "
            "of shared subscriptions when it restarts; set the slots to 0."
        )
    if "broker" in parts and environment.mqtt_urls_given and plain is not Plain.LOOPBACK:
        raise CannotStartError(
            f"TDS_MQTT_URLS names port {environment.ports.mqtt} of this machine, by which the private broker does not "
            "let the platform's own processes in here; unset TDS_MQTT_URLS, or start --without broker if another "
            "one listens there."
        )
    return Plan(
        environment,
        wanted,
        parts,
        broker_ports(environment.ports, environment.more_ports, brokers) if "broker" in parts else (),
        plain,
        tuple(sorted(n for n in provisioned if n > brokers)) if parts >= {"broker", "consumer"} else (),
    )


def _is_ours(url: str, environment: Environment) -> bool:
    at = urlsplit(url)
    return is_loopback(at.hostname or "") and (at.port or DEFAULT_MQTT_PORT) == environment.ports.mqtt


def _open_to_the_network(environment: Environment, plain: Plain) -> list[str]:
    if is_loopback(environment.bind):
        return []
    tls = f"MQTT over TLS (port {environment.ports.mqtt_tls}) and the firmware server (port {environment.ports.ota})"
    open_to = f"the web, {tls} are open to the network"
    found = [f"TDS_BIND is {environment.bind}: {open_to}. The web answers to the names in TDS_ALLOWED_HOSTS."]
    if plain is Plain.LOOPBACK:
        found.append(f"MQTT on port {environment.ports.mqtt} stays on {LOOPBACK}, because it asks for no password.")
    if environment.bind in EVERY_ADDRESS and not environment.tls_names:
        found.append("Name this machine in TDS_TLS_NAMES, or gateways don't trust the certificate that it shows them.")
    return found


def _passwords(environment: Environment, plain: Plain) -> list[str]:
    until, ports = environment.mqtt_plain_until, f"{environment.ports.mqtt} and {environment.ports.mqtt_ws}"
    if environment.mqtt_plain is not Plain.PASSWORD:
        return []
    if plain is Plain.OFF:
        over = f"Warning: TDS_MQTT_PLAIN_UNTIL is {until}, and that day has come: ports {ports} are off."
        return [f"{over} Set a later day if boards still need passwords, or TDS_MQTT_PLAIN=off."]
    return [f"Gateways may come in with a password by ports {ports}, without TLS, until {until}."]


def warnings(environment: Environment, free_bytes: int, now: datetime) -> list[str]:
    """What a person should know, and what is no reason not to start."""
    found = []
    if (free_mib := free_bytes // 1024**2) < LOW_DISK_MIB:
        found.append(f"Warning: only {free_mib} MiB are free where {environment.home} is; make room, or readings stop.")
    if now < NOT_BEFORE:
        found.append(f"Warning: the clock says {now:%Y-%m-%d}; set it, or readings are refused as from the future.")
    plain = plain_at(environment, now)
    return [*found, *_open_to_the_network(environment, plain), *_passwords(environment, plain)]


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


def mqtt_url(environment: Environment) -> str | None:
    """Of the port without TLS; None when it is off."""
    return f"mqtt://127.0.0.1:{environment.ports.mqtt}" if environment.mqtt_plain is not Plain.OFF else None


def mqtts_url(environment: Environment) -> str:
    """Where a gateway with a certificate reaches the first private broker from this machine."""
    return f"mqtts://{for_url(reachable(environment.bind))}:{environment.ports.mqtt_tls}"


def ota_url(environment: Environment) -> str:
    """Where gateways enrol and fetch firmware, from this machine."""
    return f"https://{for_url(reachable(environment.bind))}:{environment.ports.ota}"


def mqtt_urls(environment: Environment) -> list[str]:
    """Of every broker, as people know it; those that TDS_MQTT_URLS names as they stand there."""
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
        "mqtts_url": mqtts_url(environment),
        "database_url": environment.database_url,
        "ota_url": ota_url(environment),
        "firmware_url": firmware_url(environment),
        "admin_user": admin,
        "admin_password_file": str(admin_password_file),
        "processes": dict(pids),
    }


def _where(plan: Plan, broker: BrokerPorts, *, several: bool) -> str:
    """How gateways reach a broker, as a part of a line."""
    tls = f"{for_url(reachable(plan.environment.bind))}:{broker.mqtt_tls} (TLS, with a certificate)"
    if plan.plain is Plain.OFF:
        return tls
    at = plan.listeners(broker, 0)
    web_socket = f", over WebSocket {broker.mqtt_ws}" if several else ""
    how = " (with a password)" if plan.plain is Plain.PASSWORD else ""
    return f"{for_url(reachable(at.plain_address))}:{broker.mqtt}{how}, {tls}{web_socket}"


def announcement(  # noqa: PLR0913  # what a start says at its end
    plan: Plan, admin: str, password: str, password_file: Path, *, terminal: bool, demo: str = ""
) -> str:
    """The password itself goes to a terminal only: what is piped ends up in somebody's log."""
    environment = plan.environment
    lines = ["", "TDS is ready."]
    if "web" in plan.parts:
        lines.append(f"  Dashboard   {web_url(environment)}/tds_new/telemetria/")
        sign_in = f"  Sign in     {admin}, with the password in {password_file}"
        lines.append(f"{sign_in}: {password}" if terminal else sign_in)
    several = len(plan.brokers) > 1
    for number, broker in enumerate(plan.brokers, start=1):
        name = f"  MQTT {number}" if several else "  MQTT"
        lines.append(f"{name:<14}{_where(plan, broker, several=several)}")
    if "ota" in plan.parts:
        lines.append(f"  Enrolment   {ota_url(environment)}/.well-known/est/")
    if demo:
        lines.append(f"  Demo        {demo}")
    lines.append(f"  Logs        {environment.home / 'log'}")
    lines.append(LAST_WORDS)
    return "\n".join(lines)
