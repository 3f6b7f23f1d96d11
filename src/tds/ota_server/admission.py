"""What each route of :8070 wants to see of who asks, looked at before the route itself: this is the one place.

docs/identity.md and docs/firmware-updates.md say the same to people, and a test compares the three. Why two routes more
than EST's own are for anybody: docs/decisions/0029-what-is-open-on-8070.md.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from aiohttp import web

from tds.identity.enrolment import callers, est
from tds.ota_server import gateways, service


class Wanted(StrEnum):
    NOTHING = "nothing"
    CLAIM_CODE = "claim code"  # by HTTP Basic (RFC 7030, 3.2.3), which the route itself looks at
    CERTIFICATE = "certificate"
    PROOF = "proof"  # a certificate in production; in development a gateway may say who it is


ROUTES: Final[Mapping[str, Wanted]] = MappingProxyType(
    {
        "/healthz": Wanted.NOTHING,
        f"{est.PATH}/cacerts": Wanted.NOTHING,
        f"{est.PATH}/csrattrs": Wanted.NOTHING,
        f"{est.PATH}/simpleenroll": Wanted.CLAIM_CODE,
        f"{est.PATH}/simplereenroll": Wanted.CERTIFICATE,
        "/ota/v1/assignment": Wanted.PROOF,
        "/ota/v1/report": Wanted.PROOF,
        "/ota/v1/artifacts/{sha256}.bin": Wanted.PROOF,
        "/ota/v1/trust": Wanted.PROOF,
        "/ota/{product}/{file}": Wanted.PROOF,
    }
)


def check(request: web.Request) -> None:
    """Whether there is a certificate where one is wanted; whose it is, and if it is good, is looked at later.

    Raises RefusedError.
    """
    resource = request.match_info.route.resource
    if resource is None:  # there is no such route
        return
    wanted = ROUTES.get(resource.canonical, Wanted.PROOF)  # a route that was forgotten here is not open in production
    if service.presented(request) is not None:
        return
    if wanted is Wanted.CERTIFICATE:
        callers.refuse_without_certificate()
    if wanted is Wanted.PROOF and service.of(request).must_prove:
        raise gateways.unproven()
