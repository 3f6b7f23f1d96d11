"""The JSON API, put together. Its OpenAPI document is at api/openapi.json."""

from http import HTTPStatus

import psycopg
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import SessionAuth

from tds.dashboard import chart_api, ledger, platform_status, post_readings, quarantine_api
from tds.dashboard.errors import (
    RETRY_AFTER_S,
    TOO_LONG,
    TOO_LONG_RETRY_AFTER_S,
    UNFINISHED,
    ApiError,
    UnfinishedError,
    is_from_redis,
    took_too_long,
)
from tds.dashboard.updates import api as updates_api

# The readers only read: a forged request of another site learns nothing from their answers.
api = NinjaAPI(
    title="TDS",
    version="1",
    auth=SessionAuth(csrf=False),
    urls_namespace="api",
    docs_url="docs/",
    docs_decorator=login_required,
)
api.add_router("", chart_api.router)
api.add_router("", ledger.router)
api.add_router("", platform_status.router)
api.add_router("", post_readings.router)
api.add_router("", quarantine_api.router)
api.add_router("", updates_api.router)


def refused(request: HttpRequest, status: int, word: str, sentence: str) -> HttpResponse:
    return api.create_response(request, {"erro": word, "detalhe": sentence}, status=status)


@api.exception_handler(ApiError)
def _on_api_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    return refused(request, error.status, error.word, error.sentence)


@api.exception_handler(ValidationError)
def _on_wrong_parameter(request: HttpRequest, error: ValidationError) -> HttpResponse:
    name = str(error.errors[0]["loc"][-1]) if error.errors else "?"
    options = {"periodo": "24h, 7d, 30d"}.get(name)
    sentence = _("The parameter “%(name)s” has a value that it can't have.") % {"name": name}
    if options:
        sentence = _("The parameter “%(name)s” takes one of: %(options)s.") % {"name": name, "options": options}
    return refused(request, 400, "parametro_invalido", sentence)


@api.exception_handler(AuthenticationError)
def _on_stranger(request: HttpRequest, error: AuthenticationError) -> HttpResponse:  # noqa: ARG001  # ninja's signature
    response = refused(request, 401, "nao_autorizado", _("Sign in, or send a valid token."))
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(Http404)
def _on_missing(request: HttpRequest, error: Http404) -> HttpResponse:  # noqa: ARG001  # ninja's signature
    return refused(request, 404, "desconhecido", _("There is nothing here."))


@api.exception_handler(PermissionDenied)
def _on_forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return refused(request, 403, "proibido", str(error))


@api.exception_handler(HttpError)
def _on_refused_by_ninja(request: HttpRequest, error: HttpError) -> HttpResponse:
    # A body that is no JSON is a 400; the other one is a form of another site, or a script without the page's token.
    if error.status_code == HTTPStatus.FORBIDDEN:
        sentence = _("Send the token of the cookie “csrftoken” in the header X-CSRFToken.")
        return refused(request, 403, "csrf", sentence)
    return refused(request, error.status_code, "corpo_invalido", _("The body is not the JSON that is expected."))


@api.exception_handler(psycopg.Error)
@api.exception_handler(DatabaseError)
@api.exception_handler(UnfinishedError)
def _on_database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    if took_too_long(error):
        response = refused(request, 503, "resposta_demorada", str(TOO_LONG))
        response["Retry-After"] = str(TOO_LONG_RETRY_AFTER_S)
        return response
    nothing = _("The database is away; nothing was done. Try again.")
    sentence = str(UNFINISHED) if isinstance(error, UnfinishedError) else nothing
    response = refused(request, 503, "banco_indisponivel", sentence)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response


@api.exception_handler(Exception)
def _on_sessions_away(request: HttpRequest, error: Exception) -> HttpResponse:
    if not is_from_redis(error):
        raise error  # Django's to answer, and to log
    sentence = _("Who is signed in can't be looked up now; nothing was done. Try again.")
    response = refused(request, 503, "sessoes_indisponiveis", sentence)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response
