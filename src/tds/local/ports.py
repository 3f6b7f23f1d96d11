"""Whether the ports are free, asked before anything starts."""

import errno
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from tds.environment import PORT_VARIABLES, BrokerPorts, Ports
from tds.local.refusal import CannotStartError

LOOPBACK: Final = "127.0.0.1"
NAMES: Final = {
    "web": "web",
    "database": "database",
    "mqtt": "MQTT",
    "mqtt_tls": "MQTT over TLS",
    "mqtt_ws": "MQTT over WebSocket",
    "ota": "firmware server",
}
EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared, not bound


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def reachable(bind: str) -> str:
    """The address at which this machine reaches what is bound to `bind`."""
    return LOOPBACK if bind in EVERYWHERE else bind


def for_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def trouble(address: str, port: int) -> int:
    """0 when a server may listen there, else the errno of why not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: connections of an earlier run that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def refuse_taken(ports: Ports, wanted: Iterable[str], bind: str) -> None:
    """Raises for the first port that can't be used. Only the web listens beyond loopback."""
    for field in wanted:
        port: int = getattr(ports, field)
        address = bind if field == "web" else LOOPBACK
        if found := trouble(address, port):
            raise CannotStartError(sentence(field, port, address, found))


def refuse_taken_by_brokers(brokers: Sequence[BrokerPorts]) -> None:
    """The same for the private brokers after the first."""
    for number, places in enumerate(brokers[1:], start=2):
        for port, field, variable in (
            (places.mqtt, "mqtt", "TDS_MQTT_MORE_PORTS"),
            (places.mqtt_ws, "mqtt_ws", "TDS_MQTT_WS_MORE_PORTS"),
        ):
            if trouble(LOOPBACK, port):
                raise CannotStartError(
                    f"Port {port} ({NAMES[field]} of broker {number}) can't be used; stop what uses it, or name "
                    f"another in {variable}."
                )


def private_port() -> int:
    """A port of loopback that nobody was told of, free at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def sentence(field: str, port: int, address: str, found: int) -> str:
    variable = PORT_VARIABLES[field][0]
    match found:
        case errno.EADDRNOTAVAIL:
            return f"TDS_BIND is {address!r}, which is no address of this machine; correct it."
        case errno.EACCES:
            return f"Port {port} ({NAMES[field]}) is kept for root; set {variable} to one from 1024 up."
        case _:
            return f"Port {port} ({NAMES[field]}) is taken; stop what uses it or set {variable}."
