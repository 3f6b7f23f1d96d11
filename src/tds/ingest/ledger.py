"""Counts every message and reading, in the transaction of the rows themselves."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

FIELDS = ("received", "accepted", "quarantined", "readings", "stored", "duplicate")


@dataclass(slots=True)
class Counts:
    """Messages: received = accepted + quarantined. Readings of the accepted: readings = stored + duplicate."""

    accepted: int = 0
    quarantined: int = 0
    readings: int = 0
    duplicate: int = 0

    @property
    def received(self) -> int:
        return self.accepted + self.quarantined

    @property
    def stored(self) -> int:
        return self.readings - self.duplicate


@dataclass(slots=True)
class Ledger:
    """What one batch adds, by tenant; None is the bucket of messages that belong to no tenant."""

    tenants: dict[int | None, Counts] = field(default_factory=dict)

    def of(self, tenant_id: int | None) -> Counts:
        counts = self.tenants.get(tenant_id)
        if counts is None:
            counts = self.tenants[tenant_id] = Counts()
        return counts

    def write(self, connection: psycopg.Connection[Any], *, now: datetime) -> None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        # In the order of the tenants: two writers can't deadlock.
        ordered = sorted(self.tenants.items(), key=lambda item: (item[0] is not None, item[0] or 0))
        psycopg.Cursor(connection).executemany(
            f"""INSERT INTO tds_new_ledgerhour AS l (tenant_id, hour, {", ".join(FIELDS)})
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (tenant_id, hour) DO UPDATE SET
                {", ".join(f"{name} = l.{name} + EXCLUDED.{name}" for name in FIELDS)}""",  # noqa: S608  # our own words
            [(tenant_id, hour, *(getattr(counts, name) for name in FIELDS)) for tenant_id, counts in ordered],
        )
