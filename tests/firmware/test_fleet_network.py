"""The way to a broker that can be made worse: what each fault does to bytes and connections."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from device_fleet.faults import Fault
from device_fleet.network import DELAY_S, Network
from tests.proxied import Ways, ways
from tests.running import wait_until

LIMIT_S = 5.0


class Echo:
    """Sends back what it hears."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.heard = b""
        self.visits = 0
        self.ended = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self._server.accept()
                self.visits += 1
                threading.Thread(target=self._serve, args=[visitor], daemon=True).start()

    def _serve(self, visitor: socket.socket) -> None:
        with contextlib.suppress(OSError), visitor:
            while piece := visitor.recv(65_536):
                self.heard += piece
                visitor.sendall(piece)
        self.ended += 1

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    running = Echo()
    yield running
    running.close()


@pytest.fixture
def opened(echo: Echo) -> Iterator[Ways]:
    with ways(echo.port) as found:
        yield found


@pytest.fixture
def network(opened: Ways) -> Network:
    return opened.open()


def connect(network: Network) -> socket.socket:
    return socket.create_connection(("127.0.0.1", network.port), timeout=LIMIT_S)


def answer(device: socket.socket, said: bytes) -> bytes:
    device.sendall(said)
    got = b""
    while len(got) < len(said) and (piece := device.recv(65_536)):
        got += piece
    return got


def is_silent(device: socket.socket, for_s: float = 0.3) -> bool:
    device.settimeout(for_s)
    try:
        return device.recv(1) == b"never"
    except TimeoutError:
        return True
    finally:
        device.settimeout(LIMIT_S)


def is_reset(device: socket.socket) -> bool:
    try:
        return answer(device, b"x" * 500) == b"never"
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_what_is_said_goes_through_and_so_does_a_goodbye(echo: Echo, network: Network) -> None:
    with connect(network) as device:
        assert answer(device, b"hello" * 20_000) == b"hello" * 20_000
    wait_until(lambda: echo.ended == 1, "the goodbye")


def test_while_nothing_goes_through_nothing_is_lost_and_nobody_gets_in(
    echo: Echo, opened: Ways, network: Network
) -> None:
    with connect(network) as device:
        assert answer(device, b"before") == b"before"
        opened.spoil(network, Fault.DROP)
        device.sendall(b"meanwhile")
        assert is_silent(device)
        with connect(network) as other:
            other.sendall(b"other")
            assert is_silent(other)
            assert (echo.heard, echo.visits) == (b"before", 1)
            opened.mend(network)
            assert device.recv(100) == b"meanwhile"
            assert other.recv(100) == b"other"


def test_what_is_delayed_comes_later_and_whole(opened: Ways, network: Network) -> None:
    with connect(network) as device:
        opened.spoil(network, Fault.DELAY)
        time.sleep(0.1)
        began = time.monotonic()
        assert answer(device, b"slowly") == b"slowly"
        assert time.monotonic() - began >= 2 * DELAY_S[0]


def test_a_reset_ends_what_stands_and_what_comes_until_it_is_over(echo: Echo, opened: Ways, network: Network) -> None:
    with connect(network) as device:
        assert answer(device, b"before") == b"before"
        opened.spoil(network, Fault.RESET)
        with pytest.raises(ConnectionResetError):
            device.recv(1)
    with connect(network) as device:
        wait_until(lambda: is_reset(device), "the end of a new one")
    opened.mend(network)
    with connect(network) as device:
        assert answer(device, b"after") == b"after"


def test_corruption_changes_bits_and_never_how_many_there_are(opened: Ways, network: Network) -> None:
    with connect(network) as device:
        opened.spoil(network, Fault.CORRUPT)
        time.sleep(0.1)
        said = [bytes([number]) * 100 for number in range(50)]
        got = [answer(device, piece) for piece in said]
        differ = [(one, other) for one, other in zip(said, got, strict=True) if one != other]
        assert 5 < len(differ) < 45
        for one, other in differ:
            assert sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True)) <= 2


def test_of_a_half_open_connection_the_broker_knows_and_the_device_does_not_until_it_says_something_later(
    echo: Echo, opened: Ways, network: Network
) -> None:
    with connect(network) as device:
        assert answer(device, b"before") == b"before"
        opened.spoil(network, Fault.HALF_OPEN)
        wait_until(lambda: echo.ended == 1, "the broker's end")
        device.sendall(b"unheard")
        with connect(network) as other:
            other.sendall(b"unheard")
            assert is_silent(device)
            assert is_silent(other)
            opened.mend(network)
            with pytest.raises(ConnectionResetError):
                other.recv(1)
        assert is_silent(device)
        device.sendall(b"now")
        with pytest.raises(ConnectionResetError):
            device.recv(1)
        assert (echo.heard, echo.visits) == (b"before", 1)
    with connect(network) as device:
        assert answer(device, b"after") == b"after"
