"""The health of gateways as the database has it: for pages, commands and counts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Count

from tds.devicelink import judged
from tds.devicelink.health import WRONG_CLOCK, BrokerHeard, Counts, Facts, Health, Limits, Session, judge
from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.devicelink.presence import Known
from tds.fleet.models import Gateway, GatewayStatus

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django_stubs_ext import WithAnnotations

GATEWAYS_AT_ONCE: Final = 2_000  # in memory, of a whole fleet


def of(gateways: Iterable[Gateway], *, now: datetime) -> dict[int, Health]:
    """By id, of gateways that are loaded, as those of one page. Two statements, whatever their number."""
    loaded = {gateway.pk: gateway for gateway in gateways}
    known = {presence.pk: presence for presence in GatewayPresence.objects.filter(pk__in=loaded)}
    heard, bounds = brokers(), limits()
    disabled = [pk for pk, row in known.items() if row.online and loaded[pk].status == GatewayStatus.DISABLED]
    disabled_at = dict(judged.DISABLED.filter(object_id__in=disabled).order_by("id").values_list("object_id", "at"))
    return {
        pk: judge(_facts(gateway, known.get(pk), disabled_at.get(pk)), heard, now=now, limits=bounds)
        for pk, gateway in loaded.items()
    }


def walk(gateways: "QuerySet[Gateway]", *, now: datetime) -> Iterator[tuple[Gateway, Health]]:
    """Of a whole fleet, in its order and in bounded memory. Two statements."""
    heard, bounds = brokers(), limits()
    walked = gateways.select_related("presence").annotate(disabled_at=judged.DISABLED_AT)
    for gateway in walked.iterator(chunk_size=GATEWAYS_AT_ONCE):
        try:
            presence = gateway.presence
        except ObjectDoesNotExist:
            presence = None
        yield gateway, judge(_facts(gateway, presence, gateway.disabled_at), heard, now=now, limits=bounds)


def find(gateways: "QuerySet[Gateway]", *, now: datetime) -> "QuerySet[WithAnnotations[Gateway, judged.Judged]]":
    """To be filtered by their health. One statement, and another with what it becomes."""
    return judged.judged(gateways, brokers(), now=now, limits=limits())


def counts(gateways: "QuerySet[Gateway]", *, now: datetime) -> Counts:
    """Of those that are not retired. Two statements, whatever their number."""
    used = find(gateways.exclude(status=GatewayStatus.RETIRED), now=now)
    sessions: Counter[Session] = Counter()
    silent = wrong_clock = 0
    kinds = used.values("session", "silent", "clock").annotate(gateways=Count("pk")).order_by()
    for session, is_silent, clock, gateways_of_kind in kinds.values_list("session", "silent", "clock", "gateways"):
        sessions[Session(session)] += gateways_of_kind
        silent += gateways_of_kind * is_silent
        wrong_clock += gateways_of_kind * (clock in WRONG_CLOCK)
    return Counts(sessions.total(), sessions, silent, wrong_clock)


def brokers() -> dict[str, BrokerHeard]:
    """Those that were ever heard."""
    rows = BrokerLink.objects.exclude(heard_until=None).values_list("broker", "heard_until", "started_at")
    return {broker: BrokerHeard(heard_until, started_at) for broker, heard_until, started_at in rows if heard_until}


def limits() -> Limits:
    """As the platform is set up."""
    return Limits(timedelta(seconds=settings.ENV.silent_after_s), timedelta(days=settings.ENV.retention_days))


def _facts(gateway: Gateway, presence: GatewayPresence | None, disabled_at: datetime | None) -> Facts:
    return Facts(
        gateway.status == GatewayStatus.ACTIVE,
        _known(presence) if presence is not None else None,
        gateway.last_seen_at,
        gateway.last_reading_at,
        gateway.dated_at,
        gateway.retired_at or disabled_at,
    )


def _known(row: GatewayPresence) -> Known:
    return Known(
        tuple(row.brokers),
        row.broker,
        row.changed_at,
        row.witnessed,
        row.heard_at,
        row.firmware,
        row.clock_ahead,
        row.clock_at,
        row.report_interval,
    )
