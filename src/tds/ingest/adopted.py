"""Rows that came past ingest, by a bulk load or a restore: into the ledger, when a person says that they are meant."""

from datetime import datetime
from typing import Any, Final

import psycopg

from tds.ingest import ledger_check
from tds.ingest.ledger import Counts, Ledger
from tds.ingest.ledger_check import Account
from tds.readings.store import ReadingStore

ADVISORY_LOCK: Final = 0x7D5_0006  # one at a time: two would count the same rows


def uncounted(account: Account) -> int:
    """How many rows more there are than were counted; negative when some are missing. Pure."""
    return account.rows - (account.totals.stored - account.dropped)


def adopt(
    connection: psycopg.Connection[Any],
    store: ReadingStore,
    tenant: tuple[int, str],
    *,
    now: datetime,
    progress: ledger_check.Progress = lambda _done, _of: None,
) -> int:
    """Count a tenant's uncounted rows as readings stored in this hour, without a message; how many, or fewer than 0
    when rows are missing, and then nothing is written. Raises psycopg.Error.

    Ingest goes on: what it stores meanwhile it counts itself, so the difference stays the same.
    """
    tenant_id, slug = tenant
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    try:
        report = ledger_check.check(connection, store, progress=progress)
        rows = sum(uncounted(account) for account in report.accounts if account.tenant == slug)
        if rows > 0:
            with connection.transaction():
                Ledger({tenant_id: Counts(readings=rows)}).write(connection, now=now)
        return rows
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))
