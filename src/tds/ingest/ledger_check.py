"""Compares the ledger with itself, with the rows that it counts and with the quarantine, while ingest goes on.

All is read in one snapshot, which a batch is in whole or not at all: the comparison is exact at any load.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from tds.fleet.counted import counted
from tds.ingest.ledger import FIELDS, SPANS, SUMS, Totals
from tds.readings.dropped import DROPPING_LOCK, counted_by_tenant
from tds.readings.recount import wrong_hours
from tds.readings.store import Part, ReadingStore

MAX_NAMED: Final = 20  # differences of one kind; more say the same, and are counted
SAMPLE_DEVICES: Final = 20  # whose hours are compared with their rows without --deep
PARALLEL_WORKERS: Final = 4  # PostgreSQL's own, of one count; it takes no more than it is configured to have
PATIENCE_MS: Final = 600_000  # while a day is dropped or compressed
NOBODY: Final = "(no tenant)"

Progress = Callable[[int, int], None]


class Account(NamedTuple):
    """A tenant's sums since ever; `rows` are in the store now, `dropped` were there."""

    tenant: str
    totals: Totals
    dropped: int
    rows: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Two numbers that should be equal, and a sentence: where, what it can mean, what to do."""

    tenant: str
    what: str
    expected: int
    found: int
    sentence: str


@dataclass(slots=True)
class Report:
    accounts: list[Account] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    more: int = 0  # differences beyond those that are named
    rows_compared: bool = False

    def note(self, found: list[Difference], total: int) -> None:
        """Of `total` differences of a kind, those that are named."""
        self.differences += found
        self.more += total - len(found)

    @property
    def balanced(self) -> bool:
        return not self.differences

    def document(self) -> dict[str, Any]:
        return {
            "checked": True,
            "balanced": self.balanced,
            "rows_compared": self.rows_compared,
            "tenants": [
                {"tenant": a.tenant} | a.totals._asdict() | {"dropped": a.dropped, "rows": a.rows}
                for a in self.accounts
            ],
            "differences": [asdict(difference) for difference in self.differences],
            "more": self.more,
        }


def check(
    connection: psycopg.Connection[Any],
    store: ReadingStore,
    *,
    since: datetime | None = None,
    deep: bool = False,
    progress: Progress = lambda _done, _of: None,
) -> Report:
    """Compare everything; with `since` the counters alone, from then on. The connection is in autocommit.

    Raises psycopg.Error. Nothing is dropped while it lasts, and nobody waits for it.
    """
    report = Report()
    with _snapshot(connection):
        names = dict(psycopg.Cursor(connection).execute("SELECT id, slug FROM tds_new_tenant").fetchall())
        report.note(*_spans(connection, names, since))
        if since is None:
            report.rows_compared = True
            parts = store.parts(connection)
            report.accounts = _accounts(connection, parts, names, progress)
            report.differences += [found for account in report.accounts for found in compare(account)]
            report.differences += _quarantine(connection, names)
            report.note(*_kept(connection, names))
            report.differences += _hours(connection, parts, deep=deep)
    return report


def compare(account: Account) -> list[Difference]:
    """What is wrong between a tenant's counters and its rows. Pure."""
    expected = account.totals.stored - account.dropped
    if account.rows == expected:
        return []
    booked = f"{account.totals.stored:,} readings stored and {account.dropped:,} dropped by retention"
    if account.tenant == NOBODY:
        sentence = (
            f"{account.rows - expected:,} readings belong to devices that are gone. Nobody can see them, and their "
            "tenants miss them below. Devices are kept; look for who deleted some in the database."
        )
    elif account.rows < expected:
        missing = counted(expected - account.rows, "reading is", "readings are")
        sentence = (
            f"Tenant {account.tenant}: {missing} missing. The ledger counts {booked}, "
            f"and {account.rows:,} are there. Rows were deleted, or a day was dropped, past the platform (by hand, "
            "by a restore of a part, or by a version that did not count them); if nobody did, the disk lost them. "
            "Look into PostgreSQL's log, and restore them from a backup."
        )
    else:
        sentence = (
            f"Tenant {account.tenant}: {account.rows - expected:,} readings more than were counted. The ledger counts "
            f"{booked}, and {account.rows:,} are there. Rows were written past ingest (a restore, a COPY, a script), "
            "or ledger rows were deleted. Find out which; the readings themselves are each there once, and "
            f"./tds ledger adopt {account.tenant} counts them."
        )
    return [Difference(account.tenant, "rows", expected, account.rows, sentence)]


@contextmanager
def _snapshot(connection: psycopg.Connection[Any]) -> Iterator[None]:
    cursor = psycopg.Cursor(connection)
    # The connection's own limit of a statement is shorter than the patience.
    cursor.execute(f"SET lock_timeout = {PATIENCE_MS}; SET statement_timeout = 0")
    try:
        # Before the snapshot: what was dropped after it would be missing from the rows, and not yet in the ledger.
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", (DROPPING_LOCK,))
        try:
            with connection.transaction():
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute(f"SET LOCAL max_parallel_workers_per_gather = {PARALLEL_WORKERS}")
                yield
        finally:
            if not connection.closed:
                cursor.execute("SELECT pg_advisory_unlock_shared(%s)", (DROPPING_LOCK,))
    finally:
        if not connection.closed:
            cursor.execute("RESET lock_timeout; RESET statement_timeout")


def _spans(
    connection: psycopg.Connection[Any], names: dict[int, str], since: datetime | None
) -> tuple[list[Difference], int]:
    cursor = psycopg.Cursor(connection).execute(
        f"""SELECT count(*) OVER (), tenant_id, start, {", ".join(FIELDS)} FROM {SPANS} AS spans
            WHERE (received <> accepted + quarantined OR readings <> stored + duplicate)
              AND start >= COALESCE(%s, '-infinity'::timestamptz)
            ORDER BY start, tenant_id LIMIT %s""",  # noqa: S608  # our own words
        (since, MAX_NAMED),
    )
    found: list[Difference] = []
    total = 0
    for total, tenant_id, start, *numbers in cursor.fetchall():  # noqa: B007  # the same in all rows
        tenant, sums = names.get(tenant_id, NOBODY), Totals(*numbers)
        sentence = (
            f"Tenant {tenant}, from {start:%Y-%m-%dT%H:%MZ}: received {sums.received:,} = accepted {sums.accepted:,} + "
            f"quarantined {sums.quarantined:,}, and readings {sums.readings:,} = stored {sums.stored:,} + duplicate "
            f"{sums.duplicate:,} do not both hold. Each batch writes them together, so a hand or a fault of ours "
            "changed one; report it."
        )
        if sums.received != sums.accepted + sums.quarantined:
            found.append(Difference(tenant, "messages", sums.received, sums.accepted + sums.quarantined, sentence))
        else:
            found.append(Difference(tenant, "readings", sums.readings, sums.stored + sums.duplicate, sentence))
    return found, total


def _accounts(
    connection: psycopg.Connection[Any], parts: list[Part], names: dict[int, str], progress: Progress
) -> list[Account]:
    cursor = psycopg.Cursor(connection)
    cursor.execute(f"SELECT tenant_id, {SUMS} FROM {SPANS} AS spans GROUP BY tenant_id")  # noqa: S608  # our own words
    totals = {tenant_id: Totals(*numbers) for tenant_id, *numbers in cursor.fetchall()}
    cursor.execute("SELECT tenant_id, sum(rows)::int8 FROM tds_new_ledgerdropped GROUP BY tenant_id")
    dropped = Counter(dict(cursor.fetchall()))
    rows: Counter[int | None] = Counter()
    for done, part in enumerate(parts):
        progress(done, len(parts))
        rows += counted_by_tenant(connection, part.name)
    progress(len(parts), len(parts))
    nothing = Totals(0, 0, 0, 0, 0, 0)
    accounts = [
        Account(
            names.get(tenant_id, NOBODY) if tenant_id else NOBODY,
            totals.get(tenant_id, nothing),
            dropped[tenant_id],
            rows[tenant_id],
        )
        for tenant_id in totals.keys() | dropped.keys() | rows.keys()
    ]
    return sorted(accounts)


def _quarantine(connection: psycopg.Connection[Any], names: dict[int, str]) -> Iterator[Difference]:
    """By tenant: what one has too few of and another too many would hide in a sum."""
    cursor = psycopg.Cursor(connection).execute(
        f"""SELECT tenant_id, sum(ledger)::int8, sum(counted)::int8 FROM (
                SELECT tenant_id, quarantined AS ledger, 0 AS counted FROM {SPANS} AS spans
                UNION ALL SELECT tenant_id, 0, total FROM tds_new_quarantinecount) AS entries
            GROUP BY 1 HAVING sum(ledger) <> sum(counted) ORDER BY 1 NULLS FIRST"""  # noqa: S608  # our own words
    )
    for tenant_id, ledger, own in cursor.fetchall():
        tenant = names.get(tenant_id, NOBODY)
        sentence = (
            f"Tenant {tenant}: the ledger counts {ledger:,} messages in quarantine, and the quarantine's own counts "
            f"say {own:,}. Both are written in one transaction, so counts were deleted or changed past the "
            "platform; no message that was accepted is concerned."
        )
        yield Difference(tenant, "quarantined", ledger, own, sentence)


def _kept(connection: psycopg.Connection[Any], names: dict[int, str]) -> tuple[list[Difference], int]:
    cursor = psycopg.Cursor(connection).execute(
        """SELECT count(*) OVER (), reason, COALESCE(g.code, '–'), b.tenant_id, kept, n FROM (
               SELECT reason, gateway_id, tenant_id, sum(kept)::int8 AS kept, sum(n)::int8 AS n FROM (
                   SELECT reason, gateway_id, tenant_id, kept, 0 AS n FROM tds_new_quarantinecount
                   UNION ALL SELECT reason, gateway_id, tenant_id, 0, 1 FROM tds_new_quarantinedmessage) AS entries
               GROUP BY 1, 2, 3) AS b
           LEFT JOIN tds_new_gateway AS g ON g.id = gateway_id
           WHERE kept <> n ORDER BY 2, 3, 4 LIMIT %s""",
        (MAX_NAMED,),
    )
    found: list[Difference] = []
    total = 0
    for total, reason, code, tenant_id, kept, there in cursor.fetchall():  # noqa: B007  # the same in all rows
        tenant = names.get(tenant_id, NOBODY)
        sentence = (
            f"Quarantine {reason} of gateway {code}, tenant {tenant}: {kept:,} messages should be kept, and {there:,} "
            "are. The bound of the quarantine is measured wrongly by so much; messages were deleted past the platform."
        )
        found.append(Difference(tenant, "kept", kept, there, sentence))
    return found, total


def _hours(connection: psycopg.Connection[Any], parts: list[Part], *, deep: bool) -> Iterator[Difference]:
    devices = None
    if not deep:
        cursor = psycopg.Cursor(connection).execute(
            "SELECT id FROM tds_new_device ORDER BY random() LIMIT %s", (SAMPLE_DEVICES,)
        )
        devices = [device_id for (device_id,) in cursor.fetchall()]
    for part in parts:
        count, first = wrong_hours(connection, part, devices)
        if not count:
            continue
        hour = first[0]
        sentence = (
            f"{count:,} closed hours in {part.name} count other readings than there are. First: "
            f"device {hour.device_id}, metric {hour.metric_id}, {hour.hour:%Y-%m-%dT%HZ}: {hour.rows:,} readings, "
            f"{hour.aggregated or 0:,} aggregated. Charts of these hours are wrong; the readings are not. Rows were "
            "changed past ingest; write the hours into tds_new_horasuja, and the worker aggregates them again."
        )
        yield Difference("", "hours", hour.rows, hour.aggregated or 0, sentence)
