"""Accepts connections, counts them from the first packet on, and shakes hands with each under today's TLS context."""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from tds.identity.enrolment.attempts import source_of
from tds.ota_server import tls
from tds.ota_server.connections import Connections
from tds.ota_server.transport import TlsTransport

BACKLOG: Final = 256
EXHAUSTED_PAUSE_S: Final = 0.5
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
MAX_REASONS: Final = 50  # OpenSSL has some dozens that a client can cause
AT_ONCE: Final = 16  # then those that are there already have their turn


class Listener:
    """`context` is asked at each connection. `refused` counts failed handshakes by their reason."""

    def __init__(self, connections: Connections, context: Callable[[], ssl.SSLContext]) -> None:
        self.refused: Counter[str] = Counter()
        self._connections = connections
        self._context = context

    async def run(self, listening: socket.socket) -> None:
        """Until cancelled. The socket is non-blocking, and its owner closes it."""
        loop = asyncio.get_running_loop()
        accepted_now = 0
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:  # the peer was gone, or the machine lacks something
                await asyncio.sleep(EXHAUSTED_PAUSE_S if error.errno in EXHAUSTED else 0)
                continue
            self._begin(accepted, source_of(str(address[0])))
            accepted_now += 1
            if accepted_now % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _begin(self, accepted: socket.socket, source: str) -> None:
        connection = self._connections.admit(source)
        if connection is None:
            accepted.close()
            return
        try:
            transport = TlsTransport(
                accepted,
                self._context(),
                connection,
                refused=self._count,
                closing_s=self._connections.limits.closing_s,
            )
        except OSError:  # its peer has gone
            accepted.close()
            self._connections.forget(connection)
            return
        connection.shakes_hands(transport)
        transport.begin()

    def _count(self, error: ssl.SSLError) -> None:
        reason = tls.reason_of(error)
        self.refused[reason if reason in self.refused or len(self.refused) < MAX_REASONS else "other"] += 1
