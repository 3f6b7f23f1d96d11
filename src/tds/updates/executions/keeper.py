"""Keeps what gateways report: what they run, and how their executions stand, in one transaction a batch.

A batch costs five or six statements, whatever it holds. What RunningFirmware and executions say after it does not
depend on the order in which reports came, nor on how often.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg.errors import UniqueViolation

from tds.updates.executions import rolled_back, rows, running, told
from tds.updates.executions.deeds import cancel, remove, retry, supersede, withdraw
from tds.updates.executions.facts import facts_of
from tds.updates.executions.reports import Refusal, Report, read
from tds.updates.executions.rows import Loaded
from tds.updates.executions.running import Known
from tds.updates.executions.statuses import Status
from tds.updates.executions.told import Change
from tds.updates.executions.transitions import USUAL, Fact, Kind, Limits, apply

__all__ = [
    "Reports",
    "cancel",
    "remove",
    "remove_gone",
    "retry",
    "settle_deadlines",
    "supersede",
    "take_report",
    "withdraw",
]

logger = logging.getLogger("tds.updates")

TRIES: Final = 3  # of a batch that somebody else's new execution got in the way of
SAY_EVERY_S: Final = 60.0  # of each kind of refusal

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Sender:
    """Of a report: the gateway in use that has the code."""

    id: int
    code: str


@dataclass(frozen=True, slots=True)
class Came:
    """A report and when it reached us."""

    sender: Sender
    report: Report
    at: datetime


def take_report(  # noqa: PLR0913, PLR0917  # who, what, when
    connection: Connection, gateway_id: int, code: str, body: bytes, now: datetime, limits: Limits = USUAL
) -> Refusal | None:
    """Of a gateway that is known by its certificate. None: it is kept."""
    report = read(code, body)
    if isinstance(report, Refusal):
        return report
    keep(connection, [Came(Sender(gateway_id, code), report, now)], limits)
    return None


def keep(connection: Connection, came: Sequence[Came], limits: Limits = USUAL) -> None:
    """In one transaction, or within the one that is open."""
    for left in reversed(range(TRIES)):
        try:
            with connection.transaction():
                _keep(connection, came, limits)
        except UniqueViolation:
            # Between our look and our write another execution was opened for one of these gateways.
            if not left:
                raise
        else:
            return


def settle_deadlines(connection: Connection, now: datetime, limit: int, limits: Limits = USUAL) -> int:
    """End executions whose deadline has passed; how many. At most `limit`: call again while it is as many."""
    return _settle(connection, lambda: rows.due(connection, now, limit), Fact(Kind.DEADLINE), now, limits)


def remove_gone(connection: Connection, now: datetime, limit: int, limits: Limits = USUAL) -> int:
    """End executions of gateways that were disabled or retired; how many."""
    return _settle(connection, lambda: rows.of_gone(connection, limit), Fact(Kind.REMOVE), now, limits)


def _settle(connection: Connection, load: Callable[[], list[Loaded]], fact: Fact, now: datetime, limits: Limits) -> int:
    with connection.transaction():
        loaded = load()
        codes = _codes(connection, {row.gateway_id for row in loaded})
        changes = [
            Change(replace(row, state=after), row.state, codes[row.gateway_id])
            for row in loaded
            if (after := apply(row.state, fact, now, limits)) is not row.state
        ]
        rows.write(connection, [change.row for change in changes])
        told.write(connection, changes, now)
    return len(changes)


def _codes(connection: Connection, gateway_ids: Iterable[int]) -> dict[int, str]:
    found = psycopg.Cursor(connection).execute(
        "SELECT id, code FROM tds_new_gateway WHERE id = ANY(%s)", (list(gateway_ids),)
    )
    return dict(found.fetchall())


# One batch


def _keep(connection: Connection, came: Sequence[Came], limits: Limits) -> None:
    by_gateway: dict[int, list[Came]] = {}
    for one in came:
        by_gateway.setdefault(one.sender.id, []).append(one)
    known, first = _begin(connection, by_gateway)
    claimed = {one.report.execution.execution_id for one in came if one.report.execution}
    executions: dict[int, list[Loaded]] = {}
    for row in rows.of_gateways(connection, list(by_gateway), claimed):
        executions.setdefault(row.gateway_id, []).append(row)
    written: dict[int, Known] = {}
    touched: list[Loaded] = []
    changes: list[Change] = []
    for gateway_id, reports in by_gateway.items():
        before = executions.get(gateway_id, [])
        earlier = None if gateway_id in first else known[gateway_id]
        after, now_known = _settled(before, earlier, reports, limits)
        if now_known != known[gateway_id]:
            written[gateway_id] = now_known
        for old, new in zip(before, after, strict=True):
            if new != old:
                touched.append(new)
            if new.state is not old.state:
                code = reports[0].sender.code
                changes.append(Change(new, old.state, code))
    running.write(connection, written)
    rows.write(connection, touched)
    if changes:
        at = max(one.at for one in came)
        told.write(connection, changes, at)
        rolled_back.remember(connection, changes, at)


def _begin(connection: Connection, by_gateway: Mapping[int, Sequence[Came]]) -> tuple[dict[int, Known], set[int]]:
    """What is known of each, locked. Who has no row yet gets one with the first of its reports; and who those are."""
    known = running.load(connection, by_gateway)
    inserted: set[int] = set()
    while missing := by_gateway.keys() - known.keys():
        first = {each: running.merge(None, by_gateway[each][0].report, by_gateway[each][0].at) for each in missing}
        made = running.insert(connection, first)
        known |= {each: first[each] for each in made}
        inserted |= made
        known |= running.load(connection, missing - made)
    return known, inserted


def _settled(
    executions: Sequence[Loaded], earlier: Known | None, reports: Sequence[Came], limits: Limits
) -> tuple[list[Loaded], Known]:
    """One gateway's executions, and what is known of it, after its reports. Pure."""
    after, known = list(executions), earlier
    for came in reports:
        proven = known is not None and any(_was_offered_since(known, row, came.report) for row in after)
        before, known = known, running.merge(known, came.report, came.at, is_sent_later=proven)
        for place, row in enumerate(after):
            others_open = any(each.state.is_open for each in after if each is not row)
            after[place] = _told(row, came, known, limits, news=known is not before, another_open=others_open)
    if known is None:
        raise ValueError("There is a report at least.")
    return after, known


def _was_offered_since(known: Known, row: Loaded, report: Report) -> bool:
    """Whether a report names, as the first one, an execution that was offered after the newest one came. Nobody could
    have named it before: it is newer than that one, though its gateway's memory or a false number say otherwise."""
    named = report.execution is not None and report.execution.execution_id == row.execution.public_id
    offered_at = row.state.offered_at
    return named and row.execution.heard is None and offered_at is not None and offered_at > known.reported_at


def _told(  # noqa: PLR0913  # what a report is held against
    row: Loaded, came: Came, known: Known, limits: Limits, *, news: bool, another_open: bool
) -> Loaded:
    state, ran = row.state, row.state.status is Status.SUCCEEDED
    execution, facts = facts_of(row.execution, came.report, known.runs, known.former, news=news, ran=ran)
    for fact in facts:
        state = apply(state, fact, came.at, limits, another_open=another_open)
    if execution.heard != row.execution.heard:
        row = replace(row, heard_at=came.at)
    if execution.before != row.execution.before:
        row = replace(row, from_version=known.running.version)
    return replace(row, execution=execution, state=state)


# What comes over MQTT


class Reports:
    """The handler of one broker's link, and what it could make nothing of."""

    def __init__(self, broker: str, limits: Limits = USUAL) -> None:
        self.broker = broker
        self.limits = limits
        self.taken = 0
        self.refused: Counter[str] = Counter()
        self._said_at: dict[str, float] = {}

    def facts(self) -> dict[str, Any]:
        """For the heartbeat."""
        return {"reports_taken": self.taken, "reports_refused": dict(self.refused)}

    def reported(self, connection: Connection, events: Sequence[Any]) -> Iterable[Any]:
        """Of `code`, `payload` and `at`, in the order in which they came."""
        senders = self._senders(connection, {event.code for event in events})
        came: list[Came] = []
        for event in events:
            sender = senders.get(event.code)
            if sender is None:
                self._refuse("unknown_gateway", event.code, "No gateway in use has the code.")
                continue
            report = read(event.code, event.payload)
            if isinstance(report, Refusal):
                kind = "other_gateway" if report.other_gateway else "malformed"
                self._refuse(kind, event.code, report.sentence)
            else:
                came.append(Came(sender, report, event.at))
        if came:
            keep(connection, came, self.limits)
            self.taken += len(came)
        return ()

    @staticmethod
    def _senders(connection: Connection, codes: Iterable[str]) -> dict[str, Sender]:
        """By code; a retired gateway has none any more."""
        found = psycopg.Cursor(connection).execute(
            "SELECT id, code FROM tds_new_gateway WHERE code = ANY(%s) AND status <> 'retired'", (list(codes),)
        )
        return {code: Sender(gateway_id, code) for gateway_id, code in found}

    def _refuse(self, kind: str, code: str, why: str) -> None:
        self.refused[kind] += 1
        if monotonic() - self._said_at.get(kind, float("-inf")) >= SAY_EVERY_S:
            self._said_at[kind] = monotonic()
            logger.warning("%s: a report sent as %s changed nothing. %s", self.broker, ascii(code), ascii(why)[1:-1])
