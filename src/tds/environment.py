"""Environment variables, read once and checked. docs/configuration.md lists them; nothing else reads them."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from tds.mqtt import address
from tds.owners import denied

ROOT: Final = Path(__file__).resolve().parents[2]
GIB: Final = 1024**3
MIN_DAYS_KEPT: Final = 7  # whatever bytes say, unless a person says otherwise
MAX_DIGITS: Final = 20
MAX_SHOWN_CHARS: Final = 100  # of a wrong value in a sentence
MAX_BROKERS: Final = 8  # of `tds up`: more than the cores of one machine keep busy
MAX_SHARED_SLOTS: Final = 16
MAX_PORT: Final = 65_535
MAX_TLS_NAMES: Final = 32
BROKER_COUNT: Final = "broker-count"  # a file of the home: `tds status` is asked from another shell
# RFC 1123, 2.1: what a certificate may call a server.
LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*\Z")
EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound


class Mode(StrEnum):
    """Development listens on loopback and talks more; production refuses defaults that are only good on a desk."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Plain(StrEnum):
    """Whom the MQTT ports without TLS let in."""

    LOOPBACK = "loopback"  # everybody on this machine, without a name
    OFF = "off"
    PASSWORD = "password"  # noqa: S105  # gateways, each with its own, until a day


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of this machine. Each is changed by the variable of its name, as `TDS_WEB_PORT`."""

    web: int
    database: int
    mqtt: int
    mqtt_tls: int
    mqtt_ws: int
    ota: int


PORT_VARIABLES: Final = {
    "web": ("TDS_WEB_PORT", 8000),
    "database": ("TDS_DB_PORT", 5442),
    "mqtt": ("TDS_MQTT_PORT", 1883),
    "mqtt_tls": ("TDS_MQTT_TLS_PORT", 8883),
    "mqtt_ws": ("TDS_MQTT_WS_PORT", 9001),
    "ota": ("TDS_OTA_PORT", 8070),
}


class BrokerPorts(NamedTuple):
    """Where gateways find one private broker."""

    mqtt: int
    mqtt_ws: int
    mqtt_tls: int

    def url(self, plain: Plain) -> str:
        """What people call it: by the port that development uses, or the one that is always there."""
        return f"mqtt://localhost:{self.mqtt}" if plain is Plain.LOOPBACK else f"mqtts://localhost:{self.mqtt_tls}"


@dataclass(frozen=True, slots=True)
class MorePorts:
    """What was said of the ports of the second private broker and those after it; empty: those that follow."""

    mqtt: tuple[int, ...] = ()
    mqtt_ws: tuple[int, ...] = ()
    mqtt_tls: tuple[int, ...] = ()


MORE_PORT_VARIABLES: Final = {
    "mqtt": "TDS_MQTT_MORE_PORTS",
    "mqtt_ws": "TDS_MQTT_WS_MORE_PORTS",
    "mqtt_tls": "TDS_MQTT_TLS_MORE_PORTS",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """Every setting that comes from outside, in its final type."""

    mode: Mode
    home: Path
    bind: str
    ports: Ports
    more_ports: MorePorts
    database_url: str
    mqtt_urls: tuple[str, ...]  # what brokers are called; how our processes reach them is in service_access.py
    mqtt_urls_given: bool  # in a variable, and not made of our own ports
    mqtt_services_port: int  # 0: one that is free
    mqtt_plain: Plain
    mqtt_plain_until: date | None  # of passwords: from this day on, UTC, nobody comes in with one
    ca_folder: Path
    tls_names: tuple[str, ...]
    mqtt_shared_slots: int  # 0: a plain subscription
    redis_url: str
    secret_key: str
    allowed_hosts: tuple[str, ...]
    https: bool
    metrics_token: str
    retention_days: int
    retention_bytes: int  # 0: days alone decide
    retention_min_days: int
    silent_after_s: int  # of a gateway that is connected
    update_url: str  # of the firmware server, as gateways reach it; empty: made of a name and a port of ours
    update_lost_after_s: int  # of silence since a gateway began to install
    quarantine_per_gateway: int
    quarantine_messages: int
    quarantine_bytes: int
    batch_messages: int
    batch_linger_ms: int
    store: str
    spool_folder: Path
    spool_bytes: int
    disk_reserve_bytes: int
    disk_warning_days: int


class Reader:
    """Typed access to a mapping of variables; each refusal is one sentence that names the variable."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self.variables.get(name, "").strip() or default

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        raw = self.text(name, str(default))
        # Python refuses to read numbers of thousands of digits.
        if raw.isascii() and raw.isdecimal() and len(raw) <= MAX_DIGITS and low <= int(raw) <= high:
            return int(raw)
        raise ImproperlyConfigured(
            f"{name} is {raw[:MAX_SHOWN_CHARS]!r}; set it to a whole number from {low} to {high}."
        )

    def ports(self, name: str) -> tuple[int, ...]:
        words = self.text(name).split()
        numbers = [int(w) for w in words if w.isascii() and w.isdecimal() and len(w) <= len(str(MAX_PORT))]
        if len(numbers) == len(words) < MAX_BROKERS and all(0 < port <= MAX_PORT for port in numbers):
            return tuple(numbers)
        raise ImproperlyConfigured(
            f"{name} is {self.text(name)[:MAX_SHOWN_CHARS]!r}; set it to at most {MAX_BROKERS - 1} ports from 1 to "
            f"{MAX_PORT} with spaces between."
        )

    def host_names(self, name: str) -> tuple[str, ...]:
        words = self.text(name).split()
        if len(words) <= MAX_TLS_NAMES and all(is_address(word) or HOST_NAME.match(word) for word in words):
            return tuple(words)
        raise ImproperlyConfigured(
            f"{name} is {self.text(name)[:MAX_SHOWN_CHARS]!r}; set it to at most {MAX_TLS_NAMES} host names or IP "
            "addresses with spaces between, as tds.example.org 192.0.2.7."
        )

    def day(self, name: str) -> date | None:
        raw = self.text(name)
        with contextlib.suppress(ValueError):
            return date.fromisoformat(raw) if raw else None
        raise ImproperlyConfigured(f"{name} is {raw[:MAX_SHOWN_CHARS]!r}; set it to a day, as 2026-12-31.")

    def choice(self, name: str, default: str, options: tuple[str, ...]) -> str:
        raw = self.text(name, default)
        if raw in options:
            return raw
        raise ImproperlyConfigured(f"{name} is {raw!r}; set it to one of: {', '.join(options)}.")

    def address(self, name: str, default: str) -> str:
        raw = self.text(name, default)
        try:
            return str(ip_address(raw))
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} is {raw[:MAX_SHOWN_CHARS]!r}; set it to an IP address, as 192.0.2.7 or 0.0.0.0."
            ) from None

    def url(self, name: str, raw: str, schemes: tuple[str, ...]) -> str:
        """The URL as it stands; its value is never echoed, because it may hold a password."""
        try:
            parts = urlsplit(raw)
            usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if usable:
            return raw
        raise ImproperlyConfigured(f"{name} is not a URL of the form {schemes[0]}://host:port; correct it.")

    def origin(self, name: str) -> str:
        """Scheme, host and port of an HTTPS server, without anything behind; empty when it is not set."""
        raw = self.text(name)
        try:
            parts = urlsplit(raw)
            host, _port = parts.hostname or "", parts.port
        except ValueError:
            host = ""
        named = is_address(host) or bool(HOST_NAME.match(host))
        if not raw or (named and raw.lower() == f"https://{parts.netloc}".lower() and "@" not in raw):
            return raw
        raise ImproperlyConfigured(
            f"{name} is {raw[:MAX_SHOWN_CHARS]!r}; set it to https://host:port without a path, as boards have it."
        )

    def secret(self, name: str) -> str:
        """`NAME`, or the contents of the file named by `NAME_FILE`."""
        path = self.text(f"{name}_FILE")
        if not path:
            return self.text(name)
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path!r}, which can't be read: {error}.") from error


def kept_secret(home: Path, name: str, length_bytes: int = 32) -> str:
    """The secret of that name under `$TDS_HOME/secrets`, made at first use, readable by its owner alone."""
    path = home / "secrets" / name
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # Linked, not written in place: two processes that start together must agree on one whole secret.
            descriptor, draft = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(length_bytes))
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            Path(draft).unlink()
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        why = denied(path) if isinstance(error, PermissionError) else error.strerror
        raise ImproperlyConfigured(f"TDS_HOME is {str(home)!r}: {path} can't be used: {why}.") from error


def broker_ports(ports: Ports, more: MorePorts, count: int) -> tuple[BrokerPorts, ...]:
    """The ports of private brokers 1 to `count`. A broker's ports stay the same when others are added after it."""
    taken = {getattr(ports, field) for field in PORT_VARIABLES}
    taken |= {port for field in MORE_PORT_VARIABLES for port in getattr(more, field)}
    found = [BrokerPorts(ports.mqtt, ports.mqtt_ws, ports.mqtt_tls)]
    while len(found) < count:
        last, place = found[-1], len(found) - 1
        numbers = {}
        for field, variable in MORE_PORT_VARIABLES.items():
            named = getattr(more, field)
            known = place < len(named)
            numbers[field] = named[place] if known else _next_port(getattr(last, field), taken, variable)
        found.append(BrokerPorts(**numbers))
    return tuple(found)


def _next_port(after: int, taken: set[int], variable: str) -> int:
    for port in range(after + 1, MAX_PORT + 1):
        if port not in taken:
            taken.add(port)
            return port
    raise ImproperlyConfigured(f"There is no port after {after} for another broker; name its ports in {variable}.")


def broker_count(home: Path) -> int:
    """How many private brokers the last `tds up` of this home ran."""
    try:
        raw = (home / BROKER_COUNT).read_text(encoding="ascii").strip()
        if raw in map(str, range(1, MAX_BROKERS + 1)):
            return int(raw)
    except FileNotFoundError:
        return 1
    except PermissionError as error:
        path = home / BROKER_COUNT
        raise ImproperlyConfigured(f"TDS_HOME is {str(home)!r}: {path} can't be read: {denied(path)}.") from error
    except (OSError, UnicodeDecodeError):
        pass
    raise ImproperlyConfigured(
        f"TDS_HOME holds {home / BROKER_COUNT}, which should be a number from 1 to {MAX_BROKERS}; "
        "write the number of brokers into it."
    )


def with_brokers(environment: Environment, count: int) -> Environment:
    """The same with so many private brokers; what TDS_MQTT_URLS names stays."""
    if environment.mqtt_urls_given:
        return environment
    places = broker_ports(environment.ports, environment.more_ports, count)
    return replace(environment, mqtt_urls=tuple(place.url(environment.mqtt_plain) for place in places))


def plain_at(environment: Environment, now: datetime) -> Plain:
    """What holds for the ports without TLS at that moment: passwords end."""
    until = environment.mqtt_plain_until
    over = environment.mqtt_plain is Plain.PASSWORD and until is not None and now.astimezone(UTC).date() >= until
    return Plain.OFF if over else environment.mqtt_plain


def firmware_url(environment: Environment) -> str:
    """Of the firmware server, by the name that commands have it under: gateways take firmware from no other."""
    if environment.update_url:
        return environment.update_url
    host = environment.tls_names[0] if environment.tls_names else environment.bind
    if host in EVERY_ADDRESS or (is_address(host) and ip_address(host).is_loopback):
        host = "localhost"
    return f"https://{f'[{host}]' if ':' in host else host}:{environment.ports.ota}"


def server_names(environment: Environment, machine: str) -> tuple[str, ...]:
    """The hosts that certificates of this machine's servers are for; `machine` is what it calls itself."""
    bind = () if environment.bind in EVERY_ADDRESS else (environment.bind,)
    own = (machine,) if HOST_NAME.match(machine) else ()
    updates = filter(None, [urlsplit(environment.update_url).hostname])
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", *own, *bind, *environment.tls_names, *updates)))


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def read(variables: Mapping[str, str]) -> Environment:
    """Check and type all variables; raises ImproperlyConfigured with one sentence for the first that is wrong."""
    reader = Reader(variables)
    mode = Mode(reader.choice("TDS_MODE", Mode.DEVELOPMENT, tuple(Mode)))
    home = _home(reader.text("TDS_HOME", ".tds"))
    ports = Ports(**{k: reader.whole(n, default, low=1, high=65_535) for k, (n, default) in PORT_VARIABLES.items()})
    _refuse_shared_ports(ports)
    more_ports = MorePorts(**{field: reader.ports(name) for field, name in MORE_PORT_VARIABLES.items()})
    services_port = reader.whole("TDS_MQTT_SERVICES_PORT", 0, low=0, high=MAX_PORT)
    _refuse_repeated_ports(ports, more_ports, services_port)
    plain, until = _plain(reader, mode)
    given = _mqtt_urls(reader)
    retention_days = reader.whole("TDS_RETENTION_DAYS", 90, low=1, high=3650)
    return Environment(
        mode=mode,
        home=home,
        bind=reader.address("TDS_BIND", "127.0.0.1"),
        ports=ports,
        database_url=_database_url(reader, home, ports),
        more_ports=more_ports,
        mqtt_urls=given or tuple(place.url(plain) for place in broker_ports(ports, more_ports, broker_count(home))),
        mqtt_urls_given=bool(given),
        mqtt_services_port=services_port,
        mqtt_plain=plain,
        mqtt_plain_until=until,
        ca_folder=Path(reader.text("TDS_CA_DIR", str(home / "ca"))).expanduser().absolute(),
        tls_names=reader.host_names("TDS_TLS_NAMES"),
        mqtt_shared_slots=_shared_slots(reader, given),
        redis_url=_optional_url(reader, "TDS_REDIS_URL", ("redis", "rediss")),
        secret_key=_secret_key(reader, mode, home),
        allowed_hosts=tuple(reader.text("TDS_ALLOWED_HOSTS", "localhost 127.0.0.1 [::1]").split()),
        https=reader.choice("TDS_HTTPS", "on" if mode is Mode.PRODUCTION else "off", ("on", "off")) == "on",
        metrics_token=_metrics_token(reader),
        retention_days=retention_days,
        retention_bytes=reader.whole("TDS_RETENTION_BYTES", 0, low=0, high=1024 * 1024 * GIB),
        retention_min_days=reader.whole(
            "TDS_RETENTION_MIN_DAYS", min(MIN_DAYS_KEPT, retention_days), low=1, high=retention_days
        ),
        silent_after_s=reader.whole("TDS_SILENT_AFTER_S", 600, low=60, high=86_400),
        update_url=reader.origin("TDS_UPDATE_URL"),
        update_lost_after_s=reader.whole("TDS_UPDATE_LOST_AFTER_S", 1_800, low=10, high=604_800),
        quarantine_per_gateway=reader.whole("TDS_QUARANTINE_PER_GATEWAY", 1_000, low=1, high=100_000),
        quarantine_messages=reader.whole("TDS_QUARANTINE_MESSAGES", 100_000, low=1, high=10_000_000),
        quarantine_bytes=reader.whole("TDS_QUARANTINE_BYTES", GIB, low=262_144, high=1024 * GIB),
        batch_messages=reader.whole("TDS_BATCH_MESSAGES", 2_500, low=1, high=5_000),
        batch_linger_ms=reader.whole("TDS_BATCH_LINGER_MS", 8, low=1, high=1_000),
        store=reader.choice("TDS_STORE", "auto", ("auto", "native", "timescaledb")),
        spool_folder=Path(reader.text("TDS_SPOOL_DIR", str(home / "spool"))).expanduser().absolute(),
        disk_reserve_bytes=reader.whole("TDS_DISK_RESERVE_BYTES", GIB // 2, low=0, high=1024 * GIB),
        disk_warning_days=reader.whole("TDS_DISK_WARNING_DAYS", 14, low=0, high=365),
        spool_bytes=reader.whole("TDS_SPOOL_BYTES", 2 * GIB, low=0, high=1024 * GIB),
    )


def _home(raw: str) -> Path:
    try:
        return (ROOT / Path(raw).expanduser()).resolve()
    except RuntimeError:
        raise ImproperlyConfigured(f"TDS_HOME is {raw!r}, and there is no such user; write the path out.") from None


def _refuse_shared_ports(ports: Ports) -> None:
    seen: dict[int, str] = {}
    for field, (name, _default) in PORT_VARIABLES.items():
        port: int = getattr(ports, field)
        if port in seen:
            raise ImproperlyConfigured(f"{name} is {port}, and so is {seen[port]}; give each a port of its own.")
        seen[port] = name


def _refuse_repeated_ports(ports: Ports, more: MorePorts, services_port: int) -> None:
    seen = {getattr(ports, field): name for field, (name, _default) in PORT_VARIABLES.items()}
    named = [(variable, getattr(more, field)) for field, variable in MORE_PORT_VARIABLES.items()]
    for name, numbers in (("TDS_MQTT_SERVICES_PORT", [services_port] if services_port else []), *named):
        for port in numbers:
            if port in seen:
                raise ImproperlyConfigured(f"{name} has {port}, and so has {seen[port]}; give each a port of its own.")
            seen[port] = name


def _mqtt_urls(reader: Reader) -> tuple[str, ...]:
    """What TDS_MQTT_URLS names, each broker once; empty when it is not set."""
    urls = tuple(reader.url("TDS_MQTT_URLS", url, ("mqtt", "mqtts")) for url in reader.secret("TDS_MQTT_URLS").split())
    seen: dict[str, int] = {}
    for number, url in enumerate(urls, start=1):
        broker = address.parse(url)
        first = seen.setdefault(broker.identity(), number)
        if first != number:
            raise ImproperlyConfigured(
                f"TDS_MQTT_URLS names the broker at {broker} as number {first} and again as number {number}; "
                "name each once, for each has one consumer."
            )
    return urls


def _plain(reader: Reader, mode: Mode) -> tuple[Plain, date | None]:
    default = Plain.LOOPBACK if mode is Mode.DEVELOPMENT else Plain.OFF
    plain = Plain(reader.choice("TDS_MQTT_PLAIN", default, tuple(Plain)))
    until = reader.day("TDS_MQTT_PLAIN_UNTIL")
    if plain is Plain.LOOPBACK and mode is Mode.PRODUCTION:
        raise ImproperlyConfigured(
            "TDS_MQTT_PLAIN is 'loopback', which lets everybody on this machine in without a name; "
            "production takes 'off' or 'password'."
        )
    if plain is Plain.PASSWORD and until is None:
        raise ImproperlyConfigured(
            "TDS_MQTT_PLAIN_UNTIL is not set; set it to the day on which TDS_MQTT_PLAIN=password ends, as 2026-12-31."
        )
    return plain, until


def _shared_slots(reader: Reader, urls: tuple[str, ...]) -> int:
    slots = reader.whole("TDS_MQTT_SHARED_SLOTS", 0, low=0, high=MAX_SHARED_SLOTS)
    if slots and len(urls) != 1:
        raise ImproperlyConfigured(
            f"TDS_MQTT_SHARED_SLOTS is {slots}, for the consumers of one clustered broker; name that one in "
            "TDS_MQTT_URLS, or set the slots to 0."
        )
    return slots


def _optional_url(reader: Reader, name: str, schemes: tuple[str, ...]) -> str:
    raw = reader.secret(name)
    return reader.url(name, raw, schemes) if raw else ""


def _database_url(reader: Reader, home: Path, ports: Ports) -> str:
    if raw := reader.secret("TDS_DATABASE_URL"):
        return reader.url("TDS_DATABASE_URL", raw, ("postgresql", "postgres"))
    password = kept_secret(home, "database_password")
    return f"postgresql://tds:{password}@127.0.0.1:{ports.database}/tds"


def _metrics_token(reader: Reader) -> str:
    token = reader.secret("TDS_METRICS_TOKEN")
    # RFC 6750, 2.1: in a header nothing else arrives as it was written.
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise ImproperlyConfigured("TDS_METRICS_TOKEN has a space or a character beyond ASCII; set another text.")
    return token


def _secret_key(reader: Reader, mode: Mode, home: Path) -> str:
    given = reader.secret("TDS_SECRET_KEY")
    if given and len(given) < 32:
        raise ImproperlyConfigured("TDS_SECRET_KEY is shorter than 32 characters; set a longer random text.")
    if not given and mode is Mode.PRODUCTION:
        raise ImproperlyConfigured(
            "TDS_SECRET_KEY is not set; production needs a random text of 32 or more characters."
        )
    return given or kept_secret(home, "secret_key", 48)
