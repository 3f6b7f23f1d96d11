"""What the routes of :8070 have in common: the desk, the authorities in force, the clock, who calls, the counts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final, cast

from aiohttp import web

from tds.identity.enrolment.attempts import Attempts, source_of
from tds.ota_server.authorities import Authorities
from tds.ota_server.desk import Desk
from tds.ota_server.log import FewLines


@dataclass(slots=True)
class Service:
    """Of one process. `authorities` and `now` are asked at each request."""

    desk: Desk
    authorities: Callable[[], Authorities]
    now: Callable[[], datetime]
    log: FewLines
    must_prove: bool  # gateways who they are, by certificates alone: in production
    monotonic: Callable[[], float] = monotonic
    attempts: Attempts = field(default_factory=Attempts)
    counts: Counter[str] = field(default_factory=Counter)  # what became of requests, by our own words


SERVICE: Final = web.AppKey("service", Service)


def of(request: web.Request) -> Service:
    return request.app[SERVICE]


def presented(request: web.Request) -> bytes | None:
    """The connection's client certificate in DER, its chain verified by the handshake; None when there is none."""
    tls = request.get_extra_info("ssl_object")
    return cast("bytes | None", tls.getpeercert(binary_form=True)) if tls is not None else None


def source(request: web.Request) -> str:
    """Whom the peer's address stands for, see `source_of`. There is no proxy in front: it could not pass TLS on."""
    return source_of(request.remote or "")
