"""Which gateway asks, for the routes of updates: by its certificate, or in development by its own word."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.enrolment import callers
from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import service

PARAMETER: Final = "gateway"  # ?gateway=CODE
MAX_CODE_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request shows of who it is from, before anybody looks it up."""

    certificate: bytes | None
    code: str
    trusted: Collection[str]
    now: datetime
    must_prove: bool  # in production

    @property
    def is_nobody(self) -> bool:
        return self.certificate is None and not self.code


@dataclass(frozen=True, slots=True)
class Who:
    """`is_proven`: a certificate says so."""

    id: int
    code: str
    is_proven: bool


def asking(request: web.Request, *, must_prove: bool) -> Asking:
    """Raises RefusedError: in production nobody is taken at their word."""
    of, certificate = service.of(request), service.presented(request)
    if certificate is None and must_prove:
        callers.refuse_without_certificate()
    code = "" if certificate else request.query.get(PARAMETER, "")[:MAX_CODE_CHARS]
    return Asking(certificate, code, of.authorities().trusted, of.now(), must_prove)


def find(asked: Asking) -> Who | None:
    """Asks the database: call it at the desk. None: in development, somebody who did not say. Raises RefusedError."""
    if asked.certificate is not None:
        caller = callers.find(asked.certificate, asked.trusted, asked.now)
        return Who(caller.gateway_id, caller.code, is_proven=True)
    if asked.must_prove:
        callers.refuse_without_certificate()
    if not asked.code:
        return None
    found = Gateway.objects.filter(code=asked.code, status=GatewayStatus.ACTIVE).values_list("id", "code").first()
    if found is None:
        raise RefusedError(HTTPStatus.FORBIDDEN, "There is no active gateway with that code.")
    return Who(*found, is_proven=False)


def known(asked: Asking) -> Who:
    """The same for what only a gateway can want. Raises RefusedError."""
    found = find(asked)
    if found is None:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "Say which gateway asks: present its certificate in the TLS handshake, or in development ?gateway=CODE.",
        )
    return found
