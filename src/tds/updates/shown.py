"""What pages and the API show of updates: to be filtered by tenant, but for releases, which are the platform's."""

from django.db.models import Q, QuerySet

from tds.updates.models import (
    Execution,
    KnownBad,
    LeftOut,
    Release,
    ReleaseKind,
    ReleaseStatus,
    Rollout,
    RunningFirmware,
    UnsignedFetch,
)


def releases() -> "QuerySet[Release]":
    """All, also those that only the platform's operator sees."""
    return Release.objects.all()


def published() -> "QuerySet[Release]":
    """What tenants see: what was published, also when it was withdrawn."""
    return Release.objects.filter(Q(published_at__isnull=False) & ~Q(status=ReleaseStatus.UPLOADED))


def startable() -> "QuerySet[Release]":
    """What can be rolled out now."""
    return Release.objects.filter(status=ReleaseStatus.PUBLISHED, kind=ReleaseKind.APPLICATION)


def known_bad(release: Release) -> "QuerySet[KnownBad]":
    """Where a release was rolled back: the platform's own, by family and hardware, the newest first."""
    return KnownBad.objects.filter(release=release).order_by("-last_at")


def is_forgiven_somewhere(release: Release) -> bool:
    """So that whoever was taken out there can try again, also where it rolled back on another company's since."""
    return known_bad(release).filter(forgiven_at__isnull=False).exists()


def running() -> "QuerySet[RunningFirmware]":
    return RunningFirmware.objects.all()


def unsigned(release: Release) -> "QuerySet[UnsignedFetch]":
    """Gateways that took a release without its signature, and never reported that they believe any key: they install
    whatever a server of that name gives them. The newest first."""
    found = UnsignedFetch.objects.filter(release=release).exclude(gateway__running__trust_version__gt=0)
    return found.select_related("gateway").order_by("-fetched_at", "pk")


def rollouts() -> "QuerySet[Rollout]":
    return Rollout.objects.all()


def executions() -> "QuerySet[Execution]":
    return Execution.objects.all()


def left_out() -> "QuerySet[LeftOut]":
    return LeftOut.objects.all()
