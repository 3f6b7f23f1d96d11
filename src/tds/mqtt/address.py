"""Broker addresses as people write them: mqtt://user:password@host:1883 or mqtts://host."""

import ssl
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

DEFAULT_PORT: Final = {"mqtt": 1883, "mqtts": 8883}


class Address(NamedTuple):
    host: str
    port: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        """Host and port, without what is secret."""
        return f"{self.host}:{self.port}"


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
