"""Where servers are, as a device takes it: no path, no user, a port that is one."""

import re
from typing import Final

PORTS: Final = {"mqtts": 8883, "mqtt": 1883, "https": 443}  # when none is said: as IANA registered them
MAX_PORT: Final = 65_535

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(
    rf"(?P<scheme>mqtts?|https)://(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?"
)


def broker(text: str) -> str:
    scheme, _, _ = split(text) or ("", "", 0)
    if not scheme.startswith("mqtt"):
        raise ValueError(f"{text!r} is no broker's address; write mqtts://host:port.")
    return text


def firmware_server(text: str) -> str:
    scheme, _, _ = split(text) or ("", "", 0)
    if text and scheme != "https":
        raise ValueError(f"{text!r} is no firmware server's address; write https://host:port, without a path.")
    return text


def split(text: str) -> tuple[str, str, int] | None:
    """Scheme, host, port."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    port = int(found["port"] or PORTS[found["scheme"]])
    return (found["scheme"], found["ipv6"] or found["name"], port) if 0 < port <= MAX_PORT else None
