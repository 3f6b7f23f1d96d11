"""Which images gateways may have now: those who ask while the database answers others are asked for together.

A fleet that is told of its update asks within seconds. Nothing is remembered: each request is judged by what the
database says after it came.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from aiohttp import web

from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import gateways
from tds.ota_server.desk import Desk, database
from tds.ota_server.gateways import Asking, Who
from tds.updates.releases.files import Artifacts

AT_ONCE: Final = 64  # of one query


class Opened(NamedTuple):
    """An image that may be sent, and to whom. Whoever has it closes its descriptor."""

    sha256: str
    who: str
    descriptor: int
    size: int


class Wanted(NamedTuple):
    asked: Asking
    sha256: str


class _Request(NamedTuple):
    wanted: Wanted
    answer: asyncio.Future[Opened]


class _Found(NamedTuple):
    """In the database, of one image for one gateway."""

    there: bool | None
    published: bool | None
    assigned: bool


class Permits:
    """Of one process and its loop."""

    def __init__(self, desk: Desk, artifacts: Artifacts) -> None:
        self._desk = desk
        self._artifacts = artifacts
        self._waiting: deque[_Request] = deque()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, asked: Asking, sha256: str) -> Opened:
        """Raises RefusedError."""
        answer: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(Wanted(asked, sha256), answer))
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and not answer.exception():
                close([answer.result()])
            raise

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                requests = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                requests = [each for each in requests if not each.answer.done()]
                if requests:
                    await self._answer(requests)
        finally:
            self._task = None

    async def _answer(self, requests: Sequence[_Request]) -> None:
        answers: Sequence[Opened | Exception]
        try:
            answers = await self._desk.run(lambda: permitted(self._artifacts, [each.wanted for each in requests]))
        except Exception as error:  # noqa: BLE001  # it is each one's answer
            answers = [error] * len(requests)
        for each, answer in zip(requests, answers, strict=True):
            if each.answer.done():  # nobody waits for it any more
                close([answer])
            elif isinstance(answer, Opened):
                each.answer.set_result(answer)
            else:
                each.answer.set_exception(answer)


PERMITS: Final = web.AppKey("permits", Permits)


def of(request: web.Request) -> Permits:
    return request.app[PERMITS]


def permitted(artifacts: Artifacts, wanted: Sequence[Wanted]) -> list[Opened | RefusedError]:
    """At the desk. In their order."""
    people = gateways.find_all([each.asked for each in wanted])
    found = _found([_id_of(one) for one in people], [each.sha256 for each in wanted])
    images: dict[str, Opened | RefusedError] = {}
    answers: list[Opened | RefusedError] = []
    try:
        for each, who, facts in zip(wanted, people, found, strict=True):
            refusal = who if isinstance(who, RefusedError) else refusal_of(who, facts)
            image = refusal or images.get(each.sha256)
            if image is None:
                image = images[each.sha256] = _opened(artifacts, each.sha256)
            if isinstance(image, Opened):
                code = who.code if isinstance(who, Who) else ""
                image = image._replace(who=code, descriptor=os.dup(image.descriptor))
            answers.append(image)
    finally:
        close(images.values())
    return answers


def opened(artifacts: Artifacts, sha256: str, who: str) -> Opened:
    """Raises RefusedError."""
    try:
        descriptor = artifacts.open(sha256)
    except FileNotFoundError:
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            "The image's file is lost; whoever runs the platform can upload it once more.",
            clients_fault=False,
        ) from None
    try:
        return Opened(sha256, who, descriptor, os.fstat(descriptor).st_size)
    except OSError:
        os.close(descriptor)
        raise


def _opened(artifacts: Artifacts, sha256: str) -> Opened | RefusedError:
    try:
        return opened(artifacts, sha256, "")
    except RefusedError as refusal:
        return refusal


def close(answers: Iterable[object]) -> None:
    for each in answers:
        if isinstance(each, Opened):
            os.close(each.descriptor)


def _id_of(who: Who | RefusedError | None) -> int | None:
    return who.id if isinstance(who, Who) else None


def refusal_of(who: Who | None, found: _Found) -> RefusedError | None:
    """Pure."""
    if found.there is None:
        return RefusedError(HTTPStatus.NOT_FOUND, "There is no release with this image.")
    if who is not None and who.is_proven and found.there and not found.assigned:
        return RefusedError(HTTPStatus.FORBIDDEN, f"This image is not assigned to gateway {who.code}.")
    if not found.there:
        return RefusedError(HTTPStatus.GONE, "This release was withdrawn; ask for what is assigned now.")
    if not found.published:
        return RefusedError(HTTPStatus.NOT_FOUND, "This release is not published.")
    return None


def _found(gateway_ids: Sequence[int | None], hashes: Sequence[str]) -> list[_Found]:
    # An execution that timed out counts: its gateway may still be at it, and the truth comes later.
    with database() as connection:
        rows = connection.cursor().execute(
            """SELECT r.there, r.published,
                EXISTS (SELECT FROM tds_new_execution AS e JOIN tds_new_rollout AS o ON o.id = e.rollout_id
                    JOIN tds_new_release AS given ON given.id = o.release_id
                    WHERE e.gateway_id = asked.gateway AND given.sha256 = asked.sha256 AND given.status <> 'withdrawn'
                        AND e.seq IS NOT NULL AND e.status IN ('QUEUED', 'IN_PROGRESS', 'TIMED_OUT'))
                FROM unnest(%(gateways)s::bigint[], %(hashes)s::text[])
                    WITH ORDINALITY AS asked (gateway, sha256, place)
                CROSS JOIN LATERAL (
                    SELECT bool_or(status <> 'withdrawn') AS there, bool_or(status = 'published') AS published
                    FROM tds_new_release WHERE sha256 = asked.sha256) AS r
                ORDER BY asked.place""",
            {"gateways": list(gateway_ids), "hashes": list(hashes)},
        )
        return [_Found(*row) for row in rows]
