"""What each long-running process last said of itself: how `tds status` and `/metrics` look inside the consumer."""

from typing import Any, ClassVar

from django.db import models


class Heartbeat(models.Model):
    """One row a process, rewritten every few seconds."""

    INTERVAL_S: ClassVar[int] = 5
    STALE_S: ClassVar[int] = 30

    process = models.CharField(max_length=100, primary_key=True)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.process


def beat(process: str, *, pid: int, started_at: Any, now: Any, facts: dict[str, Any]) -> None:
    Heartbeat.objects.update_or_create(
        process=process, defaults={"pid": pid, "started_at": started_at, "beat_at": now, "facts": facts}
    )
