"""Enrolment over Secure Transport (RFC 7030) at /.well-known/est/: how a board in the field gets its certificate."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from tds.identity.authorities.authority import serial_text
from tds.identity.enrolment import callers, enrol, est
from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import service
from tds.ota_server.service import Service

routes = web.RouteTableDef()

TOO_MANY_TRIES = "Too many tries from this address that did not end with a certificate; wait before the next."


@routes.get(f"{est.PATH}/cacerts")
async def ca_certificates(request: web.Request) -> web.Response:
    """Root and issuing authorities (RFC 7030, 4.1). For anybody: they are no secret, and a new board needs them."""
    published = service.of(request).authorities().published
    return _answer(est.certificates(published), est.CERTIFICATES_TYPE)


@routes.get(f"{est.PATH}/csrattrs")
async def request_attributes(request: web.Request) -> web.Response:  # noqa: ARG001  # a handler
    """What a certification request must be like (RFC 7030, 4.5): P-256, signed with SHA-256."""
    return _answer(est.encoded(est.CSR_ATTRIBUTES), est.ATTRIBUTES_TYPE)


@routes.post(f"{est.PATH}/simpleenroll")
async def enroll(request: web.Request) -> web.Response:
    """With a claim code (RFC 7030, 4.2.1). A certificate that the connection may have is not looked at."""
    of = service.of(request)
    given = est.credentials(request.headers.get("Authorization"))
    source = service.source(request)
    with _counted(of, source, given.user) as this:
        der = await _certification_request(request)
        now, authorities = of.now(), of.authorities()
        issuing, trusted = authorities.issuing, authorities.trusted
        issued = await of.desk.run(lambda: enrol.by_claim(given, der, issuing, trusted, now))
        this.counts = issued.again
    of.counts["repeated" if issued.again else "claimed"] += 1
    return _given(of, given.user, issued, f"with a claim code, to {source}")


@routes.post(f"{est.PATH}/simplereenroll")
async def reenroll(request: web.Request) -> web.Response:
    """With the certificate that the gateway has (RFC 7030, 4.2.2)."""
    of = service.of(request)
    presented = service.presented(request)
    if presented is None:
        callers.refuse_without_certificate()
    now, authorities = of.now(), of.authorities()

    def renew() -> tuple[str, enrol.Given]:
        caller = callers.find(presented, authorities.trusted, now)
        return caller.code, enrol.by_renewal(caller, der, authorities.issuing, authorities.trusted, now)

    # By the certificate, for whose it is only the database knows; and apart from claims, so that gateways that are
    # disabled take no tries from a board that enrols from the same address.
    shown = hashlib.sha256(presented).hexdigest()
    with _counted(of, f"{service.source(request)} renewing", shown) as this:
        der = await _certification_request(request)
        code, issued = await of.desk.run(renew)
        this.counts = issued.again
    of.counts["repeated" if issued.again else "renewed"] += 1
    return _given(of, code, issued, "for its former one")


@dataclass(slots=True)
class _Try:
    counts: bool = False  # though it ended well


@contextmanager
def _counted(of: Service, source: str, who: str) -> Iterator[_Try]:
    """A try that ends badly by the client's own fault counts. Raises RefusedError when there were too many.

    One that is answered as before counts too: an answer gets lost now and then, and not each time.
    """
    this = _Try()
    if wait_s := of.attempts.take(source, who, of.monotonic()):
        of.counts["limited"] += 1
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY_TRIES, retry_after_s=wait_s)
    try:
        yield this
    except RefusedError as refusal:
        if not refusal.clients_fault:
            of.attempts.give_back(source, who)
        raise
    except Exception:
        of.attempts.give_back(source, who)
        raise
    if not this.counts:
        of.attempts.give_back(source, who)


async def _certification_request(request: web.Request) -> bytes:
    est.check_type(request.content_type)
    return est.decoded(await request.read())


def _given(of: Service, code: str, issued: enrol.Given, how: str) -> web.Response:
    certificate, again = issued
    of.log.say_done(
        f"Gateway {code} was given certificate {serial_text(certificate)} {'once more, ' if again else ''}{how}, "
        f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}."
    )
    return _answer(est.certificates([certificate]), est.ISSUED_TYPE)


def _answer(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": content_type, **est.TRANSFER_ENCODING})
