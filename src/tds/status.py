"""What works and what does not, from live facts: a message is really published, stored and read again."""

import contextlib
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic, sleep
from typing import Any, Final

import psycopg
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.utils import timezone

from tds import disk, wiring
from tds.devicelink import fleet_health, words
from tds.environment import Environment
from tds.fleet.models import Device, DeviceMetric, Gateway, Tenant
from tds.fleet.probe import PROBE_GATEWAY, PROBE_TENANT
from tds.heartbeat import STALE_S, Heartbeat
from tds.identity.access import broker_rules
from tds.identity.authorities.own_certificates import own_certificates
from tds.identity.issued import findings, given
from tds.identity.issued.expiry import Outlook
from tds.identity.models import BrokerAccess, Certificate, RevocationList
from tds.identity.revocation import lists_in_force
from tds.ingest import loud_senders
from tds.ingest.loud_senders import Loud
from tds.ingest.models import SpoolState
from tds.ingest.quarantined import counts
from tds.local.parts import ota_trouble, web_trouble
from tds.local.plan import ota_url, web_url
from tds.mqtt import address
from tds.mqtt.once import PublishError, publish_once
from tds.processes import AGENT, SLOT_PREFIX, broker_name
from tds.readings import clock
from tds.readings.store import Series
from tds.service_access import broker_url, services_port
from tds.spools import SpoolSeen, consumer_names, spools

OTA: Final = "firmware server"
PROBE_DEVICE: Final = "P01"
PROBE_TIPO: Final = "sonda"
ROUND_TRIP_LIMIT_S: Final = 5.0
REDIS_LIMIT_S: Final = 5.0
MIN_FREE_BYTES: Final = 1024**3
BUSY: Final = timedelta(minutes=1)  # a chore that takes as long is told
SPOOL_NEARLY_FULL: Final = 0.8  # of its bytes
QUARANTINE_NEARLY_FULL: Final = 0.9  # of its messages or bytes; at 1 it lets a part of the fullest go


class State(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"  # works, and will not go on for ever
    UNHEALTHY = "unhealthy"
    OFF = "off"  # not asked for: no fault


@dataclass(frozen=True, slots=True)
class Part:
    """One part: how it is, why, and what to do when it is not well."""

    name: str
    state: State
    detail: str
    action: str = ""


def examine(environment: Environment) -> list[Part]:
    """Every part, looked at now. Takes up to some ten seconds when much is broken."""
    database = _database()
    # Asked once: one that hangs costs a connection's whole patience at every question.
    there = database.state is State.HEALTHY
    checks: list[Callable[[], Part]] = [
        lambda: _redis(environment),
        lambda: _disk(environment, database_there=there),
        lambda: _spool(environment, database_there=there),
        lambda: _quarantine(database_there=there),
        lambda: _certificates(environment, database_there=there),
        lambda: _web(environment),
        *(_beating(name, database_there=there) for name in consumer_names(environment)),
        lambda: _worker(database_there=there),
        lambda: _gateways(environment, database_there=there),
        *(_access(environment, database_there=there)),
        *(_round_trip(environment, n, database_there=there) for n in range(1, len(environment.mqtt_urls) + 1)),
        lambda: _ota(environment, database_there=there),
    ]
    return [database, *(check() for check in checks), *(_abandoned_slots(environment) if there else [])]


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


def healthy(parts: list[Part]) -> bool:
    return all(part.state is not State.UNHEALTHY for part in parts)


def as_document(parts: list[Part]) -> dict[str, Any]:
    return {"healthy": healthy(parts), "parts": {part.name: asdict(part) | {"name": part.name} for part in parts}}


def _database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database()), current_setting('server_version')")
            size_bytes, version = cursor.fetchone()
            cursor.execute("SELECT count(*) FROM tds_new_estadorollup")
    except DatabaseError as error:
        return Part("database", State.UNHEALTHY, _line(error), "Start it with ./tds up, or correct TDS_DATABASE_URL.")
    store = wiring.reading_store().name_of(wiring.database_connection())
    detail = f"PostgreSQL {version}, {size_bytes / 1e6:.0f} MB, {store} store."
    return Part("database", State.HEALTHY, detail)


def _redis(environment: Environment) -> Part:
    if not environment.redis_url:
        return Part("redis", State.OFF, "Not configured; sessions are in the database.")
    import redis

    try:
        redis.Redis.from_url(environment.redis_url, socket_timeout=REDIS_LIMIT_S).ping()
    except redis.RedisError as error:
        return Part("redis", State.UNHEALTHY, _line(error), "Start Redis, or unset TDS_REDIS_URL.")
    return Part("redis", State.HEALTHY, "Answers.")


def _disk(environment: Environment, *, database_there: bool) -> Part:
    free_bytes = shutil.disk_usage(environment.home).free
    detail = f"{free_bytes / 1e9:.1f} GB free under TDS_HOME."
    if free_bytes < MIN_FREE_BYTES:
        return Part("disk", State.UNHEALTHY, detail, "Make room before the database stops.")
    if not database_there:
        return Part("disk", State.HEALTHY, detail)
    limits, now = wiring.disk_limits(), timezone.now()
    try:
        disks = disk.seen(wiring.database_connection(), limits, now=now)
    except (DatabaseError, psycopg.Error) as error:
        return Part("disk", State.WARNING, f"{detail} How it fills is unknown: {_line(error)}", "See database.")
    if found := disk.troubles(disks, limits, now=now):
        told = " ".join(trouble.detail for trouble in found)
        return Part("disk", State.WARNING, f"{detail} {told}", " ".join(trouble.action + "." for trouble in found))
    ends = [seen.ahead.days_left for seen in disks if seen.ahead.days_left is not None]
    if ends:
        detail += f" At the pace of the last week full in {min(ends):,.0f} days."
    return Part("disk", State.HEALTHY, detail)


def _spool(environment: Environment, *, database_there: bool) -> Part:
    if not environment.spool_bytes:
        return Part("spool", State.OFF, "TDS_SPOOL_BYTES is 0: while the database is away, the broker keeps messages.")
    try:
        seen = spools(environment, database_there=database_there)
    except OSError as error:
        action = f"See that the consumers' account may read {environment.spool_folder}."
        return Part("spool", State.UNHEALTHY, _line(error), action)
    lost = sum(SpoolState.objects.values_list("lost", flat=True)) if database_there else 0
    damage = f" A damaged disk has cost {lost} acknowledged messages so far." if lost else ""
    waiting = [spool for spool in seen if spool.size_bytes]
    if not waiting:
        return Part(
            "spool", State.HEALTHY, f"Empty; room for {environment.spool_bytes / 1e6:.0f} MB a consumer.{damage}"
        )
    now = timezone.now()
    told = ", ".join(
        f"{spool.consumer}: {spool.size_bytes / 1e6:.1f} of {spool.limit_bytes / 1e6:.0f} MB"
        + (f", {(now - spool.oldest_at).total_seconds():.0f} s old" if spool.oldest_at else "")
        for spool in waiting
    )
    full = any(spool.size_bytes > SPOOL_NEARLY_FULL * spool.limit_bytes for spool in waiting)
    state = State.UNHEALTHY if full else State.HEALTHY
    action = "Bring the database back; a full spool takes nothing, and then the broker keeps messages." if full else ""
    return Part("spool", state, f"{told}; stored when the database is back.{damage}", action)


def _quarantine(*, database_there: bool) -> Part:
    """Never unhealthy: the platform does what it should, and somebody should look at a gateway."""
    away = Part("quarantine", State.WARNING, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    bounds, now = wiring.quarantine_bounds(), timezone.now()
    try:
        gateways = loud_senders.loud_gateways(counts(), bounds, now=now)
        strangers = loud_senders.loud_strangers(bounds, now=now)
        taken = loud_senders.room_taken(bounds)
    except DatabaseError:
        return away
    found = sorted([*gateways, *strangers], key=lambda loud: -loud.messages)
    if found:
        return Part("quarantine", State.WARNING, _told_loud(found), _to_look_at(found[0]))
    if taken > QUARANTINE_NEARLY_FULL:
        detail = f"{taken:.0%} full with messages of many senders; beyond, each new one pushes an older one out."
        action = "See who sends them: ./tds quarantine list; make room with ./tds quarantine purge."
        return Part("quarantine", State.WARNING, detail, action)
    limit = loud_senders.loud_from(bounds)
    detail = f"{taken:.0%} full; no gateway had {limit} messages or more refused in the last 24 hours."
    return Part("quarantine", State.HEALTHY, detail)


def _told_loud(found: list[Loud]) -> str:
    worst, *others = found
    code = worst.gateway_code if worst.gateway_code.isprintable() else ascii(worst.gateway_code)
    who = {
        (True, True): f"Gateway {code} of {worst.tenant}",
        (True, False): f"Gateway {code}, which nobody registered,",
        (False, True): f"Somebody with a token of {worst.tenant}, without a gateway's code,",
        (False, False): "Unknown gateways, under many codes or none,",
    }[bool(code), bool(worst.tenant)]
    more = f" {len(others)} more did as well." if others else ""
    return (
        f"{who} sent at least {worst.messages:,} messages in the last 24 hours that were refused, "
        f"most of them as {worst.reason}.{more}"
    )


def _to_look_at(worst: Loud) -> str:
    """With a line for the shell: an unknown code is whatever somebody sent."""
    code = worst.gateway_code
    choice = f"--gateway {shlex.quote(code)}" if code and code.isprintable() else f"--tenant {worst.tenant or '-'}"
    return f"Look at them with ./tds quarantine list {choice} and correct or disable what sends them."


def _certificates(environment: Environment, *, database_there: bool) -> Part:
    """Which run out, of gateways and of the platform itself."""
    now, own = timezone.now(), own_certificates(environment.home / "tls")
    gateways, unknown = Outlook([], [], []), not database_there
    if database_there:
        try:
            gateways = given.running_out(now=now)
        except DatabaseError:
            unknown = True
    found = findings.findings(own, gateways, now=now)
    if found:
        state = State.UNHEALTHY if found[0].urgent else State.WARNING
        told = (" ".join(finding.detail for finding in found), " ".join(finding.action for finding in found))
        return Part("certificates", state, *told)
    if unknown:
        return Part("certificates", State.WARNING, "Of gateways unknown: the database is away.", "See database.")
    return Part("certificates", State.HEALTHY, findings.well(own))


def _web(environment: Environment) -> Part:
    url = f"{web_url(environment)}/healthz"
    if trouble := web_trouble(environment):
        action = "Look into log/web.log under TDS_HOME; start it with ./tds up."
        return Part("web", State.UNHEALTHY, f"{url}: {trouble}.", action)
    return Part("web", State.HEALTHY, f"{url} answers.")


def _ota(environment: Environment, *, database_there: bool) -> Part:
    url = f"{ota_url(environment)}/healthz"
    if trouble := ota_trouble(environment):
        action = "Look into log/ota.log under TDS_HOME; start it with ./tds up."
        return Part(OTA, State.UNHEALTHY, f"{url}: {trouble}.", action)
    facts: dict[str, Any] = {}
    if database_there:
        with contextlib.suppress(DatabaseError):
            facts = Heartbeat.objects.filter(process="ota").values_list("facts", flat=True).first() or {}
    return Part(OTA, State.HEALTHY, f"{url} answers.{told_of_ota(facts)}")


def told_of_ota(facts: dict[str, Any]) -> str:
    """What the firmware server says of itself since its start, as sentences; empty when that is nothing. Pure."""
    requests, handshakes = Counter(facts.get("requests", {})), Counter(facts.get("handshakes_refused", {}))
    found = []
    if given := requests["claimed"] + requests["renewed"]:
        found.append(f"{given} certificates given since its start.")
    if handshakes:
        [(reason, _count)] = handshakes.most_common(1)
        found.append(f"{handshakes.total()} TLS handshakes failed, most of them with: {reason}.")
    if limited := requests["limited"]:
        found.append(f"{limited} tries to enrol came too fast.")
    return "".join(f" {sentence}" for sentence in found)


def _beating(process: str, *, database_there: bool) -> Callable[[], Part]:
    def check() -> Part:
        action = f"Look into log/{process}.log under TDS_HOME; start it with ./tds up."
        away = Part(process, State.UNHEALTHY, "Unknown: the database is away.", "See database.")
        if not database_there:
            return away
        try:
            row = Heartbeat.objects.filter(process=process).first()
        except DatabaseError:
            return away
        if row is None:
            return Part(process, State.UNHEALTHY, "It has never run.", action)
        age_s = (timezone.now() - row.beat_at).total_seconds()
        if age_s > STALE_S:
            return Part(process, State.UNHEALTHY, f"Its last sign of life is {age_s:.0f} s old.", action)
        return _of(row, age_s)

    return check


def _abandoned_slots(environment: Environment) -> list[Part]:
    """A member of a shared subscription that never comes again keeps its share of the messages."""
    try:
        names = Heartbeat.objects.filter(process__startswith=SLOT_PREFIX).values_list("process", flat=True)
        slots = sorted(int(name.removeprefix(SLOT_PREFIX)) for name in names)
    except DatabaseError:
        return []
    detail = "It is not one of TDS_MQTT_SHARED_SLOTS any more, but the broker may keep a share of the messages for it."
    return [
        Part(
            f"{SLOT_PREFIX}{slot}",
            State.UNHEALTHY,
            detail,
            f"Store them with python manage.py mqtt_consumer --drain --slot {slot}.",
        )
        for slot in slots
        if slot > environment.mqtt_shared_slots
    ]


def _worker(*, database_there: bool) -> Part:
    """Also whether days are dropped, which it does by a clock that may be wrong."""
    part = _beating("worker", database_there=database_there)()
    if part.state is not State.HEALTHY:
        return part
    limits, now = wiring.disk_limits(), timezone.now()
    try:
        connection = wiring.database_connection()
        since = wiring.reading_store().kept_since(connection)
        doubt = clock.doubt_of_upkeep(connection, limits.budget, limits.retention, since, now=now)
    except (DatabaseError, psycopg.Error):
        return Part("worker", State.UNHEALTHY, "Unknown: the database is away.", "See database.")
    return Part("worker", State.WARNING, f"{part.detail} {doubt}", clock.WHAT_TO_DO) if doubt else part


def _gateways(environment: Environment, *, database_there: bool) -> Part:
    """How many are connected. Never unhealthy: the platform works, whatever they do."""
    away = Part("gateways", State.WARNING, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    now = timezone.now()
    try:
        found = fleet_health.counts(Gateway.objects.exclude(tenant__slug=PROBE_TENANT), now=now)
        brokers = fleet_health.brokers()
    except DatabaseError:
        return away
    names = [broker_name(number) for number in range(1, len(environment.mqtt_urls) + 1)]
    unheard = [name for name in names if name not in brokers or not brokers[name].is_heard(now)]
    if unheard:
        detail = f"{words.fleet(found)} Whether they come or go on {', '.join(unheard)} is not heard."
        return Part("gateways", State.WARNING, detail, "See worker and broker.")
    return Part("gateways", State.HEALTHY, words.fleet(found))


def _access(environment: Environment, *, database_there: bool) -> list[Callable[[], Part]]:
    """Of the private brokers: the agent, and whether who was put out is out."""
    if environment.mqtt_urls_given or not services_port(environment, 1):
        return []
    return [_beating(AGENT, database_there=database_there), lambda: _revocation(database_there=database_there)]


def _revocation(*, database_there: bool) -> Part:
    away = Part("revocation", State.UNHEALTHY, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    try:
        lists = RevocationList.objects.values_list("issuer", "revision", "next_update")
        brokers = BrokerAccess.objects.values_list("broker", "revision", "detail")
        refused = Certificate.objects.filter(listed_in__isnull=False, not_after__gt=timezone.now()).count()
        worker = Heartbeat.objects.filter(process="worker").first()
        verdict = lists_in_force.judge(
            [lists_in_force.List(*row) for row in lists],
            [lists_in_force.Broker(*row) for row in brokers],
            refused,
            worker.facts.get("revoking", "") if worker else "",
            now=timezone.now(),
        )
    except DatabaseError:
        return away
    state = {True: State.HEALTHY, None: State.WARNING, False: State.UNHEALTHY}[verdict.well]
    return Part("revocation", state, verdict.detail, verdict.action)


def _of(row: Heartbeat, age_s: float) -> Part:
    """A process that lives, and what it says of itself."""
    if shortage := row.facts.get("shortage"):
        return Part(row.process, State.UNHEALTHY, shortage, "Make room on that disk; nothing is lost meanwhile.")
    if row.facts.get("connected") is False:
        broker = row.facts.get("broker", "the broker")
        return Part(row.process, State.UNHEALTHY, f"It runs, but has no session with {broker}.", "See broker.")
    detail = f"Process {row.pid}, last sign of life {max(age_s, 0):.0f} s ago."
    for name, since in row.facts.get("doing", {}).items():
        if (busy := row.beat_at - datetime.fromisoformat(since)) >= BUSY:
            detail += f" At work on {name} for {busy // BUSY} min."
    return Part(row.process, State.HEALTHY, detail)


def _round_trip(environment: Environment, number: int, *, database_there: bool) -> Callable[[], Part]:
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
            detail = f"{broker} took a message, but the database went away: {_line(error)}"
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


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
