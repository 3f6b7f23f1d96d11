"""The certificates that were given to gateways, chosen for pages, metrics and `tds status`."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.issued import expiry
from tds.identity.issued.expiry import Outlook, Worry
from tds.identity.models import BrokerAccess, Certificate, ClaimCode, GatewayPassword, RevocationList


def certificates() -> "QuerySet[Certificate]":
    """To be filtered by tenant."""
    return Certificate.objects.all()


def claim_codes() -> "QuerySet[ClaimCode]":
    """To be filtered by tenant."""
    return ClaimCode.objects.all()


def passwords() -> "QuerySet[GatewayPassword]":
    """To be filtered by tenant."""
    return GatewayPassword.objects.all()


def revocation_lists() -> "QuerySet[RevocationList]":
    """The platform's own: they name no tenant."""
    return RevocationList.objects.all()


def brokers() -> "QuerySet[BrokerAccess]":
    """The platform's own: they name no tenant."""
    return BrokerAccess.objects.all()


def usable() -> "QuerySet[Certificate]":
    """With what gateways may still come in, if they are active and it has not run out.

    An authority that is trusted has a row among the lists; before the worker's first there is none, and none is missed.
    """
    lists = RevocationList.objects.all()
    trusted = Q(issuer__in=lists.values("issuer")) | ~Exists(lists)
    return Certificate.objects.filter(trusted, revoked_at=None).order_by()


def last_ends(gateway_ids: Sequence[int]) -> dict[int, datetime]:
    """By the gateway's id, the end of what it may still use; one that has nothing of the kind is not in it."""
    of = usable().filter(gateway__in=gateway_ids)
    return dict(of.values_list("gateway").annotate(ends_at=Max("not_after")))


def running_out(*, now: datetime) -> Outlook:
    """Of the whole platform."""
    return worries(usable(), left_behind(now=now), now=now)


def worries(of: "QuerySet[Certificate]", left_behind: list[str], *, now: datetime) -> Outlook:
    """Among usable certificates. Of active gateways alone: the others are let in by none, so none is missed."""
    last = of.filter(gateway__status=GatewayStatus.ACTIVE).values_list("gateway__code")
    ends = last.annotate(ends_at=Max("not_after")).filter(ends_at__lte=expiry.horizon(now))
    return expiry.outlook((Worry(*row) for row in ends), left_behind, now=now)


def left_behind(*, now: datetime) -> list[str]:
    """Codes of active gateways that would come in if their authority were still trusted: they did not renew in time."""
    good = Certificate.objects.filter(gateway=OuterRef("pk"), revoked_at=None, not_after__gte=now)
    of = Gateway.objects.filter(Exists(good), ~Exists(usable().filter(gateway=OuterRef("pk"))))
    return list(of.filter(status=GatewayStatus.ACTIVE).order_by("code").values_list("code", flat=True))
