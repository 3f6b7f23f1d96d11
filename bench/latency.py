"""From publish to visible in the API, while 100 messages a second come in."""

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.browser import Browser
from bench.figures import Figure, percentile_95
from bench.load import Load, loadgen
from bench.platform import TENANT, Platform

GATEWAY: Final = "BENCH-PROBE"
RUNS: Final = 5
PROBES: Final = 40  # a run
RATE: Final = 100
P95_LIMIT_MS: Final = 250.0
GIVE_UP_S: Final = 10.0


def measure(platform: Platform, browser: Browser) -> list[Figure]:
    platform.command("gateway", "add", GATEWAY, "--tenant", TENANT)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", platform.mqtt_port)
    client.loop_start()
    runs = []
    try:
        for run in range(RUNS):
            with loadgen(platform.mqtt_port, Load(messages=RATE * 30, rate=RATE)) as load:
                runs.append(percentile_95([_probe_ms(client, browser, run * PROBES + n) for n in range(PROBES)]))
                _end(load)
    finally:
        client.disconnect()
        client.loop_stop()
    return [
        Figure("publish to visible in the API at 100 msg/s: p95", tuple(runs), "ms", "≤ 250", max(runs) <= P95_LIMIT_MS)
    ]


def _probe_ms(client: paho.Client, browser: Browser, number: int) -> float:
    body = {
        "gateway_code": GATEWAY,
        "device_code": "D01",
        "timestamp": datetime.now(UTC).isoformat(),
        "leituras": [{"tipo": "temperatura", "valor": number + 0.5, "unidade": "°C"}],
    }
    began = time.perf_counter()
    client.publish(f"telemetry/{GATEWAY}/D01/data", json.dumps(body), qos=1)
    while time.perf_counter() - began < GIVE_UP_S:
        cards = browser.json(f"/tds_new/telemetria/api/cartoes/?gateway={GATEWAY}")["cartoes"]
        if any(reading["valor"] == number + 0.5 for card in cards for reading in card["leituras"]):
            time.sleep(0.05)  # the next one begins at another moment of the batches' timer
            return (time.perf_counter() - began - 0.05) * 1000
    raise TimeoutError(f"Probe {number} was not visible within {GIVE_UP_S} s.")


def _end(load: subprocess.Popen[str]) -> None:
    load.terminate()
    load.wait(timeout=10)
