"""Which gateway asks, for the routes of updates: by its certificate, or in development by its own word."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tds.fleet.codes import is_code
from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.enrolment import callers
from tds.identity.enrolment.callers import Caller
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
    must_prove: bool  # in production: nobody is taken at their word


@dataclass(frozen=True, slots=True)
class Who:
    """`is_proven`: a certificate says so."""

    id: int
    code: str
    is_proven: bool


def asking(request: web.Request) -> Asking:
    """Raises RefusedError."""
    of, certificate = service.of(request), service.presented(request)
    code = "" if certificate else request.query.get(PARAMETER, "")[:MAX_CODE_CHARS]
    if code and not is_code(code):
        raise RefusedError(
            HTTPStatus.BAD_REQUEST,
            f"?{PARAMETER}= is no gateway's code: it has letters, digits and . _ -, and no others.",
        )
    return Asking(certificate, code, of.authorities().trusted, of.now(), of.must_prove)


def find(asked: Asking) -> Who | None:
    """Asks the database: call it at the desk. None: in development, somebody who did not say. Raises RefusedError."""
    found = find_all([asked])[0]
    if isinstance(found, RefusedError):
        raise found
    return found


def find_all(asked: Sequence[Asking]) -> list[Who | RefusedError | None]:
    """The same of several at once, in their order."""
    with_certificate = [
        callers.Presented(each.certificate, each.trusted, each.now) for each in asked if each.certificate is not None
    ]
    proven = iter(callers.find_all(with_certificate))
    return [_proven(next(proven)) if each.certificate is not None else _said(each) for each in asked]


def unproven() -> RefusedError:
    # No 401: that must name a scheme that would help (RFC 9110, 15.5.2), and for certificates HTTP has none.
    return callers.without_certificate(HTTPStatus.FORBIDDEN)


def _proven(found: Caller | RefusedError) -> Who | RefusedError:
    return found if isinstance(found, RefusedError) else Who(found.gateway_id, found.code, is_proven=True)


def _said(asked: Asking) -> Who | RefusedError | None:
    if asked.must_prove:
        return unproven()
    if not asked.code:
        return None
    found = Gateway.objects.filter(code=asked.code, status=GatewayStatus.ACTIVE).values_list("id", "code").first()
    if found is None:
        return RefusedError(HTTPStatus.FORBIDDEN, "There is no active gateway with that code.")
    return Who(*found, is_proven=False)


def known(asked: Asking) -> Who:
    """The same for what only a gateway can want. Raises RefusedError."""
    found = find(asked)
    if found is None:
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "Say which gateway asks: present its certificate in the TLS handshake, or in development ?gateway=CODE.",
        )
    return found
