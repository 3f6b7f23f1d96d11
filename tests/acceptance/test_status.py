"""`./tds status` on the whole platform: all is well, a part stands still, and all is well again."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.running import wait_until
from tests.started import Started

ACCESS: Final = {"agent", "revocation"}
PATIENCE_S: Final = 5  # of a connection to the database
QUICK_S: Final = 5.0
LOOKS: Final = 3
RUNNING: Final = {
    *("database", "disk", "spool", "quarantine", "web", "consumer", "worker", "broker", "firmware server"),
    *ACCESS,
    *("certificates", "gateways", "updates"),
}


def examined(platform: Started) -> tuple[int, dict[str, Any]]:
    """The exit status and the document."""
    done = platform.tds("status", "--json", check=False)
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["healthy"] is (done.returncode == 0)
    return done.returncode, document


def unhealthy(document: dict[str, Any]) -> set[str]:
    return {name for name, part in document["parts"].items() if part["state"] == "unhealthy"}


@contextmanager
def standing_still(platform: Started, name: str) -> Iterator[None]:
    """A part that neither works nor ends: nothing but what it does not do tells of it."""
    pid = platform.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_until_well(platform: Started) -> None:
    wait_until(lambda: is_well(*examined(platform)), "a healthy platform", 60)


def is_well(code: int, document: dict[str, Any]) -> bool:
    # A warning is well enough, but this one goes away by itself: the worker hears the broker soon after it has begun.
    return code == 0 and document["parts"]["gateways"]["state"] == "healthy"


def test_a_platform_that_runs_is_healthy_in_every_part(platform: Started) -> None:
    wait_until_well(platform)
    code, document = examined(platform)
    assert code == 0
    states = {name: part["state"] for name, part in document["parts"].items()}
    assert states == dict.fromkeys(RUNNING, "healthy") | {"redis": "off"}
    for name, part in document["parts"].items():
        assert set(part) == {"name", "state", "detail", "action"}
        assert part["name"] == name
        assert part["detail"]


def test_for_people_each_part_is_a_line(platform: Started) -> None:
    wait_until_well(platform)
    done = platform.tds("status", check=False)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert {line[5:].split("  ")[0].strip() for line in lines if line.startswith("ok ")} == RUNNING
    assert not any(line.startswith("NOT") for line in lines)


def quickest_s(platform: Started, enough_s: float) -> float:
    """Of up to three examinations: a busy machine makes one slower, never quicker."""
    took_s = []
    for _ in range(LOOKS):
        began = monotonic()
        examined(platform)
        took_s.append(monotonic() - began)
        if took_s[-1] < enough_s:
            break
    return min(took_s)


def test_a_consumer_that_stands_still_is_found_by_what_it_does_not_store(platform: Started) -> None:
    wait_until_well(platform)
    with standing_still(platform, "consumer"):
        code, document = examined(platform)
        assert code == 1
        # Its sign of life is not old yet; the message that is not stored tells at once.
        assert "broker" in unhealthy(document) <= {"broker", "consumer"}
        assert "it was not stored within" in document["parts"]["broker"]["detail"]
        assert "See consumer" in document["parts"]["broker"]["action"]
    wait_until_well(platform)


def test_a_broker_that_stands_still_is_found(platform: Started) -> None:
    wait_until_well(platform)
    with standing_still(platform, "broker"):
        code, document = examined(platform)
        assert code == 1
        assert "broker" in unhealthy(document) <= {"broker", "consumer"}
    wait_until_well(platform)


def test_a_database_that_stands_still_is_found_without_waiting_for_it_at_every_part(platform: Started) -> None:
    wait_until_well(platform)
    usual_s = quickest_s(platform, 0.0)
    with standing_still(platform, "database"):
        assert quickest_s(platform, usual_s + 2 * PATIENCE_S) - usual_s < 2 * PATIENCE_S  # once
        code, document = examined(platform)
        assert code == 1
        unknown = {"consumer", "worker", "broker", *ACCESS}
        assert unhealthy(document) == {"database", *unknown}
        assert {document["parts"][name]["action"] for name in unknown} == {"See database."}
    wait_until_well(platform)


def test_a_killed_worker_is_no_cause_for_alarm_when_it_is_back(platform: Started) -> None:
    before = platform.pids["worker"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pids.get("worker", before) != before, "a new worker")
    wait_until_well(platform)


def test_the_examination_of_a_healthy_platform_is_quick(platform: Started) -> None:
    wait_until_well(platform)
    assert quickest_s(platform, QUICK_S) < QUICK_S  # a start of Python and a round trip


def test_prometheus_reads_the_metrics_of_the_running_platform(platform: Started) -> None:
    wait_until_well(platform)
    with urlopen(f"{platform.ready['web_url']}/metrics", timeout=10) as answer:
        metrics = {m.name: m for m in text_string_to_metric_families(answer.read().decode())}
    ages = {sample.labels["process"]: sample.value for sample in metrics["tds_heartbeat_age_seconds"].samples}
    assert set(ages) == {"consumer", "worker", "agent", "ota"}
    assert max(ages.values()) < 30
    [received] = [s.value for s in metrics["tds_ledger_received"].samples if s.name.endswith("_total")]
    assert received > 0  # the status itself sent some
