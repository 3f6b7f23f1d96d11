"""Stores what gateways publish."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tds import wiring
from tds.environment import MAX_BROKERS, MAX_SHARED_SLOTS
from tds.heartbeat import Heartbeat, Pulse
from tds.ingest.consumer import AnotherConsumerError, Consumer
from tds.ingest.log import ConsumerLog
from tds.ingest.spool import SpoolUnusableError
from tds.mqtt.session import SharedSubscriptionsError
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
        parser.add_argument(
            "--slot",
            type=int,
            default=0,
            metavar="N",
            help="which of TDS_MQTT_SHARED_SLOTS to be, from 1: consumers that share a clustered broker",
        )
        parser.add_argument(
            "--drain",
            action="store_true",
            help="give the subscription up, store what the broker still holds for it, end the session, and stop",
        )

    def handle(self, *, broker_number: int, slot: int, drain: bool, verbosity: int, **_options: Any) -> None:
        # A private broker that is being given up is none of the present ones any more.
        known = MAX_BROKERS if drain and not ENV.mqtt_urls_given else len(ENV.mqtt_urls)
        if not 1 <= broker_number <= known:
            raise CommandError(f"--broker-number is {broker_number}; TDS_MQTT_URLS has {len(ENV.mqtt_urls)} brokers.")
        if trouble := slot_trouble(slot, ENV.mqtt_shared_slots, drain=drain):
            raise CommandError(trouble)
        stopping = stop_on_signal()
        config = wiring.consumer_config(broker_number, slot, drains=drain)
        pulse = Pulse(config.name, started_at=timezone.now())
        broker = str(config.broker)
        log = ConsumerLog(
            f"{broker} (slot {slot})" if slot else broker,
            each_message=verbosity > 1 or (verbosity == 1 and not TDS_PRODUCTION),
            unlimited=verbosity > 1,
        )
        try:
            consumer = Consumer(config, wiring.reading_store(), log, now=timezone.now, beat=pulse.beat)
            consumer.run(stopping)
        except (AnotherConsumerError, SpoolUnusableError) as error:
            raise CommandError(str(error)) from error
        except SharedSubscriptionsError as error:
            raise CommandError(
                f"The broker at {broker} has no shared subscriptions; set TDS_MQTT_SHARED_SLOTS to 0 for a plain one."
            ) from error
        if drain:
            _after_drain(consumer, log)


def slot_trouble(slot: int, slots: int, *, drain: bool) -> str:
    """Why there can be no such consumer, as a sentence; empty when there can. Pure."""
    if not 0 <= slot <= MAX_SHARED_SLOTS:
        return f"--slot is {slot}; slots go from 1 to {MAX_SHARED_SLOTS}."
    if drain or 0 < slot <= slots or slot == slots == 0:
        return ""  # what is drained need not be wanted any more
    if slots:
        return f"TDS_MQTT_SHARED_SLOTS is {slots}; say which of them this is with --slot 1 to {slots}."
    return f"--slot is {slot}, but TDS_MQTT_SHARED_SLOTS is 0: this broker has one consumer, without slots."


def _after_drain(consumer: Consumer, log: ConsumerLog) -> None:
    if not consumer.drained:
        raise CommandError("The session was not drained to its end; nothing is lost. Run the same command again.")
    log.drained(consumer.messages)
    Heartbeat.objects.filter(process=consumer.config.name).delete()  # nobody expects a sign of life from it any more
