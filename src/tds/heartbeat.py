"""What each long-running process last said of itself: how `tds status` and `/metrics` look inside the consumer."""

import os
from datetime import datetime
from time import monotonic
from typing import Any, Final

import psycopg
from django.db import models
from psycopg.types.json import Jsonb

INTERVAL_S: Final = 5.0
STALE_S: Final = 30.0


class Heartbeat(models.Model):
    """One row a process, rewritten every few seconds."""

    process = models.CharField(max_length=100, primary_key=True)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.process


class Pulse:
    """Writes a process's heartbeat, at most every INTERVAL_S."""

    def __init__(self, process: str, *, started_at: datetime) -> None:
        self._process = process
        self._started_at = started_at
        self._written_at = float("-inf")

    def beat(self, connection: psycopg.Connection[Any], facts: dict[str, Any]) -> None:
        if monotonic() - self._written_at < INTERVAL_S:
            return
        psycopg.Cursor(connection).execute(
            """INSERT INTO tds_new_heartbeat (process, pid, started_at, beat_at, facts)
               VALUES (%s, %s, %s, clock_timestamp(), %s)
               ON CONFLICT (process) DO UPDATE SET pid = EXCLUDED.pid, started_at = EXCLUDED.started_at,
                   beat_at = EXCLUDED.beat_at, facts = EXCLUDED.facts""",
            (self._process, os.getpid(), self._started_at, Jsonb(facts)),
        )
        self._written_at = monotonic()
