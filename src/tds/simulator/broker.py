"""Where the broker is, as people write it, and what to say when it is not there."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

DEFAULT_PORT: Final = 1883
GATEWAY_MARK: Final = "{gateway}"


class BrokerError(Exception):
    """No use to go on; the text is a sentence for the person who started the simulator."""


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "Broker":
        """From `mqtt://[user[:password]@]host[:port]`; a ValueError says what is wrong with it."""
        url = urlsplit(text)
        try:
            port = url.port or DEFAULT_PORT
        except ValueError:
            port = 0
        extras = url.path.strip("/") or url.query or url.fragment
        if url.scheme != "mqtt" or not url.hostname or not 0 < port < 65_536 or extras:
            raise ValueError(f"The broker must be given as mqtt://[user[:password]@]host[:port], not {_safe(text)!r}.")
        user = unquote(url.username) if url.username else None
        return cls(url.hostname, port, user, unquote(url.password) if url.password else None)

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def user_of(self, gateway: str) -> str | None:
        """Brokers that take the user name as client id want a user for each gateway: `mqtt://{gateway}:pass@host`."""
        return self.user.replace(GATEWAY_MARK, gateway) if self.user else None

    def unreachable(self, why: object) -> BrokerError:
        return BrokerError(
            f"No MQTT broker answers at {self.address} ({why}). "
            "Start the platform with `make up`, or name another broker with --broker mqtt://host:port."
        )

    def refused(self, why: object) -> BrokerError:
        return BrokerError(
            f"The MQTT broker at {self.address} turned the gateway away ({why}). "
            "Give a user and password that it accepts: --broker mqtt://user:password@host:port."
        )


def _safe(text: str) -> str:
    """Without what stands before the last @: there may be a password in it."""
    return text if "@" not in text else "…@" + text.rpartition("@")[2]
