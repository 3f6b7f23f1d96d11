"""Publish one message and wait for its acknowledgement."""

import time
from threading import Event
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from tds.mqtt.address import Address

LIMIT_S: Final = 5.0
NO_SUBSCRIBER: Final = 0x10
REFUSED_FROM: Final = 0x80


class PublishError(Exception):
    """The broker did not take the message; says why in a sentence."""


def publish_once(broker: Address, topic: str, payload: bytes) -> None:
    """QoS 1 over MQTT 5. Raises PublishError unless somebody who subscribed will get it."""
    done, codes = Event(), []

    def acknowledged(_client: Any, _data: Any, _id: int, code: ReasonCode, _properties: Any) -> None:
        codes.append(code.value)
        done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_publish = acknowledged
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(broker.tls)
    try:
        client.connect(broker.host, broker.port, keepalive=10)
    except OSError as error:
        raise PublishError(f"the broker can't be reached: {error}") from error
    client.loop_start()
    try:
        deadline = time.monotonic() + LIMIT_S
        client.publish(topic, payload, qos=1)
        if not done.wait(max(0.0, deadline - time.monotonic())):
            raise PublishError(f"the broker did not acknowledge a message within {LIMIT_S:.0f} s")
    finally:
        client.disconnect()
        client.loop_stop()
    if codes[0] == NO_SUBSCRIBER:
        raise PublishError("nobody is subscribed: what gateways send now is lost; start the consumer once")
    if codes[0] >= REFUSED_FROM:
        raise PublishError(f"the broker refused the message with reason code {codes[0]:#x}")
