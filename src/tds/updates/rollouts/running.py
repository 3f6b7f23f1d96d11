"""A rollout that runs, as its row and its waves say, read under its lock; and what is written down of it."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from tds.fleet.audit import ROLLOUT
from tds.fleet.models import AuditAction
from tds.updates.rollouts import counts
from tds.updates.rollouts.counts import Counts
from tds.updates.rollouts.limits import BOUNDS, Limits
from tds.updates.rollouts.rules import OpenWave
from tds.updates.rollouts.windows import Window
from tds.updates.timeline import Happened

RULE: Final = "rule"  # who did it, in the audit trail
GATEWAYS_TOLD: Final = 20  # in a line of the timeline
LATE: Final = timedelta(minutes=1)  # between a report's arrival, whose moment a change has, and its change

NUMBERS: Final = tuple(BOUNDS)  # in the order of the query below
# Also one that stands still, until its release's withdrawal has ended it.
_CONDUCTED: Final = (
    "r.status = 'running' OR"
    " r.status IN ('paused', 'halted') AND p.status = 'withdrawn' AND r.halted_why <> 'withdrawn'"
)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class WaveRow:
    number: int
    label: str
    size: int
    opened_at: datetime | None
    offers_until: datetime | None
    soak_from: datetime | None


@dataclass(frozen=True, slots=True)
class Running:
    id: int
    tenant_id: int | None
    release_id: int
    title: str
    limits: Limits
    withdrawn: bool
    accepted_until: datetime | None
    waves: tuple[WaveRow, ...]
    counts: dict[int, Counts]  # by number of the wave

    @property
    def opened(self) -> list[OpenWave]:
        return [
            OpenWave(wave.number, self.counts.get(wave.number, Counts()), wave.soak_from)
            for wave in self.waves
            if wave.opened_at is not None
        ]

    @property
    def under_way(self) -> int:
        return sum(each.under_way for each in self.counts.values())


def ids(connection: Connection) -> list[int]:
    rows = connection.execute(
        f"""SELECT r.id FROM tds_new_rollout r JOIN tds_new_release p ON p.id = r.release_id
           WHERE {_CONDUCTED} ORDER BY r.id"""  # noqa: S608  # our own words
    )
    return [pk for (pk,) in rows]


def lock(connection: Connection, rollout_id: int) -> Running | None:
    """Until the transaction ends nobody else changes it; None when there is nothing more to conduct."""
    row = connection.execute(
        f"""SELECT r.tenant_id, r.release_id, coalesce(nullif(r.name, ''), p.product || ' ' || p.version),
                  r.success_percent, r.failure_percent, r.failure_min_finished, r.soak_s, r.concurrency, r.spread_s,
                  r.offer_limit_s, r.window_start, r.window_end, r.one_per_site, r.gate, p.status = 'withdrawn',
                  r.accepted_until
           FROM tds_new_rollout r JOIN tds_new_release p ON p.id = r.release_id
           WHERE r.id = %s AND ({_CONDUCTED}) FOR NO KEY UPDATE OF r""",  # noqa: S608  # our own words
        (rollout_id,),
    ).fetchone()
    if row is None:
        return None
    tenant_id, release_id, title, *numbers, start, end, one_per_site, gate, withdrawn, accepted_until = row
    bounds = dict(zip(NUMBERS, numbers, strict=True))
    limits = Limits(**bounds, window=_window(start, end), one_per_site=one_per_site, gate=gate)
    waves = connection.execute(
        """SELECT number, label, size, opened_at, offers_until, soak_from FROM tds_new_wave
           WHERE rollout_id = %s ORDER BY number""",
        (rollout_id,),
    ).fetchall()
    counted = counts.of(connection, [rollout_id]).get(rollout_id, {})
    rows = tuple(WaveRow(*wave) for wave in waves)
    return Running(rollout_id, tenant_id, release_id, title, limits, withdrawn, accepted_until, rows, counted)


def open_wave(connection: Connection, running: Running, number: int, now: datetime) -> None:
    wave = running.waves[number - 1]
    until = now + timedelta(seconds=running.limits.offer_limit_s)
    connection.execute(
        """UPDATE tds_new_wave SET completed_at = %(now)s
           WHERE rollout_id = %(id)s AND number = %(before)s AND completed_at IS NULL""",
        {"id": running.id, "before": number - 1, "now": now},
    )
    connection.execute(
        "UPDATE tds_new_wave SET opened_at = %s, offers_until = %s WHERE rollout_id = %s AND number = %s",
        (now, until, running.id, number),
    )
    connection.execute("UPDATE tds_new_rollout SET current_wave = %s WHERE id = %s", (number, running.id))
    note(connection, running.id, now, Happened.WAVE_OPENED, {"wave": number, "label": wave.label, "size": wave.size})


def soak(connection: Connection, running: Running, number: int, since: datetime | None, now: datetime) -> None:
    connection.execute(
        "UPDATE tds_new_wave SET soak_from = %s WHERE rollout_id = %s AND number = %s", (since, running.id, number)
    )
    kind = Happened.SOAK_BEGAN if since else Happened.SOAK_BROKEN
    note(connection, running.id, now, kind, {"wave": number, "soak_s": running.limits.soak_s})


def soaks_broken(connection: Connection, running: Running, number: int) -> int:
    """Of a wave, by the timeline, since a person last went on in spite of something."""
    found = connection.execute(
        """SELECT FROM tds_new_rolloutevent WHERE rollout_id = %(id)s AND kind = %(broken)s AND words @> %(wave)s
           AND id > coalesce((SELECT max(id) FROM tds_new_rolloutevent WHERE rollout_id = %(id)s AND kind = %(on)s), 0)
        """,
        {
            "id": running.id,
            "broken": Happened.SOAK_BROKEN.value,
            "wave": Jsonb({"wave": number}),
            "on": Happened.ACCEPTED.value,
        },
    )
    return found.rowcount


def unsteady(connection: Connection, running: Running, number: int, now: datetime) -> None:
    """Told before the halt: who broke the last soak. Of a failure that was a success nobody knows a phase."""
    since = running.waves[number - 1].soak_from or now
    rows = connection.execute(
        """SELECT g.code FROM tds_new_execution e JOIN tds_new_gateway g ON g.id = e.gateway_id
           WHERE e.rollout_id = %s AND e.wave = %s AND e.status = 'FAILED' AND e.phase = '' AND NOT e.accepted
               AND e.changed_at >= %s ORDER BY e.changed_at DESC, e.id LIMIT %s""",
        (running.id, number, since - LATE, GATEWAYS_TOLD),
    ).fetchall()
    if rows:
        words = {"wave": number, "gateways": ", ".join(code for (code,) in rows)}
        note(connection, running.id, now, Happened.UNSTEADY, words)


def gate_waits(connection: Connection, running: Running, number: int, waiting: int, now: datetime) -> None:
    """Told once of a wave, for the page would look as if nothing went on."""
    told = connection.execute(
        """SELECT FROM tds_new_rolloutevent WHERE rollout_id = %s AND kind = %s AND words @> %s LIMIT 1""",
        (running.id, Happened.GATE_WAITS.value, Jsonb({"wave": number})),
    )
    if not told.rowcount:
        note(connection, running.id, now, Happened.GATE_WAITS, {"wave": number, "waiting": waiting})


def halt(connection: Connection, running: Running, why: str, wave: int, now: datetime) -> None:
    connection.execute(
        "UPDATE tds_new_rollout SET status = 'halted', halted_why = %s, stopped_at = %s WHERE id = %s",
        (why, now, running.id),
    )
    of_wave = running.counts.get(wave, Counts())
    figures = {
        "bad": of_wave.bad,
        "finished": of_wave.finished,
        "succeeded": of_wave.succeeded,
        "rejected": of_wave.rejected,
    }
    note(connection, running.id, now, Happened.HALTED, {"why": why, "wave": wave, **figures})
    _audit(connection, running, AuditAction.ROLLOUT_HALTED, {"why": why, "wave": wave})


def complete(connection: Connection, running: Running, wave: int, now: datetime) -> None:
    connection.execute(
        "UPDATE tds_new_rollout SET status = 'completed', finished_at = %s WHERE id = %s", (now, running.id)
    )
    connection.execute(
        "UPDATE tds_new_wave SET completed_at = %s WHERE rollout_id = %s AND completed_at IS NULL", (now, running.id)
    )
    of_all = counts.total(running.counts.values())
    note(
        connection,
        running.id,
        now,
        Happened.COMPLETED,
        {"succeeded": of_all.succeeded, "bad": of_all.bad, "wave": wave},
    )
    _audit(connection, running, AuditAction.ROLLOUT_COMPLETED, {"succeeded": of_all.succeeded, "failed": of_all.bad})


def note(connection: Connection, rollout_id: int, now: datetime, kind: Happened, words: dict[str, Any]) -> None:
    """A line of the timeline, in the transaction of what it tells of."""
    connection.execute(
        "INSERT INTO tds_new_rolloutevent (rollout_id, at, kind, actor, words) VALUES (%s, %s, %s, '', %s)",
        (rollout_id, now, kind.value, Jsonb(words)),
    )


def _audit(connection: Connection, running: Running, action: AuditAction, detail: dict[str, str | int]) -> None:
    connection.execute(
        """INSERT INTO tds_new_auditentry (actor, tenant_id, action, object_kind, object_id, object_name, detail)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (RULE, running.tenant_id, str(action), ROLLOUT, running.id, running.title[:200], Jsonb(detail)),
    )


def _window(start: time | None, end: time | None) -> Window | None:
    return Window(start, end) if start is not None and end is not None else None
