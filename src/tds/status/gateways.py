"""How many gateways are connected, and whether that is heard."""

from django.db import Error as DatabaseError
from django.utils import timezone

from tds.devicelink import fleet_health, words
from tds.devicelink.ignored import Strangers
from tds.environment import Environment
from tds.fleet.models import Gateway
from tds.fleet.probe import PROBE_TENANT
from tds.heartbeat import Heartbeat
from tds.processes import broker_name
from tds.status.part import Part, State


def examine_gateways(environment: Environment, *, database_there: bool) -> Part:
    """How many are connected. Never unhealthy: the platform works, whatever they do."""
    away = Part("gateways", State.WARNING, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    now = timezone.now()
    try:
        found = fleet_health.counts(Gateway.objects.exclude(tenant__slug=PROBE_TENANT), now=now)
        brokers = fleet_health.brokers()
        worker = Heartbeat.objects.filter(process="worker").first()
    except DatabaseError:
        return away
    links = worker.facts.get("links", {}) if worker else {}
    strangers = [told for link in links.values() if (told := Strangers.of(link)) is not None]
    detail = " ".join(filter(None, (words.fleet(found), words.strangers(strangers, now=now))))
    names = [broker_name(number) for number in range(1, len(environment.mqtt_urls) + 1)]
    unheard = [name for name in names if name not in brokers or not brokers[name].is_heard(now)]
    if unheard:
        detail = f"{detail} Whether they come or go on {', '.join(unheard)} is not heard."
        return Part("gateways", State.WARNING, detail, "See worker and broker.")
    return Part("gateways", State.HEALTHY, detail)
