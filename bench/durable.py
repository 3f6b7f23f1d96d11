"""Durable messages a second: published, committed, acknowledged. Beside it the broker alone, and the usual way."""

import subprocess
import sys
import time
from typing import Any, Final

import psycopg

from bench import load
from bench.figures import Figure
from bench.platform import ROOT, TENANT, Platform
from tests.running import RunningBroker

RUNS: Final = 5
MESSAGES: Final = 200_000  # a run of ours and of the bare subscriber
BASELINE_MESSAGES: Final = 3_000  # a run of the usual way, which takes as long for them
LIMIT_S: Final = 120.0
TIMES_THE_BASELINE: Final = 40.0
OF_THE_BROKER: Final = 0.6


def measure(platform: Platform, other_broker: RunningBroker) -> list[Figure]:
    """Interleaved, so that a slow moment of the machine meets all three. The other broker has no consumer."""
    for code in load.gateway_codes():
        platform.command("gateway", "add", code, "--tenant", TENANT)
    with platform.database() as database:
        _ours(platform, database, MESSAGES // 10)  # devices are registered, caches are warm
        ours, bare, baseline = [], [], []
        for _ in range(RUNS):
            ours.append(_ours(platform, database, MESSAGES))
            bare.append(_bare(other_broker, MESSAGES))
            baseline.append(_baseline(platform, other_broker))
        five = [_ours(platform, database, MESSAGES // 4, readings=5) * 5 for _ in range(3)]
    of_baseline = tuple(a / b for a, b in zip(ours, baseline, strict=True))
    of_bare = tuple(a / b for a, b in zip(ours, bare, strict=True))
    ratios = Figure("… times the usual way", of_baseline, "×", "≥ 40")
    share = Figure("… of the broker's own rate", of_bare, "", "≥ 0.6")
    return [
        Figure("durable messages, 1 reading each", tuple(ours), "msg/s"),
        Figure("the broker to a bare subscriber in C, QoS 1", tuple(bare), "msg/s"),
        Figure("the usual way: paho, one Model.save() a message", tuple(baseline), "msg/s"),
        Figure(ratios.name, ratios.runs, ratios.unit, ratios.target, ratios.middle >= TIMES_THE_BASELINE),
        Figure(share.name, share.runs, share.unit, share.target, share.middle >= OF_THE_BROKER),
        Figure("durable readings, 5 in a message", tuple(five), "readings/s"),
    ]


def _ours(platform: Platform, database: psycopg.Connection[Any], messages: int, readings: int = 1) -> float:
    before = _accepted(database)
    began = time.perf_counter()
    with load.loadgen(platform.mqtt_port, messages=messages, readings=readings) as process:
        while (done := _accepted(database) - before) < messages:
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError(f"{done} of {messages} messages were stored within {LIMIT_S} s.")
            time.sleep(0.02)
        took_s = time.perf_counter() - began
        report = load.report_of(process)
    if report["acked"] != messages or report["refused"]:
        raise RuntimeError(f"The load was not taken whole: {report}")
    return messages / took_s


def _accepted(database: psycopg.Connection[Any]) -> int:
    row = database.execute(
        """SELECT COALESCE(sum(accepted), 0) FROM tds_new_ledgerhour l JOIN tds_new_tenant t ON t.id = l.tenant_id
           WHERE t.slug = %s""",
        (TENANT,),
    ).fetchone()
    return int(row[0]) if row else 0


def _bare(broker: RunningBroker, messages: int) -> float:
    with load.sink(broker.port, messages=messages) as subscriber:
        if subscriber.stdout is None or subscriber.stdout.readline() != "ready\n":
            raise RuntimeError("The bare subscriber did not start.")
        with load.loadgen(broker.port, messages=messages) as publisher:
            load.report_of(publisher)
        return float(load.report_of(subscriber)["msg_per_s"])


def _baseline(platform: Platform, broker: RunningBroker) -> float:
    subscriber = subprocess.Popen(
        [sys.executable, "-m", "bench.baseline", str(broker.port), str(BASELINE_MESSAGES)],
        cwd=ROOT,
        env=platform.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    if subscriber.stdout is None or subscriber.stdout.readline() != "ready\n":
        raise RuntimeError("The baseline did not start.")
    with load.loadgen(broker.port, messages=BASELINE_MESSAGES) as publisher:
        load.report_of(publisher)
    return float(load.report_of(subscriber)["msg_per_s"])
