"""Periodic work."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from tds import wiring, worker
from tds.heartbeat import Pulse
from tds.ingest import database
from tds.processes import stop_on_signal


class Command(BaseCommand):
    help = "Do periodic work: aggregate hours, make partitions ahead, drop what may not be kept."

    def handle(self, **_options: Any) -> None:
        disk = worker.Chore("disk", worker.DISK_EVERY_S, wiring.disk_watch().look, slow=True)
        worker.run(
            [*worker.chores(wiring.reading_store()), disk],
            stop_on_signal(),
            connect=lambda: database.connect(
                settings.DATABASES["default"],
                name="tds-worker",
                statement_timeout_s=database.UPKEEP_TIMEOUT_S,
            ),
            now=timezone.now,
            beat=Pulse("worker", started_at=timezone.now()).beat,
        )
