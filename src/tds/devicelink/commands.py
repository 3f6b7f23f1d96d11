"""What the platform tells a gateway over MQTT: an update document, on the broker where it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from tds.devicelink.topics import UPDATE_ALL_TOPIC, update_topic
from tds.fleet.codes import is_code
from tds.mqtt.session import SendError

MAX_COMMAND_BYTES: Final = 3_072  # what a gateway's buffer holds
PATIENCE_S: Final = 5.0
CHECK_NOW_EXPIRY_S: Final = 5  # who is away then asks when it comes
NO_SUBSCRIBER: Final = 0x10  # MQTT 5, 3.4.2.1
REFUSED_FROM: Final = 0x80


class Outcome(StrEnum):
    TAKEN = "taken"  # the broker has it for somebody who subscribed; not: the gateway has it
    NOBODY = "nobody"  # nobody has subscribed there
    REFUSED = "refused"
    FAILED = "failed"  # whether it arrived is not known


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a command on one broker. `detail` is a sentence where something went wrong."""

    broker: str
    outcome: Outcome
    detail: str = ""


class Sender(Protocol):
    @property
    def broker(self) -> str: ...
    def publish(self, topic: str, payload: bytes, *, timeout_s: float, expiry_s: int | None = None) -> int: ...


class Commands:
    """`links`: one a broker."""

    def __init__(self, links: Sequence[Sender]) -> None:
        self._links = links

    def update(self, code: str, document: bytes, *, brokers: Sequence[str] = (), expiry_s: int) -> list[Sent]:
        """Tell a gateway of an update: on the brokers that have a session with it, or on all when none is named.

        `document` is JSON of at most MAX_COMMAND_BYTES. A broker keeps it for `expiry_s` for a gateway that is away.
        """
        if not is_code(code):
            raise ValueError("A command is for one gateway; its code is no topic with wildcards.")
        if len(document) > MAX_COMMAND_BYTES:
            raise ValueError(f"The command has {len(document)} bytes; a gateway takes at most {MAX_COMMAND_BYTES}.")
        return self._publish(update_topic(code), document, brokers, expiry_s)

    def check_now(self) -> list[Sent]:
        """Tell all gateways to ask for updates, those that are connected."""
        return self._publish(UPDATE_ALL_TOPIC, b"{}", (), CHECK_NOW_EXPIRY_S)

    def _publish(self, topic: str, payload: bytes, brokers: Sequence[str], expiry_s: int) -> list[Sent]:
        named = [link for link in self._links if link.broker in brokers] or self._links
        return [_publish(link, topic, payload, expiry_s) for link in named]


def _publish(link: Sender, topic: str, payload: bytes, expiry_s: int) -> Sent:
    try:
        code = link.publish(topic, payload, timeout_s=PATIENCE_S, expiry_s=expiry_s)
    except SendError as error:
        return Sent(link.broker, Outcome.FAILED, str(error))
    if code == NO_SUBSCRIBER:
        return Sent(link.broker, Outcome.NOBODY, "Nobody has subscribed to it there.")
    if code >= REFUSED_FROM:
        return Sent(link.broker, Outcome.REFUSED, f"The broker refused it with reason code {code:#x}.")
    return Sent(link.broker, Outcome.TAKEN)
