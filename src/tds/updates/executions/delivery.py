"""Offers an execution to its gateway, and makes the command that says so. The same one for each way to deliver it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final

import psycopg

from tds.updates.executions import numbers, rows, tickets
from tds.updates.executions.statuses import Phase, Status
from tds.updates.executions.tickets import Draft
from tds.updates.executions.transitions import Fact, Kind, apply
from tds.updates.rollouts import windows
from tds.updates.rollouts.windows import Window

OFFERED: Final = "tds_updates_offered"  # notifications: something is to be pushed
CHECK: Final = "tds_updates_check"  # … and: all are to ask
OFFER_BATCH: Final = 1_000  # executions a statement
# Phases in which a gateway that asks is told what it is at: it may have lost its memory.
ANSWERED: Final = ("", Phase.DOWNLOADING, Phase.DOWNLOADED, Phase.VERIFIED)

Connection = psycopg.Connection[Any]
# Whether an execution that waits, by its id, may be offered by the rules of its rollout. It may offer it itself.
MayOffer = Callable[[Connection, int, datetime], bool]


class Checked(StrEnum):
    """What became of a person's wish that a gateway looks for its update now."""

    TOLD = "told"  # the command is on its way, as soon as the gateway is connected
    UNDER_WAY = "under_way"
    WAITS = "waits"  # its turn has not come by the rollout's rules
    NOTHING = "nothing"  # there is nothing for it


@dataclass(frozen=True, slots=True)
class Assigned:
    """An execution that is open, as far as delivery is concerned."""

    id: int
    public_id: str
    gateway_code: str
    status: Status
    phase: str
    seq: int | None
    ticket: str
    version: str
    sha256: str
    manifest: str
    rollout_status: str
    window_start: time | None
    window_end: time | None
    time_zone: str

    def is_given(self, now: datetime) -> bool:
        """Outside of the maintenance window nobody is told anything. A rollout that is paused or halted starts nobody;
        who is at it may go on."""
        if not windows.is_open(_window(self.window_start, self.window_end), windows.zone(self.time_zone), now):
            return False
        if self.status is Status.QUEUED:
            return self.rollout_status == "running"
        return self.rollout_status in ("running", "paused") and self.phase in ANSWERED


def offer(connection: Connection, execution_ids: Sequence[int], now: datetime) -> list[int]:
    """Sign tickets for those that wait, or whose ticket is over; they are pushed at once to gateways that are
    connected. Returns whose. Whether they may be offered is the caller's to know. Raises KeyUnusableError, OSError."""
    offered: list[int] = []
    ids = sorted(execution_ids)
    for first in range(0, len(ids), OFFER_BATCH):
        with connection.transaction():
            offered += _offer(connection, ids[first : first + OFFER_BATCH], now)
    return offered


def document_for(
    connection: Connection, gateway_id: int, now: datetime, may_offer: MayOffer | None = None, *, base_url: str
) -> bytes | None:
    """The command for a gateway that asks; None: nothing to do. One that waits is offered if `may_offer` says so.

    `base_url` is of the firmware server, by the name that gateways know it by.
    """
    one = _of_gateway(connection, gateway_id)
    if one is None or not one.is_given(now):
        return None
    ready = _ready(connection, one, gateway_id, now, may_offer)
    return document(ready, base_url) if ready else None


def check_now(connection: Connection, gateway_id: int, now: datetime, may_offer: MayOffer | None = None) -> Checked:
    """A person's wish for one gateway: nothing goes that would not go anyway, but at once and again."""
    one = _of_gateway(connection, gateway_id)
    if one is None:
        return Checked.NOTHING
    if one.status is Status.IN_PROGRESS:
        return Checked.UNDER_WAY
    if not one.is_given(now) or _ready(connection, one, gateway_id, now, may_offer) is None:
        return Checked.WAITS
    with connection.transaction():
        connection.execute("UPDATE tds_new_execution SET pushed_at = NULL WHERE id = %s", (one.id,))
        connection.execute("SELECT pg_notify(%s, '')", (OFFERED,))
    return Checked.TOLD


def check_now_all(connection: Connection) -> None:
    """A person's wish for the whole fleet: all that are connected ask, each after a random while."""
    connection.execute("SELECT pg_notify(%s, '')", (CHECK,))


def document(assigned: Assigned, base_url: str) -> bytes:
    return tickets.command(
        execution_id=assigned.public_id,
        version=assigned.version,
        sha256=assigned.sha256,
        manifest=assigned.manifest,
        ticket=assigned.ticket,
        base_url=base_url,
    )


def assigned_of(connection: Connection, execution_ids: Sequence[int], now: datetime) -> list[Assigned]:
    """Those of them that are to be handed out now, in this order of ids."""
    found = _assigned(connection, "e.id = ANY(%(ids)s)", {"ids": list(execution_ids)})
    return [one for one in found if one.is_given(now)]


def _of_gateway(connection: Connection, gateway_id: int) -> Assigned | None:
    found = _assigned(connection, "e.gateway_id = %(gateway)s", {"gateway": gateway_id})
    return found[0] if found else None


def _ready(
    connection: Connection, one: Assigned, gateway_id: int, now: datetime, may_offer: MayOffer | None
) -> Assigned | None:
    """The same with a ticket that its gateway still takes; None when its turn has not come."""
    if one.seq is None and not (may_offer and may_offer(connection, one.id, now)):
        return None
    if one.seq is None or tickets.is_over(one.ticket, now):
        offer(connection, [one.id], now)
        found = _of_gateway(connection, gateway_id)
        return found if found and found.ticket else None
    return one


def _window(start: time | None, end: time | None) -> Window | None:
    return Window(start, end) if start is not None and end is not None else None


def _assigned(connection: Connection, which: str, parameters: dict[str, Any]) -> list[Assigned]:
    found = psycopg.Cursor(connection).execute(
        f"""SELECT e.id, e.public_id, g.code, e.status, e.phase, e.seq, e.ticket, r.version, r.sha256, r.manifest,
                o.status, o.window_start, o.window_end, e.time_zone
            FROM tds_new_execution AS e JOIN tds_new_gateway AS g ON g.id = e.gateway_id
            JOIN tds_new_rollout AS o ON o.id = e.rollout_id JOIN tds_new_release AS r ON r.id = o.release_id
            WHERE {which} AND e.status IN ('QUEUED', 'IN_PROGRESS') AND g.status = 'active'
                AND r.status = 'published' ORDER BY e.id""",  # noqa: S608  # our own words
        parameters,
    )
    return [Assigned(id_, public_id, code, Status(status), *rest) for id_, public_id, code, status, *rest in found]


def _offer(connection: Connection, ids: Sequence[int], now: datetime) -> list[int]:
    waiting = [row for row in rows.of_ids(connection, ids) if row.state.is_open]
    waiting = [row for row in waiting if row.seq is None or tickets.is_over(row.ticket, now)]
    if not waiting:
        return []
    told = psycopg.Cursor(connection).execute(
        """SELECT e.id, g.code, r.manifest_sha256, w.opened_at,
               o.spread_s * (e.place::float8 / greatest(w.size, 1)), f.version, f.sha256,
               o.window_start, o.window_end, e.time_zone
           FROM tds_new_execution AS e JOIN tds_new_gateway AS g ON g.id = e.gateway_id
           JOIN tds_new_rollout AS o ON o.id = e.rollout_id JOIN tds_new_release AS r ON r.id = o.release_id
           LEFT JOIN tds_new_wave AS w ON w.rollout_id = o.id AND w.number = e.wave
           LEFT JOIN tds_new_runningfirmware AS f ON f.gateway_id = e.gateway_id
           WHERE e.id = ANY(%s)""",
        ([row.id for row in waiting],),
    )
    by_id = {row[0]: row[1:] for row in told}
    drafts, ready = [], []
    for row, seq in zip(waiting, numbers.draw(connection, len(waiting), now), strict=True):
        code, manifest_sha256, opened_at, spread_s, version, sha256, start, end, zone = by_id[row.id]
        begins = (opened_at or now) + timedelta(seconds=spread_s or 0)
        window = _window(start, end)
        closes = windows.closing(window, windows.zone(zone), now) if window else None
        drafts.append(Draft(row.execution.public_id, code, manifest_sha256, seq, begins, closes))
        first = row.seq is None and sha256 is not None
        execution = replace(row.execution, before=sha256) if first else row.execution
        ready.append(
            replace(
                row,
                state=apply(row.state, Fact(Kind.OFFERED), now),
                seq=seq,
                execution=execution,
                from_version=version if first else row.from_version,
            )
        )
    texts = tickets.sign(drafts, tickets.signing_key(connection, now), now)
    rows.write(connection, [replace(row, ticket=text) for row, text in zip(ready, texts, strict=True)])
    connection.execute(
        """UPDATE tds_new_execution AS e SET pushed_at = NULL, ticket_until = n.ticket_until
           FROM unnest(%s::int8[], %s::timestamptz[]) AS n (id, ticket_until) WHERE e.id = n.id""",
        ([row.id for row in ready], [draft.until(now) for draft in drafts]),
    )
    connection.execute("SELECT pg_notify(%s, '')", (OFFERED,))
    return [row.id for row in ready]
