"""Quarantined messages once more: after a gateway was registered or enabled, or a rule was mended.

A message that is accepted now was counted when it came: as received and quarantined. So the ledger moves it, in the
hour of its arrival and in the transaction of its rows: quarantined less one, accepted more one, and from the bucket of
nobody to the tenant whose gateway it is. The sum of all messages received stays what it was. The message stays to be
looked at, marked with the time, until quarantine needs its room. One that is still refused stays as it is.

Replaying again changes nothing: what is marked is left out, and the readings' key drops copies.

A message that was kept for a tenant is never another's, and one that came before its code changed hands is not the
present owner's: both stay refused, as `previous_owner`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from tds.ingest import quarantine
from tds.ingest.ledger import Ledger
from tds.ingest.messages import Arrival, Message
from tds.ingest.room import Room
from tds.ingest.writer import MESSAGE_FAULTS, Writer
from tds.readings.store import MissingPartitionError

BATCH_MESSAGES: Final = 200  # of one transaction: at 64 KiB each 13 MB
ADVISORY_LOCK: Final = 0x7D5_0005  # one replay at a time, whoever runs it
ATTEMPTS: Final = 5  # of a batch: quarantine evicts from it, a partition is missing, or the database chose it to fail
ROLLED_BACK: Final = "40"  # class of SQLSTATE, transaction rollback: a deadlock. The same again may well succeed


@dataclass(slots=True)
class Outcome:
    """What became of the messages of a replay; `refused` by the reason that they have now.

    `untried` ones are as they were, `obstacle` says why: ask again.
    """

    accepted: int = 0
    readings: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    untried: int = 0
    obstacle: str = ""

    def add(self, other: "Outcome") -> None:
        self.accepted += other.accepted
        self.readings += other.readings
        self.duplicates += other.duplicates
        self.refused += other.refused
        self.untried += other.untried
        self.obstacle = self.obstacle or other.obstacle


class EvictedError(Exception):
    """Quarantine let go of a message while it was being replayed."""


class Kept(NamedTuple):
    """A message in quarantine; `topic` is empty for one that came over HTTP."""

    id: int
    tenant_id: int | None
    topic: str
    payload: bytes
    received_at: datetime


def replay(writer: Writer, ids: Sequence[int], *, now: datetime, room: Room | None = None) -> Iterator[Outcome]:
    """Replay messages by their ids, a batch a transaction; yields what became of each batch, and of one at least.

    Without room on the disk nothing is stored, as nothing is of what gateways send then. Raises psycopg.Error.
    """
    batches = list(_batches(writer, ids))
    if not batches:
        yield Outcome()  # all gone, or replayed, meanwhile
    for n, (hour, batch) in enumerate(batches):
        if room is not None and (shortage := room.shortage()):
            yield Outcome(untried=sum(len(left) for _, left in batches[n:]), obstacle=shortage)
            return
        yield _batch(writer, hour, batch, now)


def _batches(writer: Writer, ids: Sequence[int]) -> Iterator[tuple[datetime, list[int]]]:
    """Batches of one hour of the ledger each: one Ledger each, so locks are taken in the order in which ingest does."""
    cursor = psycopg.Cursor(writer.connection)
    cursor.execute(
        """SELECT date_trunc('hour', COALESCE(counted_at, received_at), 'UTC'), array_agg(id ORDER BY id)
           FROM tds_new_quarantinedmessage WHERE id = ANY(%s) AND replayed_at IS NULL GROUP BY 1 ORDER BY 1""",
        (list(ids),),
    )
    for hour, of_hour in cursor.fetchall():
        for start in range(0, len(of_hour), BATCH_MESSAGES):
            yield hour, of_hour[start : start + BATCH_MESSAGES]


def _batch(writer: Writer, hour: datetime, ids: Sequence[int], now: datetime) -> Outcome:
    obstacle = ""
    for _ in range(ATTEMPTS):
        try:
            with writer.connection.transaction():
                return _transaction(writer, hour, ids, now)
        except MissingPartitionError:
            obstacle = "There is no partition for some readings' day, though it was made."
            writer.prepare(now=now)
        except EvictedError:
            obstacle = "Quarantine let messages go while they were being replayed."
            writer.directory.forget()
        except MESSAGE_FAULTS:
            writer.directory.forget()
            if len(ids) == 1:
                return Outcome(refused=Counter({"refused_by_database": 1}))
            outcome = Outcome()
            for one in ids:  # all that is refused by rules is left out by now: these are few
                outcome.add(_batch(writer, hour, [one], now))
            return outcome
        except psycopg.Error as error:
            writer.directory.forget()
            if not (error.sqlstate or "").startswith(ROLLED_BACK):
                raise
            obstacle = f"The database rolled it back {ATTEMPTS} times: {str(error).splitlines()[0]}."
        except BaseException:
            writer.directory.forget()
            raise
    return Outcome(untried=len(ids), obstacle=obstacle)


def _transaction(writer: Writer, hour: datetime, ids: Sequence[int], now: datetime) -> Outcome:
    cursor = psycopg.Cursor(writer.connection)
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
    messages = _messages(cursor, ids)
    arrivals = [
        Arrival(kept.topic or None, kept.payload, tenant_id=kept.tenant_id, received_at=kept.received_at)
        for kept in messages
    ]
    ledger = Ledger()
    result = writer.accept(arrivals, ledger, now=now)
    outcome = Outcome(duplicates=result.duplicate)
    accepted: list[int] = []
    for kept, verdict in zip(messages, result.verdicts, strict=True):
        if isinstance(verdict, Message):
            accepted.append(kept.id)
            ledger.of(kept.tenant_id).quarantined -= 1
            outcome.readings += len(verdict.readings)
        else:
            outcome.refused[verdict.reason.value] += 1
    # In the order in which a batch takes its locks: counts, messages, ledger.
    if quarantine.mark_replayed(writer.connection, accepted, now=now) != len(accepted):
        raise EvictedError
    ledger.write(writer.connection, now=hour)
    outcome.accepted = len(accepted)
    return outcome


def _messages(cursor: psycopg.Cursor[Any], ids: Sequence[int]) -> list[Kept]:
    cursor.execute(
        """SELECT id, tenant_id, topic, payload, received_at FROM tds_new_quarantinedmessage
           WHERE id = ANY(%s) AND replayed_at IS NULL ORDER BY id""",
        (list(ids),),
        binary=True,
    )
    return [Kept(*row) for row in cursor.fetchall()]
