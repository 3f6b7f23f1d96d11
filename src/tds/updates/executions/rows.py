"""Executions in the database: loaded and locked, and written back, many a statement.

Rows are locked in the order of their ids, so that whoever changes executions can't deadlock with one another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from tds.updates.executions.facts import Execution
from tds.updates.executions.orders import Order
from tds.updates.executions.statuses import Status
from tds.updates.executions.transitions import State

Connection = psycopg.Connection[Any]

_STATE: Final = (
    "status, phase, reason, detail, bytes_done, attempt, offered_at, changed_at, deadline_at, finished_at,"
    " installing_at, rebooting_at, succeeded_at"
)
_COLUMNS: Final = f"id, public_id, from_version, from_sha256, heard_at, heard_in, tried_in, seq, ticket, {_STATE}"
_ARRAYS: Final = (
    "unnest(%s::int8[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::int8[],"
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int8[], %s::int4[], %s::timestamptz[],"
    " %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])"
)
_SET: Final = ", ".join(f"{name.strip()} = n.{name.strip()}" for name in _COLUMNS.split(",")[1:])
_SET_ONE: Final = ", ".join(f"{name.strip()} = %s" for name in _COLUMNS.split(",")[1:])
_UPDATE_ONE: Final = f"UPDATE tds_new_execution SET {_SET_ONE} WHERE id = %s"  # noqa: S608  # our own words
_OF_E: Final = ", ".join(f"e.{name.strip()}" for name in _STATE.split(","))
_SELECT: Final = f"""SELECT e.id, e.gateway_id, e.rollout_id, o.release_id, r.sha256, e.public_id, e.from_version,
    e.from_sha256, e.heard_at, e.heard_in, e.tried_in, e.seq, e.ticket,
    e.family, e.hardware, o.status IN ('running', 'paused', 'halted'), {_OF_E}
    FROM tds_new_execution AS e JOIN tds_new_rollout AS o ON o.id = e.rollout_id
    JOIN tds_new_release AS r ON r.id = o.release_id WHERE """  # noqa: S608  # our own words


@dataclass(frozen=True, slots=True)
class Loaded:
    """One execution. `seq` and `ticket` are of its newest ticket, `family` and `hardware` of the rollout's start."""

    id: int
    gateway_id: int
    rollout_id: int
    release_id: int
    execution: Execution
    state: State
    from_version: str
    heard_at: datetime | None
    seq: int | None
    ticket: str
    family: str = ""
    hardware: str = ""


def of_gateways(connection: Connection, gateway_ids: Sequence[int], claimed: Iterable[str]) -> list[Loaded]:
    """What a report of these can be of: the open one, the newest one, and the one that it names."""
    # By index each, whatever a gateway has had: as one condition it costs the square of its executions.
    return _load(
        connection,
        """e.id = ANY(ARRAY(
               SELECT id FROM tds_new_execution
               WHERE gateway_id = ANY(%(gateways)s) AND status IN ('QUEUED', 'IN_PROGRESS')
               UNION ALL
               SELECT id FROM tds_new_execution WHERE gateway_id = ANY(%(gateways)s) AND public_id = ANY(%(claimed)s)
               UNION ALL
               SELECT newest.id FROM unnest(%(gateways)s::int8[]) AS g (id) CROSS JOIN LATERAL (
                   SELECT id FROM tds_new_execution WHERE gateway_id = g.id ORDER BY id DESC LIMIT 1) AS newest))""",
        {"claimed": list(claimed), "gateways": list(gateway_ids)},
    )


def of_ids(connection: Connection, ids: Sequence[int]) -> list[Loaded]:
    return _load(connection, "e.id = ANY(%(ids)s)", {"ids": list(ids)})


def due(connection: Connection, now: datetime, limit: int) -> list[Loaded]:
    """Those whose deadline has passed and that nobody is at."""
    return _load(
        connection,
        """e.id IN (SELECT id FROM tds_new_execution WHERE deadline_at IS NOT NULL AND deadline_at <= %(now)s
            ORDER BY deadline_at LIMIT %(limit)s) AND e.deadline_at <= %(now)s""",
        {"now": now, "limit": limit},
        skip=True,
    )


def of_gone(connection: Connection, limit: int) -> list[Loaded]:
    """Open ones of gateways that were disabled or retired."""
    return _load(
        connection,
        """e.id IN (
               SELECT x.id FROM tds_new_execution AS x JOIN tds_new_gateway AS g ON g.id = x.gateway_id
               WHERE x.status IN ('QUEUED', 'IN_PROGRESS') AND g.status <> 'active' LIMIT %(limit)s)""",
        {"limit": limit},
        skip=True,
    )


def write(connection: Connection, rows: Sequence[Loaded]) -> None:
    if len(rows) == 1:  # as of a POST: half the cost
        [id_, *values] = (column[0] for column in _as_arrays(rows))
        psycopg.Cursor(connection).execute(_UPDATE_ONE, (*values, id_))
    elif rows:
        psycopg.Cursor(connection).execute(
            f"UPDATE tds_new_execution AS e SET {_SET} FROM {_ARRAYS} AS n ({_COLUMNS}) WHERE e.id = n.id",  # noqa: S608  # our own words
            _as_arrays(rows),
        )


def _load(connection: Connection, which: str, parameters: Mapping[str, object], *, skip: bool = False) -> list[Loaded]:
    lock = " ORDER BY e.id FOR UPDATE OF e" + (" SKIP LOCKED" if skip else "")
    return [_loaded(*row) for row in psycopg.Cursor(connection).execute(_SELECT + which + lock, parameters)]


def _loaded(  # noqa: PLR0913, PLR0917  # a row
    id_: int,
    gateway_id: int,
    rollout_id: int,
    release_id: int,
    target: str,
    public_id: str,
    from_version: str,
    from_sha256: str,
    heard_at: datetime | None,
    heard_in: str,
    tried_in: str,
    seq: int | None,
    ticket: str,
    family: str,
    hardware: str,
    goes_on: bool,
    status: str,
    *state: Any,
) -> Loaded:
    execution = Execution(public_id, target, from_sha256, Order.of(heard_in), Order.of(tried_in), goes_on)
    return Loaded(
        id_,
        gateway_id,
        rollout_id,
        release_id,
        execution,
        State(Status(status), *state),
        from_version,
        heard_at,
        seq,
        ticket,
        family,
        hardware,
    )


def _as_arrays(rows: Sequence[Loaded]) -> tuple[list[Any], ...]:
    executions, states = [row.execution for row in rows], [row.state for row in rows]
    return (
        [row.id for row in rows],
        [execution.public_id for execution in executions],
        [row.from_version for row in rows],
        [execution.before for execution in executions],
        [row.heard_at for row in rows],
        [str(execution.heard or "") for execution in executions],
        [str(execution.tried or "") for execution in executions],
        [row.seq for row in rows],
        [row.ticket for row in rows],
        [state.status.value for state in states],
        [state.phase for state in states],
        [state.reason for state in states],
        [state.detail for state in states],
        [state.bytes_done for state in states],
        [state.attempt for state in states],
        [state.offered_at for state in states],
        [state.changed_at for state in states],
        [state.deadline_at for state in states],
        [state.finished_at for state in states],
        [state.installing_at for state in states],
        [state.rebooting_at for state in states],
        [state.succeeded_at for state in states],
    )
