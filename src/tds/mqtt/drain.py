"""Giving up a session without losing what waits in it: no subscription any more, and a marker behind the last message.

The three packets are handled by the broker in this order, so whoever receives the marker has received all that was
queued for the session, and nothing comes after it. Sent again on every connection: it can be broken off anywhere.
"""

from collections.abc import Sequence
from typing import Any, Final

import mqtt5

SUBSCRIBE_ID: Final = 1
UNSUBSCRIBE_ID: Final = 2
MARKER_ID: Final = 3
REFUSED_FROM: Final = 0x80
NOBODY: Final = mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS


def marker_topic(client_id: str) -> str:
    return f"tds/drained/{client_id}"


def beginning(client_id: str, filters: Sequence[str], nonce: bytes) -> bytes:
    """What to send after CONNACK, as one piece to write."""
    topic = marker_topic(client_id)
    own = mqtt5.TopicFilter(topic, max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_handling=mqtt5.RetainHandling.SEND_NEVER)
    subscribe: bytes = mqtt5.SubscribePacket(SUBSCRIBE_ID, [own]).write()
    unsubscribe: bytes = mqtt5.UnsubscribePacket(UNSUBSCRIBE_ID, list(filters)).write()
    marker: bytes = mqtt5.PublishPacket(topic, nonce, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=MARKER_ID).write()
    return subscribe + unsubscribe + marker


def refusal(packet: Any) -> str:
    """Why the broker does not let go, from a SUBACK, UNSUBACK or PUBACK; empty when it does."""
    codes = packet.reason_codes if hasattr(packet, "reason_codes") else [packet.reason_code]
    # A marker without a subscriber would never come: in a cluster the subscription may be late, so try again.
    return ", ".join(code.name for code in codes if int(code) >= REFUSED_FROM or code == NOBODY)
