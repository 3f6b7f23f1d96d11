"""The line that sends a gateway's first reading, ready to be pasted into a shell."""

import json
import shlex
from typing import Final

EXAMPLE_DEVICE: Final = "D01"
NOW: Final = "@now@"


def first_message_line(gateway_code: str, mqtt_port: int) -> str:
    """A `mosquitto_pub` command on one line. The shell fills in the time, so it stays right while it is shown."""
    payload = json.dumps(
        {
            "gateway_code": gateway_code,
            "device_code": EXAMPLE_DEVICE,
            "timestamp": NOW,
            "leituras": [{"tipo": "temperatura", "valor": 23.5, "unidade": "°C"}],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    # Single quotes keep the JSON from the shell; they end for a moment so that `date` runs.
    before, after = (shlex.quote(part) for part in payload.split(NOW))
    topic = shlex.quote(f"telemetry/{gateway_code}/{EXAMPLE_DEVICE}/data")
    message = f'{before}"$(date -u +%Y-%m-%dT%H:%M:%SZ)"{after}'
    return f"mosquitto_pub -h 127.0.0.1 -p {mqtt_port} -q 1 -V mqttv5 -t {topic} -m {message}"
