"""The factory partition of a unit: an NVS image (ESP-IDF, "Non-Volatile Storage Library") that its firmware reads.

docs/identity.md lists namespace and keys for the firmware. The image holds the private key and the network's password
in clear: whoever has it can pass for the unit, until flash encryption on the board takes that away.
"""

import io
from dataclasses import dataclass, field
from typing import Final

from esp_idf_nvs_partition_gen.nvs_partition_gen import (
    InputError,
    InsufficientSizeError,
    Page,
    nvs_close,
    nvs_open,
    write_entry,
)

PAGE_BYTES: Final = 4_096
# The partition `fctry` of every family's table. The data takes two pages; NVS keeps one in reserve, and the rest is for
# chains that grow while authorities overlap.
FACTORY_PARTITION_BYTES: Final = 0x6000
NAMESPACE: Final = "tds_factory"
FORMAT: Final = 1  # goes up when a firmware would misread the keys
MAX_KEY_CHARS: Final = 15
MAX_ROOTS_CHARS: Final = 173  # two points of P-256 in base64url, and a comma
# Of a string with its end: it may not pass from one page to the next. NVS allows 4,000; the library leaves one entry of
# each page unused.
MAX_TEXT_BYTES: Final = 3_968


class ImageTooLargeError(Exception):
    """A value, or all of them, that the factory partition can't hold; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a unit knows when it is switched on for the first time. PEM is text; what is empty is left out."""

    gateway_code: str
    broker_uri: str
    server_ca: str
    device_cert: str
    device_key: str = field(repr=False)
    family: str = ""
    hardware: str = ""
    wifi_ssid: str = ""
    wifi_password: str = field(default="", repr=False)
    apn: str = ""
    trust_roots: str = ""  # whom it believes what it may install: docs/firmware-updates.md


KEYS: Final = (
    "gateway_code",
    "family",
    "hardware",
    "broker_uri",
    "wifi_ssid",
    "wifi_password",
    "apn",
    "server_ca",
    "device_cert",
    "device_key",
    "trust_roots",
)


def check_room(server_ca: str, issuer_pem: str) -> None:
    """Whether the image of any unit holds these. Raises ImageTooLargeError: before the first certificate is given."""
    own_pem = issuer_pem  # a unit's own certificate says less than its authority's
    longest = {
        "family": "f" * 32,
        "hardware": "h" * 32,
        "wifi_ssid": "s" * 32,
        "wifi_password": "p" * 64,
        "apn": "a" * 64,
        "trust_roots": "r" * MAX_ROOTS_CHARS,
    }
    image(Facts("c" * 64, "b" * 300, server_ca, own_pem + issuer_pem, "k" * 512, **longest))


def image(facts: Facts) -> bytes:
    """The partition, whole: `FACTORY_PARTITION_BYTES` long, the same for the same facts. Raises ImageTooLargeError."""
    written = io.BytesIO()
    nvs = nvs_open(written, FACTORY_PARTITION_BYTES - PAGE_BYTES, Page.VERSION2)  # the library adds the one in reserve
    try:
        write_entry(nvs, NAMESPACE, "namespace", "", "")
        write_entry(nvs, "format", "data", "u8", FORMAT)
        for key in KEYS:
            text = getattr(facts, key)
            size = len(text.encode()) + 1
            if size > MAX_TEXT_BYTES:
                raise ImageTooLargeError(_sentence(f"{key} takes {size:,} of {MAX_TEXT_BYTES:,} bytes"))
            if text:
                write_entry(nvs, key, "data", "string", text)
    except (InsufficientSizeError, InputError) as error:
        raise ImageTooLargeError(_sentence(f"all takes more than {FACTORY_PARTITION_BYTES:,} bytes")) from error
    nvs_close(nvs)
    return written.getvalue()


def _sentence(what: str) -> str:
    return (
        f"The image of a unit has no room: {what}. Too many authorities overlap; ./tds ca show tells until when, and "
        "after that there is room again."
    )
