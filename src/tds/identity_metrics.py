"""What `/metrics` says of certificates, revocation lists and gateways' presence. It names no gateway and no tenant."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from django.core.cache import cache
from prometheus_client.core import GaugeMetricFamily
from redis import RedisError

from tds.devicelink import fleet_health
from tds.devicelink.health import Session
from tds.fleet.models import Gateway
from tds.fleet.probe import PROBE_TENANT
from tds.identity.authorities.own_certificates import own_certificates
from tds.identity.issued import given
from tds.identity.issued.expiry import days_left

# To judge 10,000 gateways takes most of a second: not at every scrape, and not in every process.
COUNTED_EVERY_S: Final = 60
COUNTED: Final = "gateways-counted"
GAUGES: Final = {
    "tds_certificates_expiring": "Active gateways whose last certificate runs out within 30 days",
    "tds_certificates_expired_gateways": "Active gateways whose last certificate ran out",
    "tds_certificates_left_behind_gateways": "Active gateways whose authority is not trusted any more",
    "tds_gateways_silent": "Gateways that are connected, but nothing comes",
    "tds_gateways_wrong_clock": "Gateways whose clock is off",
}


def own(tls_folder: Path, *, now: datetime) -> GaugeMetricFamily:
    """From files, so also while the database is away."""
    left = GaugeMetricFamily(
        "tds_certificate_days_left", "Of the server's certificate and of each authority", labels=["certificate"]
    )
    for each in own_certificates(tls_folder):
        left.add_metric([each.name], days_left(each.ends_at, now=now))
    return left


def of_gateways(*, now: datetime) -> Iterator[GaugeMetricFamily]:
    """Raises DatabaseError. The counts are up to COUNTED_EVERY_S old, and left out while Redis is away."""
    counted: dict[str, float] = {}
    with suppress(RedisError):  # without it every scrape would count the whole fleet
        counted = cache.get_or_set(COUNTED, lambda: _count(now), COUNTED_EVERY_S) or {}
    for name, what in GAUGES.items():
        if name in counted:
            yield GaugeMetricFamily(name, what, value=counted[name])
    sessions = GaugeMetricFamily("tds_gateways", "In use, by their session with a broker", labels=["session"])
    for session in Session:
        if str(session) in counted:  # an earlier version may have counted others
            sessions.add_metric([str(session)], counted[str(session)])
    yield sessions
    yield from _lists(now)


def _count(now: datetime) -> dict[str, float]:
    """By the name of a gauge, or of a session's state."""
    outlook = given.running_out(now=now)
    counts = fleet_health.counts(Gateway.objects.exclude(tenant__slug=PROBE_TENANT), now=now)
    figures = (len(outlook.near), len(outlook.over), len(outlook.left_behind), counts.silent, counts.wrong_clock)
    of_sessions = {str(session): float(counts.sessions[session]) for session in Session}
    return dict(zip(GAUGES, map(float, figures), strict=True)) | of_sessions


def _lists(now: datetime) -> Iterator[GaugeMetricFamily]:
    age = GaugeMetricFamily("tds_revocation_list_age_seconds", "Since it was signed", labels=["authority"])
    left = GaugeMetricFamily("tds_revocation_list_days_left", "Then nobody is let in", labels=["authority"])
    lists = given.revocation_lists().values_list("issuer", "this_update", "next_update")
    for issuer, this_update, next_update in lists:
        age.add_metric([issuer], (now - this_update).total_seconds())
        left.add_metric([issuer], days_left(next_update, now=now))
    yield age
    yield left
