"""How the platform's own processes reach the brokers: by a listener of their own, each with its name and password.

A broker that TDS_MQTT_URLS names is reached as it is named. A private one (`tds up`) has written down which port that
listener has: nobody but us has to know it.
"""

from pathlib import Path
from typing import Final

from tds.environment import MAX_BROKERS, MAX_PORT, Environment, kept_secret, with_brokers
from tds.processes import broker_name

SERVICES_PORT: Final = "services-port"  # a file of a private broker's folder
MAX_PORT_DIGITS: Final = 5


def password_of(home: Path, service: str) -> str:
    """Of one of `broker_rules.SERVICES`, made at first use; only who may read the home's secrets can have it."""
    return kept_secret(home, f"mqtt{service}")


def services_port(environment: Environment, number: int) -> int:
    """Of the private broker of that number, from 1; 0 when there never was one."""
    try:
        raw = (environment.home / broker_name(number) / SERVICES_PORT).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raw = ""
    written = int(raw) if raw.isdecimal() and len(raw) <= MAX_PORT_DIGITS else 0
    if 0 < written <= MAX_PORT:
        return written
    return environment.mqtt_services_port if number == 1 else 0


def broker_known_as(environment: Environment, number: int) -> str:
    """The URL by which people know a broker. Private ones of an earlier start, beyond those of this one, have one too.

    Raises IndexError when there is no such broker.
    """
    if number < 1:
        raise IndexError(number)
    if number > len(environment.mqtt_urls) and number <= MAX_BROKERS:
        environment = with_brokers(environment, number)
    return environment.mqtt_urls[number - 1]


def broker_url(environment: Environment, number: int, service: str) -> str:
    """The URL by which that service connects to a broker; it may hold a password. Raises IndexError as above.

    Without a private broker it is the one by which people know it: somebody else's may listen there.
    """
    known = broker_known_as(environment, number)
    port = 0 if environment.mqtt_urls_given else services_port(environment, number)
    return f"mqtt://{service}:{password_of(environment.home, service)}@127.0.0.1:{port}" if port else known
