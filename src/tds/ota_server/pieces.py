"""The pieces of files that many are being sent at this moment: read once for all of them, within a bound."""

import asyncio
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

PIECE_BYTES: Final = 262_144
MAX_PIECES: Final = 32  # 8 MiB: the images of all families, or the one that a rollout sends
READERS: Final = 2  # threads for what is not in the page cache; a disk does little better with more


class Pieces:
    """`name` has one content for ever, which a hash has."""

    def __init__(self, max_pieces: int = MAX_PIECES) -> None:
        self._max_pieces = max_pieces
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()  # the one used longest ago first
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        self._readers.shutdown(cancel_futures=True)

    async def read(self, name: str, descriptor: int, at: int) -> memoryview:
        """From `at` to the end of its piece; empty at the end of the file. Raises OSError."""
        number, skipped = divmod(at, PIECE_BYTES)
        key = name, number
        found = self._held.get(key)
        if found is None:
            start = number * PIECE_BYTES
            found = _cached(descriptor, start)
            if found is None:
                reading = partial(os.pread, descriptor, PIECE_BYTES, start)
                found = await asyncio.get_running_loop().run_in_executor(self._readers, reading)
            self._held[key] = found
            if len(self._held) > self._max_pieces:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        return memoryview(found)[skipped:]


def _cached(descriptor: int, start: int) -> bytes | None:
    """What the page cache has of it; None when the disk would have to be asked, or can't be asked in this way."""
    piece = bytearray(PIECE_BYTES)
    try:
        count = os.preadv(descriptor, [piece], start, os.RWF_NOWAIT)
    except OSError:
        return None
    if count < PIECE_BYTES and start + count < os.fstat(descriptor).st_size:
        return None
    return bytes(memoryview(piece)[:count])
