"""A box of 500 gateways on the whole platform: provisioned, connected, one put out, one renewed, nothing lost."""

import csv
import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tds.environment import ROOT
from tds.local.prepared import DEMO_GATEWAYS
from tds.simulator.credential import load
from tests.balancing import assert_platform_balanced
from tests.running import wait_until
from tests.simulating import READINGS_A_MESSAGE, acknowledged, connect, ledger_balances, stored_messages
from tests.started import Started

UNITS: Final = 500
CUT_LIMIT_S: Final = 5.0
PREFIX: Final = "BOX"


@pytest.fixture
def box(platform: Started, tmp_path: Path) -> Path:
    """As a factory makes it, with one command."""
    platform.tds("tenant", "add", PREFIX.lower())
    units = tmp_path / "units.csv"
    with units.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["gateway_code", "tenant"])
        writer.writerows([f"{PREFIX}-{number:04d}", PREFIX.lower()] for number in range(1, UNITS + 1))
    platform.tds("provision", str(units), "--out", str(tmp_path / "box"))
    return tmp_path / "box"


def test_a_box_of_500_is_provisioned_and_connected_one_is_put_out_and_one_renews(
    platform: Started, box: Path, tmp_path: Path
) -> None:
    out, renews = f"{PREFIX}-0007", f"{PREFIX}-0013"
    report = tmp_path / "acknowledged.jsonl"
    before = load(box, renews).certificate
    with last_wills(platform, out) as wills, simulated_box(platform, box, report, "--renew", renews) as simulator:
        wait_until(lambda: len(heard_since(platform, 0.0)) == UNITS, "a reading of every gateway")

        platform.tds("gateway", "disable", out)
        disabled_at = disabled_since(platform, out)
        wait_until(lambda: wills and wills[-1] >= disabled_at, "the end of its session", 2 * CUT_LIMIT_S)
        cut_at = next(at for at in wills if at >= disabled_at)
        assert cut_at - disabled_at <= CUT_LIMIT_S
        assert_refused(platform, box, out)

        others = {f"{PREFIX}-{number:04d}" for number in range(1, UNITS + 1)} - {out}
        wait_until(lambda: heard_since(platform, cut_at) >= others, "a later reading of every other gateway")
        assert out not in heard_since(platform, cut_at)
        simulator.send_signal(signal.SIGTERM)
        said, notices = simulator.communicate(timeout=60)

    summary = json.loads(said)
    assert (summary["gateways"], summary["never_connected"], summary["renewed"]) == (UNITS, 0, 1), notices
    assert summary["connections"] == UNITS + 1  # the one that renewed came in anew; nobody else was cut
    after = load(box, renews).certificate
    assert after.public_key() != before.public_key()
    assert given(platform, renews) == [
        ("renewal", f"{after.serial_number:040x}"),
        ("factory", f"{before.serial_number:040x}"),
    ]

    sent = {message for message in acknowledged(report) if message[0] != out}
    assert len(sent) > 3 * len(others)
    wait_until(lambda: sent <= stored_messages(platform, PREFIX).keys(), "all that was acknowledged")
    assert set(stored_messages(platform, PREFIX).values()) == {READINGS_A_MESSAGE}
    the_ledger_balances(platform, out)
    assert_platform_balanced(platform)


def test_the_demos_gateways_come_in_by_their_certificates(home: Started) -> None:
    home.start("--demo", "--without", "web", "--without", "worker", "--without", "agent", "--without", "ota")
    log = home.home / "log/broker.log"

    def names() -> set[str]:
        """Those that came with a user name: the broker knows none but that of a certificate."""
        text = log.read_text(encoding="utf-8")
        return {code for code in DEMO_GATEWAYS if re.search(rf" as {code} \(.*u'{code}'\)", text)}

    wait_until(lambda: names() == set(DEMO_GATEWAYS), "all gateways of the demo")
    with connect(home) as connection:
        wait_until(
            lambda: connection.execute("SELECT 1 FROM tds_new_leituradispositivo LIMIT 1").fetchone(), "a reading"
        )


@contextmanager
def simulated_box(platform: Started, box: Path, report: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """All gateways of a box with a message a second each, until it is told to end."""
    process = subprocess.Popen(
        [
            *(ROOT / "tds", "simulate", "--box", str(box), "--devices", "1", "--interval", "1"),
            *("--broker", platform.ready["mqtts_url"], "--est", platform.ready["ota_url"]),
            *("--report", str(report), "--json", *words),
        ],
        env=platform.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=20)


@contextmanager
def last_wills(platform: Started, code: str) -> Iterator[list[float]]:
    """When each came, which the broker publishes as it cuts the gateway's session."""
    wills: list[float] = []
    subscribed = threading.Event()

    def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.payload and json.loads(message.payload)["status"] == "offline" and not message.retain:
            wills.append(time.time())

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    at = urlsplit(platform.ready["mqtt_url"])
    client.connect(str(at.hostname), at.port or 1883)
    client.loop_start()
    client.subscribe(f"status/{code}", qos=1)
    try:
        assert subscribed.wait(10)
        yield wills
    finally:
        client.disconnect()
        client.loop_stop()


def assert_refused(platform: Started, box: Path, code: str) -> None:
    """Somebody else's client tries it with the gateway's key and certificate."""
    at, folder = urlsplit(platform.ready["mqtts_url"]), box / code
    done = subprocess.run(
        [
            *("mosquitto_pub", "-h", str(at.hostname), "-p", str(at.port), "-q", "1", "-m", "{}"),
            *("-t", f"telemetry/{code}/D01/data", "--cafile", folder / "ca.pem"),
            *("--cert", folder / "gateway.crt", "--key", folder / "gateway.key"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    # The alert, or the end of the connection that overtook it. Of a file that can't be read it says something else.
    assert done.stderr in {"Error: Protocol error\n", "Error: The connection was lost.\n"}
    assert done.returncode != 0


def heard_since(platform: Started, at_s: float) -> set[str]:
    """The gateways of the box with a reading that was measured later."""
    with connect(platform) as connection:
        rows = connection.execute(
            """SELECT DISTINCT g.code FROM tds_new_leituradispositivo r
               JOIN tds_new_device d ON d.id = r.device_id JOIN tds_new_gateway g ON g.id = d.gateway_id
               WHERE g.code LIKE %s AND r.time > %s""",
            (f"{PREFIX}-%", datetime.fromtimestamp(at_s, UTC)),
        )
        return {code for (code,) in rows}


def disabled_since(platform: Started, code: str) -> float:
    with connect(platform) as connection:
        row = connection.execute(
            """SELECT extract(epoch FROM at) FROM tds_new_auditentry
               WHERE object_name = %s AND action = 'gateway.disabled'""",
            (code,),
        ).fetchone()
    assert row is not None
    return float(row[0])


def given(platform: Started, code: str) -> list[tuple[str, str]]:
    """How, and the serial number, of a gateway's certificates; the newest first."""
    with connect(platform) as connection:
        return connection.execute(
            """SELECT c.how, c.serial FROM tds_new_certificate c JOIN tds_new_gateway g ON g.id = c.gateway_id
               WHERE g.code = %s ORDER BY c.issued_at DESC, c.id DESC""",
            (code,),
        ).fetchall()


def the_ledger_balances(platform: Started, put_out: str) -> None:
    """Nobody's message went into quarantine but those that its gateway sent in the moment before it was cut."""
    with connect(platform) as connection:
        kept = connection.execute(
            "SELECT DISTINCT gateway_code, reason FROM tds_new_quarantinedmessage WHERE gateway_code LIKE %s",
            (f"{PREFIX}-%",),
        ).fetchall()
    assert kept in ([], [(put_out, "gateway_disabled")])
    ledger_balances(platform, PREFIX, quarantined_at_most=int(CUT_LIMIT_S))
