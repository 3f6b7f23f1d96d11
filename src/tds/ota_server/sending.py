"""Sends a file to many at once: no disk holds the loop up, and what a peer does not read is held once for all."""

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import connections
from tds.ota_server.connections import Connection
from tds.ota_server.pieces import Pieces
from tds.ota_server.ranges import Span

TURN_BYTES: Final = 524_288  # then others have theirs


@dataclass(frozen=True, slots=True)
class SendLimits:
    """A download that is broken off costs its gateway nothing: it goes on where it was."""

    downloads: int = 900  # under way; beyond that 503
    of_a_gateway: int = 2  # beyond that its oldest one ends: a connection that its router forgot
    bytes_s: int = 8 * 1024**2  # a download
    burst_bytes: int = 1024**2
    stall_s: float = 120.0  # in which its peer acknowledges nothing at all: the link is dead, and not slow
    whole_s: float = 3_600.0
    retry_s: tuple[int, int] = (10, 30)  # at random, so that those who are sent away do not come back together


class Downloads:
    """Those under way in this process. `counts` says what became of them."""

    def __init__(self, limits: SendLimits | None = None) -> None:
        self.limits = limits or SendLimits()
        self.counts: Counter[str] = Counter()
        self._under_way = 0
        self._of: dict[str, OrderedDict[Connection, None]] = {}
        self._pieces = Pieces()

    def __len__(self) -> int:
        return self._under_way

    def close(self) -> None:
        self._pieces.close()

    @contextmanager
    def place(self, who: str, connection: Connection) -> Iterator[None]:
        """One of the places; `who` is empty where nobody said it. Raises RefusedError."""
        if self._under_way >= self.limits.downloads:
            self.counts["full"] += 1
            low, high = self.limits.retry_s
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._under_way} downloads are under way, as many as this server has at a time; come again.",
                retry_after_s=low + secrets.randbelow(high - low + 1),
                clients_fault=False,
            )
        self._under_way += 1
        own = self._of.setdefault(who, OrderedDict()) if who else OrderedDict()
        own[connection] = None
        try:
            if len(own) > self.limits.of_a_gateway:
                self.counts["replaced"] += 1
                own.popitem(last=False)[0].drop()
            yield
        finally:
            self._under_way -= 1
            own.pop(connection, None)
            if not own:
                self._of.pop(who, None)

    async def send(
        self, request: web.Request, response: web.StreamResponse, name: str, descriptor: int, span: Span
    ) -> None:
        """Prepares and sends. `name` is the hash of what is sent.

        Raises ConnectionError when it broke off; the connection is over then.
        """
        connection = connections.of(request)
        if connection is None or request.transport is None:
            raise ConnectionResetError("The peer has gone.")
        connection.must_take(self.limits.stall_s)
        self.counts["begun"] += 1
        try:
            async with asyncio.timeout(self.limits.whole_s):
                await response.prepare(request)
                await self._send(connection, response, name, descriptor, span)
                await connection.all_taken()  # from then on the next request is waited for, and not for long
                await response.write_eof()
        except TimeoutError:
            self.counts["slow"] += 1
            connection.drop()
            raise ConnectionAbortedError("The peer took too long.") from None
        except (ConnectionError, asyncio.CancelledError):
            self.counts["slow" if connection.is_stalled else "broken"] += 1
            raise
        self.counts["done"] += 1

    async def _send(
        self, connection: Connection, response: web.StreamResponse, name: str, descriptor: int, span: Span
    ) -> None:
        loop = asyncio.get_running_loop()
        began_s, at, turn_at = loop.time(), span.start, span.start
        while at < span.end:
            piece = (await self._pieces.read(name, descriptor, at))[: span.end - at]
            if not piece:
                connection.drop()
                raise ConnectionAbortedError("The file is shorter than it was.")
            await response.write(piece)
            at += len(piece)
            ahead_s = (at - span.start - self.limits.burst_bytes) / self.limits.bytes_s - (loop.time() - began_s)
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            elif at - turn_at >= TURN_BYTES:
                turn_at = at
                await asyncio.sleep(0)
