"""A segment of the spool: a file of records that say themselves whether they are whole.

Everything is big-endian. The file begins with HEADER (magic, version, the spool's id, the number of the segment, the
sequence number of its first message, CRC-32 of these). Then records: RECORD (magic, bytes of the body, messages in it,
sequence number of the first, CRC-32 of the body, CRC-32 of what stands before), and the body in MessagePack. Sequence
numbers count messages over the life of a spool, so that a gap says exactly how many are missing.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID
from zlib import crc32

import msgspec

FILE_MAGIC: Final = b"TDSSPOOL"
RECORD_MAGIC: Final = b"\xf5TDSr\x01\r\n"  # no text and no JSON holds its first byte
VERSION: Final = 1
HEADER: Final = Struct("!8sH16sQQ")
RECORD: Final = Struct("!8sIIQI")
CRC: Final = Struct("!I")
HEADER_BYTES: Final = HEADER.size + CRC.size
RECORD_HEADER_BYTES: Final = RECORD.size + CRC.size
MAX_BODY_BYTES: Final = 16 * 1024**2  # a longer one is no record of ours
SECTOR_BYTES: Final = 4_096  # what a disk gives or does not give as one


class Kept(NamedTuple):
    """A message as the spool keeps it."""

    topic: str
    payload: bytes
    retained: bool


class Body(msgspec.Struct, array_like=True, frozen=True):
    received_at: datetime
    messages: list[Kept]


class Header(NamedTuple):
    spool_id: UUID
    number: int
    first_sequence: int


class Record(NamedTuple):
    """A whole record; `end` is where the next one begins."""

    sequence: int
    received_at: datetime
    messages: list[Kept]
    end: int


class Damage(NamedTuple):
    """Bytes that are no record, up to where one begins again or the file ends."""

    end: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Body).decode


def pack_header(header: Header) -> bytes:
    packed = HEADER.pack(FILE_MAGIC, VERSION, header.spool_id.bytes, header.number, header.first_sequence)
    return packed + CRC.pack(crc32(packed))


def pack_record(sequence: int, received_at: datetime, messages: Sequence[Kept]) -> bytes:
    body = _encode(Body(received_at, list(messages)))
    packed = RECORD.pack(RECORD_MAGIC, len(body), len(messages), sequence, crc32(body))
    return b"".join((packed, CRC.pack(crc32(packed)), body))


def read_header(path: Path) -> Header | None:
    """The header, or None for a file that has no whole one. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(HEADER_BYTES)
    if len(data) < HEADER_BYTES or CRC.unpack(data[HEADER.size :]) != (crc32(data[: HEADER.size]),):
        return None
    magic, version, spool_id, number, first = HEADER.unpack(data[: HEADER.size])
    if magic != FILE_MAGIC or version != VERSION:
        return None
    return Header(UUID(bytes=spool_id), number, first)


def read_record(descriptor: int, offset: int, *, unreadable_as_zeros: bool = False) -> Record | Damage | None:
    """What stands at an offset of an open segment; None at its end, torn records there included.

    Raises OSError; with `unreadable_as_zeros` sectors that the disk does not give back are damage instead.
    """
    read = _pread_around if unreadable_as_zeros else os.pread
    head = read(descriptor, RECORD_HEADER_BYTES, offset)
    if not head:
        return None
    fields = _record_header(head)
    if fields is None:
        return _damage(descriptor, offset, read)
    body_bytes, messages, sequence, body_crc = fields
    start = offset + RECORD_HEADER_BYTES
    body = read(descriptor, body_bytes, start)
    if len(body) == body_bytes and crc32(body) == body_crc:
        try:
            decoded = _decode(body)
        except msgspec.DecodeError:
            return Damage(start + body_bytes)
        if len(decoded.messages) == messages:
            return Record(sequence, decoded.received_at, decoded.messages, start + body_bytes)
    return _damage(descriptor, offset, read)


def _pread_around(descriptor: int, count: int, offset: int) -> bytes:
    """`os.pread`, with zeros for the sectors that can't be read."""
    with suppress(OSError):
        return os.pread(descriptor, count, offset)
    end = min(offset + count, os.fstat(descriptor).st_size)
    found = bytearray()
    while offset < end:
        wanted = min(SECTOR_BYTES - offset % SECTOR_BYTES, end - offset)
        try:
            found += os.pread(descriptor, wanted, offset).ljust(wanted, b"\0")
        except OSError:
            found += bytes(wanted)
        offset += wanted
    return bytes(found)


def _record_header(data: bytes) -> tuple[int, int, int, int] | None:
    """(bytes of the body, messages, sequence, CRC of the body), or None when that is no record's beginning."""
    if len(data) < RECORD_HEADER_BYTES or CRC.unpack(data[RECORD.size :]) != (crc32(data[: RECORD.size]),):
        return None
    magic, body_bytes, messages, sequence, body_crc = RECORD.unpack(data[: RECORD.size])
    return (
        (body_bytes, messages, sequence, body_crc) if magic == RECORD_MAGIC and body_bytes <= MAX_BODY_BYTES else None
    )


def _damage(descriptor: int, offset: int, read: Callable[[int, int, int], bytes]) -> Damage | None:
    """Up to the next record that is whole in its header. None when there is none: then it is the file's torn end."""
    position = offset + 1
    rest = read(descriptor, os.fstat(descriptor).st_size - position, position)
    found = rest.find(RECORD_MAGIC)
    while found >= 0:
        if _record_header(rest[found : found + RECORD_HEADER_BYTES]) is not None:
            return Damage(position + found)
        found = rest.find(RECORD_MAGIC, found + 1)
    return None
