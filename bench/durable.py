"""Durable messages a second: published, committed, acknowledged. Beside it the broker alone, and the usual ways."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from bench import load, nodered
from bench.figures import Figure
from bench.load import Load
from bench.platform import ROOT, TENANT, Platform
from bench.processes import Use, watched
from tests.running import RunningBroker

RUNS: Final = 5
MESSAGES: Final = 1_500_000  # a run of ours and of the bare subscriber: sustained, past every buffer
WARM_UP: Final = 20_000
FIVE_MESSAGES: Final = 200_000  # a run with five readings in each
NODE_RED_MESSAGES: Final = 100_000
BASELINE_MESSAGES: Final = 3_000  # a run of the usual way, which takes as long for them
LIMIT_S: Final = 600
TIMES_THE_BASELINE: Final = 60.0
TIMES_NODE_RED: Final = 4.0
OF_THE_BROKER: Final = 0.9
READINGS_A_MESSAGE: Final = 2.0
PER_MESSAGES: Final = 100_000


def measure(platform: Platform, other_broker: RunningBroker) -> list[Figure]:
    """Interleaved, so that a slow moment of the machine meets all. The other broker has no consumer."""
    load.register(platform)
    ours, bare, baseline, five, used = [], [], [], [], []
    node_red: list[float] = []
    node_red_five: list[float] = []
    with platform.database() as database, contextlib.ExitStack() as flow:
        flow_broker = flow.enter_context(nodered.running_flow(platform)) if nodered.npm() else None
        if flow_broker is None:
            sys.stderr.write("Node-RED is left out: this machine has no npm.\n")
        stored(platform, database, Load(WARM_UP))  # devices are registered, caches are warm
        for _ in range(RUNS):
            with watched(platform.ready["processes"]) as use:
                ours.append(stored(platform, database, Load(MESSAGES)))
            used.append(use)
            bare.append(_bare(other_broker, MESSAGES))
            baseline.append(_baseline(platform, other_broker))
            five.append(stored(platform, database, Load(FIVE_MESSAGES, readings=5)) * 5)
            if flow_broker:
                node_red.append(nodered.rate(platform, flow_broker, Load(NODE_RED_MESSAGES)))
                node_red_five.append(nodered.rate(platform, flow_broker, Load(NODE_RED_MESSAGES // 5, readings=5)) * 5)
    return [
        Figure("durable messages, 1 reading each", tuple(ours), "msg/s"),
        Figure("the broker to a bare subscriber in C, QoS 1", tuple(bare), "msg/s"),
        Figure("the usual way: paho, one Model.save() a message", tuple(baseline), "msg/s"),
        ratio("… times the usual way", ours, baseline, TIMES_THE_BASELINE, "×"),
        ratio("… of the broker's own rate", ours, bare, OF_THE_BROKER),
        Figure("durable readings, 5 in a message", tuple(five), "readings/s"),
        ratio("… for each message of the broker alone", five, bare, READINGS_A_MESSAGE),
        *(_beside_node_red(ours, node_red, five, node_red_five) if flow_broker else ()),
        *_costs(used),
    ]


def _beside_node_red(
    ours: Sequence[float], node_red: Sequence[float], five: Sequence[float], node_red_five: Sequence[float]
) -> list[Figure]:
    return [
        Figure("Node-RED, batches of 500, acknowledged before stored", tuple(node_red), "msg/s"),
        ratio("… ours in times of it", ours, node_red, TIMES_NODE_RED, "×"),
        Figure("Node-RED, 5 readings in a message", tuple(node_red_five), "readings/s"),
        ratio("… ours in times of it, 5 in a message", five, node_red_five, TIMES_NODE_RED, "×"),
    ]


def ratio(name: str, ours: Sequence[float], other: Sequence[float], target: float, unit: str = "") -> Figure:
    pairs = Figure(name, tuple(a / b for a, b in zip(ours, other, strict=True)), unit, f"≥ {target:g}")
    return pairs.judged(pairs.middle >= target)


def _costs(used: Sequence[Use]) -> list[Figure]:
    names = sorted(name for name in used[0].cpu_s if max(use.cpu_s[name] for use in used) > 0)
    share = PER_MESSAGES / MESSAGES
    return [
        *(
            Figure(f"processor for 100,000 messages: {name}", tuple(use.cpu_s[name] * share for use in used), "s")
            for name in names
        ),
        *(
            Figure(f"most memory under this load: {name}", tuple(use.peak_mb[name] for use in used), "MB")
            for name in sorted(used[0].peak_mb)
        ),
    ]


def stored(platform: Platform, database: psycopg.Connection[Any], wanted: Load) -> float:
    """Messages a second, from the first that is published to the last that is committed."""
    before = _accepted(database)
    began = time.perf_counter()
    with load.loadgen(platform.mqtt_port, wanted, limit_s=LIMIT_S) as process:
        while (done := _accepted(database) - before) < wanted.messages:
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError(f"{done} of {wanted.messages} messages were stored within {LIMIT_S} s.")
            time.sleep(0.02)
        took_s = time.perf_counter() - began
        report = load.report_of(process)
    if report["acked"] != wanted.messages or report["refused"]:
        raise RuntimeError(f"The load was not taken whole: {report}")
    return wanted.messages / took_s


def _accepted(database: psycopg.Connection[Any]) -> int:
    row = database.execute(
        """SELECT COALESCE(sum(accepted), 0) FROM tds_new_ledgerhour l JOIN tds_new_tenant t ON t.id = l.tenant_id
           WHERE t.slug = %s""",
        (TENANT,),
    ).fetchone()
    return int(row[0]) if row else 0


def _bare(broker: RunningBroker, messages: int) -> float:
    with load.sink(broker.port, messages=messages, limit_s=LIMIT_S) as subscriber:
        if subscriber.stdout is None or subscriber.stdout.readline() != "ready\n":
            raise RuntimeError("The bare subscriber did not start.")
        with load.loadgen(broker.port, Load(messages), limit_s=LIMIT_S) as publisher:
            load.report_of(publisher, limit_s=LIMIT_S)
        return float(load.report_of(subscriber, limit_s=LIMIT_S)["msg_per_s"])


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
    with load.loadgen(broker.port, Load(BASELINE_MESSAGES)) as publisher:
        load.report_of(publisher)
    return float(load.report_of(subscriber)["msg_per_s"])
