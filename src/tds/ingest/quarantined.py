"""What is in quarantine, chosen and described: the same for the command line, the page and the API."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import Count, F, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext

from tds.ingest.models import QuarantineCount, QuarantinedMessage
from tds.ingest.reasons import SENTENCES, Reason

WORST_SENDERS: Final = 5
RECENT: Final = timedelta(hours=24)  # who sent nothing bad for so long is no trouble any more


@dataclass(frozen=True, slots=True)
class Choice:
    """By reason, by gateway code as it was sent, and by when it came; what is empty chooses nothing away."""

    reason: str = ""
    gateway: str = ""
    since: datetime | None = None

    def of(self, messages: "QuerySet[QuarantinedMessage]") -> "QuerySet[QuarantinedMessage]":
        if self.reason:
            messages = messages.filter(reason=self.reason)
        if self.gateway:
            messages = messages.filter(gateway_code=self.gateway)
        if self.since:
            messages = messages.filter(received_at__gte=self.since)
        return messages


@dataclass(frozen=True, slots=True)
class Sender:
    """`total`: messages that were ever refused; of a code that is nobody's, those that are still kept."""

    gateway_code: str
    reason: str
    total: int
    last_at: datetime


class Group(NamedTuple):
    """`total` as of a `Sender`; `kept` and `last` are of the messages that were chosen."""

    reason: str
    gateway_code: str
    total: int
    kept: int
    last: datetime


def everybodys() -> "QuerySet[QuarantinedMessage]":
    """To be filtered by tenant."""
    return QuarantinedMessage.objects.all()


def counts() -> "QuerySet[QuarantineCount]":
    """To be filtered by tenant."""
    return QuarantineCount.objects.all()


def nobodys() -> "QuerySet[QuarantinedMessage]":
    """Of codes that are no tenant's. For the platform operator alone."""
    return QuarantinedMessage.objects.filter(tenant=None)


def worst_of_gateways(counts: "QuerySet[QuarantineCount]", *, now: datetime) -> list[Sender]:
    """Who among these gateways sends most of what is refused, and still does."""
    recent = counts.filter(last_at__gte=now - RECENT, total__gt=0).exclude(reason=Reason.PREVIOUS_OWNER)
    chosen = recent.select_related("gateway").order_by("-total", "id")[:WORST_SENDERS]
    return [
        Sender(count.gateway.code, count.reason, count.total, count.last_at)
        for count in chosen
        if count.gateway is not None
    ]


def worst_of_strangers(*, now: datetime) -> list[Sender]:
    groups = (
        nobodys()
        .filter(received_at__gte=now - RECENT)
        .order_by()
        .values("gateway_code", "reason")
        .annotate(total=Count("id"), last_at=Max("received_at"))
        .order_by("-total", "gateway_code")[:WORST_SENDERS]
    )
    return [Sender(**group) for group in groups]


def grouped(messages: "QuerySet[QuarantinedMessage]", *, limit: int) -> list[Group]:
    """By reason and sender, who ever sent most first.

    Of kept ones alone, a gateway that sends rubbish for ever has no more than one that was at its bound once.
    """
    of_gateway = QuarantineCount.objects.filter(reason=OuterRef("reason"), gateway=OuterRef("gateway_id")).order_by()
    ever = of_gateway.values("reason").annotate(n=Sum("total")).values("n")
    groups = messages.order_by().values("reason", "gateway_code", "gateway_id")
    counted = groups.annotate(kept=Count("id"), last=Max("received_at")).annotate(
        total=Coalesce(Subquery(ever), F("kept"))
    )
    ordered = counted.order_by("-total", "-kept", "gateway_code", "reason")
    return [Group(*row) for row in ordered.values_list(*Group._fields)[:limit]]


def advice(reason: str, gateway_code: str) -> str:
    """What happened, whose side it is on and what to do next, in the language of the thread.

    Empty for a word that this version does not know.
    """
    if reason not in SENTENCES:
        return ""
    return gettext(SENTENCES[Reason(reason)]).format(gateway=gateway_code, device=gettext("the device"))


def payload_of(message: QuarantinedMessage) -> tuple[str, str | None]:
    """A payload as text; or, when it is no UTF-8, an empty text and its base64."""
    payload = bytes(message.payload)
    try:
        return payload.decode(), None
    except UnicodeDecodeError:
        return "", base64.b64encode(payload).decode()


def described(message: QuarantinedMessage) -> dict[str, Any]:
    """A message as one line of an export: times in ISO 8601 of UTC, `payload_base64` only where it is no UTF-8."""
    text, encoded = payload_of(message)
    document: dict[str, Any] = {
        "id": message.pk,
        "received_at": message.received_at.isoformat(),
        "reason": message.reason,
        "detail": message.detail,
        "gateway_code": message.gateway_code,
        "topic": message.topic,
        "replayed_at": message.replayed_at.isoformat() if message.replayed_at else None,
        "payload": text,
    }
    return document if encoded is None else document | {"payload_base64": encoded}
