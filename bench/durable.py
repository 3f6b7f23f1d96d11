"""Durable messages a second: published, committed, acknowledged. Beside it the broker alone, and the usual ways."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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
FIVE_MESSAGES: Final = 500_000  # a run with five readings in each: 2.5 M readings
NODE_RED_MESSAGES: Final = 500_000  # sustained like ours, past what its process buffers
BASELINE_MESSAGES: Final = 3_000  # a run of the usual way, which takes as long for them
LIMIT_S: Final = 600
SETTLE_S: Final = 5.0  # between runs: what the database still writes for one way would be the next one's cost
TIMES_THE_BASELINE: Final = 60.0
TIMES_NODE_RED: Final = 4.0
OF_THE_BROKER: Final = 0.9
READINGS_A_MESSAGE: Final = 2.0
PER_MESSAGES: Final = 100_000


@dataclass(slots=True)
class Way:
    """One way to take messages in, run by run: how fast, and what each of its processes paid."""

    name: str
    load: Load
    rates: list[float] = field(default_factory=list)  # messages a second
    uses: list[Use] = field(default_factory=list)

    def ran(self, rate: float, use: Use) -> None:
        self.rates.append(rate)
        self.uses.append(use)

    @property
    def readings(self) -> list[float]:
        return [rate * self.load.readings for rate in self.rates]

    def costs(self) -> list[Figure]:
        share = PER_MESSAGES / self.load.messages
        names = sorted(name for name in self.uses[0].cpu_s if max(use.cpu_s[name] for use in self.uses) > 0)
        return [
            *(
                Figure(
                    f"{self.name}: processor for 100,000 messages, {name}",
                    tuple(use.cpu_s[name] * share for use in self.uses),
                    "s",
                )
                for name in names
            ),
            *(
                Figure(f"{self.name}: most memory, {name}", tuple(use.peak_mb[name] for use in self.uses), "MB")
                for name in sorted(self.uses[0].peak_mb)
            ),
        ]


def measure(platform: Platform, other_broker: RunningBroker) -> list[Figure]:
    """Interleaved, so that a slow moment of the machine meets all. The other broker has no consumer."""
    load.register(platform)
    ours, five = Way("ours", Load(MESSAGES)), Way("ours, 5 readings", Load(FIVE_MESSAGES, readings=5))
    bare, baseline = Way("the broker alone", Load(MESSAGES)), Way("the usual way", Load(BASELINE_MESSAGES))
    node_red = Way("Node-RED", Load(NODE_RED_MESSAGES))
    node_red_five = Way("Node-RED, 5 readings", Load(NODE_RED_MESSAGES // 5, readings=5))
    with platform.database() as database, contextlib.ExitStack() as stack:
        flow = stack.enter_context(nodered.running_flow(platform)) if nodered.npm() else None
        if flow is None:
            sys.stderr.write("Node-RED is left out: this machine has no npm.\n")
        stored(platform, database, Load(WARM_UP))  # devices are registered, caches are warm
        for _ in range(RUNS):
            ours.ran(*_ours(platform, database, ours.load))
            bare.ran(*_bare(other_broker, bare.load))
            baseline.ran(*_baseline(platform, other_broker, baseline.load))
            five.ran(*_ours(platform, database, five.load))
            if flow:
                for way in (node_red, node_red_five):
                    way.ran(*nodered.rate(platform, flow, way.load))
            time.sleep(SETTLE_S)
    ways = [ours, bare, baseline, five, *((node_red, node_red_five) if flow else ())]
    return [
        Figure("durable messages, 1 reading each", tuple(ours.rates), "msg/s"),
        Figure("the broker to a bare subscriber in C, QoS 1", tuple(bare.rates), "msg/s"),
        Figure("the usual way: paho, one Model.save() a message", tuple(baseline.rates), "msg/s"),
        ratio("… times the usual way", ours.rates, baseline.rates, TIMES_THE_BASELINE, "×"),
        ratio("… of the broker's own rate", ours.rates, bare.rates, OF_THE_BROKER),
        Figure("durable readings, 5 in a message", tuple(five.readings), "readings/s"),
        ratio("… for each message of the broker alone", five.readings, bare.rates, READINGS_A_MESSAGE),
        *(_beside_node_red(ours, node_red, five, node_red_five) if flow else ()),
        *(cost for way in ways for cost in way.costs()),
    ]


def _beside_node_red(ours: Way, node_red: Way, five: Way, node_red_five: Way) -> list[Figure]:
    return [
        Figure("Node-RED, batches of 500, acknowledged before stored", tuple(node_red.rates), "msg/s"),
        ratio("… ours in times of it", ours.rates, node_red.rates, TIMES_NODE_RED, "×"),
        Figure("Node-RED, 5 readings in a message", tuple(node_red_five.readings), "readings/s"),
        ratio("… ours in times of it, 5 in a message", five.readings, node_red_five.readings, TIMES_NODE_RED, "×"),
    ]


def ratio(name: str, ours: Sequence[float], other: Sequence[float], target: float, unit: str = "") -> Figure:
    pairs = Figure(name, tuple(a / b for a, b in zip(ours, other, strict=True)), unit, f"≥ {target:g}")
    return pairs.judged(pairs.middle >= target)


def stored(platform: Platform, database: psycopg.Connection[Any], wanted: Load) -> float:
    """Messages a second, from the first that is published to the last that is committed."""
    rate, _ = _stored(platform, database, wanted)
    return rate


def _ours(platform: Platform, database: psycopg.Connection[Any], wanted: Load) -> tuple[float, Use]:
    with watched(platform.ready["processes"]) as use:
        rate, publisher = _stored(platform, database, wanted)
    use.note(load.PUBLISHER, publisher)
    return rate, use


def _stored(platform: Platform, database: psycopg.Connection[Any], wanted: Load) -> tuple[float, dict[str, Any]]:
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
    return wanted.messages / took_s, report


def _accepted(database: psycopg.Connection[Any]) -> int:
    row = database.execute(
        """SELECT COALESCE(sum(accepted), 0) FROM tds_new_ledgerhour l JOIN tds_new_tenant t ON t.id = l.tenant_id
           WHERE t.slug = %s""",
        (TENANT,),
    ).fetchone()
    return int(row[0]) if row else 0


def _bare(broker: RunningBroker, wanted: Load) -> tuple[float, Use]:
    with load.sink(broker.port, messages=wanted.messages, limit_s=LIMIT_S) as subscriber:
        if subscriber.stdout is None or subscriber.stdout.readline() != "ready\n":
            raise RuntimeError("The bare subscriber did not start.")
        with watched(_pid(broker)) as use, load.loadgen(broker.port, wanted, limit_s=LIMIT_S) as publisher:
            use.note(load.PUBLISHER, load.report_of(publisher, limit_s=LIMIT_S))
            report = load.report_of(subscriber, limit_s=LIMIT_S)
    use.note("subscriber", report)
    return float(report["msg_per_s"]), use


def _baseline(platform: Platform, broker: RunningBroker, wanted: Load) -> tuple[float, Use]:
    subscriber = subprocess.Popen(
        [sys.executable, "-m", "bench.baseline", str(broker.port), str(wanted.messages)],
        cwd=ROOT,
        env=platform.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    if subscriber.stdout is None or subscriber.stdout.readline() != "ready\n":
        raise RuntimeError("The baseline did not start.")
    processes = _pid(broker) | {"database": platform.ready["processes"]["database"]}
    with watched(processes) as use, load.loadgen(broker.port, wanted) as publisher:
        use.note(load.PUBLISHER, load.report_of(publisher))
        report = load.report_of(subscriber)
    use.note("paho and save()", report)
    return float(report["msg_per_s"]), use


def _pid(broker: RunningBroker) -> dict[str, int]:
    return {"broker": broker.process.pid} if broker.process else {}
