"""Each broker, by a message that is really published, stored and read again."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Final

import psycopg
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from tds import wiring
from tds.environment import Environment
from tds.fleet.models import Device, DeviceMetric, Gateway, Tenant
from tds.fleet.probe import PROBE_GATEWAY, PROBE_TENANT
from tds.identity.access import broker_rules
from tds.mqtt import address
from tds.mqtt.once import PublishError, publish_once
from tds.processes import broker_name
from tds.readings.store import Series
from tds.service_access import broker_url
from tds.status.part import Part, State, one_line

PROBE_DEVICE: Final = "P01"
PROBE_TIPO: Final = "sonda"
ROUND_TRIP_LIMIT_S: Final = 5.0


def round_trip(environment: Environment, number: int, *, database_there: bool) -> Callable[[], Part]:
    name = broker_name(number)

    def check() -> Part:
        broker = address.parse(environment.mqtt_urls[number - 1])
        # A gateway's message: of our own processes the consumer alone may write one, to clear what is retained.
        door = address.parse(broker_url(environment, number, broker_rules.CONSUMER))
        away = Part(name, State.UNHEALTHY, "Can't be tried: the database is away.", "See database.")
        if not database_there:
            return away
        try:
            _prepare_probe()
        except DatabaseError:
            return away
        sent_at = timezone.now()
        began = monotonic()
        try:
            publish_once(door, f"telemetry/{PROBE_GATEWAY}/{PROBE_DEVICE}/data", _probe(sent_at))
        except PublishError as error:
            return Part(name, State.UNHEALTHY, f"{broker}: {error}", f"Look into log/{name}.log under TDS_HOME.")
        try:
            while monotonic() - began < ROUND_TRIP_LIMIT_S:
                if _stored(sent_at):
                    took_ms = (monotonic() - began) * 1000
                    return Part(name, State.HEALTHY, f"{broker}: published, stored and read again in {took_ms:.0f} ms.")
                sleep(0.01)
        except (DatabaseError, psycopg.Error) as error:
            detail = f"{broker} took a message, but the database went away: {one_line(error)}"
            return Part(name, State.UNHEALTHY, detail, "See database.")
        detail = f"{broker} took a message, but it was not stored within {ROUND_TRIP_LIMIT_S:.0f} s."
        return Part(name, State.UNHEALTHY, detail, "See consumer; what the broker took is stored once it runs.")

    return check


def _prepare_probe() -> None:
    with transaction.atomic():
        tenant, _ = Tenant.objects.get_or_create(slug=PROBE_TENANT, defaults={"name": "TDS status"})
        # Whatever was done to it, it is the platform's own: a retired one gets a successor, a disabled one is enabled.
        present = Gateway.objects.exclude(status="retired")
        gateway, _ = present.get_or_create(code=PROBE_GATEWAY, defaults={"tenant": tenant})
        if gateway.status != "active":
            gateway.status = "active"
            gateway.save(update_fields=["status"])


def _probe(sent_at: datetime) -> bytes:
    return json.dumps(
        {
            "gateway_code": PROBE_GATEWAY,
            "device_code": PROBE_DEVICE,
            "timestamp": sent_at.isoformat(),
            "leituras": [{"tipo": PROBE_TIPO, "valor": 1, "unidade": ""}],
        }
    ).encode()


def _stored(sent_at: datetime) -> bool:
    of_probe = Device.objects.filter(gateway__code=PROBE_GATEWAY, gateway__status="active")
    device = of_probe.filter(code=PROBE_DEVICE).first()
    link = DeviceMetric.objects.filter(device=device, metric__tipo=PROBE_TIPO).first() if device else None
    if link is None:
        return False
    newest = wiring.reading_store().latest(wiring.database_connection(), [Series(link.device_id, link.metric_id)])
    return any(reading.time - sent_at >= timedelta(0) for reading in newest)
