"""Who is in a rollout, written down when it starts: an execution a gateway, and those left out with why."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from os import urandom
from typing import Any, Final

import psycopg
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg.errors import UniqueViolation

from tds.updates.executions.transitions import Kind, end_of_waiting
from tds.updates.models import Rollout, RolloutStatus, Wave
from tds.updates.rollouts import roster, waves
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.plan import Plan, sized
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.roster import Candidate
from tds.updates.rollouts.told import psycopg_connection
from tds.updates.rollouts.waves import Sized

# Starts come one after the other: of two at once, each would find the same gateways free.
STARTS_LOCK: Final = 0x7D5_0030
TRIES: Final = 3  # of a start that a report got in the way of
UUID_BYTES: Final = 16
COLUMNS: Final = (
    "public_id, rollout_id, wave, place, gateway_id, site_group, time_zone, status, phase, reason, detail, ticket,"
    " from_version, from_sha256, bytes_done, attempt, queued_at, changed_at, accepted, family, hardware"
)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Started:
    gateways: int
    left_out: int
    waves: tuple[Sized, ...]


def take(asker: Asker, rollout: Rollout, plan: Plan, *, now: datetime) -> Started:
    """In the transaction of the start, which has the rollout's lock. Raises RolloutRefusedError when nobody is in."""
    psycopg_connection().execute("SELECT pg_advisory_xact_lock(%s)", (STARTS_LOCK,))
    for left in reversed(range(TRIES)):
        try:
            with transaction.atomic():
                return _take(asker, rollout, plan, now=now)
        except UniqueViolation:
            # Between our look and our write a gateway reported that it goes on with what was taken for over.
            if not left:
                raise RolloutRefusedError(
                    _("A gateway of it began another update meanwhile: start it again.")
                ) from None
    raise AssertionError("The last try returns, or raises.")


def _take(asker: Asker, rollout: Rollout, plan: Plan, *, now: datetime) -> Started:
    connection = psycopg_connection()
    chosen = plan.target.select(asker.gateways())
    judged = list(roster.walk(chosen, roster.release_facts(plan.release), now=now))
    within = {each.gateway_id: each for each in judged if each.reason is None}
    left_out = [each for each in judged if each.reason is not None]
    if not judged:
        raise RolloutRefusedError(_("No gateway is as you say: choose otherwise."))
    if not within:
        raise RolloutRefusedError(
            ngettext(
                "The %(gateways)d gateway that was chosen can't take this release: look at the preview for why.",
                "None of the %(gateways)d gateways can take this release: look at the preview for why.",
                len(left_out),
            )
            % {"gateways": len(left_out)}
        )
    of_waves = sized(plan.waves, len(within))
    order = waves.spread((each.placed() for each in within.values()), seed=str(rollout.pk))
    _copy(
        connection,
        f"COPY tds_new_execution ({COLUMNS}) FROM STDIN",
        _executions(rollout, of_waves, (within[pk] for pk in order), one_per_site=plan.limits.one_per_site, now=now),
    )
    _copy(
        connection,
        "COPY tds_new_leftout (rollout_id, gateway_id, reason) FROM STDIN",
        ((rollout.pk, each.gateway_id, str(each.reason)) for each in left_out),
    )
    rollout.waves.all().delete()
    Wave.objects.bulk_create(
        Wave(rollout=rollout, number=number, size=wave.size, label=wave.label)
        for number, wave in enumerate(of_waves, 1)
    )
    tenants = {each.tenant_id for each in judged}
    if rollout.tenant_id is None and len(tenants) == 1:  # its people see it
        rollout.tenant_id = tenants.pop()
        rollout.target = plan.target.narrowed(rollout.tenant_id).document()
    rollout.status, rollout.started_at = RolloutStatus.RUNNING, now
    rollout.save(update_fields=["status", "started_at", "tenant", "target"])
    return Started(len(within), len(left_out), of_waves)


def end_waiting(connection: Connection, rollout_id: int, kind: Kind, now: datetime) -> int:
    """Those that were never offered, in one statement: what the transition table says of the deed there."""
    status, reason = end_of_waiting(kind)
    ended = connection.execute(
        """WITH waiting AS (
               SELECT id FROM tds_new_execution
               WHERE rollout_id = %(id)s AND status = 'QUEUED' AND offered_at IS NULL ORDER BY id FOR UPDATE
           )
           UPDATE tds_new_execution e
           SET status = %(status)s, reason = %(reason)s, changed_at = %(now)s, finished_at = %(now)s,
               deadline_at = NULL
           FROM waiting WHERE e.id = waiting.id""",
        {"id": rollout_id, "status": status, "reason": reason, "now": now},
    )
    return ended.rowcount


def _executions(
    rollout: Rollout, of_waves: tuple[Sized, ...], order: Iterator[Candidate], *, one_per_site: bool, now: datetime
) -> Iterator[tuple[Any, ...]]:
    public_ids = _public_ids(sum(wave.size for wave in of_waves))
    for number, wave in enumerate(of_waves, 1):
        for place in range(1, wave.size + 1):
            each = next(order)
            yield (
                next(public_ids),
                rollout.pk,
                number,
                place,
                each.gateway_id,
                each.site_group(one_per_site=one_per_site),
                each.time_zone,
                "QUEUED",
                "",
                "",
                "",
                "",
                each.version,
                each.sha256,
                0,
                1,
                now,
                now,
                False,
                each.family,
                each.hardware,
            )


def _public_ids(number: int) -> Iterator[str]:
    """As uuid4 makes them, one by one and ten times as slowly."""
    drawn = urandom(UUID_BYTES * number)
    for start in range(0, len(drawn), UUID_BYTES):
        text = drawn[start : start + UUID_BYTES].hex()
        variant = "89ab"[int(text[16], 16) & 3]
        yield f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _copy(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with psycopg.Cursor(connection).copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)
