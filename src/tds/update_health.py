"""What the telemetry gate of updates asks of readings, quarantine and presence (updates/rollouts/gate.py).

Each statement is for a bounded sample of gateways, over indexes: the hourly rollup for the week before, the rows of
the hours since for what came after.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from tds.ingest.reasons import Reason
from tds.updates.rollouts import gate
from tds.updates.rollouts.gate import Before, GatewayHealth
from tds.updates.rollouts.watching import Watched

WEEK: Final = timedelta(days=7)
# Of what came after, no more is counted: it is enough to compare with, and a soak may take a month. Of one that sends
# rarely more is, so that there is enough to compare with: it has few rows.
AFTER: Final = timedelta(hours=6)
AFTER_AT_MOST: Final = timedelta(seconds=gate.PATIENCE_S)
SERIES_A_GATEWAY: Final = 100  # the first ones; a gateway may have a thousand, which all come in the same messages
QUARANTINED_A_REASON: Final = 100  # of a gateway; whoever has that many is worse than before in any case

Connection = psycopg.Connection[Any]

BEFORE: Final = """
    WITH watched AS (SELECT * FROM unnest(%(gateways)s::bigint[], %(before)s::timestamptz[]) AS w (gateway_id, before)),
    series AS (
        SELECT w.gateway_id, w.before, s.device_id, s.metric_id FROM watched w CROSS JOIN LATERAL (
            SELECT m.device_id, m.metric_id FROM tds_new_device d JOIN tds_new_devicemetric m ON m.device_id = d.id
            WHERE d.gateway_id = w.gateway_id ORDER BY m.device_id, m.metric_id LIMIT %(series)s) AS s
    ),
    hours AS (
        SELECT s.gateway_id, s.device_id, h.hour, max(h.n) AS messages, count(*) AS series
        FROM series s JOIN tds_new_leiturahora h ON h.device_id = s.device_id AND h.metric_id = s.metric_id
        WHERE h.hour >= s.before - %(week)s AND h.hour <= s.before - interval '1 hour'
        GROUP BY 1, 2, 3
    ),
    by_hour AS (SELECT gateway_id, hour, sum(messages) AS messages, sum(series) AS series FROM hours GROUP BY 1, 2)
    SELECT gateway_id, count(*)::int,
           (sum(messages) / (1 + extract(epoch FROM max(hour) - min(hour)) / 3600))::float8,
           avg(series)::float8, sum(messages)::float8
    FROM by_hour GROUP BY 1"""

# A message of a device has one time, and each of its series has a row of that time.
SINCE: Final = """
    WITH watched AS (
        SELECT * FROM unnest(%(gateways)s::bigint[], %(since)s::timestamptz[]) AS w (gateway_id, since)
    ),
    series AS (
        SELECT w.gateway_id, w.since, s.device_id, s.metric_id FROM watched w CROSS JOIN LATERAL (
            SELECT m.device_id, m.metric_id FROM tds_new_device d JOIN tds_new_devicemetric m ON m.device_id = d.id
            WHERE d.gateway_id = w.gateway_id ORDER BY m.device_id, m.metric_id LIMIT %(series)s) AS s
    ),
    counted AS (
        SELECT s.gateway_id, s.device_id, s.metric_id, r.n FROM series s CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM tds_new_leituradispositivo r
            WHERE r.device_id = s.device_id AND r.metric_id = s.metric_id AND r.time >= s.since AND r.time <= %(now)s
        ) AS r
    ),
    by_device AS (
        SELECT gateway_id, device_id, max(n) AS messages, count(*) FILTER (WHERE n > 0) AS series
        FROM counted GROUP BY 1, 2
    )
    SELECT gateway_id, sum(messages)::bigint, sum(series)::bigint FROM by_device GROUP BY 1"""

QUARANTINED: Final = """
    SELECT w.gateway_id,
           count(*) FILTER (WHERE q.received_at >= w.since),
           count(*) FILTER (WHERE q.received_at < w.before AND q.received_at >= w.before - %(week)s)
    FROM unnest(%(gateways)s::bigint[], %(before)s::timestamptz[], %(since)s::timestamptz[])
             AS w (gateway_id, before, since)
        JOIN tds_new_gateway g ON g.id = w.gateway_id
        CROSS JOIN unnest(%(reasons)s::text[]) AS reason
        CROSS JOIN LATERAL (
            SELECT received_at FROM tds_new_quarantinedmessage
            WHERE reason = reason.reason AND gateway_id = g.id AND tenant_id = g.tenant_id
            ORDER BY id DESC LIMIT %(most)s) AS q
    GROUP BY 1"""

TOLD: Final = """
    SELECT w.gateway_id, coalesce(f.restarts, 0), extract(epoch FROM p.report_interval)::float8,
           EXISTS (SELECT FROM tds_new_device d JOIN tds_new_devicemetric m ON m.device_id = d.id
                   WHERE d.gateway_id = w.gateway_id)
    FROM unnest(%(gateways)s::bigint[]) AS w (gateway_id)
        LEFT JOIN tds_new_runningfirmware f ON f.gateway_id = w.gateway_id
        LEFT JOIN tds_new_gatewaypresence p ON p.gateway_id = w.gateway_id"""


class Told(NamedTuple):
    restarts: int
    interval_s: float | None
    ever: bool


def health(connection: Connection, watched: Sequence[Watched], now: datetime) -> list[GatewayHealth]:
    """Of gateways that run a release, before and since. Alerts are not kept yet: there are none, before and after."""
    parameters: dict[str, Any] = {
        "gateways": [each.gateway_id for each in watched],
        "before": [each.before for each in watched],
        "now": now,
        "week": WEEK,
        "series": SERIES_A_GATEWAY,
        "most": QUARANTINED_A_REASON,
        "reasons": [str(reason) for reason in Reason],
    }
    before = {pk: rest for pk, *rest in connection.execute(BEFORE, parameters)}
    told = {pk: Told(*rest) for pk, *rest in connection.execute(TOLD, parameters)}
    since = {
        each.gateway_id: max(each.since, now - _counted(before.get(each.gateway_id), told[each.gateway_id]))
        for each in watched
    }
    parameters["since"] = [since[each.gateway_id] for each in watched]
    after = {pk: told for pk, *told in connection.execute(SINCE, parameters)}
    refused = {pk: told for pk, *told in connection.execute(QUARANTINED, parameters)}
    found = []
    for each in watched:
        hours, messages_an_hour, series_an_hour, messages_before = before.get(each.gateway_id, (0, 0.0, 0.0, 0.0))
        messages, series = after.get(each.gateway_id, (0, 0))
        refused_since, refused_before = refused.get(each.gateway_id, (0, 0))
        sent_before = messages_before + refused_before
        facts = told[each.gateway_id]
        found.append(
            GatewayHealth(
                each.gateway_id,
                (now - each.since).total_seconds(),
                messages,
                series,
                refused_since,
                0 if each.restarts is None else max(facts.restarts - each.restarts, 0),
                Before(hours, messages_an_hour, series_an_hour, refused_before / sent_before if sent_before else 0.0),
                facts.ever,
                facts.interval_s,
                counted_s=(now - since[each.gateway_id]).total_seconds(),
            )
        )
    return found


def _counted(before: Sequence[Any] | None, facts: Told) -> timedelta:
    """For how long a gateway's messages are counted: twice what says enough."""
    hours, messages_an_hour = before[:2] if before else (0, 0.0)
    an_hour = gate.an_hour_of(hours, messages_an_hour, facts.interval_s)
    if not an_hour:
        return AFTER
    enough = timedelta(hours=min(2 * gate.EXPECTED_ENOUGH / an_hour, AFTER_AT_MOST / timedelta(hours=1)))
    return max(AFTER, enough)
