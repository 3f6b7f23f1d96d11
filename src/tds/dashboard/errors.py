"""What the API and the pages say when they say no."""

import sys
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views.defaults import server_error

RETRY_AFTER_S: Final = 5


class ApiError(Exception):
    """A status, a word for scripts and a sentence for people."""

    def __init__(self, status: int, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.word = word
        self.sentence = sentence


def is_from_redis(error: BaseException | None) -> bool:
    # Not imported for the question: without TDS_REDIS_URL nobody needs its 15 MB in every process.
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(error, redis.RedisError)


def page_failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: called while the exception is handled."""
    error = sys.exc_info()[1]
    if not (isinstance(error, OperationalError | InterfaceError) or is_from_redis(error)):
        return server_error(request)
    page = loader.get_template("503.html").render()
    return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
