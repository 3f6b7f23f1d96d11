"""What consumers keep on their disks until the database is back, as `tds status` and its page tell it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tds.environment import Environment
from tds.heartbeat import Heartbeat
from tds.ingest.spool import look
from tds.processes import consumer_name, consumers_of


@dataclass(frozen=True, slots=True)
class SpoolSeen:
    """Of one consumer."""

    consumer: str
    size_bytes: int
    limit_bytes: int
    oldest_at: datetime | None


def consumer_names(environment: Environment) -> list[str]:
    """Of every consumer that there should be."""
    of = consumers_of(len(environment.mqtt_urls), environment.mqtt_shared_slots)
    return [consumer_name(number, slot) for number, slot in of]


def spools(environment: Environment, *, database_there: bool) -> list[SpoolSeen]:
    """Of each of them, and of whoever left a folder. Raises OSError."""
    limit_bytes, folder = environment.spool_bytes, environment.spool_folder
    if not limit_bytes:
        return []
    here = {path.name: look(path) for path in folder.iterdir()} if folder.exists() else {}
    found = [SpoolSeen(name, seen.size_bytes, limit_bytes, seen.oldest_at) for name, seen in here.items()]
    elsewhere = [name for name in consumer_names(environment) if name not in here]
    # One without a folder here runs on another machine, and said what it keeps as long as it reached the database.
    told = Heartbeat.objects.filter(process__in=elsewhere) if database_there and elsewhere else []
    facts = {row.process: row.facts for row in told}
    found += [_told(name, facts.get(name, {}), limit_bytes) for name in elsewhere]
    return sorted(found, key=lambda spool: spool.consumer)


def _told(name: str, facts: dict[str, Any], limit_bytes: int) -> SpoolSeen:
    oldest_at = facts.get("spool_oldest_at")
    return SpoolSeen(
        name,
        facts.get("spool_bytes", 0),
        facts.get("spool_limit_bytes", limit_bytes),
        datetime.fromisoformat(oldest_at) if oldest_at else None,
    )
