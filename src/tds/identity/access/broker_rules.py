"""Who may do what on a broker, as mosquitto 2.0 reads it: access lists and password lines. Pure.

A gateway is its user name (`%u`): the common name of its certificate, or, where passwords are taken, what it signs in
with. mosquitto asks its lists for each message that is published and each that is delivered, never for SUBSCRIBE.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

# No gateway's code begins with an underscore.
CONSUMER: Final = "_consumer"
DEVICELINK: Final = "_devicelink"
STATUS: Final = "_status"
AGENT: Final = "_agent"  # takes sessions over, to end them: a connection is all that it needs
SERVICES: Final = (CONSUMER, DEVICELINK, STATUS, AGENT)

# Files of a broker's `tls` folder, beside those of server_files.py.
GATEWAYS_ACL: Final = "gateways.acl"
SERVICES_ACL: Final = "services.acl"
GATEWAY_PASSWORDS: Final = "gateways.passwords"  # a file's name
SERVICE_PASSWORDS: Final = "services.passwords"  # a file's name

# Our passwords are random, 128 bits and more: more rounds would only make reconnecting fleets slow.
ROUNDS: Final = 101  # mosquitto_passwd's own
SALT_BYTES: Final = 12  # mosquitto 2.0 takes no other
HASH_BYTES: Final = 64
PBKDF2_SHA512: Final = "7"

# A pattern holds for whoever comes in there. It is the only kind of line that holds for a session which the broker
# restored from its disk and whose owner has not come back yet, and for one that is connected while the agent has the
# broker read its files anew (reloading.py); with `user` lines alone it would drop what comes for the consumer. So all
# that a service needs for as long as it is connected is a pattern, and the `user` sections below take back what it does
# not need: denials go first.
_GATEWAYS: Final = """\
# Written at each start of `tds up`. %u is the gateway's code.
pattern write telemetry/%u/+/data
pattern write status/%u
pattern write ota/%u/status
pattern read ota/%u/update
pattern read ota/update
"""
_SERVICES: Final = f"""\
# Written at each start of `tds up`.
pattern read telemetry/#
pattern read status/+
pattern read ota/+/status
pattern read tds/drained/%c
pattern read tds/health/%c
pattern read $SYS/broker/uptime
pattern write telemetry/+/+/data
pattern write status/+
pattern write ota/#

# An empty retained message makes the broker forget one. A drained session sends itself a marker.
user {CONSUMER}
topic deny status/#
topic deny ota/#
topic deny $SYS/#
topic write tds/drained/#

user {DEVICELINK}
topic deny telemetry/#

user {STATUS}
topic deny telemetry/#
topic deny status/#
topic deny ota/#
topic write tds/health/#
topic read $SYS/#

user {AGENT}
topic deny #
topic deny $SYS/#
"""


def gateways_acl() -> str:
    """For listeners that gateways come in by."""
    return _GATEWAYS


def services_acl() -> str:
    """For the listener of the platform's own processes."""
    return _SERVICES


def hashed(password: str, salt: bytes | None = None) -> str:
    """As mosquitto keeps a password: `$7$rounds$salt$hash`, PBKDF2-SHA512 (RFC 8018). `salt` None: a random one."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, HASH_BYTES)
    return f"${PBKDF2_SHA512}${ROUNDS}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def matches(password: str, kept: str) -> bool:
    """Whether `kept`, which `hashed` made, is of this password."""
    try:
        _empty, kind, rounds, salt, digest = kept.split("$")
        expected = b64decode(digest, validate=True)
        made = hashlib.pbkdf2_hmac("sha512", password.encode(), b64decode(salt, validate=True), int(rounds), HASH_BYTES)
    except (ValueError, Base64Error):
        return False
    return kind == PBKDF2_SHA512 and hmac.compare_digest(made, expected)


def password_file(users: Mapping[str, str]) -> str:
    """The file of user names and what `hashed` made of their passwords.

    Raises ValueError for a name or hash that would not stay within its line.
    """
    for name, kept in users.items():
        if not name or {*name, *kept} & {":", "\n", "\r", "\0"} or name.startswith("#") or name != name.strip():
            raise ValueError("A user name or hash has a character that a password file can't hold.")
    return "".join(f"{name}:{kept}\n" for name, kept in users.items())
