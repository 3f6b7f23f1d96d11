"""A batch of messages to one COMMIT: rows, quarantine and ledger together, or nothing.

Whoever calls may acknowledge the batch when `write` returns, and not before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import errors

from tds.fleet.directory import Directory
from tds.ingest import presence, quarantine
from tds.ingest.assign import Verdict, learn_gateways, owner, refuse_by_gateway, register_newcomers, to_rows
from tds.ingest.ledger import Ledger
from tds.ingest.messages import Arrival, Message, Refusal
from tds.ingest.reasons import Reason
from tds.ingest.wire import judge, judge_body
from tds.readings.budget import LONG_AGO
from tds.readings.store import MissingPartitionError, ReadingStore

__all__ = ["MESSAGE_FAULTS", "Arrival", "Result", "Writer"]

# What a message itself can be to blame for: class 22 (data exception) and these of class 23. All else is the
# platform's own trouble, which passes: the batch is kept and tried again.
MESSAGE_FAULTS: Final = (
    psycopg.DataError,
    errors.NotNullViolation,
    errors.CheckViolation,
    errors.ForeignKeyViolation,
)
PREPARATIONS: Final = 1  # a partition that is still missing after it was made is no matter of waiting


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
    notes_presence: bool = False  # that gateways were heard, with each batch; a consumer does so now and then

    def write(self, arrivals: Sequence[Arrival], *, now: datetime) -> Result:
        """Store or quarantine every message of a batch, durably. Raises psycopg.Error with nothing written."""
        verdicts = [self._judge(arrival, now) for arrival in arrivals]
        return self._write(arrivals, verdicts, now)

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
        self,
        arrivals: Sequence[Arrival],
        verdicts: list[Verdict],
        now: datetime,
        *,
        preparations: int = PREPARATIONS,
        looked_up_anew: bool = False,
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
            return self._write(arrivals, verdicts, now, preparations=preparations - 1, looked_up_anew=looked_up_anew)
        except MESSAGE_FAULTS as error:
            self.directory.forget()
            if len(arrivals) == 1 and not looked_up_anew:
                # What was remembered may be at fault, and not the message: its tenant may have been deleted meanwhile.
                return self._write(arrivals, verdicts, now, looked_up_anew=True)
            try:
                # All of it or nothing: a half that were committed before the other fails would be counted, and its bad
                # messages kept, once more at the next try.
                with self.connection.transaction():
                    return self._bisect(arrivals, verdicts, now, error)
            except BaseException:
                self.directory.forget()
                raise
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
            return self._write(arrivals, [refusal], now, looked_up_anew=True)
        half = len(arrivals) // 2
        first = self._write(arrivals[:half], verdicts[:half], now, looked_up_anew=True)
        return first.joined(self._write(arrivals[half:], verdicts[half:], now, looked_up_anew=True))

    def _transaction(self, arrivals: Sequence[Arrival], verdicts: list[Verdict], now: datetime) -> Result:
        ledger = Ledger()
        result = self._store(arrivals, verdicts, ledger, now)
        self._quarantine(arrivals, result.verdicts, ledger, now)
        ledger.write(self.connection, now=now)
        return result

    def accept(self, arrivals: Sequence[Arrival], ledger: Ledger, *, now: datetime) -> Result:
        """In the caller's transaction: store what may be stored and count it in `ledger`; leave the rest to the caller.

        Raises as `write` does, and any of MESSAGE_FAULTS; the caller's transaction is lost then, and so is what the
        directory learned in it.
        """
        return self._store(arrivals, [self._judge(arrival, now) for arrival in arrivals], ledger, now)

    def _store(self, arrivals: Sequence[Arrival], verdicts: list[Verdict], ledger: Ledger, now: datetime) -> Result:
        learn_gateways(self.connection, self.directory, arrivals, verdicts)
        verdicts = refuse_by_gateway(self.directory, arrivals, verdicts)
        retained = self._retained(arrivals, verdicts)
        changed = [*retained, *self._senders(arrivals, verdicts)]
        verdicts = register_newcomers(self.connection, self.directory, arrivals, verdicts, changed)
        self._flag_retained(retained, now)
        if self.notes_presence:
            self._note_presence(arrivals, verdicts, now)
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
            and (device := gateway.device(v.device_code))
            and device.id in duplicates
        )

    def _quarantine(
        self, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict], ledger: Ledger, now: datetime
    ) -> None:
        refused = []
        for arrival, verdict in zip(arrivals, verdicts, strict=True):
            if isinstance(verdict, Refusal):
                gateway, tenant_id = owner(self.directory, arrival, verdict, now=now)
                ledger.of(tenant_id).quarantined += 1
                refused.append(
                    quarantine.Refused(
                        verdict.reason,
                        verdict.detail,
                        gateway.id if gateway else None,
                        tenant_id,
                        verdict.gateway_code or arrival.gateway_code or "",
                        arrival.topic or "",
                        arrival.payload,
                        arrival.received_at,
                    )
                )
        if refused:
            quarantine.keep(self.connection, refused, self.bounds, now=now)

    def _retained(self, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict]) -> list[int]:
        """The ids of the gateways that sent retained messages, whatever becomes of these."""
        codes = {v.gateway_code for a, v in zip(arrivals, verdicts, strict=True) if a.retained and v.gateway_code}
        return [gateway.id for code in codes if (gateway := self.directory.get(code))]

    def _senders(self, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict]) -> set[int]:
        """Whose presence will be noted, as far as that takes a lock: the gateway of one message is locked by it."""
        if not self.notes_presence or len(arrivals) == 1:
            return set()
        found = (presence.sender(self.directory, a, v) for a, v in zip(arrivals, verdicts, strict=True))
        return {gateway.id for gateway in found if gateway is not None}

    def _note_presence(self, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict], now: datetime) -> None:
        """Where the flag is set, and for the same reason."""
        seen = presence.LastSeen()
        seen.note(self.directory, arrivals, verdicts, now)
        if seen:
            seen.write(self.connection)

    def _flag_retained(self, gateway_ids: list[int], now: datetime) -> None:
        """Right after these rows were locked, and before all others of the batch: two writers can't deadlock."""
        if gateway_ids:
            psycopg.Cursor(self.connection).execute(
                "UPDATE tds_new_gateway SET retained_seen_at = %s WHERE id = ANY(%s)", (now, gateway_ids)
            )
