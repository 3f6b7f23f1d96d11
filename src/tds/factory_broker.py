"""Where units of a factory look for their broker, and whether they will find and trust it there."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from tds.environment import EVERY_ADDRESS, Environment, Mode, server_names
from tds.identity.factory.unit_cells import CellRefusedError, broker
from tds.local.ports import is_loopback

LOCALHOST: Final = "localhost"


def default_broker(environment: Environment, machine: str) -> str:
    """This platform's, as `mqtts://host:port`, for rows that name none; empty when nobody can know.

    `machine` is what this machine calls itself.
    """
    if environment.mqtt_urls_given:
        return ""  # it is elsewhere, and how we reach it is not how gateways do
    host = environment.tls_names[0] if environment.tls_names else environment.bind
    if host in EVERY_ADDRESS:
        host = machine
    if is_loopback(host):
        if environment.mode is Mode.PRODUCTION:
            return ""
        host = LOCALHOST
    try:
        return broker(
            f"[{host}]:{environment.ports.mqtt_tls}" if ":" in host else f"{host}:{environment.ports.mqtt_tls}"
        )
    except CellRefusedError:  # a machine may call itself what no host can be called
        return ""


def doubts(brokers: Iterable[str], environment: Environment, machine: str) -> list[str]:
    """Sentences on brokers that units would not find or not trust: a box of those costs a drive to the customer."""
    certified = {name.lower() for name in server_names(environment, machine)}
    found = []
    for uri in sorted(brokers):
        host = urlsplit(uri).hostname or ""
        if is_loopback(host):
            found.append(
                f"Units will look for the broker at {uri}, where only programs on this machine find it; name another "
                "with --broker."
            )
        elif host.lower() not in certified and not environment.mqtt_urls_given:
            found.append(
                f"This platform's broker has no certificate for {host}, so units would not trust it there; add it to "
                "TDS_TLS_NAMES."
            )
    return found
