"""What a cell of a list of units may say, column by column. Pure: text in, value out, or the rest of a sentence."""

import re
import unicodedata
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from tds.identity import names

FAMILIES: Final = ("dcu-0080", "dcu-8000-sim", "dcu-all", "relay-mfr")
REQUIRED: Final = ("gateway_code", "tenant")
COLUMNS: Final = (*REQUIRED, "site", "family", "hardware", "wifi_ssid", "wifi_password", "apn", "broker")
UNNAMED: Final = ""  # of a column: what is below it must be empty

MAX_SLUG_CHARS: Final = 50
MAX_SITE_CHARS: Final = 200
MAX_HARDWARE_CHARS: Final = 32
MAX_SSID_BYTES: Final = 32  # IEEE 802.11, 9.4.2.2
MAX_APN_CHARS: Final = 63  # 3GPP TS 23.003, 9.1.1
MAX_HOST_CHARS: Final = 253
MAX_LABEL_CHARS: Final = 63  # RFC 1035, 2.3.4
MAX_PORT: Final = 65_535
MQTTS_PORT: Final = 8883

# What makes a cell a formula to a spreadsheet (OWASP, CSV injection). The list comes from one, and its values go on to
# people who open such files: nothing that would be carried out there is let in.
FORMULA_STARTS: Final = "=+-@\t\r"
INVISIBLE: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode categories: control, format, half a pair, separators
# A box goes to factory machines on a stick: there these can't be folders, whatever follows a dot.
WINDOWS_DEVICES: Final = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}

_SLUG: Final = re.compile(r"[-A-Za-z0-9_]+\Z")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_BROKER: Final = re.compile(r"(?:mqtts://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#]+)(?::(?P<port>[0-9]{1,5}))?/?\Z")
_OWN_FILES: Final = re.compile(r"(?:index(?:-[0-9]+)?\.html|units\.json)\Z")
_PSK: Final = re.compile(r"[0-9A-Fa-f]{64}\Z")
_PASSPHRASE: Final = re.compile(r"[\x20-\x7e]{8,63}\Z")  # IEEE 802.11, J.4.1
_HARDWARE: Final = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{MAX_HARDWARE_CHARS - 2}}}[\x21-\x7e])?\Z")


class CellRefusedError(Exception):
    """The rest of a sentence that begins with the line and the column."""


def value(column: str, cell: str) -> str:
    """What a cell says; empty when it says nothing. Raises CellRefusedError; a password is never told in it."""
    if column not in EXACT:
        cell = cell.strip()
    if any(unicodedata.category(character) in INVISIBLE for character in cell):
        told = "it" if column == "wifi_password" else names.shown(cell)
        raise CellRefusedError(f"{told} has a control character or one that can't be seen; type the value anew.")
    start = unicodedata.normalize("NFKC", cell.lstrip())[:1]  # a full-width sign is one to a spreadsheet as well
    if start and start in MAY_NOT_BEGIN.get(column, FORMULA_STARTS):
        raise CellRefusedError(
            f"{names.shown(cell)} begins with {names.shown(start)}, which makes it a formula in a spreadsheet; "
            "write the value without it."
        )
    if not cell:
        if column in REQUIRED:
            raise CellRefusedError("it is empty, and every unit has one.")
        return ""
    return RULES[column](cell)


def broker(cell: str) -> str:
    """`mqtts://host:port` of a host, with or without scheme and port. Raises CellRefusedError."""
    parts = _BROKER.match(cell)
    port = int(parts["port"] or MQTTS_PORT) if parts else 0
    if parts is None or not 0 < port <= MAX_PORT or not _is_host(parts["host"]):
        raise CellRefusedError(
            f"{names.shown(cell)} is no broker: a host name or address, with or without a port, as in "
            f"mqtts://mqtt.example.com:{MQTTS_PORT}. Gateways use TLS alone, and their certificate as their password."
        )
    return f"mqtts://{parts['host']}:{port}"


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    short = len(host) <= MAX_HOST_CHARS and all(len(label) <= MAX_LABEL_CHARS for label in host.split("."))
    return short and _NAME.match(host) is not None


def _code(cell: str) -> str:
    try:
        code = names.gateway_name(cell)
    except names.NameRefusedError as error:
        raise CellRefusedError(str(error)) from None
    if _OWN_FILES.match(code.casefold()):
        raise CellRefusedError(
            f"{names.shown(code)} is the name of a file of the box itself; give the gateway another code."
        )
    if code.endswith(".") or code.casefold().partition(".")[0] in WINDOWS_DEVICES:
        raise CellRefusedError(f"{names.shown(code)} can't be a folder on Windows; give the gateway another code.")
    return code


def _tenant(cell: str) -> str:
    if len(cell) > MAX_SLUG_CHARS or not _SLUG.match(cell):
        raise CellRefusedError(
            f"{names.shown(cell)} is no tenant's short name: 1 to {MAX_SLUG_CHARS} ASCII letters, digits, dashes or "
            "underscores, as in ./tds tenant add."
        )
    return cell


def _site(cell: str) -> str:
    site = unicodedata.normalize("NFC", cell)  # else “São Paulo” typed on two systems makes two sites
    if len(site) > MAX_SITE_CHARS:
        raise CellRefusedError(f"it has {len(site)} characters; a site's name has at most {MAX_SITE_CHARS}.")
    return site


def _family(cell: str) -> str:
    if cell not in FAMILIES:
        raise CellRefusedError(f"{names.shown(cell)} is no device family; use one of: {', '.join(FAMILIES)}.")
    return cell


def _hardware(cell: str) -> str:
    if not _HARDWARE.match(cell):
        raise CellRefusedError(
            f"{names.shown(cell)} is no hardware revision: 1 to {MAX_HARDWARE_CHARS} ASCII characters, as in 1.2 or C."
        )
    return cell


def _ssid(cell: str) -> str:
    if cell != cell.strip():
        raise CellRefusedError(f"{names.shown(cell)} begins or ends with a space; take it away.")
    if len(cell.encode()) > MAX_SSID_BYTES:
        raise CellRefusedError(
            f"{names.shown(cell)} is longer than the {MAX_SSID_BYTES} bytes that a network's name may have."
        )
    return cell


def _password(cell: str) -> str:
    if cell != cell.strip():
        raise CellRefusedError("it begins or ends with a space, with which hardly any board would connect; remove it.")
    if not (_PASSPHRASE.match(cell) or _PSK.match(cell)):
        raise CellRefusedError(
            "it is no WPA password: 8 to 63 ASCII characters, or 64 hexadecimal digits; leave it empty for an open "
            "network."
        )
    return cell


def _apn(cell: str) -> str:
    if len(cell) > MAX_APN_CHARS or not _NAME.match(cell):
        raise CellRefusedError(
            f"{names.shown(cell)} is no access point name: at most {MAX_APN_CHARS} letters, digits, dashes and dots, "
            "as in claro.com.br."
        )
    return cell


def _unnamed(_cell: str) -> str:
    raise CellRefusedError("there is a value in it; name the column in the header, or empty it.")


RULES: Final[dict[str, Callable[[str], str]]] = {
    "gateway_code": _code,
    "tenant": _tenant,
    "site": _site,
    "family": _family,
    "hardware": _hardware,
    "wifi_ssid": _ssid,
    "wifi_password": _password,
    "apn": _apn,
    "broker": broker,
    UNNAMED: _unnamed,
}
EXACT: Final = {"wifi_ssid", "wifi_password"}  # a space in them counts
# Names and passwords of networks do begin so. They go into the image of the unit, and into nothing that a spreadsheet
# opens. No network is called `=…`.
MAY_NOT_BEGIN: Final = {"wifi_password": "", "wifi_ssid": "="}
