"""`./tds up` with real processes: what it starts, what it survives, and what it leaves alone."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tds.local.leftovers import run_file
from tds.local.processes import Identity, boot_id, identity_of, remember
from tests.running import RECOVERY_LIMIT_S, wait_until
from tests.started import STOP_LIMIT_S, Started

STORAGE_ONLY = (
    "--no-demo",
    *(word for part in ("web", "consumer", "worker", "agent", "ota") for word in ("--without", part)),
)


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_ready_json_names_every_part_and_the_real_processes(platform: Started) -> None:
    ready = platform.ready
    ports = platform.environment
    assert ready["web_url"] == f"http://127.0.0.1:{ports['TDS_WEB_PORT']}"
    assert ready["mqtt_url"] == f"mqtt://127.0.0.1:{ports['TDS_MQTT_PORT']}"
    assert ready["mqtts_url"] == f"mqtts://127.0.0.1:{ports['TDS_MQTT_TLS_PORT']}"
    assert ready["ota_url"] == f"https://127.0.0.1:{ports['TDS_OTA_PORT']}"
    assert ready["admin_user"] == "admin"
    assert len(Path(ready["admin_password_file"]).read_text()) >= 20
    assert stat.S_IMODE(platform.ready_file.stat().st_mode) == 0o600
    expected = {
        "database": "postgres",
        "broker": "mosquitto",
        "web": "gunicorn",
        "consumer": "mqtt_consumer",
        "worker": "worker",
        "agent": "broker_agent",
        "ota": "ota_server",
    }
    assert set(ready["processes"]) == set(expected)
    for name, program in expected.items():
        assert program in program_of(ready["processes"][name])
    with psycopg.connect(ready["database_url"]) as connection:
        row = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False, False)


def test_only_loopback_is_listened_on(platform: Started) -> None:
    ours = {int(value) for name, value in platform.environment.items() if name.endswith("_PORT")}
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.split(":")
            if state == "0A" and int(port, 16) in ours:
                listening.add(address)
    assert listening == {"0100007F"}


def test_the_password_is_not_said_where_output_is_kept(platform: Started) -> None:
    password = Path(platform.ready["admin_password_file"]).read_text()
    logs = "".join(path.read_text(errors="replace") for path in (platform.home / "log").iterdir())
    assert "secrets/admin_password" in platform.said
    assert password not in platform.said + logs


def test_a_second_start_of_the_same_home_is_refused_in_a_sentence(platform: Started) -> None:
    done = platform.tds("up", check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "already runs" in done.stderr
    assert platform.ready_file.exists()


@pytest.mark.parametrize("name", ["web", "consumer", "worker", "ota"])
def test_a_killed_child_comes_back_and_ready_json_says_so(platform: Started, name: str) -> None:
    # Another file's tests may have killed it on the same platform a moment ago, which doubles the pause.
    pause = "0[.]5" if f"{name} ended (" not in platform.said else "(0[.]5|1|2)"
    sentence = re.compile(rf"{name} ended \(killed by SIGKILL\); starting it again in {pause} s\n")
    before, said = platform.pids, len(sentence.findall(platform.said))
    os.kill(before[name], signal.SIGKILL)
    wait_until(lambda: platform.pids.get(name, before[name]) != before[name], f"a new {name}")
    after = platform.pids
    assert {n: pid for n, pid in after.items() if n != name} == {n: pid for n, pid in before.items() if n != name}
    assert len(sentence.findall(platform.said)) == said + 1


def test_killed_database_and_broker_come_back(home: Started) -> None:
    home.start(*STORAGE_ONLY)
    before = home.pids
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def both_are_new() -> bool:
        now = home.pids
        return set(now) == set(before) and not set(now.values()) & set(before.values())

    wait_until(both_are_new, "both", RECOVERY_LIMIT_S)

    def answers() -> bool:
        try:
            psycopg.connect(home.ready["database_url"], connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers, "the database", RECOVERY_LIMIT_S)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_in_time_and_leaves_nothing(home: Started, how: signal.Signals) -> None:
    # A child inherits that a signal is ignored, and these tests may run under nohup, which has us ignore hang-ups.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    home.start("--no-demo")
    signal.signal(signal.SIGHUP, before)
    pids = home.pids
    assert home.stop(how) < STOP_LIMIT_S
    assert not home.ready_file.exists()
    assert [name for name, pid in pids.items() if identity_of(pid)] == []
    assert list((home.home / "run").glob("*.json")) == []


def test_a_start_after_the_supervisor_was_killed_recovers(home: Started) -> None:
    home.start(*STORAGE_ONLY)
    orphans = [identity for pid in home.pids.values() if (identity := identity_of(pid))]
    home.kill()
    assert all(identity_of(orphan.pid) == orphan for orphan in orphans)
    home.start(*STORAGE_ONLY)
    assert "stopped what it left: broker, database" in home.said
    assert [orphan for orphan in orphans if identity_of(orphan.pid) == orphan] == []


def test_a_process_that_merely_has_an_old_pid_is_left_alone(home: Started) -> None:
    home.start(*STORAGE_ONLY)
    home.stop()
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as innocent:
        try:
            now = identity_of(innocent.pid)
            assert now
            remember(run_file(home.home, "broker"), Identity(innocent.pid, now.start_ticks - 1, boot_id()))
            remember(run_file(home.home, "web"), Identity(innocent.pid, now.start_ticks, "another-boot"))
            cluster = (home.home / "database").resolve() / "cluster"
            (cluster / "postmaster.pid").write_text(f"{innocent.pid}\n{cluster}\n")
            home.start(*STORAGE_ONLY)
            assert innocent.poll() is None
            home.stop()
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_a_taken_port_is_a_sentence_and_nothing_is_started(home: Started) -> None:
    with socket.create_server(("127.0.0.1", int(home.environment["TDS_WEB_PORT"]))):
        done = home.tds("up", check=False)
    port = home.environment["TDS_WEB_PORT"]
    assert done.returncode == 1
    assert done.stderr == f"Port {port} (web) is taken; stop what uses it or set TDS_WEB_PORT.\n"
    assert not list(home.home.glob("*/cluster*"))


def test_a_wrong_variable_is_a_sentence_that_names_it(home: Started) -> None:
    home.environment["TDS_MQTT_PORT"] = "mqtt"
    done = home.tds("up", check=False)
    assert done.returncode == 2
    assert done.stderr == "TDS_MQTT_PORT is 'mqtt'; set it to a whole number from 1 to 65535.\n"


def test_the_help_comes_at_once_and_names_every_part(home: Started) -> None:
    took_s = []
    for _ in range(3):  # a busy machine makes one slower, never quicker
        began = time.monotonic()
        done = home.tds("up", "--help")
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 1.5
    for part in ("database", "broker", "web", "consumer", "worker", "ota"):
        assert part in done.stdout


def test_what_is_published_before_the_consumer_ever_ran_is_stored_when_it_does(home: Started) -> None:
    home.start("--no-demo", "--without", "web", "--without", "worker", "--without", "agent", "--without", "consumer")
    home.tds("tenant", "add", "acme")
    home.tds("gateway", "add", "GW-EARLY", "--tenant", "acme")
    port = home.environment["TDS_MQTT_PORT"]
    message = json.dumps(
        {
            "gateway_code": "GW-EARLY",
            "device_code": "D01",
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "leituras": [{"tipo": "energia", "valor": 1, "unidade": "kWh"}],
        }
    )
    subprocess.run(
        ["mosquitto_pub", "-p", port, "-V", "5", "-q", "1", "-t", "telemetry/GW-EARLY/D01/data", "-m", message],
        check=True,
    )
    home.stop()
    home.start("--no-demo", "--without", "web", "--without", "worker", "--without", "agent")

    def stored() -> bool:
        with psycopg.connect(home.ready["database_url"]) as connection:
            return connection.execute("SELECT count(*) FROM tds_new_leituradispositivo").fetchone() == (1,)

    wait_until(stored, "the reading")


def test_a_first_start_makes_certificates_and_a_second_one_leaves_them_alone(home: Started) -> None:
    del home.environment["TDS_MQTT_SERVICES_PORT"]  # one that is free is found, and stays
    home.start(*STORAGE_ONLY)
    assert "  certificates      ready after " in home.said
    assert stat.S_IMODE((home.home / "ca").stat().st_mode) == 0o700
    kept = ("broker/tls/server.key", "broker/services-port", "ca/device-1.key")
    before = [(home.home / name).read_text() for name in kept]
    home.stop()
    home.start(*STORAGE_ONLY)
    assert "certificates" not in home.said
    assert [(home.home / name).read_text() for name in kept] == before
    home.stop()
    home.environment["TDS_TLS_NAMES"] = "tds.example.org"
    home.start(*STORAGE_ONLY)
    assert "  certificates      ready after " in home.said
    assert (home.home / "broker/tls/server.key").read_text() != before[0]
    assert (home.home / "ca/device-1.key").read_text() == before[2]


def test_production_does_not_make_up_its_authority(home: Started) -> None:
    home.environment |= {"TDS_MODE": "production", "TDS_SECRET_KEY": "x" * 40}
    done = home.tds("up", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"There is no certificate authority in {home.home / 'ca'}, and without one no gateway can come in by TLS; "
        "make one with ./tds ca init, then start again.\n"
    )
    assert not list(home.home.glob("*/cluster*"))


def test_the_consumer_comes_in_by_its_own_port_and_calls_the_broker_by_the_one_that_people_know(
    platform: Started,
) -> None:
    log = (platform.home / "log/consumer.log").read_text()
    assert f"[INFO] Conectado ao MQTT broker em localhost:{platform.environment['TDS_MQTT_PORT']}\n" in log
    came = (platform.home / "log/broker.log").read_text()
    assert f"on port {platform.environment['TDS_MQTT_SERVICES_PORT']}.\n" in came
    assert "as tds-consumer (p5, c0, k30, u'_consumer')" in came
