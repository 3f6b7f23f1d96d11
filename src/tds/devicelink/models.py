"""Whether gateways are connected, as brokers say it, and how far we have heard the brokers."""

from typing import Final

from django.db import models

from tds.devicelink.presence import MAX_FIRMWARE_CHARS
from tds.fleet.models import Gateway

MAX_BROKER_CHARS: Final = 32


class GatewayPresence(models.Model):
    """What `presence.Known` is, of one gateway. It has no row until something was said of it."""

    gateway = models.OneToOneField(Gateway, models.CASCADE, primary_key=True, related_name="presence")
    online = models.BooleanField()  # some broker has a session with it
    brokers = models.JSONField(default=list)  # their names
    broker = models.CharField(max_length=MAX_BROKER_CHARS)
    changed_at = models.DateTimeField()
    witnessed = models.BooleanField()
    heard_at = models.DateTimeField(null=True)
    firmware = models.CharField(max_length=MAX_FIRMWARE_CHARS, blank=True)
    clock_ahead = models.DurationField(null=True)
    clock_at = models.DateTimeField(null=True)
    report_interval = models.DurationField(null=True)

    def __str__(self) -> str:
        return f"{self.gateway_id}: {'online' if self.online else 'offline'}"


class BrokerLink(models.Model):
    """One row a broker: until when all that gateways said there has been heard, and when it was started."""

    broker = models.CharField(max_length=MAX_BROKER_CHARS, primary_key=True)
    heard_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.broker
