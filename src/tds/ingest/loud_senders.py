"""Who sends rubbish again and again, so that it shows up by itself: in `tds status` and on its tenant's dashboard.

Quarantine has a day for each message that it keeps, but only the newest are kept; its counts go on, but have no day.
So what is said here of 24 hours is true, and may be too little: "at least".
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import Count, QuerySet, Sum

from tds.ingest.models import QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Bounds
from tds.ingest.quarantined import RECENT, counts, everybodys
from tds.ingest.reasons import Reason

# Of one gateway in RECENT; fewer are an accident. A gateway sends 1,440 a day: one that sends nothing but rubbish is
# loud after less than two hours, one whose clock is wrong for some minutes after a start is not.
LOUD_MESSAGES: Final = 100


class Loud(NamedTuple):
    """More may have come than `messages`, those of RECENT that are kept and were not replayed."""

    gateway_code: str
    tenant: str  # its slug; empty when nobody knows whose
    reason: str  # of most of them
    messages: int


def loud_gateways(counted: "QuerySet[QuarantineCount]", bounds: Bounds, *, now: datetime) -> list[Loud]:
    """Who among these gateways, the loudest first. One statement, by the indexes on `gateway`."""
    limit = loud_from(bounds)
    recent = counted.filter(last_at__gte=now - RECENT).exclude(reason=Reason.PREVIOUS_OWNER).order_by()
    suspects = recent.values("gateway").annotate(n=Sum("kept")).filter(n__gte=limit).values("gateway")
    # What is nobody's came before the gateway's code changed hands: the present owner has nothing to mend either.
    waiting = _waiting(everybodys().filter(gateway__in=suspects, tenant__isnull=False), now=now)
    groups = waiting.values_list("gateway", "gateway__code", "gateway__tenant__slug", "reason").annotate(n=Count("id"))
    return _loudest(groups, limit)


def loud_strangers(bounds: Bounds, *, now: datetime) -> list[Loud]:
    """Who of those whose gateway is none of ours. They share the room of one, so the loudest push out the others.

    Without a code: all that send none that can be read, and all that are loud together only. With a tenant: what came
    with a token of it.
    """
    limit = loud_from(bounds)
    unknown = _waiting(everybodys().filter(gateway=None), now=now)
    groups = list(unknown.values_list("tenant__slug", "gateway_code", "reason").annotate(n=Count("id")))
    of_code: Counter[tuple[str | None, str]] = Counter()
    for tenant, code, _reason, n in groups:
        of_code[tenant, code] += n
    named = (
        (tenant or "", code if of_code[tenant, code] >= limit else "", reason, n) for tenant, code, reason, n in groups
    )
    return _loudest(((code, code, tenant, reason, n) for tenant, code, reason, n in named), limit)


def loud_from(bounds: Bounds) -> int:
    """How many it takes; quarantine may be set to keep fewer than are loud."""
    return min(LOUD_MESSAGES, bounds.per_gateway)


def room_taken(bounds: Bounds) -> float:
    """How full quarantine is as a whole, of 1. When a thousand senders have filled it, it keeps few of each."""
    sums = counts().aggregate(messages=Sum("kept"), total_bytes=Sum("kept_bytes"))
    return float(max((sums["messages"] or 0) / bounds.messages, (sums["total_bytes"] or 0) / bounds.total_bytes))


def _waiting(messages: "QuerySet[QuarantinedMessage]", *, now: datetime) -> "QuerySet[QuarantinedMessage]":
    """What was replayed was mended, and of a reading of a previous owner nobody has to mend anything."""
    recent = messages.filter(received_at__gte=now - RECENT, replayed_at=None)
    return recent.exclude(reason=Reason.PREVIOUS_OWNER).order_by()


def _loudest(groups: Iterable[tuple[Any, str, str, str, int]], limit: int) -> list[Loud]:
    """One a sender, whatever its mixture of reasons. Pure."""
    reasons: dict[tuple[Any, str, str], Counter[str]] = defaultdict(Counter)
    for sender, code, tenant, reason, messages in groups:
        reasons[sender, code, tenant][reason] += messages
    found = [
        Loud(code, tenant, mixture.most_common(1)[0][0], mixture.total())
        for (_sender, code, tenant), mixture in reasons.items()
        if mixture.total() >= limit
    ]
    return sorted(found, key=lambda loud: (-loud.messages, loud.gateway_code))
