import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tds.environment import Environment, read
from tds.local.plan import announcement, make_plan, ready_facts, warnings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MUCH = 10**12


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return {"TDS_HOME": str(tmp_path)}


def environment(variables: dict[str, str]) -> Environment:
    return read(variables)


def test_everything_runs_by_default_with_a_demo(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=[], variables=base)
    assert plan.demo
    assert plan.ports() == ["database", "mqtt", "mqtt_ws", "web"]


def test_production_gets_a_demo_only_when_asked(base: dict[str, str]) -> None:
    base |= {"TDS_MODE": "production", "TDS_SECRET_KEY": "x" * 40}
    assert not make_plan(environment(base), demo=None, without=[], variables=base).demo
    assert make_plan(environment(base), demo=True, without=[], variables=base).demo


@pytest.mark.parametrize("name", ["TDS_DATABASE_URL", "TDS_DATABASE_URL_FILE"])
def test_a_database_that_is_named_is_not_ours_to_start(base: dict[str, str], name: str, tmp_path: Path) -> None:
    url = "postgresql://someone@db.example/tds"
    file = tmp_path / "url"
    file.write_text(url)
    base[name] = str(file) if name.endswith("FILE") else url
    plan = make_plan(environment(base), demo=None, without=[], variables=base)
    assert "database" not in plan.parts
    assert "database" not in plan.ports()


@pytest.mark.parametrize(
    ("urls", "ours"),
    [
        ("mqtt://localhost", True),
        ("mqtt://127.0.0.1:1883", True),
        ("mqtt://broker.example:1883", False),
        ("mqtt://localhost:1999", False),
        ("mqtt://broker.example mqtt://localhost:1883", True),
    ],
)
def test_only_a_broker_on_our_port_of_loopback_is_ours_to_start(base: dict[str, str], urls: str, *, ours: bool) -> None:
    base["TDS_MQTT_URLS"] = urls
    plan = make_plan(environment(base), demo=None, without=[], variables=base)
    assert ("broker" in plan.parts) is ours


def test_what_is_left_out_listens_nowhere(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=["web", "broker"], variables=base)
    assert plan.ports() == ["database"]


def test_a_small_disk_a_wrong_clock_and_an_open_port_are_said(base: dict[str, str]) -> None:
    assert warnings(environment(base), MUCH, NOW) == []
    [disk] = warnings(environment(base), 100 * 1024**2, NOW)
    assert "only 100 MiB" in disk
    [clock] = warnings(environment(base), MUCH, datetime(1970, 1, 2, tzinfo=UTC))
    assert "1970-01-02" in clock
    [bind] = warnings(environment(base | {"TDS_BIND": "0.0.0.0"}), MUCH, NOW)
    assert "MQTT stays on 127.0.0.1" in bind


def test_ready_json_has_the_promised_keys(base: dict[str, str]) -> None:
    facts = ready_facts(environment(base), "admin", Path("/x"), {"web": 7})
    assert json.loads(json.dumps(facts)) == {
        "web_url": "http://127.0.0.1:8000",
        "mqtt_url": "mqtt://127.0.0.1:1883",
        "mqtt_urls": ["mqtt://127.0.0.1:1883"],
        "database_url": environment(base).database_url,
        "ota_url": "https://127.0.0.1:8070",
        "admin_user": "admin",
        "admin_password_file": "/x",
        "processes": {"web": 7},
    }


def test_the_password_is_said_to_a_terminal_only(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=[], variables=base)
    assert "s3cret" in announcement(plan, "admin", "s3cret", Path("/x"), terminal=True)
    assert "s3cret" not in announcement(plan, "admin", "s3cret", Path("/x"), terminal=False)
