"""Connections to :8070, bounded in number and in how long each may keep us waiting.

aiohttp bounds a request's head, its queue of pipelined requests and a body that it was asked to read, but neither how
many connections there are nor how long one takes to send its first line. Here a connection either waits for its peer
or works for it. Waiting has a deadline. When there are too many connections, whoever has waited longest goes, of the
source that has the most: a thousand that drip a byte a minute cost a newcomer nothing, and one host that comes again
and again pushes out itself alone.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from tds.ota_server.transport import TlsTransport

MAX_CONNECTIONS: Final = 1_000
WAIT_S: Final = 15.0  # NB-IoT takes seconds for a round trip


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond `connections`, one that waits goes (see `Connections.admit`); beyond a time, without an answer."""

    connections: int = MAX_CONNECTIONS
    handshake_s: float = WAIT_S
    head_s: float = WAIT_S  # from the handshake, or the answer before, to the last byte of a request's head
    body_s: float = WAIT_S  # from there to the last byte of its body
    closing_s: float = 2.0  # of TLS's own farewell


class Connection(asyncio.Protocol):
    """One connection from its acceptance to its end; aiohttp's handler of HTTP sits inside it."""

    def __init__(self, owner: "Connections", source: str) -> None:
        self.source = source
        self._owner = owner
        self._transport: TlsTransport | None = None
        self._http: web.RequestHandler | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stall_s = 0.0
        self._stall_clock: asyncio.TimerHandle | None = None
        self.is_stalled = False
        self._is_full = False
        self._room: asyncio.Future[None] | None = None  # somebody waits for it

    def shakes_hands(self, transport: TlsTransport) -> None:
        self._transport = transport
        self._waits(self._owner.limits.handshake_s)

    def waits_for_head(self) -> None:
        self._waits(self._owner.limits.head_s)

    def waits_for_body(self) -> None:
        self._waits(self._owner.limits.body_s)

    def _waits(self, limit_s: float) -> None:
        """For its peer, and no longer than that."""
        self._stop_clock()
        if self._transport is not None and not self._transport.is_closing():
            self._deadline = asyncio.get_running_loop().call_later(limit_s, self._too_late)
            self._owner.waits(self)

    def works(self) -> None:
        """For its peer, who waits: it is left alone until it waits again, and whoever works bounds the time."""
        self._stop_clock()
        self._owner.works(self)

    def must_take(self, stall_s: float) -> None:
        """From now on it ends, and `is_stalled`, when its peer takes nothing of what is written for so long."""
        self._stall_s = stall_s

    async def all_taken(self) -> None:
        """Returns when the kernel has all that was written. Raises ConnectionResetError when the peer has gone."""
        while self._is_full and self._http is not None:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None
        if self._http is None:
            raise ConnectionResetError("The peer has gone.")

    def drop(self) -> None:
        """At once, without a farewell: its peer does not listen, or there are too many."""
        self._stop_clock()
        self._owner.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http = self._owner.new_handler()
        self._http.connection_made(transport)
        self.waits_for_head()

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._http.data_received(data)

    def eof_received(self) -> None:
        if self._http is not None:
            self._http.eof_received()

    def pause_writing(self) -> None:
        self._is_full = True
        if self._stall_s:
            self._watch_its_taking()
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        self._stop_watching()
        self._tell_of_room()
        if self._http is not None:
            self._http.resume_writing()

    def _tell_of_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _watch_its_taking(self) -> None:
        if self._transport is not None:
            seen = self._transport.acknowledged_bytes()
            self._stall_clock = asyncio.get_running_loop().call_later(self._stall_s, self._look, seen)

    def _look(self, seen: int) -> None:
        if self._transport is not None and self._transport.acknowledged_bytes() == seen:
            self.is_stalled = True
            self.drop()
        else:
            self._watch_its_taking()

    def _stop_watching(self) -> None:
        if self._stall_clock is not None:
            self._stall_clock.cancel()
            self._stall_clock = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self._stop_watching()
        self._owner.forget(self)
        if self._http is not None:
            self._http.connection_lost(exc)
            self._http = None
        self._tell_of_room()
        self._transport = None  # each holds the other, and what holds itself waits for the collector

    def _too_late(self) -> None:
        self._owner.slow += 1
        self.drop()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Connections:
    """All that are open. `slow` were given up for their slowness, `crowded_out` for those after them."""

    def __init__(self, new_handler: Callable[[], web.RequestHandler], limits: Limits) -> None:
        self.new_handler = new_handler
        self.limits = limits
        self.slow = 0
        self.crowded_out = 0
        self._open: set[Connection] = set()
        self._waiting: OrderedDict[Connection, None] = OrderedDict()  # longest first
        self._places: Counter[str] = Counter()  # of each source that has any

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, source: str) -> Connection | None:
        """A place for one more, of `source` (see `source_of`); None when all are at work.

        When there is none, one of the source with the most places goes: the one of them that has waited longest.
        """
        if len(self._open) >= self.limits.connections:
            self.crowded_out += 1
            if not self._waiting:
                return None
            max(self._waiting, key=lambda one: self._places[one.source]).drop()  # the first of several
        connection = Connection(self, source)
        self._open.add(connection)
        self._places[source] += 1
        return connection

    def drop_all(self) -> None:
        for connection in list(self._open):
            connection.drop()

    def waits(self, connection: Connection) -> None:
        if connection in self._open:
            self._waiting[connection] = None
            self._waiting.move_to_end(connection)

    def works(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        if connection in self._open:
            self._open.remove(connection)
            self._leave(connection.source)

    def _leave(self, source: str) -> None:
        self._places[source] -= 1
        if not self._places[source]:
            del self._places[source]


def of(request: web.Request) -> Connection | None:
    """That a request came by; None when it has ended meanwhile."""
    if request.transport is None:
        return None
    found = request.transport.get_protocol()
    return found if isinstance(found, Connection) else None
