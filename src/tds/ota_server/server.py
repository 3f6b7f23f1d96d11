"""Runs :8070 in one process: listens, looks after the certificates, says that it lives."""

import asyncio
import gc
import logging
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from tds.ota_server import application
from tds.ota_server.connections import Connections, Limits
from tds.ota_server.desk import Desk
from tds.ota_server.files import Files
from tds.ota_server.listener import BACKLOG, Listener
from tds.ota_server.log import FewLines
from tds.ota_server.service import Service
from tds.ota_server.updates import Updates

logger = logging.getLogger("tds.ota")

LOOK_EVERY_S: Final = 1.0  # at the files: so long a rotation, or the end of an overlap, may take to count
BEAT_EVERY_S: Final = 2.0
SPARE_DESCRIPTORS: Final = 500  # a connection that is given up goes a moment later

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Config:
    """`beat` writes the heartbeat and may block: it is called in a thread."""

    address: str
    port: int
    routes: tuple[web.RouteTableDef, ...]
    files: Files
    now: Callable[[], datetime]
    beat: Callable[[Facts], None]
    limits: Limits = field(default_factory=Limits)
    updates: Updates | None = None  # for the routes that need it
    must_prove: bool = True  # see Service


def listening_socket(address: str, port: int) -> socket.socket:
    """Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


async def serve(config: Config) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when the address can't be used."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    _keep_what_is_loaded()
    await run(config, stopping)


async def run(config: Config, stopping: asyncio.Event) -> None:
    """Until told to stop; what is under way is answered first. Raises OSError as above."""
    _allow_descriptors(config.limits.connections)
    log = FewLines()
    desk = Desk(log)
    service = Service(desk, lambda: config.files.authorities, config.now, log, config.must_prove)
    runner = application.runner(application.make(service, *config.routes, updates=config.updates))
    await runner.setup()
    handlers = runner.server
    if handlers is None:
        raise RuntimeError("aiohttp made no server.")
    connections = Connections(handlers, config.limits)
    listener = Listener(connections, lambda: config.files.context)
    with listening_socket(config.address, config.port) as listening:
        logger.info("Listening on %s port %d", config.address, config.port)
        tasks = [
            asyncio.create_task(listener.run(listening)),
            asyncio.create_task(_every(LOOK_EVERY_S, lambda: asyncio.to_thread(config.files.look))),
            asyncio.create_task(
                _every(
                    BEAT_EVERY_S,
                    lambda: asyncio.to_thread(config.beat, facts(service, listener, connections, config.updates)),
                )
            ),
        ]
        try:
            await _first_of(stopping, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    await runner.cleanup()
    connections.drop_all()  # those that had not asked yet, and those that are at their farewell
    await asyncio.to_thread(desk.close)
    if config.updates is not None:
        await asyncio.to_thread(config.updates.downloads.close)


def facts(service: Service, listener: Listener, connections: Connections, updates: Updates | None = None) -> Facts:
    """Of the heartbeat: counts since the start of this process, by names that `/metrics` gives on."""
    downloads = {"downloading": len(updates.downloads), "downloads": dict(updates.downloads.counts)} if updates else {}
    return downloads | {
        "connections": len(connections),
        "requests": dict(service.counts),
        "handshakes_refused": dict(listener.refused),
        "slow": connections.slow,
        "crowded_out": connections.crowded_out,
        "turned_away": service.desk.turned_away,
    }


def _keep_what_is_loaded() -> None:
    """It stays for ever: out of the collector's sight, a full collection takes a few milliseconds."""
    gc.collect()
    gc.freeze()


async def _first_of(stopping: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Returns when told to stop; a task that ends before that is a fault, and comes out of here."""
    stop = asyncio.create_task(stopping.wait())
    done, _pending = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    for task in done:
        task.result()


async def _every(pause_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await asyncio.sleep(pause_s)


def _allow_descriptors(connections: int) -> None:
    """A connection is one; what the shell allows by default is just below our own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        enough = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
