"""Stores what gateways publish."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tds import wiring
from tds.heartbeat import Pulse
from tds.ingest.consumer import AnotherConsumerError, Consumer
from tds.ingest.log import ConsumerLog
from tds.ingest.spool import SpoolInUseError
from tds.mqtt import address
from tds.processes import stop_on_signal
from tds.settings import ENV, TDS_PRODUCTION


class Command(BaseCommand):
    help = (
        "Store what gateways publish: subscribe to telemetry/+/+/data, commit each batch, then acknowledge it. "
        "--verbosity 2 says every message; 0 only what is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--broker-number",
            type=int,
            default=1,
            metavar="N",
            help="which broker of TDS_MQTT_URLS to serve, from 1 (default: 1); each has one consumer",
        )

    def handle(self, *, broker_number: int, verbosity: int, **_options: Any) -> None:
        if not 1 <= broker_number <= len(ENV.mqtt_urls):
            raise CommandError(f"--broker-number is {broker_number}; TDS_MQTT_URLS has {len(ENV.mqtt_urls)} brokers.")
        stopping = stop_on_signal()
        name = "consumer" if broker_number == 1 else f"consumer-{broker_number}"
        config = wiring.consumer_config(broker_number, name)
        pulse = Pulse(name, started_at=timezone.now())
        log = ConsumerLog(
            str(address.parse(config.broker_url)),
            each_message=verbosity > 1 or (verbosity == 1 and not TDS_PRODUCTION),
            unlimited=verbosity > 1,
        )
        try:
            Consumer(config, wiring.reading_store(), log, now=timezone.now, beat=pulse.beat).run(stopping)
        except (AnotherConsumerError, SpoolInUseError) as error:
            raise CommandError(str(error)) from error
