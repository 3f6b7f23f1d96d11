"""Where work for a request is done: few threads, each with its own connection to the database, and a bounded queue.

Everything that costs processor time or waits for the database goes over it, so that a flood of requests makes some of
them wait, and then refuses some, and never grows.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from threading import local
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db import connection as django_connection

from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server.log import FewLines

THREADS: Final = 4
MAX_WAITING: Final = 64  # a job takes some 10 ms: the last of them waits well below a second
BUSY_RETRY_S: Final = 2.0
AWAY_RETRY_S: Final = 10.0
LOOK_AGAIN_S: Final = 1.0  # whether the connection to the database still is one
STATEMENT_LIMIT_S: Final = 10  # a database that hangs becomes an answer that says so
LOCK_LIMIT_S: Final = 5
DATABASE_OPTIONS: Final = (
    f" -c statement_timeout={STATEMENT_LIMIT_S}s -c lock_timeout={LOCK_LIMIT_S}s"
    f" -c idle_in_transaction_session_timeout={STATEMENT_LIMIT_S}s"
)

Result = TypeVar("Result")


class Desk:
    def __init__(self, log: FewLines, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._log = log
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="desk")
        self._limit = threads + max_waiting
        self._under_way = 0
        self.turned_away = 0
        self.database_away = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, done in a thread. What it raises comes out of here; RefusedError also when it can't be.

        When the caller stops waiting, work that has begun goes on to its end.
        """
        if self._under_way >= self._limit:
            self.turned_away += 1
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many requests at this moment; come again.",
                retry_after_s=BUSY_RETRY_S,
                clients_fault=False,
            )
        loop = asyncio.get_running_loop()
        self._under_way += 1
        job = self._pool.submit(_on_own_connection, work)
        job.add_done_callback(lambda _job: loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wrap_future(job)
        except (DatabaseError, psycopg.Error) as error:  # the second: of those who speak SQL themselves
            self.database_away += 1
            self._log.say(f"The database did not do it: {' '.join(str(error).split())[:300]}")
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The database is away; come again.",
                retry_after_s=AWAY_RETRY_S,
                clients_fault=False,
            ) from error

    def close(self) -> None:
        """Waits for what has begun, which the database's own limits bound."""
        self._pool.shutdown(cancel_futures=True)

    def _done(self) -> None:
        self._under_way -= 1


@contextmanager
def database() -> Iterator[psycopg.Connection[Any]]:
    """This thread's connection, for work that speaks SQL itself."""
    django_connection.ensure_connection()
    found: psycopg.Connection[Any] = django_connection.connection
    try:
        yield found
    except psycopg.Error:
        django_connection.errors_occurred = True  # so that it is looked at before it is used again
        raise


_last = local()  # when this thread's last job ended


def _on_own_connection(work: Callable[[], Any]) -> Any:
    # As Django does around each request: a connection that broke or is too old is not used again. It asks the database
    # for that, which costs as much as a job: not of one that did its work a moment ago.
    if django_connection.errors_occurred or monotonic() - getattr(_last, "at_s", float("-inf")) >= LOOK_AGAIN_S:
        close_old_connections()
    try:
        return work()
    finally:
        if django_connection.errors_occurred:
            close_old_connections()
        _last.at_s = monotonic()
