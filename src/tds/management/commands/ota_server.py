"""Serves gateways over HTTPS: enrolment (EST)."""

import asyncio
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tds import wiring
from tds.heartbeat import Pulse
from tds.identity.authorities.folder import FolderUnusableError
from tds.ingest import database
from tds.ota_server.desk import DATABASE_OPTIONS
from tds.ota_server.server import serve
from tds.settings import DATABASES, ENV


class Command(BaseCommand):
    help = "Serve gateways over HTTPS on TDS_OTA_PORT: enrolment (EST, RFC 7030)."

    def handle(self, **_options: Any) -> None:
        DATABASES["default"]["OPTIONS"]["options"] += DATABASE_OPTIONS
        try:
            asyncio.run(serve(wiring.ota_config(_Beat("ota").write)))
        except FolderUnusableError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(
                f"The firmware server can't start on {ENV.bind} port {ENV.ports.ota}: {error.strerror or error}."
            ) from error


class _Beat:
    """The heartbeat over a connection of its own, so that it comes also while all others are at work."""

    def __init__(self, process: str) -> None:
        self._pulse = Pulse(process, started_at=timezone.now())
        self._connection: psycopg.Connection[Any] | None = None

    def write(self, facts: dict[str, Any]) -> None:
        """Without the database there is none: its readers see that."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = database.connect(DATABASES["default"], name="tds-ota", statement_timeout_s=10)
            self._pulse.beat(self._connection, facts)
        except psycopg.OperationalError:
            self._connection = None
