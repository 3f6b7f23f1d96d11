"""Bytes on their way to the I/O thread that owns the socket."""

import os
from contextlib import suppress
from threading import Lock


class Outbox:
    """Collects bytes from any thread and wakes the I/O thread by a pipe. Bytes are for one connection only."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bytes = bytearray()
        self._connection = -1  # of which these bytes are; -1: none is up
        self.wake_fd, self._wake_write = os.pipe()
        os.set_blocking(self.wake_fd, False)
        os.set_blocking(self._wake_write, False)

    def __len__(self) -> int:
        return len(self._bytes)

    def open(self, connection: int) -> None:
        with self._lock:
            self._connection = connection

    def close(self) -> None:
        """Throw away what was not sent: on another connection it would mean something else."""
        with self._lock:
            self._connection = -1
            self._bytes.clear()

    def put(self, data: bytes, connection: int) -> bool:
        """Queue bytes for a connection; False when it is gone."""
        with self._lock:
            if connection != self._connection:
                return False
            self._bytes += data
        self.wake()
        return True

    def peek(self, limit: int) -> bytes:
        with self._lock:
            return bytes(self._bytes[:limit])

    def sent(self, count: int) -> None:
        with self._lock:
            del self._bytes[:count]

    def wake(self) -> None:
        with suppress(BlockingIOError):  # the pipe is full: the thread is awake already
            os.write(self._wake_write, b"\0")

    def drain_wake(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self.wake_fd, 4096):
                pass

    def dispose(self) -> None:
        os.close(self.wake_fd)
        os.close(self._wake_write)
