"""Readings over HTTP, for what can't speak MQTT: the same payload, rules, identity and quarantine."""

from typing import Any, Final

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router
from ninja.security import HttpBearer

from tds import wiring
from tds.dashboard import answers
from tds.dashboard.errors import ApiError
from tds.fleet import tokens
from tds.fleet.models import ApiToken
from tds.ingest.messages import Arrival, Refusal
from tds.ingest.reasons import Reason, sentence
from tds.ingest.wire import gateway_code_of

MAX_BODY_BYTES: Final = 262_144  # as the broker's: what is larger is not read

router = Router()


class Token(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:  # noqa: ARG002  # ninja's signature
        return tokens.find(token, now=timezone.now())


@router.post(
    "leituras/",
    auth=Token(),
    response={200: answers.Outcome, **dict.fromkeys((400, 401, 404, 411, 413, 503), answers.Refused)},
    summary="Store the readings of one message",
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
def post_readings(request: HttpRequest) -> dict[str, Any]:
    token: ApiToken = request.auth  # type: ignore[attr-defined]  # set by ninja
    payload = _body(request)
    code = gateway_code_of(payload)
    if code is not None and not tokens.covers(token, code):
        # A stranger to this tenant: neither kept nor counted, and the same answer as for a code nobody has.
        raise ApiError(404, Reason.UNKNOWN_GATEWAY, sentence(Reason.UNKNOWN_GATEWAY, gateway="", device=""))
    if shortage := wiring.room().shortage():
        raise ApiError(503, "disco_cheio", shortage)
    sender = token.gateway.code if token.gateway else None
    arrival = Arrival(None, payload, tenant_id=token.tenant_id, gateway_code=sender)
    result = wiring.writer(notes_presence=True).write([arrival], now=timezone.now())
    verdict = result.verdicts[0]
    if isinstance(verdict, Refusal):
        raise ApiError(413 if verdict.reason is Reason.TOO_LARGE else 400, verdict.reason, verdict.detail)
    return {"armazenadas": result.stored, "duplicadas": result.duplicate}


def _body(request: HttpRequest) -> bytes:
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        raise ApiError(411, "tamanho_desconhecido", _("Send the body with a Content-Length, not in chunks."))
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise ApiError(413, Reason.TOO_LARGE, sentence(Reason.TOO_LARGE, gateway="", device=""))
    return request.body
