"""The health of gateways as the database has it: for pages, commands and counts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Case, OuterRef, Subquery, When

from tds.devicelink.health import BrokerHeard, Counts, Facts, Health, Session, Trouble, judge
from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.devicelink.presence import Known
from tds.fleet.audit import GATEWAY
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus

if TYPE_CHECKING:
    from django.db.models import QuerySet

GATEWAYS_AT_ONCE: Final = 2_000  # in memory, of a whole fleet

# The row of a gateway does not say when it was disabled.
_DISABLED: Final = AuditEntry.objects.filter(object_kind=GATEWAY, action=AuditAction.DISABLED)
_LAST_DISABLED: Final = _DISABLED.filter(object_id=OuterRef("pk")).order_by("-id").values("at")[:1]


def of(gateways: Iterable[Gateway], *, now: datetime) -> dict[int, Health]:
    """By id, of gateways that are loaded, as those of one page. Two statements, whatever their number."""
    loaded = {gateway.pk: gateway for gateway in gateways}
    known = {presence.pk: presence for presence in GatewayPresence.objects.filter(pk__in=loaded)}
    heard, kept = brokers(), _kept()
    disabled = [pk for pk, row in known.items() if row.online and loaded[pk].status == GatewayStatus.DISABLED]
    disabled_at = dict(_DISABLED.filter(object_id__in=disabled).order_by("id").values_list("object_id", "at"))
    return {
        pk: judge(_facts(gateway, known.get(pk), disabled_at.get(pk)), heard, now=now, kept=kept)
        for pk, gateway in loaded.items()
    }


def walk(gateways: "QuerySet[Gateway]", *, now: datetime) -> Iterator[tuple[Gateway, Health]]:
    """Of a whole fleet, in its order and in bounded memory. Two statements."""
    heard, kept = brokers(), _kept()
    # Looked up of those alone that are disabled and said to be connected.
    disabled_at = Case(When(status=GatewayStatus.DISABLED, presence__online=True, then=Subquery(_LAST_DISABLED)))
    for gateway in (
        gateways.select_related("presence").annotate(disabled_at=disabled_at).iterator(chunk_size=GATEWAYS_AT_ONCE)
    ):
        try:
            presence = gateway.presence
        except ObjectDoesNotExist:
            presence = None
        yield gateway, judge(_facts(gateway, presence, gateway.disabled_at), heard, now=now, kept=kept)


def counts(gateways: "QuerySet[Gateway]", *, now: datetime) -> Counts:
    sessions: Counter[Session] = Counter()
    silent = wrong_clock = 0
    for _, health in walk(gateways.exclude(status=GatewayStatus.RETIRED).order_by(), now=now):
        sessions[health.session] += 1
        silent += Trouble.SILENT in health.troubles
        wrong_clock += health.wrong_clock
    return Counts(sessions.total(), sessions, silent, wrong_clock)


def brokers() -> dict[str, BrokerHeard]:
    """Those that were ever heard."""
    rows = BrokerLink.objects.exclude(heard_until=None).values_list("broker", "heard_until", "started_at")
    return {broker: BrokerHeard(heard_until, started_at) for broker, heard_until, started_at in rows if heard_until}


def _kept() -> timedelta:
    return timedelta(days=settings.ENV.retention_days)


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
    )
