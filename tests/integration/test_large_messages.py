"""Messages as large as the contract allows: what a consumer's memory makes of a queue of them."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from bench import load
from bench.processes import pss_mb
from tests import seeding
from tests.consuming import consumer_process, ledger, prepared_connection
from tests.running import RunningBroker, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("make") or not shutil.which("cc"), reason="the load generator needs make, cc"),
]

MESSAGES: Final = 800  # one batch of the consumer would take them all
READINGS: Final = 500
MAX_CONSUMER_MB: Final = 200.0
SETTLE_S: Final = 120.0


@pytest.fixture
def connection() -> Iterator[psycopg.Connection[Any]]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


def test_a_queue_of_messages_of_500_readings_is_stored_in_bounded_memory(
    broker: RunningBroker, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    load.build()
    tenant = seeding.tenant("acme")
    for code in load.gateway_codes():
        seeding.gateway(tenant, code)
    assert broker.broker.open_session()
    with load.loadgen(broker.port, load.Load(messages=MESSAGES, readings=READINGS, gateways=4, devices=1)) as generator:
        assert load.report_of(generator)["acked"] == MESSAGES
    peak_mb = 0.0

    def all_stored() -> bool:
        nonlocal peak_mb
        peak_mb = max(peak_mb, pss_mb(consumer.process.pid))
        return ledger(connection)["stored"] == MESSAGES * READINGS

    with consumer_process(
        broker, tmp_path, subscribed=False, TDS_MODE="production", TDS_SECRET_KEY="x" * 40
    ) as consumer:
        wait_until(all_stored, "the last reading", SETTLE_S)
        assert consumer.terminate() == 0
    assert peak_mb < MAX_CONSUMER_MB
    print(f"{peak_mb:.0f} MB")
