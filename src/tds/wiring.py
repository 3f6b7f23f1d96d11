"""The composition root: which store is in use, and what the processes are made of."""

import socket
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection as django_connection

from tds.devicelink import whereabouts
from tds.devicelink.commands import Commands
from tds.devicelink.events import Report
from tds.devicelink.ignored import Unheeded
from tds.devicelink.keeper import Keeper as PresenceKeeper
from tds.devicelink.link import DeviceLink, Handlers, LinkConfig
from tds.disk import Limits, Watch, free_by_disk
from tds.environment import MAX_BROKERS, Plain, broker_ports, firmware_url, kept_secret, plain_at, server_names
from tds.fleet.directory import Directory
from tds.identity.access import broker_rules
from tds.ingest.consumer import CLIENT_ID, ConsumerConfig
from tds.ingest.quarantine import Bounds
from tds.ingest.room import Room
from tds.ingest.topics import TELEMETRY_FILTER
from tds.ingest.writer import Writer
from tds.local.broker_config import PID_FILE
from tds.local.ports import LOOPBACK, is_loopback, reachable
from tds.processes import broker_name, consumer_name
from tds.readings.budget import Budget
from tds.readings.chosen import ChosenStore
from tds.readings.store import ReadingStore
from tds.service_access import broker_known_as, broker_url, password_of, services_port
from tds.settings import ENV, TDS_PRODUCTION
from tds.updates.executions import delivery, transitions
from tds.updates.executions import keeper as updates_keeper
from tds.updates.executions.keeper import Reports

if TYPE_CHECKING:
    from tds.identity.access.agent import Keeper
    from tds.identity.access.broker_files import Passwords
    from tds.identity.revocation.signing import Revoking
    from tds.ota_server.server import Config as OtaConfig
    from tds.updates.executions.pushing import Pushing
    from tds.updates.rollouts.conductor import Conducting

SHARED_GROUP: Final = "mqtt_shared_group"
SHARED_GROUP_BYTES: Final = 16
GONE_AT_ONCE: Final = 1_000  # updates of gateways that are gone, a transaction


def reading_store() -> ReadingStore:
    return ChosenStore(retention(), budget())


def retention() -> timedelta:
    return timedelta(days=ENV.retention_days)


def budget() -> Budget:
    return Budget(ENV.retention_bytes, ENV.retention_min_days)


def quarantine_bounds() -> Bounds:
    return Bounds(ENV.quarantine_per_gateway, ENV.quarantine_messages, ENV.quarantine_bytes)


def writer(*, notes_presence: bool = False) -> Writer:
    """For single messages, of a POST or a replay, over Django's own connection."""
    bounds = quarantine_bounds()
    return Writer(
        database_connection(), reading_store(), Directory(), bounds, retention(), notes_presence=notes_presence
    )


def consumer_config(broker_number: int, slot: int = 0, *, drains: bool = False) -> ConsumerConfig:
    """Of the consumer of a broker (from 1), or of one slot (from 1) of its shared subscription.

    Raises IndexError when there is no such broker.
    """
    name = consumer_name(broker_number, slot)
    return ConsumerConfig(
        client_id=f"{CLIENT_ID}-s{slot}" if slot else CLIENT_ID,
        filters=(shared_filter() if slot else TELEMETRY_FILTER,),
        slot=slot,
        drains=drains,
        broker_url=broker_url(ENV, broker_number, broker_rules.CONSUMER),
        known_as=broker_known_as(ENV, broker_number),
        database=settings.DATABASES["default"],
        bounds=quarantine_bounds(),
        retention=retention(),
        batch_messages=ENV.batch_messages,
        linger_s=ENV.batch_linger_ms / 1000,
        name=name,
        spool_folder=ENV.spool_folder / name,
        spool_bytes=ENV.spool_bytes,
        disk_folders=disk_folders(),
        disk_reserve_bytes=ENV.disk_reserve_bytes,
    )


def disk_folders() -> tuple[Path, ...]:
    """Where this machine keeps readings: the home, and what leads out of it. A database elsewhere says itself."""
    inside = ("database", "broker", *(f"broker-{n}" for n in range(2, MAX_BROKERS + 1)))
    places = [ENV.home, ENV.spool_folder, *(ENV.home / name for name in inside)]
    return tuple(dict.fromkeys(place.resolve() for place in places if place.exists()))


def disk_limits() -> Limits:
    return Limits(budget(), retention(), ENV.disk_reserve_bytes, ENV.disk_warning_days)


def database_folder() -> Path | None:
    """Of the database when its files are on this machine, in the home; None when it is elsewhere."""
    folder = ENV.home / "database"
    here = is_loopback(urlsplit(ENV.database_url).hostname or "") and folder.exists()
    return folder.resolve() if here else None


def disk_watch() -> Watch:
    return Watch(reading_store(), lambda: free_by_disk(disk_folders()), database_folder(), disk_limits())


@cache
def room() -> Room:
    """Of this process."""
    return Room(disk_folders(), ENV.disk_reserve_bytes)


def ota_config(beat: Callable[[dict[str, Any]], None]) -> "OtaConfig":
    """Of the firmware server. What it needs is loaded here, so that the other processes do without."""
    from django.utils import timezone

    from tds.identity.authorities.folder import AuthorityFolder
    from tds.ota_server import artifact_routes, est_routes, product_routes, update_routes
    from tds.ota_server.files import Files
    from tds.ota_server.server import Config
    from tds.ota_server.updates import Updates
    from tds.updates.folders import UpdatesFolder
    from tds.updates.releases.files import Artifacts

    hosts = server_names(ENV, socket.gethostname())
    files = Files(ENV.home / "tls", AuthorityFolder(ENV.ca_folder), hosts, timezone.now)
    routes = (est_routes.routes, update_routes.routes, artifact_routes.routes, product_routes.routes)
    updates = Updates(
        Artifacts(UpdatesFolder(ENV.home / "updates").artifacts),
        partial(delivery.document_for, may_offer=may_offer, base_url=firmware_url(ENV)),
        partial(updates_keeper.take_report, limits=update_limits()),
    )
    at, now = (ENV.bind, ENV.ports.ota), timezone.now
    return Config(*at, routes, files, now, beat, updates=updates, must_prove=TDS_PRODUCTION)


def revoking() -> "Revoking":
    """The worker's lane that signs revocation lists."""
    from django.utils import timezone

    from tds.identity.authorities.folder import AuthorityFolder
    from tds.identity.revocation.signing import Revoking

    return Revoking(AuthorityFolder(ENV.ca_folder), timezone.now)


def device_links(now: Callable[[], datetime]) -> list[DeviceLink]:
    """One a broker: the worker's lanes that hear gateways tell of themselves."""
    return [_device_link(number, now) for number in range(1, len(ENV.mqtt_urls) + 1)]


def _device_link(number: int, now: Callable[[], datetime]) -> DeviceLink:
    broker = broker_name(number)
    unheeded = Unheeded(broker)
    reports = Reports(broker, update_limits())
    # Who handles which event. A kind that nobody handles is not asked for.
    handlers: Handlers = PresenceKeeper(broker, unheeded).handlers() | {Report: (reports.reported,)}
    url = broker_url(ENV, number, broker_rules.DEVICELINK)
    return DeviceLink(LinkConfig(broker, url, handlers, unheeded, reports.facts), now=now)


def pushing(links: Sequence[DeviceLink], now: Callable[[], datetime]) -> "Pushing":
    """The worker's lane that tells gateways of their updates."""
    from tds.updates.executions.pushing import Pushing

    return Pushing(Commands(links), whereabouts.of, now, firmware_url(ENV))


def conducting(now: Callable[[], datetime], wait: Callable[[float], object]) -> "Conducting":
    """The worker's lane that does what the rules of rollouts say."""
    from tds.update_health import health
    from tds.updates.rollouts.conductor import Conducting

    settle = partial(updates_keeper.settle_deadlines, limits=update_limits())
    return Conducting(settle, delivery.offer, online, health, now, wait)


def update_limits() -> transitions.Limits:
    """How long an update may stay where it is."""
    return transitions.with_lost_after(ENV.update_lost_after_s)


def may_offer(connection: psycopg.Connection[Any], execution_id: int, now: datetime) -> bool:
    """Whether the turn of an update has come whose gateway asks for it; if so it is offered."""
    from tds.updates.rollouts.offering import Offering

    return Offering(delivery.offer, online).may_offer(connection, execution_id, now)


def online(connection: psycopg.Connection[Any], gateway_ids: Sequence[int]) -> set[int]:
    """Which of those gateways have a session with a broker."""
    return set(whereabouts.of(connection, gateway_ids))


def remove_gone(connection: psycopg.Connection[Any], now: datetime) -> None:
    """The worker's chore: updates of gateways that were disabled or retired end."""
    while updates_keeper.remove_gone(connection, now, GONE_AT_ONCE, update_limits()) == GONE_AT_ONCE:
        pass


def clean_artifacts(connection: psycopg.Connection[Any], now: datetime) -> Sequence[str]:
    """The worker's chore: images that no release has, and uploads that were given up."""
    from tds.updates.folders import UpdatesFolder
    from tds.updates.releases import desk
    from tds.updates.releases.files import Artifacts

    return desk.clean(connection, Artifacts(UpdatesFolder(ENV.home / "updates").artifacts), now)


def keeper(number: int) -> "Keeper":
    """Of the access to the private broker of that number, from 1, whose folder is in this home."""
    from django.utils import timezone

    from tds.identity.access.agent import Broker, Keeper
    from tds.identity.access.services_listener import ServicesListener

    name, folder = broker_name(number), (ENV.home / broker_name(number)).resolve()
    services = ServicesListener(
        LOOPBACK, services_port(ENV, number), broker_rules.AGENT, password_of(ENV.home, broker_rules.AGENT)
    )
    [*_, places] = broker_ports(ENV.ports, ENV.more_ports, number)
    broker = Broker(name, folder / "tls", folder / "data" / PID_FILE, services, reachable(ENV.bind), places.mqtt_tls)
    return Keeper(broker, passwords_at, timezone.now)


def renew_certificates(_connection: psycopg.Connection[Any], now: datetime) -> list[str]:
    """The worker's chore: those of the private brokers, long before they end."""
    from tds.local.certificates import renew

    return renew(ENV, now)


def passwords_at(now: datetime) -> "Passwords":
    """Whether gateways come in with passwords at that moment."""
    from tds.identity.access.broker_files import Passwords

    if ENV.mqtt_plain is not Plain.PASSWORD:
        return Passwords.NONE
    return Passwords.TAKEN if plain_at(ENV, now) is Plain.PASSWORD else Passwords.OVER


def shared_filter() -> str:
    """Of telemetry, shared. Whoever knows the group's name could subscribe to it and swallow a share."""
    return f"$share/{kept_secret(ENV.home, SHARED_GROUP, SHARED_GROUP_BYTES)}/{TELEMETRY_FILTER}"


def database_connection() -> psycopg.Connection[Any]:
    """Django's own connection of this thread, as psycopg's: for the stores, which speak SQL."""
    django_connection.ensure_connection()
    return cast("psycopg.Connection[Any]", django_connection.connection)
