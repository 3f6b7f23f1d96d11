"""A steady 2,000 messages a second: from publish to committed, and what the consumer needs for it."""

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench import load
from bench.figures import Figure, percentile_99
from bench.platform import TENANT, Platform
from bench.processes import watched

GATEWAY: Final = "BENCH-STEADY"
RATE: Final = 2_000
RUNS: Final = 5
PROBES: Final = 200  # a run
SETTLE_S: Final = 2.0
LONGEST_S: Final = 60
POLL_S: Final = 0.001
GIVE_UP_S: Final = 10.0
P99_LIMIT_MS: Final = 50.0
CONSUMER_LIMIT: Final = 25.0  # per cent of one core


def measure(platform: Platform) -> list[Figure]:
    load.register(platform)
    platform.command("gateway", "add", GATEWAY, "--tenant", TENANT)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", platform.mqtt_port)
    client.loop_start()
    latencies, shares = [], []
    try:
        with platform.database() as database:
            _probe_ms(client, database)  # its device is registered
            for _ in range(RUNS):
                with load.loadgen(platform.mqtt_port, load.Load(messages=RATE * LONGEST_S, rate=RATE)):
                    time.sleep(SETTLE_S)
                    began = time.perf_counter()
                    with watched({"consumer": platform.ready["processes"]["consumer"]}) as use:
                        latencies.append(percentile_99([_probe_ms(client, database) for _ in range(PROBES)]))
                    shares.append(100 * use.cpu_s["consumer"] / (time.perf_counter() - began))
    finally:
        client.disconnect()
        client.loop_stop()
    p99 = Figure("publish to committed at 2,000 msg/s: p99", tuple(latencies), "ms", f"≤ {P99_LIMIT_MS:g}")
    share = Figure("the consumer meanwhile, of one core", tuple(shares), "%", f"≤ {CONSUMER_LIMIT:g}")
    return [p99.judged(p99.middle <= P99_LIMIT_MS), share.judged(share.middle <= CONSUMER_LIMIT)]


def _probe_ms(client: paho.Client, database: psycopg.Connection[Any]) -> float:
    """Until another session sees the row: a little more than until it was committed."""
    at = datetime.now(UTC)
    body = {
        "gateway_code": GATEWAY,
        "device_code": "D01",
        "timestamp": at.isoformat(),
        "leituras": [{"tipo": "temperatura", "valor": 20.5, "unidade": "°C"}],
    }
    began = time.perf_counter()
    client.publish(f"telemetry/{GATEWAY}/D01/data", json.dumps(body), qos=1)
    while time.perf_counter() - began < GIVE_UP_S:
        found = database.execute(
            """SELECT 1 FROM tds_new_leituradispositivo WHERE time = %s AND device_id =
               (SELECT d.id FROM tds_new_device d JOIN tds_new_gateway g ON g.id = d.gateway_id WHERE g.code = %s)""",
            (at, GATEWAY),
        ).fetchone()
        if found:
            return (time.perf_counter() - began) * 1000
        time.sleep(POLL_S)
    raise TimeoutError(f"A message was not committed within {GIVE_UP_S} s.")
