"""Pieces of files that many are sent: whole, shared, and bounded."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tds.ota_server.pieces import PIECE_BYTES, Pieces

SIZE: Final = 2 * PIECE_BYTES + 10


@pytest.fixture
def data() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def descriptor(tmp_path: Path, data: bytes) -> Iterator[int]:
    (tmp_path / "file").write_bytes(data)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    yield opened
    os.close(opened)


def read_all(pieces: Pieces, descriptor: int, at: int) -> bytes:
    async def reads() -> bytes:
        came = b""
        while piece := await pieces.read("name", descriptor, at + len(came)):
            came += piece
        return came

    return asyncio.run(reads())


@pytest.mark.parametrize("at", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 9, SIZE, SIZE + PIECE_BYTES])
def test_from_each_place_on_all_is_read_to_the_end(descriptor: int, data: bytes, at: int) -> None:
    pieces = Pieces()
    for _from_the_file_and_from_memory in range(2):
        assert read_all(pieces, descriptor, at) == data[at:]
    pieces.close()


def test_all_are_sent_the_same_bytes_and_not_copies_of_them(descriptor: int) -> None:
    async def two() -> tuple[memoryview, memoryview]:
        return await pieces.read("name", descriptor, 0), await pieces.read("name", descriptor, 100)

    pieces = Pieces()
    first, second = asyncio.run(two())
    assert first.obj is second.obj
    pieces.close()


def test_of_two_files_each_gets_its_own(descriptor: int, data: bytes, tmp_path: Path) -> None:
    async def two() -> tuple[memoryview, memoryview]:
        return await pieces.read("one", descriptor, 0), await pieces.read("other", opened, 0)

    (tmp_path / "other").write_bytes(b"other")
    opened, pieces = os.open(tmp_path / "other", os.O_RDONLY), Pieces()
    first, second = asyncio.run(two())
    assert bytes(first) == data[:PIECE_BYTES]
    assert bytes(second) == b"other"
    os.close(opened)
    pieces.close()


def test_no_more_is_held_than_the_bound(descriptor: int) -> None:
    pieces = Pieces(max_pieces=2)
    read_all(pieces, descriptor, 0)
    assert len(pieces) == 2
    pieces.close()
