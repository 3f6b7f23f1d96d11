"""Images by their hash: immutable, and each gateway gets the one that it was assigned.

In production with a certificate alone. In development also without: then anybody gets any that is not withdrawn.
"""

import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import connections, gateways, ranges, service, updates
from tds.ota_server.desk import database
from tds.ota_server.gateways import Asking
from tds.ota_server.ranges import NotModifiedError, Span, UnsatisfiableError
from tds.ota_server.updates import Updates

routes = web.RouteTableDef()

FOREVER: Final = "private, max-age=31536000, immutable"  # a hash has one content; `private`: not for everybody
TYPE: Final = "application/octet-stream"


class Image(NamedTuple):
    """One that may be sent, and to whom."""

    sha256: str
    who: str


@routes.get("/ota/v1/artifacts/{sha256:[0-9a-f]{64}}.bin")  # HEAD too
async def artifact(request: web.Request) -> web.StreamResponse:
    sha256 = request.match_info["sha256"]
    asked = gateways.asking(request, must_prove=updates.of(request).must_prove)
    return await answer(request, lambda: permitted(asked, sha256), cache=FOREVER)


def permitted(asked: Asking, sha256: str) -> Image:
    """At the desk. Raises RefusedError."""
    who = gateways.find(asked)
    # An execution that timed out counts: its gateway may still be at it, and the truth comes later.
    with database() as connection:
        found = connection.cursor().execute(
            """SELECT bool_or(r.status <> 'withdrawn'), bool_or(r.status = 'published'),
                EXISTS (SELECT FROM tds_new_execution AS e JOIN tds_new_rollout AS o ON o.id = e.rollout_id
                    JOIN tds_new_release AS given ON given.id = o.release_id
                    WHERE e.gateway_id = %(gateway)s AND given.sha256 = %(sha256)s AND given.status <> 'withdrawn'
                        AND e.seq IS NOT NULL AND e.status IN ('QUEUED', 'IN_PROGRESS', 'TIMED_OUT'))
                FROM tds_new_release AS r WHERE r.sha256 = %(sha256)s""",
            {"sha256": sha256, "gateway": who.id if who else None},
        )
        there, published, assigned = found.fetchone() or (None, None, None)
    if there is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is no release with this image.")
    if who is not None and who.is_proven and there and not assigned:
        raise RefusedError(HTTPStatus.FORBIDDEN, f"This image is not assigned to gateway {who.code}.")
    if not there:
        raise RefusedError(HTTPStatus.GONE, "This release was withdrawn; ask for what is assigned now.")
    if not published:
        raise RefusedError(HTTPStatus.NOT_FOUND, "This release is not published.")
    return Image(sha256, who.code if who else "")


async def answer(request: web.Request, chosen: Callable[[], Image], *, cache: str) -> web.StreamResponse:
    """As much of an image as is asked for. `chosen` is called at the desk. Raises RefusedError, ConnectionError."""
    of, connection = updates.of(request), connections.of(request)
    if connection is None:
        raise ConnectionResetError("The peer has gone.")
    opened = await service.of(request).desk.run(lambda: _opened(of, chosen()))
    try:
        etag = f'"{opened.image.sha256}"'
        headers: dict[str, str] = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: cache, hdrs.ACCEPT_RANGES: "bytes"}
        try:
            span = ranges.wanted(request.headers, etag, opened.size)
        except NotModifiedError:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        except UnsatisfiableError:
            headers[hdrs.CONTENT_RANGE] = f"bytes */{opened.size}"
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            return web.Response(status=status, headers=headers, text=f"The file has {opened.size} bytes.\n")
        response = _head(headers, span, opened.size)
        if request.method == hdrs.METH_HEAD:
            await response.prepare(request)
            await response.write_eof()
            return response
        with of.downloads.place(opened.image.who, connection):
            await of.downloads.send(request, response, opened.descriptor, span)
        return response
    finally:
        os.close(opened.descriptor)


class _Opened(NamedTuple):
    image: Image
    descriptor: int
    size: int


def _opened(of: Updates, image: Image) -> _Opened:
    """Raises RefusedError."""
    try:
        descriptor = of.artifacts.open(image.sha256)
    except FileNotFoundError:
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            "The image's file is lost; whoever runs the platform can upload it once more.",
            clients_fault=False,
        ) from None
    try:
        return _Opened(image, descriptor, os.fstat(descriptor).st_size)
    except OSError:
        os.close(descriptor)
        raise


def _head(headers: dict[str, str], span: Span, size: int) -> web.StreamResponse:
    status = HTTPStatus.PARTIAL_CONTENT if span.is_part else HTTPStatus.OK
    response = web.StreamResponse(status=status, headers=headers)
    if span.is_part:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {span.start}-{span.end - 1}/{size}"
    response.content_type = TYPE
    response.content_length = span.end - span.start
    return response
