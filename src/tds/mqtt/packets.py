"""Cutting a byte stream into MQTT 5 packets, with the sans-I/O codec `mqtt5`."""

from collections.abc import Sequence
from itertools import chain, repeat
from struct import pack
from typing import Any, Final

import mqtt5

# What we let the broker send. More than it takes in (local/broker_config.py: 393,216): a topic that came as an alias
# leaves it in full: a packet that is too large for us it would drop, though it has acknowledged it.
MAX_PACKET_BYTES: Final = 524_288
PUBACK_OK: Final = 0x4002  # type PUBACK, 2 bytes follow: without a reason code it means success (MQTT 5, 3.4.2.1)


class ProtocolError(Exception):
    """The broker sent what MQTT 5 does not allow."""


class PacketReader:
    """Bytes in, whole packets out. Holds at most one unfinished packet between calls."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Any]:
        """The packets that are whole now. Raises ProtocolError for bytes that never will be one."""
        buffer = memoryview(self._rest + data if self._rest else data)
        packets: list[Any] = []
        index, end = 0, len(buffer)
        while index < end:
            try:
                packet, size = mqtt5.read(buffer[index:])
            except IndexError:  # the codec's word for: not all here yet
                break
            except ValueError as error:
                raise ProtocolError(f"malformed packet: {error}") from error
            except BaseException as error:
                # How the codec meets a text that is no UTF-8: PyO3's panic, no Exception and not to be imported.
                if type(error).__name__ != "PanicException":
                    raise
                raise ProtocolError("malformed packet: a text that is no UTF-8") from error
            packets.append(packet)
            index += size
        self._rest = bytes(buffer[index:])
        if len(self._rest) > MAX_PACKET_BYTES:
            raise ProtocolError(f"a packet of more than {MAX_PACKET_BYTES} bytes")
        return packets


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """Acknowledgements of success, in order, as one piece to write."""
    words = chain.from_iterable(zip(repeat(PUBACK_OK), packet_ids, strict=False))
    return pack(f"!{2 * len(packet_ids)}H", *words)
