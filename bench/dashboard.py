"""How fast the dashboard's data come: 10 devices with a reading a minute of 4 metrics for 30 days."""

import time
from typing import Any, Final

import psycopg

from bench.browser import Browser
from bench.figures import Figure, percentile_95
from bench.platform import TENANT, Platform

GATEWAY: Final = "BENCH-CHARTS"
DEVICES: Final = 10
DAYS: Final = 30
REQUESTS: Final = 60  # a run
RUNS: Final = 5
P95_LIMIT_MS: Final = 100.0
ROLLUP_LIMIT_S: Final = 600.0
API: Final = "/tds_new/telemetria/api"


def measure(platform: Platform, browser: Browser) -> list[Figure]:
    with platform.database() as database:
        _fill(platform, database)
        _wait_for_rollup(database)
        timeline: list[float] = []
        bars: list[float] = []
        plain: list[float] = []
        for _ in range(RUNS):
            timeline.append(_p95_ms(browser, f"{API}/timeline/?periodo=30d&gateway={GATEWAY}&tipo=temperatura"))
            bars.append(_p95_ms(browser, f"{API}/barras/?periodo=30d&gateway={GATEWAY}&tipo=temperatura"))
            plain.append(_plain_ms(database))
    fastest = min(plain)
    return [
        Figure("chart of 10 devices, 30 days: API p95", tuple(timeline), "ms", "≤ 100", max(timeline) <= P95_LIMIT_MS),
        Figure("bars of 10 devices, 30 days: API p95", tuple(bars), "ms", "≤ 100", max(bars) <= P95_LIMIT_MS),
        Figure("the same hours by GROUP BY over the rows, in SQL alone", tuple(plain), "ms"),
        Figure("… slower than ours through the API", tuple(fastest / value for value in timeline), "×"),
    ]


def _fill(platform: Platform, database: psycopg.Connection[Any]) -> None:
    platform.command("gateway", "add", GATEWAY, "--tenant", TENANT)
    database.execute(
        """INSERT INTO tds_new_device (gateway_id, code, name, created_at)
           SELECT g.id, 'D' || n, '', now() FROM tds_new_gateway g, generate_series(1, %s) AS n WHERE g.code = %s""",
        (DEVICES, GATEWAY),
    )
    database.execute(
        """INSERT INTO tds_new_metric (tenant_id, tipo, unidade, kind, created_at)
           SELECT t.id, m.tipo, m.unidade, m.kind, now() FROM tds_new_tenant t,
               (VALUES ('temperatura', '°C', 'mean'), ('umidade', '%%', 'mean'),
                       ('energia', 'kWh', 'counter'), ('tensao', 'V', 'mean')) AS m (tipo, unidade, kind)
           WHERE t.slug = %s ON CONFLICT DO NOTHING""",
        (TENANT,),
    )
    database.execute(
        """INSERT INTO tds_new_devicemetric (device_id, metric_id)
           SELECT d.id, m.id FROM tds_new_device d JOIN tds_new_gateway g ON g.id = d.gateway_id
           JOIN tds_new_metric m ON m.tenant_id = g.tenant_id
           WHERE g.code = %s AND m.tipo IN ('temperatura', 'umidade', 'energia', 'tensao')""",
        (GATEWAY,),
    )
    for day in range(DAYS, 0, -1):
        database.execute(
            """INSERT INTO tds_new_leituradispositivo
               SELECT dm.device_id, dm.metric_id, t, 20 + random() * 5 FROM tds_new_devicemetric dm
               JOIN tds_new_device d ON d.id = dm.device_id JOIN tds_new_gateway g ON g.id = d.gateway_id,
               generate_series(now() - %(day)s * interval '1 day', now() - (%(day)s - 1) * interval '1 day'
                               - interval '1 second', interval '1 minute') AS t
               WHERE g.code = %(gateway)s""",
            {"day": day, "gateway": GATEWAY},
        )
    # These rows came past ingest, which marks late hours itself.
    database.execute(
        """INSERT INTO tds_new_horasuja (device_id, hour)
           SELECT d.id, h FROM tds_new_device d JOIN tds_new_gateway g ON g.id = d.gateway_id,
           generate_series(date_trunc('hour', now()) - %s * interval '1 day', now(), interval '1 hour') AS h
           WHERE g.code = %s""",
        (DAYS, GATEWAY),
    )
    database.execute("ANALYZE tds_new_leituradispositivo")


def _wait_for_rollup(database: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + ROLLUP_LIMIT_S
    while database.execute("SELECT count(*) FROM tds_new_horasuja").fetchone() != (0,):
        if time.monotonic() > deadline:
            raise TimeoutError("The worker did not aggregate the history in time.")
        time.sleep(0.5)


def _p95_ms(browser: Browser, path: str) -> float:
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        browser.json(path)
        took.append((time.perf_counter() - began) * 1000)
    return percentile_95(took)


def _plain_ms(database: psycopg.Connection[Any]) -> float:
    """What `TruncHour` over the table of readings costs, without any page around it."""
    began = time.perf_counter()
    database.execute(
        """SELECT r.device_id, date_trunc('hour', r.time AT TIME ZONE 'America/Sao_Paulo'), avg(r.value), min(r.value),
                  max(r.value)
           FROM tds_new_leituradispositivo r JOIN tds_new_device d ON d.id = r.device_id
           JOIN tds_new_gateway g ON g.id = d.gateway_id JOIN tds_new_metric m ON m.id = r.metric_id
           WHERE g.code = %s AND m.tipo = 'temperatura' AND r.time > now() - interval '30 days' GROUP BY 1, 2""",
        (GATEWAY,),
    ).fetchall()
    return (time.perf_counter() - began) * 1000
