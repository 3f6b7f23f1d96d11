"""Broker addresses as people write them: mqtt://user:password@host:1883 or mqtts://host."""

import ssl
from contextlib import suppress
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

DEFAULT_PORT: Final = {"mqtt": 1883, "mqtts": 8883}
# Other addresses of 127.0.0.0/8 stay themselves: a broker may listen on one and its neighbour on the next.
THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Address(NamedTuple):
    host: str
    port: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        """Host and port, without what is secret."""
        return f"{self.host}:{self.port}"

    def identity(self) -> str:
        """The same text for the same listener, however its address is written. Names are not looked up."""
        host = self.host.lower().rstrip(".")
        with suppress(ValueError):
            ip = ip_address(host)
            host = str(getattr(ip, "ipv4_mapped", None) or ip)
        return f"{'localhost' if host in THIS_MACHINE else host}:{self.port}"


def parse(url: str) -> Address:
    """The parts of a broker's URL that `environment` has checked."""
    parts = urlsplit(url)
    return Address(
        host=parts.hostname or "localhost",
        port=parts.port or DEFAULT_PORT[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=ssl.create_default_context() if parts.scheme == "mqtts" else None,
    )
