"""A batch of messages to one COMMIT: rows, quarantine and ledger together, or nothing.

Whoever calls may acknowledge the batch when `write` returns, and not before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from msgspec import Struct
from psycopg import errors

from tds.fleet.directory import Directory
from tds.ingest import quarantine
from tds.ingest.assign import Verdict, learn_gateways, refuse_by_gateway, register_newcomers, to_rows
from tds.ingest.ledger import Ledger
from tds.ingest.messages import Message, Refusal
from tds.ingest.reasons import Reason
from tds.ingest.wire import judge, judge_body
from tds.readings.budget import LONG_AGO
from tds.readings.store import MissingPartitionError, ReadingStore

# What a message itself can be to blame for: class 22 (data exception) and these of class 23. All else is the
# platform's own trouble, which passes: the batch is kept and tried again.
MESSAGE_FAULTS: Final = (
    psycopg.DataError,
    errors.NotNullViolation,
    errors.CheckViolation,
    errors.ForeignKeyViolation,
)
PREPARATIONS: Final = 1  # a partition that is still missing after it was made is no matter of waiting


class Arrival(Struct, frozen=True, gc=False):
    """A message as it came. `topic` is None over HTTP, where a token says whose it is, whatever it holds.

    `received_at` is set for one that waited since then: its clock is judged as of that moment, its age as of now.
    """

    topic: str | None
    payload: bytes
    retained: bool = False
    tenant_id: int | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of each message of a batch, in its order, and of the readings in the accepted ones."""

    verdicts: list[Verdict]
    stored: int
    duplicate: int
    repeated: frozenset[tuple[str, str]]  # (gateway code, device code) of which some reading was a copy

    def joined(self, other: "Result") -> "Result":
        return Result(
            self.verdicts + other.verdicts,
            self.stored + other.stored,
            self.duplicate + other.duplicate,
            self.repeated | other.repeated,
        )


@dataclass(slots=True)
class Writer:
    """Writes batches over one connection. Belongs to one thread."""

    connection: psycopg.Connection[Any]
    store: ReadingStore
    directory: Directory
    bounds: quarantine.Bounds
    retention: timedelta
    kept_since: datetime = LONG_AGO  # as the store last said; it says when that is no more true

    def write(self, arrivals: Sequence[Arrival], *, now: datetime) -> Result:
        """Store or quarantine every message of a batch, durably. Raises psycopg.Error with nothing written."""
        verdicts = [self._judge(arrival, now) for arrival in arrivals]
        return self._write(arrivals, verdicts, now, preparations=PREPARATIONS)

    def _judge(self, arrival: Arrival, now: datetime) -> Verdict:
        retention = min(self.retention, now - self.kept_since)
        if arrival.received_at is not None and arrival.received_at < now:
            # What was too far ahead then is so still; and there is no room for what is too old by now.
            retention -= now - arrival.received_at
            now = arrival.received_at
        if arrival.topic is None:
            return judge_body(arrival.payload, now=now, retention=retention)
        return judge(arrival.topic, arrival.payload, now=now, retention=retention)

    def _write(
        self, arrivals: Sequence[Arrival], verdicts: list[Verdict], now: datetime, *, preparations: int
    ) -> Result:
        try:
            with self.connection.transaction():
                return self._transaction(arrivals, verdicts, now)
        except MissingPartitionError:
            if not preparations:
                self.directory.forget()
                raise
            self.prepare(now=now)
            verdicts = [
                self._judge(arrival, now) if isinstance(verdict, Message) else verdict
                for arrival, verdict in zip(arrivals, verdicts, strict=True)
            ]
            return self._write(arrivals, verdicts, now, preparations=preparations - 1)
        except MESSAGE_FAULTS as error:
            self.directory.forget()
            return self._bisect(arrivals, verdicts, now, error)
        except BaseException:
            # What was learned in the transaction may be gone with it.
            self.directory.forget()
            raise

    def prepare(self, *, now: datetime) -> None:
        """After MissingPartitionError: make room for what may be kept, and learn what may not any more."""
        self.directory.forget()
        self.store.prepare(self.connection, now=now)
        self.kept_since = self.store.kept_since(self.connection)

    def _bisect(
        self, arrivals: Sequence[Arrival], verdicts: list[Verdict], now: datetime, error: psycopg.Error
    ) -> Result:
        """Find the message that the database refuses, put it in quarantine and store the rest."""
        if len(arrivals) == 1:
            if isinstance(verdicts[0], Refusal):
                raise error  # quarantine itself fails: not the message's fault
            detail = f"The database refused the message with SQLSTATE {error.sqlstate}; report it to the platform."
            refusal = Refusal(Reason.REFUSED_BY_DATABASE, detail, verdicts[0].gateway_code)
            return self._write(arrivals, [refusal], now, preparations=PREPARATIONS)
        half = len(arrivals) // 2
        first = self._write(arrivals[:half], verdicts[:half], now, preparations=PREPARATIONS)
        return first.joined(self._write(arrivals[half:], verdicts[half:], now, preparations=PREPARATIONS))

    def _transaction(self, arrivals: Sequence[Arrival], verdicts: list[Verdict], now: datetime) -> Result:
        ledger = Ledger()
        result = self._store(verdicts, ledger)
        self._quarantine(arrivals, result.verdicts, ledger, now)
        self._flag_retained(arrivals, result.verdicts, now)
        ledger.write(self.connection, now=now)
        return result

    def accept(self, arrivals: Sequence[Arrival], ledger: Ledger, *, now: datetime) -> Result:
        """In the caller's transaction: store what may be stored and count it in `ledger`; leave the rest to the caller.

        Raises as `write` does, and any of MESSAGE_FAULTS; the caller's transaction is lost then, and so is what the
        directory learned in it.
        """
        return self._store([self._judge(arrival, now) for arrival in arrivals], ledger)

    def _store(self, verdicts: list[Verdict], ledger: Ledger) -> Result:
        learn_gateways(self.connection, self.directory, verdicts)
        verdicts = refuse_by_gateway(self.directory, verdicts)
        verdicts = register_newcomers(self.connection, self.directory, verdicts)
        rows, tenant_of = to_rows(self.directory, verdicts, ledger)
        stored = self.store.insert(self.connection, rows)
        for device_id, copies in stored.duplicates.items():
            ledger.of(tenant_of[device_id]).duplicate += copies
        return Result(verdicts, stored.stored, len(rows) - stored.stored, self._repeated(verdicts, +stored.duplicates))

    def _repeated(self, verdicts: Sequence[Verdict], duplicates: Counter[int]) -> frozenset[tuple[str, str]]:
        if not duplicates:
            return frozenset()
        return frozenset(
            (v.gateway_code, v.device_code)
            for v in verdicts
            if isinstance(v, Message)
            and (gateway := self.directory.get(v.gateway_code))
            and gateway.devices[v.device_code].id in duplicates
        )

    def _quarantine(
        self, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict], ledger: Ledger, now: datetime
    ) -> None:
        refused = []
        for arrival, verdict in zip(arrivals, verdicts, strict=True):
            if isinstance(verdict, Refusal):
                code = verdict.gateway_code
                gateway = self.directory.get(code) if code else None
                tenant_id = gateway.tenant_id if gateway else arrival.tenant_id
                if verdict.reason is Reason.PREVIOUS_OWNER:
                    tenant_id = None  # the reading is the former owner's: the present one must not see it
                ledger.of(tenant_id).quarantined += 1
                refused.append(
                    quarantine.Refused(
                        verdict.reason,
                        verdict.detail,
                        gateway.id if gateway else None,
                        tenant_id,
                        code or "",
                        arrival.topic or "",
                        arrival.payload,
                    )
                )
        if refused:
            quarantine.keep(self.connection, refused, self.bounds, now=now)

    def _flag_retained(self, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict], now: datetime) -> None:
        codes = {v.gateway_code for a, v in zip(arrivals, verdicts, strict=True) if a.retained and v.gateway_code}
        ids = [gateway.id for code in codes if (gateway := self.directory.get(code))]
        if ids:
            psycopg.Cursor(self.connection).execute(
                "UPDATE tds_new_gateway SET retained_seen_at = %s WHERE id = ANY(%s)", (now, sorted(ids))
            )
