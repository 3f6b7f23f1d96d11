"""Accepts connections, counts them from the first packet on, and shakes hands with each under today's TLS context.

Not asyncio's own `create_server`: it keeps one context for ever, and a connection is only seen once its handshake is
over, so that those which never finish it are not bounded by anything.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from tds.identity.enrolment.attempts import source_of
from tds.ota_server import tls
from tds.ota_server.connections import Connection, Connections

BACKLOG: Final = 256
ALERT_LIMIT_S: Final = 1.0  # for the peer to read why it is refused, before the connection ends
EXHAUSTED_PAUSE_S: Final = 0.5
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
MAX_REASONS: Final = 50  # OpenSSL has some dozens that a client can cause


class Listener:
    """`context` is asked at each connection. `refused` counts failed handshakes by their reason."""

    def __init__(self, connections: Connections, context: Callable[[], ssl.SSLContext]) -> None:
        self.refused: Counter[str] = Counter()
        self._connections = connections
        self._context = context
        self._shaking: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> None:
        """Until cancelled. The socket is non-blocking, and its owner closes it."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    accepted, address = await loop.sock_accept(listening)
                except OSError as error:  # the peer was gone, or the machine lacks something
                    if error.errno in EXHAUSTED:
                        await asyncio.sleep(EXHAUSTED_PAUSE_S)
                    continue
                self._begin(accepted, source_of(str(address[0])))
        finally:
            for task in list(self._shaking):
                task.cancel()

    def _begin(self, accepted: socket.socket, source: str) -> None:
        connection = self._connections.admit(source)
        if connection is None:
            accepted.close()
            return
        task = asyncio.get_running_loop().create_task(self._shake_hands(accepted, connection))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)
        connection.shakes_hands(task.cancel)

    async def _shake_hands(self, accepted: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        failures: list[ssl.SSLError] = []

        def on_refusal(error: ssl.SSLError) -> None:
            if not failures and task is not None:
                failures.append(error)
                loop.call_later(ALERT_LIMIT_S, task.cancel)  # unless the peer ends it first

        tls.on_refusal.set(on_refusal)  # seen by what this task starts, and by nothing else
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._context(),
                ssl_handshake_timeout=self._connections.limits.handshake_s,
                ssl_shutdown_timeout=self._connections.limits.closing_s,
            )
        except (OSError, asyncio.CancelledError) as error:
            self._connections.forget(connection)
            if failures:
                self._count(tls.reason_of(failures[0]))
            elif isinstance(error, ConnectionAbortedError):  # asyncio's word for the time that is over
                self._connections.slow += 1
            elif isinstance(error, asyncio.CancelledError):
                raise
        else:
            if not connection.is_open:  # its peer went away at the very end, which is no error to asyncio
                self._connections.forget(connection)

    def _count(self, reason: str) -> None:
        self.refused[reason if reason in self.refused or len(self.refused) < MAX_REASONS else "other"] += 1
