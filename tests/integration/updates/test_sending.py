"""Clients that read slowly, never, twice or too many at a time: what they get, and what they cost the others."""

import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from django.utils import timezone

from tds.identity.authorities.folder import AuthorityFolder
from tds.ota_server import connections
from tds.ota_server.files import Files
from tds.ota_server.pieces import PIECE_BYTES
from tds.ota_server.ranges import Span
from tds.ota_server.sending import Downloads, SendLimits
from tds.ota_server.server import Config
from tds.ota_server.transport import TlsTransport
from tests.ota_serving import serving
from tests.running import free_port, wait_until

SIZE: Final = 8 * 1024**2
STALL_S: Final = 1.2
LIMITS: Final = SendLimits(downloads=4, bytes_s=4 * 1024**2, burst_bytes=1024**2, stall_s=STALL_S, whole_s=8.0)
UNHURRIED: Final = replace(LIMITS, stall_s=30.0, whole_s=60.0)  # nobody is dropped while the others still come


@dataclass
class Served:
    port: int
    context: ssl.SSLContext
    downloads: Downloads
    data: bytes
    transport: TlsTransport | None = None  # of the last that asked

    def ask(self, who: str = "", buffer_bytes: int = 4_096, size: int = SIZE, head: str = "") -> ssl.SSLSocket:
        plain = socket.socket()
        plain.settimeout(15)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        plain.connect(("127.0.0.1", self.port))
        asked = self.context.wrap_socket(plain, server_hostname="localhost")
        asked.sendall(f"GET /file?who={who}&size={size} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        return asked


def everything(asked: ssl.SSLSocket) -> bytes:
    """Head and body, until the length that the head says, or the end of the connection."""
    came, until = bytearray(), -1
    while until < 0 or len(came) < until:
        try:
            piece = asked.recv(65_536)
        except (ConnectionError, ssl.SSLError):
            break
        if not piece:
            break
        came += piece
        if until < 0 and (head := came.find(b"\r\n\r\n")) > 0:
            until = head + 4 + int(came[:head].lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return bytes(came)


@pytest.fixture
def limits() -> SendLimits:
    return LIMITS


@pytest.fixture
def server(tmp_path: Path, limits: SendLimits) -> Iterator[Served]:
    authorities = AuthorityFolder(tmp_path / "ca")
    authorities.init(timezone.now())
    files = Files(tmp_path / "tls", authorities, ["localhost"], timezone.now)
    data = os.urandom(SIZE)
    (tmp_path / "file").write_bytes(data)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    context = ssl.create_default_context(cafile=tmp_path / "tls" / "server-ca.pem")
    served = Served(free_port(), context, Downloads(limits), data)
    routes = web.RouteTableDef()

    @routes.get("/file")
    async def file(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = size = int(request.query["size"])
        connection = connections.of(request)
        assert connection
        assert isinstance(request.transport, TlsTransport)
        served.transport = request.transport
        with served.downloads.place(request.query["who"], connection):
            await served.downloads.send(request, response, "file", descriptor, Span(SIZE - size, SIZE))
        return response

    config = Config("127.0.0.1", served.port, (routes,), files, timezone.now, lambda _facts: None, must_prove=False)
    with serving(config):
        yield served
    served.downloads.close()
    os.close(descriptor)


def test_a_client_that_never_reads_is_dropped_and_its_place_is_free(server: Served) -> None:
    with server.ask() as silent:
        wait_until(lambda: len(server.downloads) == 1, "the download")
        wait_until(lambda: len(server.downloads) == 0, "its end", 5 * STALL_S)
        assert server.downloads.counts["slow"] == 1
        assert len(everything(silent)) < SIZE / 4


def test_a_client_that_drips_is_ended_when_its_time_is_over(server: Served) -> None:
    with server.ask() as slow:
        began = time.monotonic()
        while time.monotonic() - began < LIMITS.whole_s + 5:
            try:
                if not slow.recv(16_384):
                    break
            except (ConnectionError, ssl.SSLError):
                break
            time.sleep(0.02)
        assert LIMITS.whole_s - 0.5 < time.monotonic() - began < LIMITS.whole_s + 4


def test_a_client_that_takes_little_at_a_time_is_not_taken_for_one_that_takes_nothing(server: Served) -> None:
    with server.ask() as slow:
        began, acknowledged = time.monotonic(), []
        while time.monotonic() - began < 4 * STALL_S:
            assert slow.recv(16_384)
            assert server.transport
            acknowledged.append(server.transport.acknowledged_bytes())
            time.sleep(STALL_S / 5)
        assert acknowledged == sorted(set(acknowledged))  # it grows each time, whatever the kernel still holds
        assert len(server.downloads) == 1, server.downloads.counts
        assert server.downloads.counts["slow"] == 0


def test_who_reads_the_last_of_it_slowly_gets_it_although_the_connection_closes_then(server: Served) -> None:
    size = PIECE_BYTES  # more than the kernel takes at once, and no more than is written without waiting
    with server.ask(size=size, head="Connection: close\r\n") as slow:
        came = b""
        while piece := slow.recv(8_192):
            came += piece
            time.sleep(0.35)
    assert came.partition(b"\r\n\r\n")[2] == server.data[-size:]


def test_no_client_is_sent_more_a_second_than_its_share(server: Served) -> None:
    began = time.monotonic()
    with server.ask(buffer_bytes=1024**2) as fast:
        assert everything(fast).partition(b"\r\n\r\n")[2] == server.data
    assert time.monotonic() - began > 0.9 * (SIZE - LIMITS.burst_bytes) / LIMITS.bytes_s


@pytest.mark.parametrize("limits", [UNHURRIED])
def test_who_comes_when_all_places_are_taken_is_told_when_to_come_again(server: Served) -> None:
    with ExitStack() as stack:
        for _ in range(LIMITS.downloads):
            stack.enter_context(server.ask(buffer_bytes=65_536))
        wait_until(lambda: len(server.downloads) == LIMITS.downloads, "all places")
        answer = everything(stack.enter_context(server.ask()))
    assert answer.startswith(b"HTTP/1.1 503 ")
    wait_s = int(answer.lower().partition(b"retry-after: ")[2].partition(b"\r\n")[0])
    assert LIMITS.retry_s[0] <= wait_s <= LIMITS.retry_s[1]


@pytest.mark.parametrize("limits", [UNHURRIED])
def test_a_gateway_that_comes_again_and_again_pushes_out_itself_alone(server: Served) -> None:
    with server.ask("GW-1") as first, server.ask("GW-2") as other:
        wait_until(lambda: len(server.downloads) == 2, "both")
        with server.ask("GW-1"), server.ask("GW-1"):
            wait_until(lambda: server.downloads.counts["replaced"] == 1, "the oldest one's end")
            assert len(everything(first)) < SIZE
            assert len(everything(other)) > 0
