"""Connections to the firmware server that are slow, silent, many or not TLS at all: what they cost the others."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import pytest
from aiohttp import web
from django.utils import timezone

from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server.application import MAX_FIELD_BYTES, MAX_FIELDS, MAX_LINE_BYTES
from tds.ota_server.connections import Connections, Limits
from tds.ota_server.desk import BUSY_RETRY_S, Desk
from tds.ota_server.files import Files
from tds.ota_server.log import FewLines
from tds.ota_server.server import Config, run
from tds.ota_server.transport import TlsTransport
from tests.running import free_port, wait_until

LIMIT_S: Final = 2.0
FEW: Final = Limits(connections=5, handshake_s=LIMIT_S, head_s=LIMIT_S, body_s=LIMIT_S)
GET: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK"


@dataclass
class Served:
    """The server in a thread of the test, with small limits and one route more."""

    port: int
    context: ssl.SSLContext
    facts: dict[str, Any] = field(default_factory=dict)  # of its last heartbeat
    beats: int = 0
    working: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)  # what GET /work waits for

    def plain(self, source: str = "127.0.0.1") -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def tls(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        return self.context.wrap_socket(self.plain(source), server_hostname="localhost")

    def beat(self, facts: dict[str, Any]) -> None:
        self.facts.update(facts)
        self.beats += 1

    def set(self, event: asyncio.Event) -> None:
        assert self.loop
        self.loop.call_soon_threadsafe(event.set)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("ota")
    authorities = AuthorityFolder(folder / "ca")
    authorities.init(timezone.now())
    files = Files(folder / "tls", authorities, ["localhost"], timezone.now)
    served = Served(free_port(), ssl.create_default_context(cafile=folder / "tls" / "server-ca.pem"))
    routes = web.RouteTableDef()

    @routes.get("/work")
    async def work(request: web.Request) -> web.Response:
        served.working += 1
        await served.let_go.wait()
        return web.Response(text="done\n")

    @routes.post("/take")
    async def take(request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())}\n")

    async def live() -> None:
        served.loop = asyncio.get_running_loop()
        config = Config("127.0.0.1", served.port, (routes,), files, timezone.now, served.beat, FEW, must_prove=False)
        await run(config, served.stopping)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    wait_until(lambda: served.facts, "the server")
    yield served
    served.set(served.stopping)
    thread.join(10)
    assert not thread.is_alive()


def ends_after(connected: socket.socket, drip: bytes = b"") -> float:
    """Seconds until the server ends the connection, while a byte comes now and then."""
    began = time.monotonic()
    connected.settimeout(LIMIT_S / 6)
    while time.monotonic() < began + 10 * LIMIT_S:
        try:
            if connected.recv(1_000) == b"":
                break
        except TimeoutError:
            try:
                connected.sendall(drip)
            except OSError:
                break
        except OSError:
            break
    return time.monotonic() - began


def closed(connected: socket.socket) -> bool:
    try:
        return connected.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def answer(connected: socket.socket, request: bytes = GET) -> bytes:
    connected.settimeout(10)
    connected.sendall(request)
    return connected.recv(10_000)


def test_a_connection_that_never_shakes_hands_is_ended(server: Served) -> None:
    with closing(server.plain()) as silent:
        assert LIMIT_S / 2 < ends_after(silent) < 3 * LIMIT_S


def test_a_head_that_drips_is_ended(server: Served) -> None:
    with closing(server.tls()) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
        assert LIMIT_S / 2 < ends_after(slow, b"x") < 3 * LIMIT_S


def test_a_body_that_drips_is_ended(server: Served) -> None:
    with closing(server.tls()) as slow:
        slow.sendall(b"POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")
        assert LIMIT_S / 2 < ends_after(slow, b"x") < 3 * LIMIT_S


def test_a_connection_that_is_kept_and_not_used_is_ended(server: Served) -> None:
    with closing(server.tls()) as idle:
        assert answer(idle).startswith(OK)
        assert LIMIT_S / 2 < ends_after(idle) < 3 * LIMIT_S


def test_a_body_within_the_bounds_is_taken_and_one_beyond_is_not(server: Served) -> None:
    head = b"POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    with closing(server.tls()) as connected:
        assert answer(connected, head % 65_536 + b"A" * 65_536).endswith(b"65536\n")
        assert answer(connected, head % 65_537).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        (b"/healthz", [b"X: y"] * (MAX_FIELDS - 1), b"200"),
        (b"/healthz", [b"X: y"] * MAX_FIELDS, b"400"),
        (b"/healthz", [b"X: " + b"y" * (MAX_FIELD_BYTES + 1)], b"400"),
        (b"/healthz", [b"X" * (MAX_FIELD_BYTES + 1) + b": y"], b"400"),
        (b"/healthz?" + b"x" * MAX_LINE_BYTES, [], b"400"),
    ],
    ids=["within the bounds", "fields", "value", "name", "line"],
)
def test_a_head_beyond_its_bounds_is_refused(server: Served, line: bytes, fields: list[bytes], status: bytes) -> None:
    head = b"\r\n".join([b"GET " + line + b" HTTP/1.1", b"Host: localhost", *fields, b"\r\n"])
    with closing(server.tls()) as connected:
        assert answer(connected, head).split(b" ")[1] == status


def test_one_host_with_many_quick_connections_does_not_push_out_the_others(server: Served) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(closing(server.tls("127.0.0.2")))
        assert answer(other).startswith(OK)
        for _ in range(2 * FEW.connections):
            stack.enter_context(closing(server.tls()))
        assert answer(other).startswith(OK)


class Ending(TlsTransport):
    """No connection: it tells that it was ended."""

    def __init__(self, told: Callable[[], object]) -> None:
        self._told = told

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self._told()


def test_who_goes_is_the_one_of_the_source_with_most_places_that_waited_longest() -> None:
    def no_handler() -> web.RequestHandler:
        raise AssertionError

    async def gone_of(*names: str) -> list[str]:
        connections: Connections = Connections(no_handler, FEW)
        gone: list[str] = []
        for name in names:
            connection = connections.admit(name[0])
            assert connection
            connection.shakes_hands(Ending(partial(gone.append, name)))
        await asyncio.sleep(0)
        assert len(connections) == FEW.connections
        return gone

    come = "a1", "b1", "c1", "b2", "b3", "b4", "c2"
    assert asyncio.run(gone_of(*come)) == ["b1", "b2"]  # and not a1, which has waited longest of all
    assert asyncio.run(gone_of(*come, "d1")) == ["b1", "b2", "c1"]  # of two that have two places each


def test_a_newcomer_is_served_however_many_never_shake_hands(server: Served) -> None:
    with ExitStack() as stack:
        for _ in range(2 * FEW.connections):
            stack.enter_context(closing(server.plain()))
        with closing(server.tls()) as newcomer:
            assert answer(newcomer).startswith(OK)


def test_a_newcomer_is_served_however_many_are_silent_and_the_one_longest_silent_goes(server: Served) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(server.tls())) for _ in range(FEW.connections)]
        with closing(server.tls()) as newcomer:
            assert answer(newcomer).startswith(OK)
        silent[0].settimeout(LIMIT_S / 3)
        assert closed(silent[0])


def test_who_waits_for_our_work_is_not_crowded_out(server: Served) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(closing(server.tls())) for _ in range(FEW.connections)]
        for each in workers:
            each.sendall(GET.replace(b"/healthz", b"/work"))
        wait_until(lambda: server.working == FEW.connections, "all at work", 10)
        with closing(server.plain()) as newcomer:
            assert closed(newcomer)
        server.set(server.let_go)
        for each in workers:
            each.settimeout(10)
            assert each.recv(1_000).startswith(OK)


def test_who_goes_away_in_the_handshake_is_not_counted_as_refused(server: Served) -> None:
    before = dict(server.facts["handshakes_refused"])
    hello, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        server.context.wrap_bio(incoming, hello, server_hostname="localhost").do_handshake()
    for first in (b"", hello.read()):
        with closing(server.plain()) as gone:
            gone.sendall(first)
            time.sleep(0.1)
    beats = server.beats
    wait_until(lambda: server.beats > beats + 1, "a heartbeat", 10)
    assert server.facts["handshakes_refused"] == before


def test_a_handshake_byte_by_byte_is_taken(server: Served) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = server.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with closing(server.plain()) as slow:
        slow.settimeout(10)
        while True:
            try:
                shaking.do_handshake()
                break
            except ssl.SSLWantReadError:
                send_byte_by_byte(slow, outgoing.read())
                incoming.write(slow.recv(20_000))
        shaking.write(GET)
        send_byte_by_byte(slow, outgoing.read())
        incoming.write(slow.recv(20_000))
        assert shaking.read(1_000).startswith(OK)


def send_byte_by_byte(connected: socket.socket, data: bytes) -> None:
    for byte in data:
        connected.sendall(bytes([byte]))


def test_what_is_not_tls_is_ended_and_counted_by_its_reason(server: Served) -> None:
    for junk in (GET, b"\x00" * 1_000, b"\x16\x03\x01\xff\xff" + b"A" * 1_000):
        with closing(server.plain()) as stranger:
            stranger.sendall(junk)
            ends_after(stranger)
    wait_until(lambda: "http request" in server.facts["handshakes_refused"], "the count", 10)
    with closing(server.tls()) as connected:
        assert answer(connected).startswith(OK)


def test_requests_in_a_row_without_waiting_are_all_answered_or_the_connection_ends(server: Served) -> None:
    with closing(server.tls()) as eager:
        eager.settimeout(10)
        eager.sendall(GET * 100)
        seen = b""
        while seen.count(OK) < 100 and (more := eager.recv(65_536)):
            seen += more
        assert seen.count(OK) == 100


def test_a_desk_with_too_much_on_it_says_when_to_come_again() -> None:
    async def three() -> list[object]:
        let_go = threading.Event()
        desk = Desk(FewLines(), threads=1, max_waiting=1)
        first, second = (asyncio.create_task(desk.run(let_go.wait)) for _ in range(2))
        await asyncio.sleep(0)
        third = await asyncio.gather(desk.run(let_go.wait), return_exceptions=True)
        let_go.set()
        found: list[object] = [await first, await second, *third, await desk.run(let_go.wait)]
        desk.close()
        return found

    first, second, refusal, fourth = asyncio.run(three())
    assert (first, second, fourth) == (True, True, True)
    assert isinstance(refusal, RefusedError)
    assert (refusal.status, refusal.retry_after_s) == (HTTPStatus.SERVICE_UNAVAILABLE, BUSY_RETRY_S)
    assert not refusal.clients_fault
