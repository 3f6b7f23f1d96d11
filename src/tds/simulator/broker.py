"""Where the broker is, as people write it, and what to say when it is not there."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

DEFAULT_PORT: Final = 1883
DEFAULT_TLS_PORT: Final = 8883
EST_PORT: Final = 8070  # of the platform's firmware server, which enrols as well
GATEWAY_MARK: Final = "{gateway}"

_PORTS: Final = {"mqtt": DEFAULT_PORT, "mqtts": DEFAULT_TLS_PORT}


class BrokerError(Exception):
    """No use to go on; the text is a sentence for the person who started the simulator."""


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False  # then gateways show certificates

    @classmethod
    def parse(cls, text: str) -> "Broker":
        """From `mqtt://[user[:password]@]host[:port]` or `mqtts://…`; a ValueError says what is wrong with it."""
        try:
            url = urlsplit(text)
            port = url.port if url.port is not None else _PORTS.get(url.scheme, 0)
            usable = url.scheme in _PORTS and bool(url.hostname) and 0 < port < 65_536
        except ValueError:  # a port that is no number, brackets that do not match
            usable = False
        if not usable or url.path.strip("/") or url.query or url.fragment:
            raise ValueError(
                f"The broker must be given as mqtt://[user[:password]@]host[:port] or mqtts://host[:port], "
                f"not {_safe(text)!r}."
            )
        user = unquote(url.username) if url.username else None
        password = unquote(url.password) if url.password else None
        return cls(url.hostname or "", port, user, password, tls=url.scheme == "mqtts")

    @property
    def address(self) -> str:
        return f"{for_url(self.host)}:{self.port}"

    @property
    def est_url(self) -> str:
        """Where its platform renews certificates, unless somebody says otherwise."""
        return f"https://{for_url(self.host)}:{EST_PORT}"

    def user_of(self, gateway: str) -> str | None:
        """Brokers that take the user name as client id want a user for each gateway: `mqtt://{gateway}:pass@host`."""
        return self.user.replace(GATEWAY_MARK, gateway) if self.user else None

    def unreachable(self, why: object) -> BrokerError:
        scheme = "mqtts" if self.tls else "mqtt"
        return BrokerError(
            f"No MQTT broker answers at {self.address} ({why}). "
            f"Start the platform with `make up`, or name another broker with --broker {scheme}://host:port."
        )

    def refused(self, why: object) -> BrokerError:
        if self.tls:
            return BrokerError(
                f"The MQTT broker at {self.address} turned the gateway away ({why}). "
                "See with `./tds gateway list` whether it is active, and provision it anew if its certificate is not."
            )
        return BrokerError(
            f"The MQTT broker at {self.address} turned the gateway away ({why}). "
            "Give a user and password that it accepts: --broker mqtt://user:password@host:port."
        )

    def not_trusted(self, why: object) -> BrokerError:
        return BrokerError(
            f"The MQTT broker at {self.address} shows a certificate that the gateway does not trust ({why}). "
            "Name it as its certificate does, and use the ca.pem of the platform it belongs to."
        )


def for_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _safe(text: str) -> str:
    """Without what stands before the last @: there may be a password in it."""
    return text if "@" not in text else "…@" + text.rpartition("@")[2]
