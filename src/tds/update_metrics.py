"""What `/metrics` says of firmware updates. It names no gateway, no tenant and no release."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count, Max
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from redis import RedisError

from tds import wiring
from tds.updates import shown
from tds.updates.models import RolloutStatus
from tds.updates.rollouts import counts

# The newest of 100,000 reports is found in 20 ms: not at every scrape, and not in every process.
COUNTED_EVERY_S: Final = 60
COUNTED: Final = "updates-counted"
NEWEST: Final = "newest"


def of_updates() -> Iterator[GaugeMetricFamily]:
    """Raises DatabaseError. The figures are up to COUNTED_EVERY_S old, and left out while Redis is away."""
    counted: dict[str, dict[str, float]] = {}
    with suppress(RedisError):
        counted = cache.get_or_set(COUNTED, _count, COUNTED_EVERY_S) or {}
    rollouts = GaugeMetricFamily("tds_rollouts", "Rollouts of firmware, by status", labels=["status"])
    executions = GaugeMetricFamily("tds_update_executions", "Updates of all rollouts, by state", labels=["state"])
    for family in (rollouts, executions):
        for label, value in counted.get(family.name, {}).items():
            family.add_metric([label], value)
        yield family
    if (newest := counted.get(NEWEST, {}).get(NEWEST)) is not None:
        yield GaugeMetricFamily(
            "tds_update_newest_report_timestamp_seconds", "When the newest report came of what runs", value=newest
        )


def of_reports(facts: Mapping[str, Mapping[str, Any]]) -> Iterator[CounterMetricFamily]:
    """By what each process last said of itself: since its start."""
    taken = CounterMetricFamily("tds_update_reports", "Reports of gateways that were kept", labels=["way"])
    refused = CounterMetricFamily("tds_update_reports_refused", "Reports that were refused", labels=["way"])
    if "worker" in facts:
        links = facts["worker"].get("links", {}).values()
        taken.add_metric(["mqtt"], float(sum(link.get("reports_taken", 0) for link in links)))
        refused.add_metric(["mqtt"], float(sum(sum(link.get("reports_refused", {}).values()) for link in links)))
    if "ota" in facts:
        requests = facts["ota"].get("requests", {})
        taken.add_metric(["http"], float(requests.get("reports_taken", 0)))
        refused.add_metric(["http"], float(requests.get("reports_refused", 0)))
    yield from (taken, refused)


def _count() -> dict[str, dict[str, float]]:
    """By the name of a family, and its label."""
    found = {str(status): 0.0 for status in RolloutStatus}
    found |= dict(shown.rollouts().order_by().values_list("status").annotate(Count("pk")))
    newest = shown.running().aggregate(at=Max("reported_at"))["at"]
    return {
        "tds_rollouts": found,
        "tds_update_executions": asdict(counts.of_all(wiring.database_connection())),
        NEWEST: {NEWEST: newest.timestamp()} if newest else {},
    }
