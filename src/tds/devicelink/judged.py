"""The rule of `health.py` as the database applies it: for counts of a whole fleet and for what the list looks for.

Whatever is changed there is changed here; a test compares the two over all that facts can be.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypedDict

from django.db.models import (
    Case,
    CharField,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Greatest

from tds.devicelink.health import (
    AFTERWARDS,
    CLOCK_OFF,
    CONFIRM_WITHIN,
    REPORTS_MISSED,
    START_MARGIN,
    BrokerHeard,
    Limits,
    Session,
    Trouble,
)
from tds.fleet.audit import GATEWAY
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django_stubs_ext import WithAnnotations

# The row of a gateway does not say when it was disabled.
DISABLED: Final = AuditEntry.objects.filter(object_kind=GATEWAY, action=AuditAction.DISABLED)
# Looked up of those alone that are disabled and said to be connected.
DISABLED_AT: Final = Case(
    When(
        status=GatewayStatus.DISABLED,
        presence__online=True,
        then=Subquery(DISABLED.filter(object_id=OuterRef("pk")).order_by("-id").values("at")[:1]),
    )
)
NO_TROUBLE: Final = ""


class Judged(TypedDict):
    """What gateways can be filtered by."""

    session: str  # a Session
    silent: bool
    clock: str  # a Trouble, or NO_TROUBLE


def judged(
    gateways: "QuerySet[Gateway]", brokers: Mapping[str, BrokerHeard], *, now: datetime, limits: Limits
) -> "QuerySet[WithAnnotations[Gateway, Judged]]":
    # The greatest of a length and nothing is the length.
    silent_after = Greatest(
        Value(limits.silent_after, DurationField()),
        ExpressionWrapper(F("presence__report_interval") * REPORTS_MISSED, DurationField()),
    )
    recent_from = ExpressionWrapper(Value(now, DateTimeField()) - silent_after, DateTimeField())
    put_out_at = Case(When(status=GatewayStatus.RETIRED, then=F("retired_at")), default=DISABLED_AT)
    return (
        gateways.alias(recent_from=recent_from, put_out_at=put_out_at)
        .annotate(session=_session(brokers, now), clock=_clock(limits.kept))
        .annotate(silent=Case(When(_silent(), then=Value(value=True)), default=Value(value=False)))
    )


def _session(brokers: Mapping[str, BrokerHeard], now: datetime) -> Case:
    online, recent = Q(presence__online=True), Q(last_seen_at__gte=F("recent_from"))
    # Somebody listens there; or what came in since came over some connection.
    known = Q(presence__broker__in=[name for name, broker in brokers.items() if broker.is_heard(now)])
    of_somebody = Case(
        When(presence__online=False, then=Value(Session.NOT_CONNECTED)),
        When(_was_with_a_broker_that_died(brokers, now), then=Value(Session.UNCERTAIN)),
        When(put_out_at=None, then=Value(Session.CONNECTED)),
        When(
            Q(presence__changed_at__gt=F("put_out_at"))
            | Q(presence__heard_at__gt=F("put_out_at"))
            | (recent & Q(last_seen_at__gt=F("put_out_at") + AFTERWARDS)),
            then=Value(Session.CONNECTED),
        ),
        default=Value(Session.UNCERTAIN),
    )
    return Case(
        When(presence=None, last_seen_at=None, then=Value(Session.NEVER)),
        When(presence=None, then=Value(Session.UNSAID)),
        When(known | (online & recent), then=of_somebody),
        default=Value(Session.UNCERTAIN),
        output_field=CharField(),
    )


def _was_with_a_broker_that_died(brokers: Mapping[str, BrokerHeard], now: datetime) -> Q:
    """… and it was not heard since that one was started, though it had the time to come back."""
    found = Q(pk__in=[])
    for name, broker in brokers.items():
        if broker.started_at is None or now <= broker.started_at + CONFIRM_WITHIN:
            continue
        before = broker.started_at - START_MARGIN
        said_before = Q(presence__heard_at=None) | Q(presence__heard_at__lt=before)
        sent_before = Q(last_seen_at=None) | Q(last_seen_at__lt=before)
        had_time = Q(presence__changed_at__lt=now - CONFIRM_WITHIN)
        found |= Q(presence__broker=name) & said_before & sent_before & had_time
    return found


def _silent() -> Q:
    sent_before = Q(last_seen_at=None) | Q(last_seen_at__lt=F("recent_from"))
    connected = Q(session=Session.CONNECTED, status=GatewayStatus.ACTIVE)
    return connected & Q(presence__changed_at__lt=F("recent_from")) & sent_before


def _clock(kept: timedelta) -> Case:
    said_last = Q(presence__clock_at__gte=F("last_seen_at")) | Q(presence__clock_at__isnull=False, last_seen_at=None)
    by_its_word = Q(presence__clock_ahead__isnull=False) & (said_last | Q(last_seen_at=None) | Q(dated_at=None))
    said_behind = Q(presence__clock_ahead__lt=-CLOCK_OFF)
    ahead, behind = Value(Trouble.CLOCK_AHEAD), Value(Trouble.CLOCK_BEHIND)
    return Case(
        When(by_its_word & Q(presence__clock_ahead__gt=CLOCK_OFF), then=ahead),
        When(by_its_word & said_behind, then=behind),
        When(by_its_word, then=Value(NO_TROUBLE)),
        When(dated_at__gt=F("last_seen_at") + CLOCK_OFF, then=ahead),
        # Old readings. What it said as it came online tells whether that is its clock.
        When(Q(dated_at__lt=F("last_seen_at") - CLOCK_OFF) & said_behind, then=behind),
        When(presence__clock_ahead=None, dated_at__lt=F("last_seen_at") - kept, then=behind),
        When(dated_at__lt=F("last_seen_at") - CLOCK_OFF, then=Value(Trouble.OLD_READINGS)),
        default=Value(NO_TROUBLE),
        output_field=CharField(),
    )
