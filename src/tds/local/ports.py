"""Whether the ports are free, asked before anything starts."""

import errno
import socket
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

from tds.environment import MORE_PORT_VARIABLES, PORT_VARIABLES, BrokerPorts, Ports
from tds.local.refusal import CannotStartError

LOOPBACK: Final = "127.0.0.1"
SERVICES_FROM: Final = 1884  # where a broker listens for our own processes, unless it is taken
SERVICES_TRIED: Final = 16
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
    try:
        with socket.socket(family) as probe:
            # As servers do: connections of an earlier run that linger in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def refuse_taken(ports: Ports, wanted: Mapping[str, str]) -> None:
    """Raises for the first port that can't be used; `wanted` has the address of each field."""
    for field, address in wanted.items():
        port: int = getattr(ports, field)
        if found := trouble(address, port):
            raise CannotStartError(sentence(field, port, address, found))


def refuse_taken_by_broker(number: int, places: BrokerPorts, wanted: Mapping[str, str]) -> None:
    """The same for a private broker after the first."""
    for field, variable in MORE_PORT_VARIABLES.items():
        port: int = getattr(places, field)
        if field in wanted and trouble(wanted[field], port):
            raise CannotStartError(
                f"Port {port} ({NAMES[field]} of broker {number}) can't be used; stop what uses it, or name "
                f"another in {variable}."
            )


def services_port(named: int, remembered: int, taken: Iterable[int]) -> int:
    """Where a private broker is to listen for our own processes; `taken` are the ports of its neighbours.

    `named` by a person is used or refused with a sentence. What was `remembered` stays, as long as it can be used.
    """
    avoided = {*taken}
    if named:
        if named in avoided or trouble(LOOPBACK, named):
            raise CannotStartError(
                f"Port {named} (MQTT of the platform's own processes) can't be used; stop what uses it, or set "
                "TDS_MQTT_SERVICES_PORT to another."
            )
        return named
    tried = [remembered] if remembered else []
    tried += range(SERVICES_FROM, SERVICES_FROM + SERVICES_TRIED)
    free = (port for port in tried if port not in avoided and not trouble(LOOPBACK, port))
    return next(free, 0) or private_port()


def private_port() -> int:
    """A port of loopback that nobody was told of, free at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def sentence(field: str, port: int, address: str, found: int) -> str:
    variable = PORT_VARIABLES[field][0]
    match found:
        case errno.EAFNOSUPPORT:
            return (
                f"TDS_BIND is {address!r}, and IPv6 is switched off on this machine; switch it on, or name an IPv4 one."
            )
        case errno.EADDRNOTAVAIL:
            return f"TDS_BIND is {address!r}, which is no address of this machine; correct it."
        case errno.EACCES:
            return f"Port {port} ({NAMES[field]}) is kept for root; set {variable} to one from 1024 up."
        case _:
            return f"Port {port} ({NAMES[field]}) is taken; stop what uses it or set {variable}."
