"""Counts every message and reading, in the transaction of the rows themselves.

Hours are kept for HOURS_KEPT and then added up into days of UTC, so that years of many tenants stay few rows. All
columns are sums: a correction of an old hour is one more row of it, and joins its day like the first.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

FIELDS = ("received", "accepted", "quarantined", "readings", "stored", "duplicate")
HOURS_KEPT: Final = timedelta(days=35)  # the page shows 30 days in the tenant's zone, which needs hours
DAYS_A_STEP: Final = 1  # of one transaction: 24,000 rows with 1,000 tenants
STEPS_A_RUN: Final = 400  # more waits for the next run

# The whole ledger, whatever its rows span. One statement: no row is in both at any moment.
SPANS: Final = f"""(SELECT tenant_id, hour AS start, {", ".join(FIELDS)} FROM tds_new_ledgerhour
    UNION ALL SELECT tenant_id, day, {", ".join(FIELDS)} FROM tds_new_ledgerday)"""  # noqa: S608  # our own words
SUMS: Final = ", ".join(f"COALESCE(sum({name}), 0)::int8 AS {name}" for name in FIELDS)


class Totals(NamedTuple):
    """Sums of ledger rows, in the order of FIELDS."""

    received: int
    accepted: int
    quarantined: int
    readings: int
    stored: int
    duplicate: int

    @property
    def balances(self) -> bool:
        return self.received == self.accepted + self.quarantined and self.readings == self.stored + self.duplicate


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


def fold(connection: psycopg.Connection[Any], *, now: datetime) -> int:
    """Add up the hours that are old into days; how many rows of hours went. Commits day by day."""
    before = (now - HOURS_KEPT).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    cursor = psycopg.Cursor(connection)
    folded = 0
    for _ in range(STEPS_A_RUN):
        cursor.execute("SELECT min(hour) FROM tds_new_ledgerhour WHERE hour < %s", (before,))
        [oldest] = cursor.fetchone() or (None,)
        if oldest is None:
            break
        end = oldest.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=DAYS_A_STEP)
        cursor.execute(
            f"""WITH old AS (DELETE FROM tds_new_ledgerhour WHERE hour < %(end)s RETURNING *), written AS (
                    INSERT INTO tds_new_ledgerday AS l (tenant_id, day, {", ".join(FIELDS)})
                    SELECT tenant_id, date_trunc('day', hour, 'UTC'), {SUMS} FROM old GROUP BY 1, 2
                    ON CONFLICT (tenant_id, day) DO UPDATE SET
                    {", ".join(f"{name} = l.{name} + EXCLUDED.{name}" for name in FIELDS)})
                SELECT count(*) FROM old""",  # noqa: S608  # our own words
            {"end": min(end, before)},
        )
        [gone] = cursor.fetchone() or (0,)
        folded += gone
    return folded
