"""The text of a private mosquitto's configuration. Pure: where it listens in, lines out."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from tds.environment import EVERY_ADDRESS, Plain
from tds.identity.access import broker_rules
from tds.identity.authorities.tls_files import CHAIN, DEVICE_ANCHORS, KEY, REVOKED

LOOPBACK: Final = "127.0.0.1"
EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104  # as a person said it
EVERYWHERE: Final = "::"
IPV4: Final = 4
AUTOSAVE_S: Final = 15  # what a kill -9 of the broker can lose, well within the 90 s that gateways send again
NO_LIMIT: Final = 2_147_483_647
MAX_PAYLOAD_BYTES: Final = 262_144
PID_FILE: Final = "mosquitto.pid"  # in `data`: it is written when the broker has dropped root's rights
MAX_PACKET_BYTES: Final = 393_216  # a payload with a topic and properties of 64 KiB each; the sender is told or cut off

RELOAD_END: Final = "reload-ends-here.crt"  # as identity/access/reloading.py does
SOCKET: Final = "nobody.sock"
MAX_SOCKET_PATH_BYTES: Final = 107  # unix(7)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Ports of one broker; 0: it does not listen so. `bind` is an IP address, for what gateways come in by."""

    services: int
    tls: int = 0
    plain: int = 0
    websocket: int = 0
    access: Plain = Plain.LOOPBACK  # of `plain` and `websocket`
    bind: str = LOOPBACK

    @property
    def plain_address(self) -> str:
        """Nobody is asked for a name there, so it is this machine alone; or each gateway for its password."""
        return self.bind if self.access is Plain.PASSWORD else LOOPBACK

    @property
    def websocket_address(self) -> str:
        if self.plain_address in EVERY_ADDRESS:
            return EVERY_IPV4
        # A websockets listener heeds an address of IPv4 alone; with one of IPv6 it would open to everybody.
        return self.plain_address if ip_address(self.plain_address).version == IPV4 else LOOPBACK


def configuration(listeners: Listeners, *, data: Path, database: str, tls: Path, autosave_s: int) -> str:
    """mosquitto.conf(5). `data` is where the database of that name goes, `tls` what holds keys and rules."""
    blocks = [_for_all(data, database, autosave_s), _services(listeners.services, tls)]
    if listeners.tls:
        blocks += [_gateways(listeners, tls), _reload_end(tls)]
    if listeners.plain and listeners.access is not Plain.OFF:
        blocks.append(f"{_listener(listeners.plain, listeners.plain_address)}\n{_without_tls(listeners.access, tls)}")
    if listeners.websocket and listeners.access is not Plain.OFF:
        blocks.append(
            f"{_websocket(listeners.websocket, listeners.websocket_address)}{_without_tls(listeners.access, tls)}"
        )
    return "\n".join(blocks)


def _for_all(data: Path, database: str, autosave_s: int) -> str:
    return f"""\
# Written at each start of `tds up`.
per_listener_settings true
log_dest stderr
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
connection_messages true

pid_file {data / PID_FILE}
persistence true
persistence_location {data}/
persistence_file {database}
autosave_interval {autosave_s}
autosave_on_changes false

# The broker holds what the consumer has not fetched yet; to drop it would lose readings. 0 would be no limit as well,
# but then Debian's build (2.0.11-1.2+deb12u2) ends a gateway's connection after each publish that it refuses.
max_queued_messages {NO_LIMIT}
# 0: no limit.
max_inflight_messages 0
message_size_limit {MAX_PAYLOAD_BYTES}
max_packet_size {MAX_PACKET_BYTES}
retain_available true
set_tcp_nodelay true
"""


def _services(port: int, tls: Path) -> str:
    # TCP, and always the same port: a session that the broker restores from its disk finds the rules that hold for it
    # by the port of its listener. One that finds none may read nothing, and what comes for it is dropped.
    return f"""\
# The platform's own processes.
listener {port} {LOOPBACK}
allow_anonymous false
password_file {tls / broker_rules.SERVICE_PASSWORDS}
acl_file {tls / broker_rules.SERVICES_ACL}
"""


def _gateways(listeners: Listeners, tls: Path) -> str:
    return f"""\
# Gateways: the common name of the certificate is the user name, and the client id.
{_listener(listeners.tls, listeners.bind)}
tls_version tlsv1.2
cafile {tls / DEVICE_ANCHORS}
certfile {tls / CHAIN}
keyfile {tls / KEY}
crlfile {tls / REVOKED}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {tls / broker_rules.GATEWAYS_ACL}
"""


def _reload_end(tls: Path) -> str:
    # Without trusted authorities and names nobody can come in here. Why it is there: identity/access/reloading.py.
    return f"""\
# Has a reload end where the agent wants it to: the last of the listeners with TLS.
listener 0 {socket_path(tls)}
certfile {tls / RELOAD_END}
keyfile {tls / KEY}
crlfile {tls / REVOKED}
require_certificate true
allow_anonymous false
"""


def socket_path(tls: Path) -> Path:
    """Beside the other files, which are for the broker's account alone.

    In a folder of everybody's, as /tmp, another account could have the name first, and the broker would not start.
    Where the path is longer than a socket's may be, or has a blank, where it would end: the name alone. The broker is
    then started in that folder (broker.py).
    """
    path = tls / SOCKET
    fits = len(bytes(path)) <= MAX_SOCKET_PATH_BYTES and " " not in str(path)
    return path if fits else Path(SOCKET)


def _without_tls(access: Plain, tls: Path) -> str:
    if access is Plain.LOOPBACK:
        return "allow_anonymous true\n"
    return f"""\
allow_anonymous false
password_file {tls / broker_rules.GATEWAY_PASSWORDS}
use_username_as_clientid true
acl_file {tls / broker_rules.GATEWAYS_ACL}
"""


def _websocket(port: int, address: str) -> str:
    # Without socket_domain it ignores its address and opens to everybody.
    words = f"listener {port}" if address == EVERY_IPV4 else f"listener {port} {address}"
    return f"{words}\nprotocol websockets\nsocket_domain ipv4\n"


def _listener(port: int, address: str) -> str:
    # With :: it would bind IPv6 alone, where other servers take both; so it does without an address.
    return f"listener {port}" if address == EVERYWHERE else f"listener {port} {address}"
