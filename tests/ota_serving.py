"""The server of :8070 in a thread of this process, for routes that a test makes up."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tds.ota_server.server import Config, run
from tests.running import wait_until


@contextmanager
def serving(config: Config) -> Iterator[None]:
    """From its first answer until it has ended."""
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def live() -> None:
        stopping = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stopping))
        await run(config, stopping)

    def answers() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex((config.address, config.port)) == 0

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        wait_until(answers, "the server")
        yield
    finally:
        loop, stopping = loops[0]
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
