"""Reads an NVS partition as a chip does (ESP-IDF, "Internals" of NVS), by no code of who wrote it."""

import struct
import zlib
from typing import Final, NamedTuple

PAGE: Final = 4_096
ENTRY: Final = 32
ENTRIES: Final = 126
ACTIVE: Final = 0xFFFFFFFE
FULL: Final = 0xFFFFFFFC
UNUSED: Final = 0xFFFFFFFF
VERSION_2: Final = 0xFE
WRITTEN: Final = 0b10
EMPTY: Final = 0b11
U8: Final = 0x01
STRING: Final = 0x21
NAMESPACES: Final = 0  # the namespace that names the others


class Item(NamedTuple):
    namespace: int
    kind: int
    key: str
    value: int | str


def read(partition: bytes) -> dict[tuple[str, str], int | str]:
    """By (namespace, key). Whatever a chip would not take fails the test."""
    assert len(partition) % PAGE == 0
    pages = [partition[start : start + PAGE] for start in range(0, len(partition), PAGE)]
    states = [struct.unpack_from("<I", page)[0] for page in pages]
    used = states.index(UNUSED)
    # The last page in use takes what is written next; one at least is kept in reserve for that.
    assert states == [FULL] * (used - 1) + [ACTIVE] + [UNUSED] * (len(pages) - used)
    assert set(b"".join(pages[used:])) == {0xFF}
    items = [item for number, page in enumerate(pages[:used]) for item in _items(page, number)]
    names = {item.value: item.key for item in items if item.namespace == NAMESPACES}
    found = {(names[item.namespace], item.key): item.value for item in items if item.namespace != NAMESPACES}
    assert len(found) == len(items) - len(names), "a key is there twice"
    return found


def _items(page: bytes, number: int) -> list[Item]:
    sequence, version = struct.unpack_from("<IB", page, 4)
    assert (sequence, version) == (number, VERSION_2)
    assert struct.unpack_from("<I", page, 28)[0] == _crc(page[4:28])
    bits = int.from_bytes(page[32:64], "little")
    states = [bits >> (2 * place) & 0b11 for place in range(ENTRIES)]
    items = []
    place = 0
    while place < ENTRIES and states[place] != EMPTY:
        span = page[64 + place * ENTRY + 2]
        assert states[place : place + span] == [WRITTEN] * span
        items.append(_item(page[64 + place * ENTRY : 64 + (place + span) * ENTRY]))
        place += span
    assert states[place:] == [EMPTY] * (ENTRIES - place)
    return items


def _item(raw: bytes) -> Item:
    namespace, kind, span, chunk, crc = struct.unpack_from("<BBBBI", raw)
    assert chunk == 0xFF
    assert crc == _crc(raw[0:4] + raw[8:32])
    key = raw[8:24].rstrip(b"\0").decode("ascii")
    assert 0 < len(key) <= 15
    if kind == U8:
        assert span == 1
        return Item(namespace, kind, key, raw[24])
    assert kind == STRING
    size, data_crc = struct.unpack_from("<HxxI", raw, 24)
    data = raw[ENTRY : ENTRY + size]
    assert span == 1 + -(-size // ENTRY)
    assert data_crc == _crc(data)
    assert data.endswith(b"\0")
    return Item(namespace, kind, key, data[:-1].decode())


def _crc(data: bytes) -> int:
    """As the chip's ROM has it: begun with all ones (esp_rom_crc32_le(UINT32_MAX, …))."""
    return zlib.crc32(data, 0xFFFFFFFF)
