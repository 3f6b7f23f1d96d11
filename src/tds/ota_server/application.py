"""The aiohttp application behind :8070. Others add their routes to it; what holds for every request is here.

A request's body is read before its route is asked, bounded in bytes and time: no route of this server takes large ones.
A route that sends for long prepares its response itself, within its handler, and bounds that: after the handler the
connection waits for its peer again, and `Limits.head_s` applies.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tds.identity.enrolment import est
from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import admission, connections, service
from tds.ota_server.connections import WAIT_S
from tds.ota_server.permits import PERMITS, Permits
from tds.ota_server.service import SERVICE, Service
from tds.ota_server.updates import UPDATES, Updates

logger = logging.getLogger("tds.ota")

MAX_BODY_BYTES: Final = 65_536
# Of a head, which is held in memory while the rest of it is awaited. aiohttp applies the second to a field's name and
# to its value, so it is 130 KiB at most, and not 2 MiB as by its defaults.
MAX_LINE_BYTES: Final = 2_048
MAX_FIELD_BYTES: Final = 2_048
MAX_FIELDS: Final = 32
KEPT_ALIVE_S: Final = WAIT_S
LINGER_S: Final = 5.0  # reading on after a body that was refused, so that its sender sees the answer
STOP_LIMIT_S: Final = 2.0  # for requests that are under way
SERVER_NAME: Final = "TDS"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make(of: Service, *routes: web.RouteTableDef, updates: Updates | None = None) -> web.Application:
    app = web.Application(middlewares=[_each_request], client_max_size=MAX_BODY_BYTES)
    app[SERVICE] = of
    if updates is not None:
        app[UPDATES] = updates
        app[PERMITS] = Permits(of.desk, updates.artifacts)
    app.on_response_prepare.append(_name_ourselves)
    app.router.add_get("/healthz", _healthz)
    for table in routes:
        app.add_routes(table)
    return app


def runner(app: web.Application) -> web.AppRunner:
    http = logging.getLogger("tds.ota.http")
    http.setLevel(logging.CRITICAL)  # malformed requests are answered, and no reason for a traceback each
    return web.AppRunner(
        app,
        access_log=None,
        logger=http,
        keepalive_timeout=KEPT_ALIVE_S,
        lingering_time=LINGER_S,
        shutdown_timeout=STOP_LIMIT_S,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_FIELD_BYTES,
        max_headers=MAX_FIELDS,
        auto_decompress=False,  # a body of 64 KiB may not become one of 64 MiB
    )


async def _healthz(request: web.Request) -> web.Response:  # noqa: ARG001  # a handler
    """This process answers. Whether the parts behind it work is what `tds status` says."""
    return web.Response(text="ok\n")


@web.middleware
async def _each_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    connection = connections.of(request)
    if connection is None:
        raise ConnectionResetError("The peer has gone.")
    # aiohttp itself does not wait behind an answer that a handler sent without a body: whoever asks on and on for heads
    # of images, and reads none, would have them all held in memory. Its peer is waited for, within that deadline.
    await connection.all_taken()
    try:
        try:
            if request.can_read_body:
                connection.waits_for_body()
                await _read_body(request)
            connection.works()
            admission.check(request)
            return await handler(request)
        except RefusedError as refusal:
            return _refuse(request, refusal)
        except (web.HTTPException, ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("A fault of ours at %s %s", request.method, request.path[:200])
            return _refuse(request, _fault())
    finally:
        connection.waits_for_head()


async def _read_body(request: web.Request) -> None:
    """Whole and bounded: `request.read()` then has it at once. Raises RefusedError."""
    too_large = RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes; send less."
    )
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    try:
        await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except web.RequestPayloadError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The body broke off, or its chunks are malformed.") from None


def _refuse(request: web.Request, refusal: RefusedError) -> web.Response:
    """A sentence in text/plain, as RFC 7030, 4.2.3 wants it, and RFC 8951, 5."""
    of = service.of(request)
    of.counts[f"status_{refusal.status.value}"] += 1
    of.log.say(
        f"{request.method} {request.path[:200]!a} from {request.remote}: {refusal.status.value} {refusal.sentence}"
    )
    response = web.Response(status=refusal.status.value, text=f"{refusal.sentence}\n")
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if refusal.status == HTTPStatus.UNAUTHORIZED:  # the claim code alone is asked for in HTTP's own way
        response.headers["WWW-Authenticate"] = f'Basic realm="{est.REALM}", charset="UTF-8"'
    if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        response.force_close()
    return response


def _fault() -> RefusedError:
    return RefusedError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A fault of the server's own; its log says more.",
        clients_fault=False,
    )


async def _name_ourselves(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001  # a signal
    response.headers["Server"] = SERVER_NAME
    response.headers.setdefault("Cache-Control", "no-store")
