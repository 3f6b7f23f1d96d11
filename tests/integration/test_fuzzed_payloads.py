"""Rubbish on the real way, from mosquitto to the rows: each message is stored or in quarantine with a reason.

The seed is fixed: a failure here is one that another run shows as well.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tds.fleet.models import Gateway
from tds.ingest.reasons import Reason
from tests import seeding
from tests.consuming import consumer_process, ledger, prepared_connection, publish
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FOLDER: Final = Path(__file__).parents[2] / "testdata" / "wire"
SEED: Final = 20_261_124
CHUNK: Final = 2_000
WARM_UP_CHUNKS: Final = 3
MAX_GROWTH_KB: Final = 32_768  # of the consumer after its first chunks: its caches have their bounds
MAX_MUTATIONS: Final = 4
MAX_RANDOM_BYTES: Final = 2_000
MAX_VECTOR_BYTES: Final = 4_000  # the large ones have tests of their own, and take the time of hundreds
DAY_OF_THE_VECTORS: Final = b"2026-02-18"
GATEWAY: Final = "GW-TEST-001"  # of the vectors
CODES: Final = [
    "GW-TEST-002",
    "gw-test-001",
    "GW-TEST-001 ",
    "ＧＷ-TEST-001",
    "GW-TEST\u2011001",
    "GW-ТEST-001",
    "x" * 64,
    "x" * 65,
    "$SYS",
]
DEVICES: Final = ["d01", "D\u201101", "x" * 65]
INSERTED: Final = [
    b"{",
    b"[",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"1e999",
    b"NaN",
    b"null",
    b",",
    b"\xef\xbb\xbf",
]

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with prepared_connection(datetime.now(UTC)) as own:
        yield own


@pytest.fixture(autouse=True)
def gateways() -> list[Gateway]:
    tenant = seeding.tenant("acme")
    return [seeding.gateway(tenant, code) for code in (GATEWAY, "GW-TEST-002")]


def vectors() -> tuple[list[bytes], list[bytes]]:
    """The contract's payloads, those that are taken and those that are not, as if they were of yesterday.

    Of today they would be of the future for a part of the day.
    """
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}".encode()
    taken: list[bytes] = []
    refused: list[bytes] = []
    for path in sorted(FOLDER.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            parts = case["payload"]
            if sum(part.get("times", 1) for part in parts) > MAX_VECTOR_BYTES:
                continue
            payload = b"".join(
                (part["text"].encode() if "text" in part else bytes.fromhex(part["hex"])) * part.get("times", 1)
                for part in parts
            )
            if len(payload) <= MAX_VECTOR_BYTES:
                (taken if "accepted" in case else refused).append(payload.replace(DAY_OF_THE_VECTORS, day))
    return taken, refused


def mutated(chance: random.Random, payload: bytes) -> bytes:
    changed = bytearray(payload)
    for _ in range(chance.randint(0, MAX_MUTATIONS)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + chance.randint(1, 20)]
            case 2:
                changed[at:at] = chance.choice(INSERTED)
            case 3:
                changed[at:at] = changed[at : at + chance.randint(1, 200)]
            case _:
                changed[at:at] = str(chance.choice((0, -1, 10**400, 2**63, 1e308))).encode()
    return bytes(changed)


def messages(chance: random.Random, corpus: tuple[list[bytes], list[bytes]], count: int) -> list[tuple[str, bytes]]:
    made = []
    for _ in range(count):
        if chance.random() < 0.1:
            payload = chance.randbytes(chance.randint(0, MAX_RANDOM_BYTES))
        else:
            payload = mutated(chance, chance.choice(chance.choice(corpus)))
        gateway = GATEWAY if chance.random() < 0.8 else chance.choice(CODES)
        device = "D01" if chance.random() < 0.9 else chance.choice(DEVICES)
        made.append((f"telemetry/{gateway}/{device}/data", payload))
    return made


def pss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_every_fuzzed_payload_is_stored_or_in_quarantine_with_a_reason(
    broker: RunningBroker, connection: Connection, tmp_path: Path, count: int
) -> None:
    chance, corpus = random.Random(SEED), vectors()
    assert min(map(len, corpus)) > 50
    with consumer_process(broker, tmp_path, TDS_QUARANTINE_MESSAGES="20000") as consumer:
        at_first_kb = 0
        for chunk in range(count // CHUNK):
            publish(broker, *messages(chance, corpus, CHUNK))
            sent = (chunk + 1) * CHUNK
            wait_until(lambda sent=sent: ledger(connection)["received"] >= sent, f"{sent} messages")  # type: ignore[misc]
            assert consumer.process.poll() is None, consumer.errors
            if chunk + 1 == WARM_UP_CHUNKS:
                at_first_kb = pss_kb(consumer.process.pid)
        grown_kb = pss_kb(consumer.process.pid) - at_first_kb
        sums = ledger(connection)
        assert (consumer.terminate(), consumer.errors) == (0, "")
    assert sums["received"] == sums["accepted"] + sums["quarantined"] == count
    assert sums["readings"] == sums["stored"] + sums["duplicate"]
    assert min(sums["accepted"], sums["quarantined"]) > count // 20, "the fuzz has gone blind on one side"
    reasons = dict(connection.execute("SELECT reason, sum(total) FROM tds_new_quarantinecount GROUP BY 1").fetchall())
    assert reasons.keys() <= set(Reason)
    assert len(reasons) > 10
    assert sum(reasons.values()) == sums["quarantined"]
    assert connection.execute("SELECT count(*) FROM tds_new_quarantinedmessage WHERE detail = ''").fetchone() == (0,)
    assert grown_kb <= MAX_GROWTH_KB
