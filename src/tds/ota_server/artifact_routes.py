"""Images by their hash: immutable, and each gateway gets the one that it was assigned.

In production with a certificate alone. In development also without: then anybody gets any that is not withdrawn.
"""

import os
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from tds.ota_server import connections, gateways, permits, ranges, updates
from tds.ota_server.permits import Opened
from tds.ota_server.ranges import NotModifiedError, Span, UnsatisfiableError

routes = web.RouteTableDef()

FOREVER: Final = "private, max-age=31536000, immutable"  # a hash has one content; `private`: not for everybody
TYPE: Final = "application/octet-stream"


@routes.get("/ota/v1/artifacts/{sha256:[0-9a-f]{64}}.bin")  # HEAD too
async def artifact(request: web.Request) -> web.StreamResponse:
    sha256 = request.match_info["sha256"]
    asked = gateways.asking(request)
    return await answer(request, await permits.of(request).ask(asked, sha256), cache=FOREVER)


async def answer(request: web.Request, opened: Opened, *, cache: str) -> web.StreamResponse:
    """As much of an image as is asked for; closes it. Raises RefusedError, ConnectionError."""
    of, connection = updates.of(request), connections.of(request)
    try:
        if connection is None:
            raise ConnectionResetError("The peer has gone.")
        etag = f'"{opened.sha256}"'
        headers: dict[str, str] = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: cache, hdrs.ACCEPT_RANGES: "bytes"}
        try:
            span = ranges.wanted(request.headers, etag, opened.size, parts=request.method == hdrs.METH_GET)
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
        with of.downloads.place(opened.who, connection):
            await of.downloads.send(request, response, opened.sha256, opened.descriptor, span)
        return response
    finally:
        os.close(opened.descriptor)


def _head(headers: dict[str, str], span: Span, size: int) -> web.StreamResponse:
    status = HTTPStatus.PARTIAL_CONTENT if span.is_part else HTTPStatus.OK
    response = web.StreamResponse(status=status, headers=headers)
    if span.is_part:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {span.start}-{span.end - 1}/{size}"
    response.content_type = TYPE
    response.content_length = span.end - span.start
    return response
