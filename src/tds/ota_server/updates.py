"""What the routes of updates need beside `service`; the composition root gives it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
from aiohttp import web

from tds.ota_server.sending import Downloads
from tds.updates.executions.reports import Refusal
from tds.updates.releases.files import Artifacts

CommandFor = Callable[[psycopg.Connection[Any], int, datetime], bytes | None]
TakeReport = Callable[[psycopg.Connection[Any], int, str, bytes, datetime], Refusal | None]


@dataclass(frozen=True, slots=True)
class Updates:
    artifacts: Artifacts
    command_for: CommandFor
    take_report: TakeReport
    downloads: Downloads = field(default_factory=Downloads)


UPDATES: Final = web.AppKey("updates", Updates)


def of(request: web.Request) -> Updates:
    return request.app[UPDATES]
