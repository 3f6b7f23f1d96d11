"""The processes that give a sign of life: consumers, worker, agent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import psycopg
from django.db import Error as DatabaseError
from django.utils import timezone

from tds import wiring
from tds.environment import Environment
from tds.heartbeat import STALE_S, Heartbeat
from tds.processes import SLOT_PREFIX
from tds.readings import clock
from tds.status.part import Part, State

BUSY: Final = timedelta(minutes=1)  # a chore that takes as long is told


def beating(process: str, *, database_there: bool) -> Callable[[], Part]:
    def check() -> Part:
        action = f"Look into log/{process}.log under TDS_HOME; start it with ./tds up."
        away = Part(process, State.UNHEALTHY, "Unknown: the database is away.", "See database.")
        if not database_there:
            return away
        try:
            row = Heartbeat.objects.filter(process=process).first()
        except DatabaseError:
            return away
        if row is None:
            return Part(process, State.UNHEALTHY, "It has never run.", action)
        age_s = (timezone.now() - row.beat_at).total_seconds()
        if age_s > STALE_S:
            return Part(process, State.UNHEALTHY, f"Its last sign of life is {age_s:.0f} s old.", action)
        return _of(row, age_s)

    return check


def _of(row: Heartbeat, age_s: float) -> Part:
    """A process that lives, and what it says of itself."""
    if shortage := row.facts.get("shortage"):
        return Part(row.process, State.UNHEALTHY, shortage, "Make room on that disk; nothing is lost meanwhile.")
    if row.facts.get("connected") is False:
        broker = row.facts.get("broker", "the broker")
        return Part(row.process, State.UNHEALTHY, f"It runs, but has no session with {broker}.", "See broker.")
    detail = f"Process {row.pid}, last sign of life {max(age_s, 0):.0f} s ago."
    for name, since in row.facts.get("doing", {}).items():
        if (busy := row.beat_at - datetime.fromisoformat(since)) >= BUSY:
            detail += f" At work on {name} for {busy // BUSY} min."
    return Part(row.process, State.HEALTHY, detail)


def abandoned_slots(environment: Environment) -> list[Part]:
    """A member of a shared subscription that never comes again keeps its share of the messages."""
    try:
        names = Heartbeat.objects.filter(process__startswith=SLOT_PREFIX).values_list("process", flat=True)
        slots = sorted(int(name.removeprefix(SLOT_PREFIX)) for name in names)
    except DatabaseError:
        return []
    detail = "It is not one of TDS_MQTT_SHARED_SLOTS any more, but the broker may keep a share of the messages for it."
    return [
        Part(
            f"{SLOT_PREFIX}{slot}",
            State.UNHEALTHY,
            detail,
            f"Store them with python manage.py mqtt_consumer --drain --slot {slot}.",
        )
        for slot in slots
        if slot > environment.mqtt_shared_slots
    ]


def examine_worker(*, database_there: bool) -> Part:
    """Also whether days are dropped, which it does by a clock that may be wrong."""
    part = beating("worker", database_there=database_there)()
    if part.state is not State.HEALTHY:
        return part
    limits, now = wiring.disk_limits(), timezone.now()
    try:
        connection = wiring.database_connection()
        since = wiring.reading_store().kept_since(connection)
        doubt = clock.doubt_of_upkeep(connection, limits.budget, limits.retention, since, now=now)
    except (DatabaseError, psycopg.Error):
        return Part("worker", State.UNHEALTHY, "Unknown: the database is away.", "See database.")
    return Part("worker", State.WARNING, f"{part.detail} {doubt}", clock.WHAT_TO_DO) if doubt else part
