"""What of an execution a rollout's timeline tells.

Not each success and each phase: a hundred thousand lines that nobody reads. What went wrong, and what was corrected.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from tds.updates.executions.rows import Loaded
from tds.updates.executions.statuses import Reason, Status
from tds.updates.executions.transitions import State
from tds.updates.timeline import Happened

Connection = psycopg.Connection[Any]

MAX_LINES: Final = 10  # an attempt: a gateway that says now this and now that tells no more; its page has how it stands


@dataclass(frozen=True, slots=True)
class Change:
    """One execution before and after."""

    row: Loaded  # after
    before: State
    gateway_code: str

    @property
    def after(self) -> State:
        return self.row.state


def write(connection: Connection, changes: Sequence[Change], at: datetime) -> None:
    """The lines of the timelines. Nothing is ever taken out of one, so no gateway may fill it: see MAX_LINES."""
    lines: list[tuple[int, int | None, int, Happened, dict[str, Any]]] = [
        (change.row.rollout_id, change.row.id, MAX_LINES * change.after.attempt, *line)
        for change in changes
        if (line := _line(change))
    ]
    silent = Counter(change.row.rollout_id for change in changes if _is(change.after, Reason.NO_ANSWER))
    lines += [
        (rollout_id, None, 1, Happened.NO_ANSWER, {"gateways": number}) for rollout_id, number in sorted(silent.items())
    ]
    if lines:
        connection.execute(
            """INSERT INTO tds_new_rolloutevent (rollout_id, at, kind, actor, execution_id, words)
               SELECT rollout_id, %s, kind, '', execution_id, words
               FROM unnest(%s::int8[], %s::int8[], %s::int4[], %s::text[], %s::jsonb[])
                   AS n (rollout_id, execution_id, most, kind, words)
               WHERE (SELECT count(*) FROM tds_new_rolloutevent AS e WHERE e.execution_id = n.execution_id) < n.most""",
            (
                at,
                [line[0] for line in lines],
                [line[1] for line in lines],
                [line[2] for line in lines],
                [line[3].value for line in lines],
                [json.dumps(line[4]) for line in lines],
            ),
        )


def _line(change: Change) -> tuple[Happened, dict[str, Any]] | None:
    before, after = change.before, change.after
    words: dict[str, Any] = {"gateway": change.gateway_code, "why": after.reason, "detail": after.detail}
    kind = _kind(after)
    if not before.is_open:
        if kind is Happened.UPDATE_LOST:
            return kind, words | {"phase": after.phase}
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
