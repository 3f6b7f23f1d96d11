"""`/ota/<product>/firmware.bin` and `hello.bin`: the newest published release, for devices that know no more.

In production with a certificate alone. The family is that of the certificate's gateway; without one it is asked for by
`?family=`, and else the product's first. Which gateway asked last for which release is written down: nothing that it
gets here is signed.
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import psycopg
from aiohttp import hdrs, web

from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import gateways, permits, service, updates
from tds.ota_server.artifact_routes import answer
from tds.ota_server.desk import database
from tds.ota_server.gateways import Asking
from tds.ota_server.permits import Opened
from tds.updates.models import ReleaseKind
from tds.updates.releases import products

routes = web.RouteTableDef()

ASK_AGAIN: Final = "private, no-cache"  # another release may be the newest; the ETag tells
MAX_FAMILY_CHARS: Final = 31
NOTED_EVERY: Final = timedelta(hours=1)  # of a gateway that asks for the same again, as in many parts


@routes.get("/ota/{product:[a-z0-9-]{1,31}}/{file:(?:firmware|hello)[.]bin}")  # HEAD too
async def newest(request: web.Request) -> web.StreamResponse:
    product, kind = request.match_info["product"], products.FILES[request.match_info["file"]]
    family = request.query.get("family", "")[:MAX_FAMILY_CHARS]
    if not family.isprintable():
        raise RefusedError(HTTPStatus.BAD_REQUEST, "?family= has a character that no family's name has.")
    asked = gateways.asking(request)
    artifacts, takes = updates.of(request).artifacts, request.method == hdrs.METH_GET

    def chosen() -> Opened:
        return permits.opened(artifacts, *_newest(asked, product, kind, family, takes=takes))

    return await answer(request, await service.of(request).desk.run(chosen), cache=ASK_AGAIN)


def _newest(asked: Asking, product: str, kind: ReleaseKind, family: str, *, takes: bool) -> tuple[str, str]:
    """The hash, and to whom. At the desk. Raises RefusedError."""
    who = gateways.find(asked)
    if product not in products.PRODUCTS:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no such product; there are {', '.join(products.PRODUCTS)}.")
    with database() as connection:
        of_gateway = connection.cursor().execute(
            """SELECT coalesce(nullif(f.family, ''), g.family), coalesce(f.chip, '') FROM tds_new_gateway AS g
                LEFT JOIN tds_new_runningfirmware AS f ON f.gateway_id = g.id WHERE g.id = %s""",
            (who.id if who else None,),
        )
        own_family, chip = of_gateway.fetchone() or ("", "")
        is_proven = who is not None and who.is_proven
        family = (own_family or family) if is_proven else (family or own_family)
        family = family or products.default_family(product)
        # Whose chip is not known is none of our programs.
        found = connection.cursor().execute(
            """SELECT id, sha256 FROM tds_new_release WHERE product = %(product)s AND kind = %(kind)s
                AND status = 'published' AND families @> to_jsonb(%(family)s::text)
                AND (%(chip)s = '' OR chip = %(chip)s)
                ORDER BY chip = 'host', counter DESC LIMIT 1""",
            {"product": product, "kind": kind.value, "family": family, "chip": chip},
        )
        newest = found.fetchone()
        if newest is not None and who is not None and takes:
            _note(connection, who.id, newest[0], asked.now)
    if newest is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"No such release of {product} is published for {family!a}.")
    return newest[1], who.code if who else ""


def _note(connection: psycopg.Connection[Any], gateway_id: int, release_id: int, now: datetime) -> None:
    connection.cursor().execute(
        """INSERT INTO tds_new_unsignedfetch AS f (gateway_id, release_id, fetched_at)
            VALUES (%(gateway)s, %(release)s, %(now)s)
            ON CONFLICT (gateway_id) DO UPDATE SET release_id = excluded.release_id, fetched_at = excluded.fetched_at
            WHERE f.release_id <> excluded.release_id OR f.fetched_at <= excluded.fetched_at - %(every)s""",
        {"gateway": gateway_id, "release": release_id, "now": now, "every": NOTED_EVERY},
    )
