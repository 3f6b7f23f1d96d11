"""A look at the whole platform: every part, in the order in which they are told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from tds import wiring
from tds.environment import Environment
from tds.processes import AGENT
from tds.service_access import services_port
from tds.spools import SpoolSeen, consumer_names, spools
from tds.status.brokers import round_trip
from tds.status.certificates import examine_certificates, examine_revocation
from tds.status.gateways import examine_gateways
from tds.status.part import Part, State
from tds.status.processes import abandoned_slots, beating, examine_worker
from tds.status.quarantine import examine_quarantine
from tds.status.servers import examine_ota, examine_web
from tds.status.storage import examine_database, examine_disk, examine_redis, examine_spool
from tds.status.updates import examine_updates


def examine(environment: Environment) -> list[Part]:
    """Every part, looked at now. Takes up to some ten seconds when much is broken."""
    database = examine_database()
    # Asked once: one that hangs costs a connection's whole patience at every question.
    there = database.state is State.HEALTHY
    checks: list[Callable[[], Part]] = [
        lambda: examine_redis(environment),
        lambda: examine_disk(environment, database_there=there),
        lambda: examine_spool(environment, database_there=there),
        lambda: examine_quarantine(database_there=there),
        lambda: examine_certificates(environment, database_there=there),
        lambda: examine_web(environment),
        *(beating(name, database_there=there) for name in consumer_names(environment)),
        lambda: examine_worker(database_there=there),
        lambda: examine_gateways(environment, database_there=there),
        *(_access(environment, database_there=there)),
        *(round_trip(environment, n, database_there=there) for n in range(1, len(environment.mqtt_urls) + 1)),
        lambda: examine_ota(environment, database_there=there),
        lambda: examine_updates(environment, database_there=there),
    ]
    return [database, *(check() for check in checks), *(abandoned_slots(environment) if there else [])]


@dataclass(frozen=True, slots=True)
class Look:
    """What a page shows beside the parts, in figures of its own."""

    parts: list[Part]
    spools: list[SpoolSeen]
    store: str  # empty while the database is away
    taken_at: datetime


def look(environment: Environment) -> Look:
    """`examine`, and the figures behind its sentences."""
    parts = examine(environment)
    there = parts[0].state is State.HEALTHY
    try:
        seen = spools(environment, database_there=there)
    except OSError:
        seen = []  # the part says why
    store = wiring.reading_store().name_of(wiring.database_connection()) if there else ""
    return Look(parts, seen, store, timezone.now())


def _access(environment: Environment, *, database_there: bool) -> list[Callable[[], Part]]:
    """Of the private brokers: the agent, and whether who was put out is out."""
    if environment.mqtt_urls_given or not services_port(environment, 1):
        return []
    return [beating(AGENT, database_there=database_there), lambda: examine_revocation(database_there=database_there)]
