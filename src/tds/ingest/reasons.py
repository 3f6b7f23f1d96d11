"""Why a message is refused: the words on the wire and on the quarantine page."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


def _(text: str) -> str:
    """Mark a sentence for the translators. Django's own asks for settings, and the rules need none."""
    return text


class Reason(StrEnum):
    """In the order in which the rules are asked: the first one broken names the reason."""

    BAD_TOPIC = "bad_topic"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    CODE_MISMATCH = "code_mismatch"
    BAD_TIMESTAMP = "bad_timestamp"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    NO_READINGS = "no_readings"
    TOO_MANY_READINGS = "too_many_readings"
    BAD_READING = "bad_reading"
    BAD_VALUE = "bad_value"
    REPEATED_READING = "repeated_reading"
    # From here on the answer needs the database; the bytes themselves were fine.
    UNKNOWN_GATEWAY = "unknown_gateway"
    GATEWAY_DISABLED = "gateway_disabled"
    PREVIOUS_OWNER = "previous_owner"
    UNKNOWN_DEVICE = "unknown_device"
    TOO_MANY_DEVICES = "too_many_devices"
    TOO_MANY_METRICS = "too_many_metrics"
    # Not of the wire contract: a row that all rules let through and PostgreSQL does not take.
    REFUSED_BY_DATABASE = "refused_by_database"


# What happened, whose side it is on, what to do next. `{gateway}` and `{device}` are filled in by `sentence`.
SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.BAD_TOPIC: _(
        "The device published to a topic that is not telemetry/<gateway_code>/<device_code>/data; "
        "correct the codes in its configuration (letters, digits, '.', '_', '-', at most 64)."
    ),
    Reason.TOO_LARGE: _("The device sent more than 65,536 bytes at once; let it send fewer readings a message."),
    Reason.NOT_JSON: _(
        "The device sent something that is no JSON object in UTF-8; correct how it writes its messages."
    ),
    Reason.MISSING_FIELD: _("The device left out a field that every message needs; let it send the field."),
    Reason.CODE_MISMATCH: _(
        "The codes in the device's message are not those of its topic; let it write the same codes in both places."
    ),
    Reason.BAD_TIMESTAMP: _(
        "The device wrote a time that is not in the agreed form; let it send one like 2026-02-18T15:30:00-03:00."
    ),
    Reason.TIMESTAMP_IN_FUTURE: _(
        "The device's clock is more than 10 minutes ahead of the server's; set the clock, or check its time server."
    ),
    Reason.TIMESTAMP_TOO_OLD: _(
        "The device sent a reading older than the platform keeps; set its clock, or let it drop what is that old."
    ),
    Reason.NO_READINGS: _("The device sent a message without a list of readings; let it send 1 to 500 in 'leituras'."),
    Reason.TOO_MANY_READINGS: _("The device sent more than 500 readings in one message; let it split them."),
    Reason.BAD_READING: _(
        "The device sent a reading whose 'tipo' or 'unidade' cannot be used; "
        "let it send texts of 1 to 64 and of 0 to 16 visible characters."
    ),
    Reason.BAD_VALUE: _("The device sent a value that is no finite number; let it leave a failed measurement out."),
    Reason.REPEATED_READING: _(
        "The device sent the same 'tipo' and 'unidade' twice in one message; let it send each once, or name them apart."
    ),
    Reason.UNKNOWN_GATEWAY: _(
        "Nobody registered a gateway with this code, or it was retired; "
        "register the code, or correct it in the gateway's configuration."
    ),
    Reason.GATEWAY_DISABLED: _(
        "Gateway {gateway} was disabled by an operator; enable it and replay its messages, or switch the device off."
    ),
    Reason.PREVIOUS_OWNER: _(
        "The reading was measured before gateway {gateway} came to its present owner; "
        "nothing is wrong with the device, and its former owner may ask the operator for the reading."
    ),
    Reason.UNKNOWN_DEVICE: _(
        "Gateway {gateway} does not register devices by itself and {device} is not registered; "
        "register it and replay its messages."
    ),
    Reason.TOO_MANY_DEVICES: _(
        "Gateway {gateway} has all the devices it may have and {device} would be one more; "
        "remove devices that are gone, or correct a gateway that makes up codes."
    ),
    Reason.TOO_MANY_METRICS: _(
        "Gateway {gateway}: {device} sent a new kind of reading beyond the limit of the device, "
        "the gateway or the tenant; correct a device that makes up names for 'tipo' or 'unidade'."
    ),
    Reason.REFUSED_BY_DATABASE: _(
        "The database refused a message that broke no rule; the platform is at fault: report it and replay it later."
    ),
}


def sentence(reason: Reason, *, gateway: str, device: str) -> str:
    """The general sentence for people; a refusal's own `detail` says more where there is more to say."""
    return SENTENCES[reason].format(gateway=gateway, device=device)
