"""The fleet's proxies for tests that are not of its loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from device_fleet.faults import Fault
from device_fleet.network import Network


class Ways:
    """The ways of single devices to a broker, which a test can make worse."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._open: list[Network] = []

    def open(self) -> Network:
        network = Network("127.0.0.1", self._port, Random(len(self._open)))
        asyncio.run_coroutine_threadsafe(network.open(), self._loop).result(5)
        self._open.append(network)
        return network

    def spoil(self, network: Network, fault: Fault) -> None:
        self._loop.call_soon_threadsafe(network.spoil, fault)

    def mend(self, network: Network) -> None:
        self._loop.call_soon_threadsafe(network.mend)

    def close(self) -> None:
        for network in self._open:
            asyncio.run_coroutine_threadsafe(network.close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def ways(port: int) -> Iterator[Ways]:
    opened = Ways(port)
    try:
        yield opened
    finally:
        opened.close()
