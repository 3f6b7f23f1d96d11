"""Keeps the brokers of this machine from letting in who is refused."""

from argparse import ArgumentParser
from typing import Any, Final

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tds import wiring, worker
from tds.environment import MAX_BROKERS
from tds.heartbeat import Pulse
from tds.identity.access import reached
from tds.identity.access.agent import Keeper
from tds.ingest import database
from tds.processes import AGENT, broker_name, stop_on_signal
from tds.settings import ENV

STATEMENT_TIMEOUT_S: Final = 30


class Command(BaseCommand):
    help = (
        "Keep the access files of this machine's brokers as the database says, and end the sessions of gateways that "
        "are refused. Run it as the brokers' account, or as root; it needs no certificate authority."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--broker-number",
            type=int,
            action="append",
            metavar="N",
            help="serve this broker of TDS_HOME, from 1 (default: 1); may be repeated",
        )
        parser.add_argument(
            "--forget-others",
            action="store_true",
            help="there are no other brokers: nobody is to wait until one of an earlier start is up to date",
        )

    def handle(self, *, broker_number: list[int] | None, forget_others: bool, **_options: Any) -> None:
        numbers = broker_number or [1]
        for number in numbers:
            if not 1 <= number <= MAX_BROKERS or not (ENV.home / broker_name(number)).is_dir():
                raise CommandError(f"There is no broker {number} in {ENV.home}; start it with ./tds up.")
        keepers = [wiring.keeper(number) for number in numbers]
        stopping = stop_on_signal()
        life = Life(keepers, Pulse(AGENT, started_at=timezone.now()), forget_others=forget_others)

        def connect() -> psycopg.Connection[Any]:
            return database.connect(
                settings.DATABASES["default"], name="tds-agent", statement_timeout_s=STATEMENT_TIMEOUT_S
            )

        turns = {f"access to {keeper.broker.name}": keeper.turn for keeper in keepers}
        lanes = worker.waiting_lanes(turns, connect, stopping)
        worker.run_lanes([worker.Lane("the sign of life", life.turn, connect, stopping), *lanes], stopping)


class Life:
    """The agent's heartbeat."""

    def __init__(self, keepers: list[Keeper], pulse: Pulse, *, forget_others: bool) -> None:
        self._keepers = keepers
        self._pulse = pulse
        self._forget_others = forget_others
        self._expected = False

    def turn(self, connection: psycopg.Connection[Any]) -> None:
        names = [keeper.broker.name for keeper in self._keepers]
        if not self._expected:
            reached.expect(connection, names)
            self._expected = True
        if self._forget_others:
            reached.forget_others(connection, names)
            self._forget_others = False
        troubles = {keeper.broker.name: keeper.trouble for keeper in self._keepers if keeper.trouble}
        self._pulse.beat(connection, {"brokers": names, "troubles": troubles})
