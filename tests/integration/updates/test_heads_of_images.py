"""HEAD of an image: what it says, and what a client costs that asks for it again and again and reads nothing."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from django.utils import timezone

from tds.identity.authorities.folder import AuthorityFolder
from tds.ota_server import artifact_routes
from tds.ota_server.connections import Limits
from tds.ota_server.files import Files
from tds.ota_server.permits import Opened
from tds.ota_server.server import Config
from tds.ota_server.transport import RECORD_BYTES
from tds.ota_server.updates import Updates
from tds.updates.releases.files import Artifacts
from tests.ota_serving import serving
from tests.running import free_port

SIZE: Final = 1_000
HASH: Final = "0" * 64
HEAD_S: Final = 1.0
HEADS: Final = 20_000  # of which the kernel takes the answers to some hundred
LIMIT_S: Final = 10 * HEAD_S


@dataclass
class Served:
    port: int
    context: ssl.SSLContext
    at_work: int = 0
    asked: int = 0
    transports: list[asyncio.WriteTransport] = field(default_factory=list)  # of the last request

    def connected(self) -> ssl.SSLSocket:
        plain = socket.socket()
        plain.settimeout(5)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plain.connect(("127.0.0.1", self.port))
        return self.context.wrap_socket(plain, server_hostname="localhost")

    @property
    def unsent_bytes(self) -> int:
        return sum(transport.get_write_buffer_size() for transport in self.transports)

    def is_over(self) -> bool:
        return self.at_work == 0 and all(transport.is_closing() for transport in self.transports)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    authorities = AuthorityFolder(tmp_path / "ca")
    authorities.init(timezone.now())
    files = Files(tmp_path / "tls", authorities, ["localhost"], timezone.now)
    image = tmp_path / "image"
    image.write_bytes(bytes(SIZE))
    served = Served(free_port(), ssl.create_default_context(cafile=tmp_path / "tls" / "server-ca.pem"))
    routes = web.RouteTableDef()

    @routes.get("/image")
    async def asked(request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.WriteTransport)
        served.transports[:] = [request.transport]
        served.asked += 1
        served.at_work += 1
        try:
            opened = Opened(HASH, "", os.open(image, os.O_RDONLY), SIZE)
            return await artifact_routes.answer(request, opened, cache="no-store")
        finally:
            served.at_work -= 1

    updates = Updates(Artifacts(tmp_path), command_for=lambda *_: None, take_report=lambda *_: None)
    limits = Limits(head_s=HEAD_S)
    beat, now = (lambda _facts: None), timezone.now
    with serving(Config("127.0.0.1", served.port, (routes,), files, now, beat, limits, updates, must_prove=False)):
        yield served


def request(fields: str = "", method: str = "HEAD", path: str = "/image") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


@pytest.mark.parametrize("path", ["/image", "/healthz", "/nothing"])
def test_a_client_that_asks_for_heads_and_never_reads_is_dropped(server: Served, path: str) -> None:
    """Heads of images were held in memory without a bound, and each of them put the deadline off."""
    most, heads = 0, request(path=path) * 100
    with server.connected() as silent:
        silent.sendall(request())
        assert silent.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        silent.settimeout(1)
        with suppress(OSError):  # nobody reads any more
            for _ in range(HEADS // 100):
                silent.sendall(heads)
                most = max(most, server.unsent_bytes)
        ends = time.monotonic() + LIMIT_S
        while not server.is_over() and time.monotonic() < ends:
            most = max(most, server.unsent_bytes)
            time.sleep(0.01)
        assert server.is_over()
    assert 0 < most < RECORD_BYTES


def test_heads_one_after_the_other_without_waiting_are_all_answered(server: Served) -> None:
    with server.connected() as eager:
        eager.sendall(request() * 100)
        seen = b""
        while seen.count(b"\r\n\r\n") < 100 and (more := eager.recv(65_536)):
            seen += more
    assert seen.count(b"HTTP/1.1 200 OK") == 100
    assert seen.count(b"Content-Length: 1000\r\n") == 100


@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=2000-", f'bytes=0-9\r\nIf-Range: "{HASH}"'])
def test_a_head_is_of_the_whole_file_whatever_part_is_asked_for(server: Served, asked: str) -> None:
    """RFC 9110, 14.2: of GET alone there are parts."""
    with server.connected() as client:
        client.sendall(request(f"Range: {asked}\r\n"))
        said = client.recv(65_536).decode()
        assert said.startswith("HTTP/1.1 200 OK")
        assert "Content-Length: 1000\r\n" in said
        assert "Content-Range" not in said
        client.sendall(request("Range: bytes=0-9\r\n", "GET"))
        said = client.recv(65_536).decode()
        assert said.startswith("HTTP/1.1 206 Partial Content")
        assert "Content-Range: bytes 0-9/1000\r\n" in said
