"""The consumer's way to the database, made ready on a thread of its own: while it is away, work goes on without it."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any, Final

import psycopg

from tds.mqtt.backoff import Backoff

PATIENCE_S: Final = 30.0  # for one batch; the server gives up a statement sooner, unless it hangs itself
STOP_TIMEOUT_S: Final = 6.0  # a connection that is being tried takes 5 s


class DatabaseLink:
    """Calls `connect` until it returns a connection, whenever there is none. It may raise psycopg.Error to be called
    again, or anything else to end the consumer; it gets an event that is set when nobody waits any more."""

    def __init__(
        self,
        connect: Callable[[Event], psycopg.Connection[Any] | None],
        on_failure: Callable[[psycopg.Error, float], None],
    ) -> None:
        self.failed = Event()  # at least once since the last connection
        self._connect = connect
        self._on_failure = on_failure
        self._changed = Condition()
        self._wanted = True
        self._ready: psycopg.Connection[Any] | None = None
        self._fault: BaseException | None = None
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="database", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, timeout_s: float) -> psycopg.Connection[Any] | None:
        """A connection that has become ready, handed over; None when there is none yet. Raises what `connect` did."""
        with self._changed:
            if self._ready is None and self._fault is None:
                self._changed.wait(timeout_s)
            if self._fault is not None:
                raise self._fault
            connection, self._ready = self._ready, None
            return connection

    def lost(self, connection: psycopg.Connection[Any]) -> None:
        """Give a broken connection back, and have another one made."""
        connection.close()
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def stop(self) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        with self._changed:
            if self._ready is not None:
                self._ready.close()

    def _run(self) -> None:
        try:
            while self._wait_until_wanted():
                connection = self._keep_trying()
                with self._changed:
                    self._ready = connection
                    self._changed.notify_all()
        except BaseException as fault:  # noqa: BLE001  # raised by `take`, where it is seen
            with self._changed:
                self._fault = fault
                self._changed.notify_all()

    def _wait_until_wanted(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._stopping.is_set())
            self._wanted = False
        return not self._stopping.is_set()

    def _keep_trying(self) -> psycopg.Connection[Any] | None:
        backoff = Backoff(first_s=0.2, max_s=5.0)
        self.failed.clear()
        while not self._stopping.is_set():
            try:
                return self._connect(self._stopping)
            except psycopg.Error as error:
                wait_s = backoff.next_s()
                self._on_failure(error, wait_s)
                self.failed.set()
                with self._changed:
                    self._changed.notify_all()  # who waits may do without
                self._stopping.wait(wait_s)
        return None


class Patience:
    """Cuts a connection on which the database says nothing for too long: the server's own limits end with itself."""

    def __init__(self, limit_s: float = PATIENCE_S) -> None:
        self._limit_s = limit_s
        self._changed = Condition()
        self._watched: psycopg.Connection[Any] | None = None
        self._deadline = 0.0
        self._stopped = False
        self._thread = Thread(target=self._run, name="patience", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @contextmanager
    def with_(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """What is done with the connection in here ends within the limit, with psycopg.OperationalError if need be."""
        self._watched, self._deadline = connection, monotonic() + self._limit_s
        try:
            yield
        finally:
            self._watched = None

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                # Looked at now and then, not woken for every batch: this is beside the hot path.
                self._changed.wait(self._limit_s / 10)
                connection = self._watched
                if connection is not None and monotonic() > self._deadline:
                    self._watched = None
                    _cut(connection)


def _cut(connection: psycopg.Connection[Any]) -> None:
    """Shut the socket down under libpq, which then reports a lost connection to whoever waits for an answer."""
    with suppress(OSError, psycopg.Error):
        copy = socket.socket(fileno=os.dup(connection.pgconn.socket))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()
