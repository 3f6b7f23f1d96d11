"""What the API and the pages say when they say no."""

import sys
from typing import Final

import redis
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views.defaults import server_error

RETRY_AFTER_S: Final = 5
# A store that the answer needs is away. It passes, and it is nobody's mistake.
AWAY: Final = (redis.ConnectionError, redis.TimeoutError, OperationalError, InterfaceError)


class ApiError(Exception):
    """A status, a word for scripts and a sentence for people."""

    def __init__(self, status: int, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.word = word
        self.sentence = sentence


def page_failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: called while the exception is handled."""
    if not isinstance(sys.exc_info()[1], AWAY):
        return server_error(request)
    page = loader.get_template("503.html").render()
    return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
