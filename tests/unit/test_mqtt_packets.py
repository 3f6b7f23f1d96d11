import random
from itertools import pairwise
from typing import Any, Final

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.mqtt.packets import MAX_PACKET_BYTES, PacketReader, ProtocolError, pubacks

# The codec's panic over a text that is no UTF-8 leaves its cause behind, besides a trace on stderr.
codec_may_panic = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LARGEST_PAYLOAD = 262_144
LARGEST_TOPIC = "t" * 65_535
SENT: Final[list[Any]] = [
    mqtt5.ConnAckPacket(session_present=True, receive_max=20),
    mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]),
    mqtt5.PublishPacket("telemetry/GW/D/data", b'{"a": 1}', qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7),
    mqtt5.PublishPacket("telemetry/GW/D/data", b"", retain=True, user_properties=[("é", "°C")]),
    mqtt5.PublishPacket("t", bytes(range(256)) * 3, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=65_535),
    mqtt5.PingRespPacket(),
    mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER),
]
STREAM = b"".join(packet.write() for packet in SENT)


def test_a_stream_that_comes_in_one_piece_is_cut_into_its_packets() -> None:
    assert PacketReader().feed(STREAM) == SENT


def test_a_stream_that_comes_byte_by_byte_is_cut_into_the_same_packets() -> None:
    reader = PacketReader()

    assert [packet for n in range(len(STREAM)) for packet in reader.feed(STREAM[n : n + 1])] == SENT


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_that_comes_in_any_pieces_is_cut_into_the_same_packets(cuts: list[int]) -> None:
    reader = PacketReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]

    assert [packet for piece in pieces for packet in reader.feed(piece)] == SENT


def test_a_payload_is_bytes_of_its_own_and_no_view_of_the_buffer() -> None:
    (packet,) = PacketReader().feed(SENT[2].write())

    assert type(packet.payload) is bytes


def test_the_largest_message_that_the_broker_lets_through_is_read() -> None:
    packet = mqtt5.PublishPacket(LARGEST_TOPIC, b"x" * LARGEST_PAYLOAD, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1)
    data = packet.write()
    reader = PacketReader()

    assert len(data) < MAX_PACKET_BYTES
    assert reader.feed(data[:-1]) == []
    assert reader.feed(data[-1:]) == [packet]


@codec_may_panic
@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"\x00\x00", id="no packet type"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28", id="a TLS alert"),
        pytest.param(b"\x20\x00", id="a CONNACK without content"),
        pytest.param(b"\x90\x00", id="a SUBACK without content"),
        pytest.param(b"\x36\x05\x00\x01a\x00\x00", id="QoS 3"),
        pytest.param(b"\x30\x03\x00\x10aa", id="a topic that is longer than its packet"),
        pytest.param(b"\x32\x03\x00\x01a", id="QoS 1 without a packet id"),
        pytest.param(b"\x30\xff\xff\xff\xff\x7f", id="a length of five bytes"),
        pytest.param(b"\x60\x02\x00\x01", id="flags that the type does not have"),
        pytest.param(b"\xe0\x02\x05\x00", id="an unknown reason code"),
        pytest.param(b"\x30\x04\x00\x01\xff\x00", id="a topic that is no UTF-8"),
        pytest.param(b"\x30\x05\x00\x02\xed\xa0\x00", id="half a surrogate pair in the topic"),
    ],
)
def test_what_is_no_mqtt_is_a_protocol_error_and_nothing_else(junk: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed packet"):
        PacketReader().feed(junk)


def test_a_packet_of_a_size_that_was_never_agreed_is_refused_before_it_is_whole() -> None:
    reader = PacketReader()
    claims_200_mb = b"\x30\x80\x84\xaf\x5f\x00\x01t\x00"
    assert reader.feed(claims_200_mb + b"x" * (MAX_PACKET_BYTES - len(claims_200_mb))) == []

    with pytest.raises(ProtocolError, match=f"more than {MAX_PACKET_BYTES} bytes"):
        reader.feed(b"x")


@codec_may_panic
def test_no_junk_whatever_raises_anything_but_a_protocol_error() -> None:
    # A seeded loop and not hypothesis: the codec prints a trace to stderr for each text that is no UTF-8.
    chance = random.Random(7)
    for _ in range(2_000):
        data = bytearray(chance.choice(SENT).write())
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), 40))] = chance.randrange(256)
        try:
            PacketReader().feed(bytes(data))
        except ProtocolError:
            continue


def test_acknowledgements_are_written_in_order_as_the_codec_reads_them() -> None:
    assert PacketReader().feed(pubacks([1, 5, 65_535])) == [mqtt5.PubAckPacket(n) for n in (1, 5, 65_535)]


def test_no_acknowledgements_are_no_bytes() -> None:
    assert pubacks([]) == b""
