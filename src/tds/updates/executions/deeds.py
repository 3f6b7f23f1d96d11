"""What a person, a rule or a retirement does to executions. Whoever calls it writes the audit trail and the timeline,
in the same transaction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg

from tds.updates.executions import rows
from tds.updates.executions.statuses import Status
from tds.updates.executions.transitions import USUAL, Fact, Kind, Limits, apply

Connection = psycopg.Connection[Any]


def new_public_id() -> str:
    """`execution_id` on the wire. Each attempt has another: a gateway does not take one again that it has finished."""
    return str(uuid4())


def cancel(connection: Connection, execution_ids: Sequence[int], now: datetime) -> list[int]:
    """Returns those that were open. One that is under way may go on: then it is corrected by what it runs."""
    return _do(connection, execution_ids, Fact(Kind.CANCEL), now)


def remove(connection: Connection, execution_ids: Sequence[int], now: datetime) -> list[int]:
    """Of gateways that are gone. Returns those that were open."""
    return _do(connection, execution_ids, Fact(Kind.REMOVE), now)


def supersede(connection: Connection, execution_ids: Sequence[int], now: datetime) -> list[int]:
    """By another rollout. Returns those that were open."""
    return _do(connection, execution_ids, Fact(Kind.SUPERSEDE), now)


def withdraw(connection: Connection, execution_ids: Sequence[int], now: datetime) -> list[int]:
    """With their release. Returns those that were open."""
    return _do(connection, execution_ids, Fact(Kind.WITHDRAW), now)


def retry(
    connection: Connection, execution_ids: Sequence[int], now: datetime, answer_s: float | None = None
) -> list[int]:
    """Let finished ones begin anew, as never offered; `answer_s`: for how long. Returns which: not those that
    succeeded, nor those whose gateway has another execution under way or is not in use."""
    return _do(connection, execution_ids, Fact(Kind.RETRY, limit_s=answer_s), now)


def _do(connection: Connection, ids: Sequence[int], fact: Fact, now: datetime, limits: Limits = USUAL) -> list[int]:
    changed: list[rows.Loaded] = []
    with connection.transaction():
        loaded = rows.of_ids(connection, ids)
        told = [row.id for row in loaded if row.state.status in (Status.FAILED, Status.REJECTED)]  # they are not at it
        busy = _busy(connection, {row.gateway_id for row in loaded}) if fact.kind is Kind.RETRY else set()
        for row in loaded:
            after = apply(row.state, fact, now, limits, another_open=row.gateway_id in busy)
            if after is row.state:
                continue
            changed.append(replace(row, state=after))
            if fact.kind is Kind.RETRY:
                # All that reports said was of another attempt.
                again = row.execution.again(new_public_id())
                changed[-1] = replace(changed[-1], execution=again, heard_at=None, seq=None, ticket="")
                busy.add(row.gateway_id)
        rows.write(connection, changed)
        if fact.kind is Kind.RETRY and changed:
            connection.execute(
                """UPDATE tds_new_execution SET pushed_at = NULL, queued_at = %s,
                       ticket_until = CASE WHEN id = ANY(%s) THEN NULL ELSE ticket_until END
                   WHERE id = ANY(%s)""",
                (now, told, [row.id for row in changed]),
            )
    return [row.id for row in changed]


def _busy(connection: Connection, gateway_ids: set[int]) -> set[int]:
    """Gateways that can't have another execution now."""
    found = psycopg.Cursor(connection).execute(
        """SELECT gateway_id FROM tds_new_execution
           WHERE gateway_id = ANY(%(ids)s) AND status IN ('QUEUED', 'IN_PROGRESS')
           UNION SELECT id FROM tds_new_gateway WHERE id = ANY(%(ids)s) AND status <> 'active'""",
        {"ids": list(gateway_ids)},
    )
    return {gateway_id for (gateway_id,) in found}
