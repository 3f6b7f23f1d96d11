"""What of an execution a rollout's timeline tells, and what is remembered of bad images.

Not each success and each phase: a hundred thousand lines that nobody reads. What went wrong, and what was corrected.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from tds.updates.executions.rows import Loaded
from tds.updates.executions.statuses import OF_A_BAD_IMAGE, Reason, Status
from tds.updates.executions.transitions import State
from tds.updates.timeline import Happened

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One execution before and after. `family` and `hardware` by the gateway's own word; empty where it gave none."""

    row: Loaded  # after
    before: State
    gateway_code: str
    family: str = ""
    hardware: str = ""

    @property
    def after(self) -> State:
        return self.row.state


def write(connection: Connection, changes: Sequence[Change], at: datetime) -> None:
    """The lines of the timelines."""
    lines: list[tuple[int, int | None, Happened, dict[str, Any]]] = [
        (change.row.rollout_id, change.row.id, *line) for change in changes if (line := _line(change))
    ]
    silent = Counter(change.row.rollout_id for change in changes if _is(change.after, Reason.NO_ANSWER))
    lines += [
        (rollout_id, None, Happened.NO_ANSWER, {"gateways": number}) for rollout_id, number in sorted(silent.items())
    ]
    if lines:
        connection.execute(
            """INSERT INTO tds_new_rolloutevent (rollout_id, at, kind, actor, execution_id, words)
               SELECT rollout_id, %s, kind, '', execution_id, words
               FROM unnest(%s::int8[], %s::int8[], %s::text[], %s::jsonb[]) AS n (rollout_id, execution_id, kind, words)
               """,
            (
                at,
                [line[0] for line in lines],
                [line[1] for line in lines],
                [line[2].value for line in lines],
                [json.dumps(line[3]) for line in lines],
            ),
        )


def remember_bad(connection: Connection, changes: Iterable[Change], at: datetime) -> None:
    """Count what rolled back, once an attempt; and take it back where it turns out to run after all."""
    counts: Counter[tuple[int, str, str]] = Counter()
    for change in changes:
        where = change.row.release_id, change.family, change.hardware
        if _is_bad(change.after) and not _is_bad(change.before):
            counts[where] += 1
        elif _is_bad(change.before) and change.after.status is Status.SUCCEEDED:
            counts[where] -= 1
    for (release_id, family, hardware), number in sorted(counts.items()):
        connection.execute(
            """INSERT INTO tds_new_knownbad (release_id, family, hardware, rolled_back, last_at)
               VALUES (%(release)s, %(family)s, %(hardware)s, greatest(0, %(number)s), %(at)s)
               ON CONFLICT (release_id, family, hardware) DO UPDATE SET
                   rolled_back = greatest(0, tds_new_knownbad.rolled_back + %(number)s),
                   last_at = CASE WHEN %(number)s > 0 THEN %(at)s ELSE tds_new_knownbad.last_at END""",
            {"release": release_id, "family": family, "hardware": hardware, "number": number, "at": at},
        )


def _line(change: Change) -> tuple[Happened, dict[str, Any]] | None:
    before, after = change.before, change.after
    words: dict[str, Any] = {"gateway": change.gateway_code, "why": after.reason, "detail": after.detail}
    kind = _kind(after)
    if not before.is_open:
        if before.status is after.status or after.status is Status.QUEUED:
            return None  # a better reason for the same end
        return Happened.UPDATE_CORRECTED, words | {"before": before.status.value, "after": after.status.value}
    return (kind, words | {"phase": after.phase}) if kind else None


def _kind(after: State) -> Happened | None:
    """Of the end of one that was open; None where nothing is told of it."""
    match after.status:
        case Status.FAILED:
            return Happened.UPDATE_FAILED
        case Status.REJECTED:
            return Happened.UPDATE_REFUSED
        case Status.REMOVED:
            return Happened.UPDATE_REMOVED
        case Status.TIMED_OUT if after.reason == Reason.LOST:
            return Happened.UPDATE_LOST
        case _:
            return None


def _is(state: State, reason: Reason) -> bool:
    return state.status is Status.TIMED_OUT and state.reason == reason


def _is_bad(state: State) -> bool:
    return state.status is Status.FAILED and state.reason in OF_A_BAD_IMAGE
