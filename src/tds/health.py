"""Liveness for a load balancer, and Prometheus metrics."""

from contextlib import suppress
from math import inf
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tds import disk, identity_metrics, update_metrics, wiring
from tds.heartbeat import Heartbeat
from tds.ingest.ledger import FIELDS, SPANS, SUMS
from tds.ingest.spool import look
from tds.settings import ENV


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  # a view
    """This process answers. Whether the parts behind it work is what `tds status` says."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Totals of the platform, without a tenant's name in them. For loopback, or whoever has TDS_METRICS_TOKEN."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given if scheme.lower() == "bearer" else ""
    if not may_read_metrics(request.META.get("REMOTE_ADDR", ""), token, ENV.metrics_token):
        return HttpResponseForbidden(
            "Set TDS_METRICS_TOKEN and send it as a bearer token.\n", content_type="text/plain"
        )
    registry = CollectorRegistry()
    registry.register(PlatformMetrics())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_read_metrics(address: str, given: str, token: str) -> bool:
    """With a token set only the token counts: behind a proxy everybody comes from loopback. Pure."""
    return constant_time_compare(given, token) if token else address in {"127.0.0.1", "::1"}


class PlatformMetrics:
    """Collects from the database at each scrape: the web process itself counts nothing."""

    def collect(self) -> Any:
        yield from self._spools()  # first: it is worth most while the database is away
        yield self._free()
        yield identity_metrics.own(ENV.home / "tls", now=timezone.now())
        up = GaugeMetricFamily("tds_database_up", "Whether the database answers")
        try:
            families = list(self._from_database())
        except DatabaseError:
            families = []
        up.add_metric([], float(bool(families)))
        yield up
        yield from families

    def _free(self) -> GaugeMetricFamily:
        free = GaugeMetricFamily("tds_disk_free_bytes", "Free on each disk of this machine", labels=["folder"])
        for folder, free_bytes in disk.free_by_disk(wiring.disk_folders()).items():
            free.add_metric([str(folder)], float(free_bytes))
        return free

    def _disks(self) -> Any:
        left = GaugeMetricFamily(
            "tds_disk_days_left", "Until TDS_DISK_RESERVE_BYTES is reached, at the pace of a week", labels=["folder"]
        )
        over = GaugeMetricFamily("tds_readings_over_budget_bytes", "Beyond TDS_RETENTION_BYTES, kept by the minimum")
        disks = disk.seen(wiring.database_connection(), wiring.disk_limits(), now=timezone.now())
        for seen in disks:
            if seen.ahead.known:
                left.add_metric([seen.folder], inf if seen.ahead.days_left is None else seen.ahead.days_left)
        over.add_metric([], float(max((seen.over_bytes for seen in disks), default=0)))
        yield left
        yield over

    def _spools(self) -> Any:
        size = GaugeMetricFamily("tds_spool_bytes", "Kept on disk until the database is back", labels=["process"])
        age = GaugeMetricFamily("tds_spool_age_seconds", "Of the oldest message in the spool", labels=["process"])
        now = timezone.now()
        with suppress(OSError):
            for folder in sorted(ENV.spool_folder.iterdir()):
                seen = look(folder)
                size.add_metric([folder.name], float(seen.size_bytes))
                age.add_metric([folder.name], (now - seen.oldest_at).total_seconds() if seen.oldest_at else 0.0)
        yield size
        yield age

    def _from_database(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {SUMS} FROM {SPANS} AS spans")  # noqa: S608  # our own words
            totals = cursor.fetchone()
            cursor.execute("SELECT reason, sum(total), sum(kept) FROM tds_new_quarantinecount GROUP BY reason")
            quarantined = cursor.fetchall()
        for name, total in zip(FIELDS, totals, strict=True):
            what = "messages" if name in FIELDS[:3] else "readings"
            yield CounterMetricFamily(f"tds_ledger_{name}", f"Ledger: {what} {name}", value=float(total))
        by_reason = CounterMetricFamily("tds_quarantined", "Messages quarantined", labels=["reason"])
        kept = GaugeMetricFamily("tds_quarantine_kept", "Messages kept in quarantine", labels=["reason"])
        for reason, total, count in quarantined:
            by_reason.add_metric([reason], float(total))
            kept.add_metric([reason], float(count))
        yield by_reason
        yield kept
        yield from self._processes()
        yield from self._disks()
        yield from identity_metrics.of_gateways(now=timezone.now())
        yield from update_metrics.of_updates()

    def _processes(self) -> Any:
        age = GaugeMetricFamily("tds_heartbeat_age_seconds", "Since a process last wrote its row", labels=["process"])
        waiting = GaugeMetricFamily("tds_consumer_waiting_messages", "Received, not yet stored", labels=["process"])
        lost = CounterMetricFamily("tds_spool_lost_messages", "Acknowledged, and lost by the disk", labels=["process"])
        now = timezone.now()
        beats = list(Heartbeat.objects.all())
        for row in beats:
            age.add_metric([row.process], (now - row.beat_at).total_seconds())
            if "waiting_messages" in row.facts:
                waiting.add_metric([row.process], float(row.facts["waiting_messages"]))
            if "spool_lost" in row.facts:
                lost.add_metric([row.process], float(row.facts["spool_lost"]))
            if row.process == "ota":
                yield from self._ota(row.facts)
        yield age
        yield waiting
        yield lost
        yield from update_metrics.of_reports({row.process: row.facts for row in beats})

    def _ota(self, facts: dict[str, Any]) -> Any:
        """Of the firmware server, since its start."""
        requests, handshakes = facts.get("requests", {}), facts.get("handshakes_refused", {})
        given = CounterMetricFamily("tds_est_certificates", "Certificates given by EST", labels=["by"])
        for how, by in (("claimed", "claim"), ("renewed", "renewal")):
            given.add_metric([by], float(requests.get(how, 0)))
        refused = CounterMetricFamily("tds_ota_refused", "Requests to the firmware server refused", labels=["status"])
        for name, count in requests.items():
            if name.startswith("status_"):
                refused.add_metric([name.removeprefix("status_")], float(count))
        failed = CounterMetricFamily("tds_ota_handshakes_failed", "TLS handshakes that failed", labels=["reason"])
        for reason, count in handshakes.items():
            failed.add_metric([reason], float(count))
        dropped = CounterMetricFamily("tds_ota_dropped", "Connections given up, or requests put off", labels=["why"])
        for why in ("slow", "crowded_out", "turned_away"):
            dropped.add_metric([why], float(facts.get(why, 0)))
        connections = GaugeMetricFamily("tds_ota_connections", "Open now", value=float(facts.get("connections", 0)))
        yield from (given, refused, failed, dropped, connections)
