"""What a gateway asks and says by HTTP instead of MQTT: its assignment, its report; and the trust set.

In production with a certificate alone; in development `?gateway=CODE` says who asks.
"""

from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import gateways, service, updates
from tds.ota_server.desk import database
from tds.ota_server.gateways import Asking
from tds.ota_server.updates import Updates
from tds.updates.executions.reports import MAX_REPORT_BYTES
from tds.updates.releases import trust_sets

routes = web.RouteTableDef()

TRUST_TYPE: Final = "application/jose"  # RFC 7515, 9.2.1


@routes.get("/ota/v1/assignment")
async def assignment(request: web.Request) -> web.Response:
    """The command that also comes over MQTT; 204: nothing to do."""
    of = updates.of(request)
    asked = gateways.asking(request)
    command = await service.of(request).desk.run(lambda: _command(of, asked))
    if command is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    return web.Response(body=command, content_type="application/json")


@routes.post("/ota/v1/report")
async def report(request: web.Request) -> web.Response:
    """The document that also comes over MQTT; 204: it is kept."""
    of, body = updates.of(request), await request.read()
    asked = gateways.asking(request)
    if len(body) > MAX_REPORT_BYTES:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A report has at most {MAX_REPORT_BYTES} bytes; this has {len(body)}."
        )
    counts = service.of(request).counts
    try:
        await service.of(request).desk.run(lambda: _take(of, asked, body))
    except RefusedError:
        counts["reports_refused"] += 1
        raise
    counts["reports_taken"] += 1
    return web.Response(status=HTTPStatus.NO_CONTENT)


@routes.get("/ota/v1/trust")
async def trust(request: web.Request) -> web.Response:
    """Which keys are believed, signed by a root key."""
    asked = gateways.asking(request)
    version, document = await service.of(request).desk.run(lambda: _trust(asked))
    headers = {hdrs.ETAG: f'"{version}"', hdrs.CACHE_CONTROL: "private, no-cache"}
    if any(tag.value in (str(version), "*") for tag in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=document.encode(), content_type=TRUST_TYPE, headers=headers)


def _command(of: Updates, asked: Asking) -> bytes | None:
    who = gateways.known(asked)
    with database() as connection:
        return of.command_for(connection, who.id, asked.now)


def _take(of: Updates, asked: Asking, body: bytes) -> None:
    who = gateways.known(asked)
    with database() as connection:
        refusal = of.take_report(connection, who.id, who.code, body, asked.now)
    if refusal is not None:
        status = HTTPStatus.FORBIDDEN if refusal.other_gateway else HTTPStatus.BAD_REQUEST
        raise RefusedError(status, refusal.sentence)


def _trust(asked: Asking) -> tuple[int, str]:
    gateways.find(asked)
    found = trust_sets.newest()
    if found is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is no trust set yet.", clients_fault=False)
    return found.version, found.document
