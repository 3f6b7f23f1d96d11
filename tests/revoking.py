"""The two who put gateways out, at work in a test: the worker's lane that signs, and the broker's agent."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.utils import timezone

from tds import worker
from tds.fleet import audit, lifecycle
from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.access import broker_rules
from tds.identity.access.agent import Broker, Keeper
from tds.identity.access.broker_files import Passwords
from tds.identity.access.services_listener import ServicesListener
from tds.identity.authorities import keys
from tds.identity.authorities.authority import Authority
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.authorities.tls_files import SERVER_CA
from tds.identity.issued import issuing
from tds.identity.models import BrokerAccess, How, RevocationList
from tds.identity.revocation.signing import Revoking
from tds.ingest import database
from tds.local.broker_config import PID_FILE
from tests.certified import Session, Unit
from tests.running import RunningBroker, wait_until

PROMISE_S: Final = 5.0
STOP_S: Final = 10.0
NAME: Final = "broker"


def provision(
    folder: Path, authority: Authority, gateway: Gateway, broker: RunningBroker, *, now: datetime | None = None
) -> Unit:
    """A certificate for a gateway, written down as provisioning does."""
    key = keys.new_key()
    certificate = issuing.issue(authority, gateway, key.public_key(), How.FACTORY, now=now or timezone.now())
    pem = certificate.public_bytes(serialization.Encoding.PEM) + keys.pem(key)
    return Unit.write(folder, gateway.code, pem, broker.broker.tls / SERVER_CA)


def give(gateway: Gateway, status: GatewayStatus) -> float:
    """The status, by the door that all use; a reading of the clock from before."""
    began = monotonic()
    lifecycle.change(gateway, status, by=audit.COMMAND_LINE, now=timezone.now())
    return began


def wait_cut(cut: Session, since: float, limit_s: float = PROMISE_S) -> None:
    assert cut.ended.wait(limit_s), f"{cut.unit.code} is not cut off"
    assert cut.ended_at - since < limit_s


def connect() -> psycopg.Connection[Any]:
    return database.connect(settings.DATABASES["default"], name="tests-revoking", statement_timeout_s=30)


def keeper(broker: RunningBroker, **options: Any) -> Keeper:
    """The agent's part for this broker."""
    listeners = broker.broker.listeners
    password = broker.broker.passwords[broker_rules.AGENT]
    services = ServicesListener("127.0.0.1", listeners.services, broker_rules.AGENT, password)
    of = Broker(NAME, broker.broker.tls, broker.broker.data / PID_FILE, services, "127.0.0.1", listeners.tls)
    options.setdefault("passwords", lambda _now: Passwords.NONE)
    return Keeper(of, now=options.pop("now", timezone.now), **options)


@contextmanager
def running(turns: Sequence[Callable[[psycopg.Connection[Any]], None]], connect: Any = connect) -> Iterator[None]:
    """These turns taken again and again, as the processes take them."""
    stopping = threading.Event()
    lanes = worker.waiting_lanes({f"lane {n}": turn for n, turn in enumerate(turns)}, connect, stopping)
    thread = threading.Thread(target=worker.run_lanes, args=[lanes, stopping], daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(STOP_S)
        assert not thread.is_alive(), "a lane does not stop"


@contextmanager
def guarded(
    broker: RunningBroker, authorities: AuthorityFolder, now: Callable[[], datetime] = timezone.now
) -> Iterator[None]:
    """Worker and agent at work, from when the broker is up to date. `now` is the worker's."""
    with running([Revoking(authorities, now).turn, keeper(broker).turn]):
        wait_until(up_to_date, "the broker's being up to date")
        yield


def newest_list() -> int:
    """Its revision; -1: there is none."""
    return max(RevocationList.objects.values_list("revision", flat=True), default=-1)


def up_to_date() -> bool:
    """Whether the broker has what the lists have."""
    return BrokerAccess.objects.filter(broker=NAME, revision=newest_list(), detail="").exists()
