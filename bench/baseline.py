"""The way most Django projects take MQTT in: paho's callback, and a `save()` a message. What ours is compared with.

Run as `python -m bench.baseline PORT MESSAGES`; it acknowledges by itself, as paho does, and prints one JSON line.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

IDLE_LIMIT_S = 60.0


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tds.settings")
    import django

    django.setup()
    from django.db import connection, models

    from tds.fleet.models import Device, Gateway

    class SavedReading(models.Model):
        device = models.ForeignKey(Device, models.CASCADE, related_name="+")
        tipo = models.CharField(max_length=64)
        unidade = models.CharField(max_length=16)
        valor = models.FloatField()
        timestamp = models.DateTimeField()

        class Meta:
            app_label = "tds_new"
            db_table = "bench_saved_reading"

        def __str__(self) -> str:
            return self.tipo

    if SavedReading._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001  # Django's own API
        with connection.schema_editor() as editor:
            editor.create_model(SavedReading)

    port, wanted = int(sys.argv[1]), int(sys.argv[2])
    seen, done = [0.0, 0.0, 0], Event()

    def save(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        gateway = Gateway.objects.get(code=body["gateway_code"])
        device, _ = Device.objects.get_or_create(gateway=gateway, code=body["device_code"])
        for reading in body["leituras"]:
            SavedReading(
                device=device,
                tipo=reading["tipo"],
                unidade=reading["unidade"],
                valor=reading["valor"],
                timestamp=body["timestamp"],
            ).save()
        now = time.perf_counter()
        seen[0] = seen[0] or now
        seen[1] = now
        seen[2] += 1
        if seen[2] >= wanted:
            done.set()

    # A session that stays would have the broker queue the bare subscriber's next 1.5 million messages for it: 6 GB.
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-baseline", clean_session=True)
    client.on_message = save
    client.max_inflight_messages_set(1_000)
    client.connect("127.0.0.1", port)
    client.subscribe("telemetry/+/+/data", qos=1)
    client.loop_start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    done.wait(IDLE_LIMIT_S)
    client.loop_stop()
    rate = (seen[2] - 1) / (seen[1] - seen[0]) if seen[2] > 1 else 0.0
    own = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "messages": seen[2],
        "msg_per_s": rate,
        "cpu_s": own.ru_utime + own.ru_stime,
        "peak_mb": own.ru_maxrss * 1024 / 1e6,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
