"""What the API and the pages say when they say no."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from django.core.exceptions import BadRequest
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.utils.translation import gettext_lazy
from django.views.defaults import server_error
from psycopg.errors import QueryCanceled

RETRY_AFTER_S: Final = 5
# The stores speak over Django's connection with psycopg's own words, which Django does not translate.
DATABASE_AWAY: Final = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
TOO_LONG: Final = gettext_lazy(
    "The database took too long and was stopped; nothing was done. Choose a shorter period or fewer devices, or try "
    "again later."
)
TOO_LONG_RETRY_AFTER_S: Final = 60
UNFINISHED: Final = gettext_lazy(
    "The database failed before all of it was done, and what was done stays. Do it again for the rest: "
    "nothing is done twice."
)


class ApiError(Exception):
    """A status, a word for scripts and a sentence for people."""

    def __init__(self, status: int, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.word = word
        self.sentence = sentence


class NotUnderstoodError(BadRequest):
    """A link or a form that is none of ours; its sentence is for the page."""


class UnfinishedError(Exception):
    """The database failed in the midst of an action, of which a part may be committed."""


@contextmanager
def in_parts() -> Iterator[None]:
    """Around what commits more than once: when the database fails in it, "nothing was done" would be untrue."""
    try:
        yield
    except (psycopg.Error, DatabaseError) as error:
        raise UnfinishedError from error


def took_too_long(error: BaseException | None) -> bool:
    """Whether a statement was stopped at the web's limit (settings.py); Django's own error wraps psycopg's."""
    return isinstance(error.__cause__ if isinstance(error, OperationalError) else error, QueryCanceled)


def is_from_redis(error: BaseException | None) -> bool:
    # Not imported for the question: without TDS_REDIS_URL nobody needs its 15 MB in every process.
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(error, redis.RedisError)


def page_not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler400`. What Django itself finds wrong may name what a stranger should not read, or send on."""
    ours = isinstance(exception, NotUnderstoodError)
    page = loader.get_template("400.html").render(
        {"sentence": str(exception) if ours else ""}, request if ours else None
    )
    return HttpResponse(page, status=400)


def page_failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: called while the exception is handled."""
    error = sys.exc_info()[1]
    unfinished, too_long = isinstance(error, UnfinishedError), took_too_long(error)
    if not (unfinished or isinstance(error, DATABASE_AWAY) or is_from_redis(error)):
        return server_error(request)
    sentence = UNFINISHED if unfinished else TOO_LONG if too_long else ""
    page = loader.get_template("503.html").render({"sentence": sentence})
    retry_after_s = TOO_LONG_RETRY_AFTER_S if too_long else RETRY_AFTER_S
    return HttpResponse(page, status=503, headers={"Retry-After": str(retry_after_s)})
