"""What gateways run, by the newest of their reports: RunningFirmware, loaded, locked and written back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import psycopg

from tds.updates.executions.facts import Runs
from tds.updates.executions.orders import Former, Order, is_newer, leave
from tds.updates.executions.reports import Report, Running

Connection = psycopg.Connection[Any]

_RUNNING: Final = (
    "version, sha256, slot, counter, confirmed, boot_reason, family, hardware, chip, trust_version, trust_expired"
)
_COLUMNS: Final = f"gateway_id, {_RUNNING}, life, boot, number, former_lives, restarts, started_at, reported_at"
# As text: connections of Django read jsonb otherwise than those of our own.
_READ: Final = _COLUMNS.replace("former_lives", "former_lives::text")
_ARRAYS: Final = (
    "unnest(%s::int8[], %s::text[], %s::text[], %s::int2[], %s::int8[], %s::bool[], %s::text[], %s::text[],"
    " %s::text[], %s::text[], %s::int8[], %s::bool[], %s::text[], %s::int8[], %s::int8[], %s::jsonb[], %s::int8[],"
    " %s::timestamptz[], %s::timestamptz[])"
)
_SET: Final = ", ".join(f"{name.strip()} = n.{name.strip()}" for name in _COLUMNS.split(",")[1:])

_SET_ONE: Final = ", ".join(f"{name.strip()} = %s" for name in _COLUMNS.split(",")[1:])
_UPDATE_ONE: Final = f"UPDATE tds_new_runningfirmware SET {_SET_ONE} WHERE gateway_id = %s"  # noqa: S608  # our own words


@dataclass(frozen=True, slots=True)
class Known:
    """Of one gateway. `restarts`: starts since its first report; `started_at`: when the first report of this start
    came."""

    running: Running
    order: Order
    former: Former
    restarts: int
    started_at: datetime
    reported_at: datetime

    @property
    def runs(self) -> Runs:
        return Runs(self.running.sha256, self.running.confirmed, self.order)


def merge(known: Known | None, report: Report, at: datetime, *, is_sent_later: bool = False) -> Known:
    """What is known after a report; the same when it is a copy or late. Pure. `is_sent_later`: than what is known, for
    certain, whatever it counts."""
    order = report.order
    if known is None:
        return Known(report.running, order, (), 0, at, at)
    before = known.order
    if order == before or not (is_sent_later or is_newer(order, before, known.former)):
        return known
    if not order.counts_on(before) or order < before:
        former = leave(known.former, before, order)
        return Known(report.running, order, former, known.restarts + 1, at, at)
    starts = order.boot - before.boot
    if not starts and report.running.sha256 != known.running.sha256:
        starts = 1  # that it could not count
    return replace(
        known,
        running=report.running,
        order=order,
        restarts=known.restarts + starts,
        started_at=at if starts else known.started_at,
        reported_at=at,
    )


def load(connection: Connection, gateway_ids: Iterable[int]) -> dict[int, Known]:
    """Locked until the end of the transaction."""
    rows = psycopg.Cursor(connection).execute(
        f"SELECT {_READ} FROM tds_new_runningfirmware WHERE gateway_id = ANY(%s) ORDER BY gateway_id FOR UPDATE",  # noqa: S608  # our own words
        (sorted(gateway_ids),),
    )
    return {row[0]: _known(row) for row in rows}


def insert(connection: Connection, new: Mapping[int, Known]) -> set[int]:
    """Rows for gateways that have none. Returns whose were made: another connection may have been faster."""
    if not new:
        return set()
    rows = psycopg.Cursor(connection).execute(
        f"INSERT INTO tds_new_runningfirmware ({_COLUMNS}) SELECT * FROM {_ARRAYS} AS n"  # noqa: S608  # our own words
        " ON CONFLICT (gateway_id) DO NOTHING RETURNING gateway_id",
        _as_arrays(dict(sorted(new.items()))),
    )
    return {gateway_id for (gateway_id,) in rows}


def write(connection: Connection, changed: Mapping[int, Known]) -> None:
    if len(changed) == 1:  # as of a POST: half the cost
        [gateway_id, *values] = (column[0] for column in _as_arrays(changed))
        psycopg.Cursor(connection).execute(_UPDATE_ONE, (*values, gateway_id))
    elif changed:
        psycopg.Cursor(connection).execute(
            f"UPDATE tds_new_runningfirmware AS r SET {_SET} FROM {_ARRAYS} AS n ({_COLUMNS})"  # noqa: S608  # our own words
            " WHERE r.gateway_id = n.gateway_id",
            _as_arrays(changed),
        )


def _known(row: tuple[Any, ...]) -> Known:
    former = tuple(Order(*each) for each in json.loads(row[15]))
    return Known(Running(*row[1:12]), Order(*row[12:15]), former, *row[16:])


def _as_arrays(rows: Mapping[int, Known]) -> tuple[list[Any], ...]:
    known = rows.values()
    running = [each.running for each in known]
    return (
        list(rows),
        [each.version for each in running],
        [each.sha256 for each in running],
        [each.slot for each in running],
        [each.counter for each in running],
        [each.confirmed for each in running],
        [each.boot_reason for each in running],
        [each.family for each in running],
        [each.hardware for each in running],
        [each.chip for each in running],
        [each.trust_version for each in running],
        [each.trust_expired for each in running],
        [each.order.life for each in known],
        [each.order.boot for each in known],
        [each.order.number for each in known],
        [json.dumps(each.former) for each in known],
        [each.restarts for each in known],
        [each.started_at for each in known],
        [each.reported_at for each in known],
    )
