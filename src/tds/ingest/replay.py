"""Quarantined messages once more: after a gateway was registered or enabled, or a rule was mended.

A message that is accepted now was counted when it came: as received and quarantined. So the ledger moves it, in the
hour of its arrival and in the transaction of its rows: quarantined less one, accepted more one, and from the bucket of
nobody to the tenant whose gateway it is. The sum of all messages received stays what it was. The message stays to be
looked at, marked with the time, until quarantine needs its room. One that is still refused stays as it is.

Replaying again changes nothing: what is marked is left out, and the readings' key drops copies.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from tds.ingest.ledger import Ledger
from tds.ingest.messages import Message
from tds.ingest.writer import MESSAGE_FAULTS, Arrival, Writer
from tds.readings.store import MissingPartitionError

BATCH_MESSAGES: Final = 200  # of one transaction: at 64 KiB each 13 MB
ADVISORY_LOCK: Final = 0x7D5_0005  # one replay at a time, whoever runs it
ATTEMPTS: Final = 5  # of a batch from which quarantine evicts meanwhile


@dataclass(slots=True)
class Outcome:
    """What became of the messages of a replay; `refused` by the reason that they have now."""

    accepted: int = 0
    readings: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Outcome") -> None:
        self.accepted += other.accepted
        self.readings += other.readings
        self.duplicates += other.duplicates
        self.refused += other.refused


class EvictedError(Exception):
    """Quarantine let go of a message while it was being replayed."""


class Kept(NamedTuple):
    """A message in quarantine; `topic` is empty for one that came over HTTP."""

    id: int
    reason: str
    gateway_id: int | None
    tenant_id: int | None
    topic: str
    payload: bytes
    received_at: datetime


def replay(writer: Writer, ids: Sequence[int], *, now: datetime) -> Iterator[Outcome]:
    """Replay messages by their ids, a batch a transaction; yields what became of each batch. Raises psycopg.Error."""
    for start in range(0, len(ids), BATCH_MESSAGES):
        yield _batch(writer, ids[start : start + BATCH_MESSAGES], now)


def _batch(writer: Writer, ids: Sequence[int], now: datetime) -> Outcome:
    for attempt in range(ATTEMPTS):
        try:
            with writer.connection.transaction():
                return _transaction(writer, ids, now)
        except MissingPartitionError:
            writer.prepare(now=now)
        except EvictedError:
            writer.directory.forget()
        except MESSAGE_FAULTS:
            writer.directory.forget()
            if len(ids) == 1:
                return Outcome(refused=Counter({"refused_by_database": 1}))
            outcome = Outcome()
            for one in ids:  # all that is refused by rules is left out by now: these are few
                outcome.add(_batch(writer, [one], now))
            return outcome
        except BaseException:
            writer.directory.forget()
            raise
        if attempt == ATTEMPTS - 1:
            break
    return Outcome()


def _transaction(writer: Writer, ids: Sequence[int], now: datetime) -> Outcome:
    cursor = psycopg.Cursor(writer.connection)
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
    by_hour: dict[datetime, list[Kept]] = defaultdict(list)
    for kept in _messages(cursor, ids):
        by_hour[kept.received_at.replace(minute=0, second=0, microsecond=0)].append(kept)
    outcome = Outcome()
    ledgers: dict[datetime, Ledger] = {}
    accepted: list[Kept] = []
    for hour, messages in sorted(by_hour.items()):
        ledger = ledgers[hour] = Ledger()
        arrivals = [
            Arrival(kept.topic or None, kept.payload, tenant_id=kept.tenant_id, received_at=kept.received_at)
            for kept in messages
        ]
        result = writer.accept(arrivals, ledger, now=now)
        for kept, verdict in zip(messages, result.verdicts, strict=True):
            if isinstance(verdict, Message):
                accepted.append(kept)
                ledger.of(kept.tenant_id).quarantined -= 1
                outcome.readings += len(verdict.readings)
            else:
                outcome.refused[verdict.reason.value] += 1
        outcome.duplicates += result.duplicate
    # In the order in which a batch takes its locks: counts, messages, ledger.
    _mark(cursor, accepted, now)
    for hour, ledger in ledgers.items():
        ledger.write(writer.connection, now=hour)
    outcome.accepted = len(accepted)
    return outcome


def _messages(cursor: psycopg.Cursor[Any], ids: Sequence[int]) -> list[Kept]:
    cursor.execute(
        """SELECT id, reason, gateway_id, tenant_id, topic, payload, received_at FROM tds_new_quarantinedmessage
           WHERE id = ANY(%s) AND replayed_at IS NULL ORDER BY id""",
        (list(ids),),
        binary=True,
    )
    return [Kept(*row) for row in cursor.fetchall()]


def _mark(cursor: psycopg.Cursor[Any], accepted: Sequence[Kept], now: datetime) -> None:
    buckets = Counter((kept.reason, kept.gateway_id) for kept in accepted)
    for (reason, gateway_id), count in sorted(buckets.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        cursor.execute(
            """UPDATE tds_new_quarantinecount SET total = total - %s
               WHERE reason = %s AND gateway_id IS NOT DISTINCT FROM %s""",
            (count, reason, gateway_id),
        )
    cursor.execute(
        "UPDATE tds_new_quarantinedmessage SET replayed_at = %s WHERE id = ANY(%s) AND replayed_at IS NULL",
        (now, [kept.id for kept in accepted]),
    )
    if cursor.rowcount != len(accepted):
        raise EvictedError
