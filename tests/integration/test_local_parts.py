import paho.mqtt.client as mqtt
import pytest
from paho.mqtt import publish
from paho.mqtt.enums import CallbackAPIVersion

from tds.fleet.models import Tenant
from tests.running import RunningBroker, RunningCluster, wait_until


@pytest.mark.django_db
def test_django_stores_rows_in_the_private_cluster() -> None:
    Tenant.objects.create(slug="acme", name="Acme")
    assert Tenant.objects.count() == 1


def test_the_application_role_is_no_superuser(cluster: RunningCluster) -> None:
    cluster.cluster.provide("tds_probe", "p" * 20, "tds_probe")
    with cluster.cluster.connect() as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'tds_probe'"
        ).fetchone()
        checksums = connection.execute("SHOW data_checksums").fetchone()
    assert row == (False, False, False)
    assert checksums == ("on",)


def test_a_message_published_before_the_consumer_ever_ran_survives_a_kill_of_the_broker(broker: RunningBroker) -> None:
    assert broker.broker.open_session()
    publish.single("telemetry/GW/D/data", b"kept", qos=1, port=broker.port)
    broker.save()
    broker.kill()
    broker.start()
    # Opening the session once more must not swallow what waits in it.
    assert broker.broker.open_session()
    came: list[bytes] = []
    consumer = mqtt.Client(CallbackAPIVersion.VERSION2, "tds-consumer", protocol=mqtt.MQTTv5)
    consumer.on_message = lambda _client, _data, message: came.append(bytes(message.payload))
    consumer.connect("127.0.0.1", broker.port, clean_start=False)
    consumer.loop_start()
    try:
        wait_until(lambda: came, "the waiting message", 5)
    finally:
        consumer.disconnect()
        consumer.loop_stop()
    assert came == [b"kept"]
