"""A device's way to its broker, which can be made worse: a TCP proxy on loopback, one a device.

It sees bytes, not packets: what is lost on a real way comes late here, as TCP sends it again.
"""

import asyncio
import contextlib
import socket
import struct
from random import Random
from typing import Final

from device_fleet.faults import Fault

PIECE_BYTES: Final = 16_384
CONNECT_LIMIT_S: Final = 10.0
DELAY_S: Final = (0.2, 2.0)
RESET_WITHIN_BYTES: Final = 4_000  # of a new connection: in its handshake, as a rule
CORRUPT_SHARE: Final = 1 / 3
# Time 0 to wait for what was not sent: the connection ends with a reset.
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class _Connection:
    def __init__(self, device: asyncio.StreamWriter) -> None:
        self.device = device
        self.broker: asyncio.StreamWriter | None = None
        self.passed_bytes = 0
        self.ends_after_bytes: int | None = None
        self._deaf = False

    def is_deaf(self) -> bool:
        """Whatever the device says, nobody hears it."""
        return self._deaf

    def reset(self) -> None:
        for writer in (self.device, self.broker):
            if writer is not None:
                _reset(writer)

    def lose_broker(self) -> None:
        self._deaf = True
        if self.broker is not None:
            self.broker.close()


class Network:
    """`fault` None: all goes through."""

    def __init__(self, host: str, port: int, chance: Random) -> None:
        self._host = host
        self._port = port
        self._chance = chance
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self.fault: Fault | None = None
        self.bytes_per_s: float | None = None  # each way, of each connection; a fault comes on top
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=PIECE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    def spoil(self, fault: Fault) -> None:
        self.mend()
        self.fault = fault
        match fault:
            case Fault.DROP:
                self._flows.clear()
            case Fault.RESET:
                for connection in set(self._connections):
                    connection.reset()
            case Fault.HALF_OPEN:
                for connection in set(self._connections):
                    connection.lose_broker()
            case _:
                pass  # what comes from now on

    def mend(self) -> None:
        """A half-open connection stays one until its device says something, and is reset then; one that was never
        answered is reset at once."""
        self.fault = None
        self._flows.set()
        for connection in set(self._connections):
            if connection.is_deaf() and connection.broker is None:
                connection.reset()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in set(self._connections):
            connection.reset()
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, from_device: asyncio.StreamReader, to_device: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = _Connection(to_device)
        self._connections.add(connection)
        try:
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.CancelledError):
                await self._connect(connection, from_device)
        finally:
            self._connections.discard(connection)
            self._tasks.discard(task)
            connection.reset()  # both sides were closed already, or one of them does not matter any more

    async def _connect(self, connection: _Connection, from_device: asyncio.StreamReader) -> None:
        await self._flows.wait()
        if self.fault is Fault.HALF_OPEN:
            connection.lose_broker()
        if self.fault is Fault.RESET:
            connection.ends_after_bytes = self._chance.randint(0, RESET_WITHIN_BYTES)
        if connection.is_deaf():
            await self._swallow(connection, from_device)
            return
        opening = asyncio.open_connection(self._host, self._port, limit=PIECE_BYTES)
        from_broker, to_broker = await asyncio.wait_for(opening, CONNECT_LIMIT_S)
        connection.broker = to_broker
        up = asyncio.create_task(self._pass(connection, from_device, to_broker))
        down = asyncio.create_task(self._pass(connection, from_broker, connection.device))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if connection.is_deaf() and not up.done():
                await up  # it swallows, until the device gives up
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            if not connection.is_deaf() and self.fault is not Fault.RESET:
                await _close(connection.device, to_broker)

    async def _pass(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            await self._flows.wait()
            if connection.is_deaf():
                await self._swallow(connection, reader)
                return
            if self.fault is Fault.DELAY:
                await asyncio.sleep(self._chance.uniform(*DELAY_S))
            if self.fault is Fault.CORRUPT and self._chance.random() < CORRUPT_SHARE:
                piece = _corrupted(piece, self._chance)
            connection.passed_bytes += len(piece)
            limit = connection.ends_after_bytes
            if limit is not None and connection.passed_bytes > limit:
                connection.reset()
                return
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(piece) / self.bytes_per_s)
            writer.write(piece)
            await writer.drain()
        await self._flows.wait()  # its end does not come through either

    async def _swallow(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        while self.fault is Fault.HALF_OPEN:
            if not await reader.read(PIECE_BYTES):
                return
        connection.reset()


def _corrupted(piece: bytes, chance: Random) -> bytes:
    changed = bytearray(piece)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _reset(writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    own: socket.socket | None = transport.get_extra_info("socket")
    if own is not None and not transport.is_closing():
        with contextlib.suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


async def _close(*writers: asyncio.StreamWriter) -> None:
    """In good order: what is on its way arrives."""
    for writer in writers:
        writer.close()
    for writer in writers:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1.0)
