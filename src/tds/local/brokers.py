"""The private brokers of a start: which there are, how each gets the consumer's session, and how one is let go."""

from dataclasses import replace
from pathlib import Path

from tds.identity.access import broker_rules
from tds.local import parts, ports
from tds.local.accounts import data_folder, service_account
from tds.local.broker import DEVICELINK_CLIENT_ID, Broker
from tds.local.broker_config import Listeners
from tds.local.plan import Plan
from tds.local.refusal import CannotStartError
from tds.local.supervisor import Supervisor, say
from tds.processes import broker_name
from tds.service_access import password_of, services_port


def private(plan: Plan) -> list[Broker]:
    """Those of this start, from number 1, each with a port of its own for our processes. Raises CannotStartError."""
    environment, found = plan.environment, list[Broker]()
    taken = {port for places in plan.brokers for port in places}
    taken |= {getattr(environment.ports, field) for field in plan.listens()}
    for number, places in enumerate(plan.brokers, start=1):
        named = environment.mqtt_services_port if number == 1 else 0
        port = ports.services_port(named, services_port(environment, number), taken)
        taken.add(port)
        broker = _broker(environment.home, number, plan.listeners(places, port))
        found.append(replace(broker, consumer_port=plan.consumer_port))
    return found


def _broker(home: Path, number: int, listeners: Listeners) -> Broker:
    account = service_account("mosquitto")
    passwords = {service: password_of(home, service) for service in broker_rules.SERVICES}
    return Broker(data_folder(home, broker_name(number), account), listeners, passwords, account)


def start(supervisor: Supervisor, number: int, broker: Broker) -> None:
    """With the consumer's session in it before anybody can publish into nothing. Raises CannotStartError."""
    if broker.needs_session():
        _make_session(supervisor, number, broker)
    supervisor.start(parts.broker(broker, number))
    supervisor.wait_healthy(broker_name(number))


def _make_session(supervisor: Supervisor, number: int, broker: Broker) -> None:
    """While no gateway can reach the broker: what came for a session of another listener would be dropped.

    The link to gateways opens its own when it first runs: until then what they tell of themselves is for nobody.
    """
    name, alone, saved_before = broker_name(number), broker.alone, broker.saved_at()
    log = f"{supervisor.home}/log/{name}.log"
    supervisor.start(parts.broker(alone, number))
    supervisor.wait_healthy(name)
    if not (alone.open_session() and alone.hand_over(DEVICELINK_CLIENT_ID, broker_rules.DEVICELINK)):
        raise CannotStartError(
            f"The broker did not open our own processes' sessions; see {supervisor.home}/log/{name}.log."
        )
    supervisor.dismiss(name)  # it saves at a clean stop
    if broker.saved_at() == saved_before:
        raise CannotStartError(f"The broker did not save the consumer's session; see {log}.")
    broker.session_is_kept()


def drain_earlier(supervisor: Supervisor, plan: Plan) -> None:
    """Store what brokers of an earlier start still hold: out of reach of gateways, so that it comes to an end."""
    for number in plan.draining:
        port = ports.services_port(0, services_port(plan.environment, number), [])
        broker = _broker(supervisor.home, number, Listeners(port))
        supervisor.start(parts.broker(broker, number))
        supervisor.wait_healthy(broker_name(number))

        def drained(broker: Broker = broker, number: int = number) -> None:
            broker.provisioned.unlink(missing_ok=True)  # the session is gone: the next start makes it anew
            supervisor.dismiss(broker_name(number))
            say(f"Broker {number} holds nothing any more and was let go.")

        supervisor.start(parts.draining_consumer(plan.environment, number, drained))
