import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tds.environment import Environment, read
from tds.local import demo, parts
from tds.local.plan import Plan, about_earlier_brokers, announcement, make_plan, ready_facts, warnings
from tds.local.refusal import CannotStartError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MUCH = 10**12


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return {"TDS_HOME": str(tmp_path)}


def environment(variables: dict[str, str]) -> Environment:
    return read(variables)


def test_everything_runs_by_default_with_a_demo(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW)
    assert plan.demo
    assert plan.listens() == dict.fromkeys(["database", "mqtt_tls", "mqtt", "mqtt_ws", "web", "ota"], "127.0.0.1")


def test_production_gets_a_demo_only_when_asked(base: dict[str, str]) -> None:
    base |= {"TDS_MODE": "production", "TDS_SECRET_KEY": "x" * 40}
    assert not make_plan(environment(base), demo=None, without=[], variables=base, now=NOW).demo
    assert make_plan(environment(base), demo=True, without=[], variables=base, now=NOW).demo


@pytest.mark.parametrize("name", ["TDS_DATABASE_URL", "TDS_DATABASE_URL_FILE"])
def test_a_database_that_is_named_is_not_ours_to_start(base: dict[str, str], name: str, tmp_path: Path) -> None:
    url = "postgresql://someone@db.example/tds"
    file = tmp_path / "url"
    file.write_text(url)
    base[name] = str(file) if name.endswith("FILE") else url
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW)
    assert "database" not in plan.parts
    assert "database" not in plan.listens()


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
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW)
    assert ("broker" in plan.parts) is ours


def test_what_is_left_out_listens_nowhere(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=["web", "broker"], variables=base, now=NOW)
    assert list(plan.listens()) == ["database", "ota"]


def test_a_small_disk_a_wrong_clock_and_an_open_port_are_said(base: dict[str, str]) -> None:
    assert warnings(environment(base), MUCH, NOW) == []
    [disk] = warnings(environment(base), 100 * 1024**2, NOW)
    assert "only 100 MiB" in disk
    [clock] = warnings(environment(base), MUCH, datetime(1970, 1, 2, tzinfo=UTC))
    assert "1970-01-02" in clock
    bind, plain, names = warnings(environment(base | {"TDS_BIND": "0.0.0.0"}), MUCH, NOW)
    assert "MQTT over TLS (port 8883)" in bind
    assert "MQTT on port 1883 stays on 127.0.0.1" in plain
    assert "TDS_TLS_NAMES" in names


def test_ready_json_has_the_promised_keys(base: dict[str, str]) -> None:
    facts = ready_facts(environment(base), "admin", Path("/x"), {"web": 7})
    assert json.loads(json.dumps(facts)) == {
        "web_url": "http://127.0.0.1:8000",
        "mqtt_url": "mqtt://127.0.0.1:1883",
        "mqtt_urls": ["mqtt://127.0.0.1:1883"],
        "mqtts_url": "mqtts://127.0.0.1:8883",
        "database_url": environment(base).database_url,
        "ota_url": "https://127.0.0.1:8070",
        "firmware_url": "https://localhost:8070",
        "admin_user": "admin",
        "admin_password_file": "/x",
        "processes": {"web": 7},
    }


def test_several_brokers_are_all_in_ready_json_and_all_announced(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW, brokers=2)
    facts = ready_facts(plan.environment, "admin", Path("/x"), {})
    assert facts["mqtt_url"] == "mqtt://127.0.0.1:1883"
    assert facts["mqtt_urls"] == ["mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1884"]
    said = announcement(plan, "admin", "s3cret", Path("/x"), terminal=False)
    assert "127.0.0.1:1884, 127.0.0.1:8884 (TLS, with a certificate), over WebSocket 9002" in said


def test_named_brokers_are_in_ready_json_as_they_were_named(base: dict[str, str]) -> None:
    base["TDS_MQTT_URLS"] = "mqtt://one.example mqtts://two.example:8884"
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW)
    assert ready_facts(plan.environment, "admin", Path("/x"), {})["mqtt_urls"] == base["TDS_MQTT_URLS"].split()
    with pytest.raises(CannotStartError, match="--brokers"):
        make_plan(environment(base), demo=None, without=[], variables=base, now=NOW, brokers=2)


@pytest.mark.parametrize(
    ("without", "draining", "what"),
    [
        ([], (2, 3), "fetched and stored, out of reach of gateways"),
        (["consumer"], (), "a start with broker and consumer fetches them"),
        (["broker"], (), "a start with broker and consumer fetches them"),
    ],
)
def test_brokers_of_an_earlier_start_are_never_passed_over_in_silence(
    base: dict[str, str], without: list[str], draining: tuple[int, ...], what: str
) -> None:
    plan = make_plan(environment(base), demo=None, without=without, variables=base, now=NOW, provisioned=[1, 2, 3])
    assert plan.draining == draining
    [warning] = about_earlier_brokers(plan, [1, 2, 3])
    assert warning.startswith("Warning: an earlier start had more brokers (broker-2, broker-3); ")
    assert what in warning
    assert about_earlier_brokers(plan, [1]) == []


def test_private_brokers_that_named_ones_take_the_place_of_are_not_passed_over_either(base: dict[str, str]) -> None:
    base["TDS_MQTT_URLS"] = "mqtt://one.example"
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW, provisioned=[1])
    [warning] = about_earlier_brokers(plan, [1])
    assert "unset TDS_MQTT_URLS for one start" in warning


def test_slots_are_refused_on_the_private_broker(base: dict[str, str]) -> None:
    base |= {"TDS_MQTT_URLS": "mqtt://localhost", "TDS_MQTT_SHARED_SLOTS": "2"}
    with pytest.raises(CannotStartError, match="set the slots to 0"):
        make_plan(environment(base), demo=None, without=[], variables=base, now=NOW)


def test_each_slot_is_a_consumer(base: dict[str, str]) -> None:
    base |= {"TDS_MQTT_URLS": "mqtt://emqx.example", "TDS_MQTT_SHARED_SLOTS": "2"}
    children = parts.consumers(environment(base), NOW)
    assert [(child.name, child.command[-2:]) for child in children] == [
        ("consumer-s1", ["--slot", "1"]),
        ("consumer-s2", ["--slot", "2"]),
    ]


def test_the_demo_uses_all_private_brokers(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=True, without=[], variables=base, now=NOW, brokers=2)
    words = demo.child(plan.environment, plan.brokers, programs=False).command
    options = [(word, after) for word, after in pairwise(words) if word.startswith("--")]
    assert options[:4] == [
        ("--box", str(plan.environment.home / "demo-box")),
        ("--est", "https://127.0.0.1:8070"),
        ("--broker", "mqtts://127.0.0.1:8883"),
        ("--broker", "mqtts://127.0.0.1:8884"),
    ]


def test_named_brokers_reach_the_children_as_they_were_given_for_they_may_hold_passwords(base: dict[str, str]) -> None:
    base["TDS_MQTT_URLS"] = "mqtt://user:hunter2@one.example"
    assert "TDS_MQTT_URLS" not in parts.web(environment(base)).environment


def test_the_password_is_said_to_a_terminal_only(base: dict[str, str]) -> None:
    plan = make_plan(environment(base), demo=None, without=[], variables=base, now=NOW)
    assert "s3cret" in announcement(plan, "admin", "s3cret", Path("/x"), terminal=True)
    assert "s3cret" not in announcement(plan, "admin", "s3cret", Path("/x"), terminal=False)


# Who is let in


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "192.0.2.7"])
def test_gateways_with_certificates_come_in_where_it_was_asked_and_others_on_this_machine(
    base: dict[str, str], bind: str
) -> None:
    plan = make_plan(environment(base | {"TDS_BIND": bind}), demo=None, without=[], variables=base, now=NOW)
    assert plan.listens()["mqtt_tls"] == bind
    assert plan.listens()["mqtt"] == plan.listens()["mqtt_ws"] == "127.0.0.1"


@pytest.fixture
def production(base: dict[str, str]) -> dict[str, str]:
    return base | {"TDS_MODE": "production", "TDS_SECRET_KEY": "x" * 40}


def test_in_production_the_ports_without_tls_are_off(production: dict[str, str]) -> None:
    plan = make_plan(environment(production), demo=None, without=[], variables=production, now=NOW)
    assert list(plan.listens()) == ["database", "mqtt_tls", "web", "ota"]
    facts = ready_facts(plan.environment, "admin", Path("/x"), {})
    assert facts["mqtt_url"] is None
    assert facts["mqtt_urls"] == [facts["mqtts_url"]] == ["mqtts://127.0.0.1:8883"]
    said = announcement(plan, "admin", "s3cret", Path("/x"), terminal=False)
    assert "  MQTT        127.0.0.1:8883 (TLS, with a certificate)\n" in said


def test_passwords_open_the_ports_without_tls_until_their_day_and_that_is_said(production: dict[str, str]) -> None:
    production |= {"TDS_MQTT_PLAIN": "password", "TDS_MQTT_PLAIN_UNTIL": "2026-06-02", "TDS_BIND": "192.0.2.7"}

    def planned(now: datetime) -> Plan:
        return make_plan(environment(production), demo=None, without=[], variables=production, now=now)

    before, after = NOW + timedelta(hours=23, minutes=59), NOW + timedelta(days=1)
    assert planned(before).listens()["mqtt"] == planned(before).listens()["mqtt_ws"] == "192.0.2.7"
    assert "192.0.2.7:1883 (with a password)" in announcement(planned(before), "a", "s", Path("/x"), terminal=False)
    assert "without TLS, until 2026-06-02." in warnings(environment(production), MUCH, before)[-1]
    assert not {"mqtt", "mqtt_ws"} & planned(after).listens().keys()
    [*_, over] = warnings(environment(production), MUCH, after)
    assert over.startswith("Warning: TDS_MQTT_PLAIN_UNTIL is 2026-06-02, and that day has come: ports 1883 and 9001 ")


def test_a_private_broker_that_does_not_let_our_processes_in_by_the_named_port_is_a_sentence(
    production: dict[str, str],
) -> None:
    production["TDS_MQTT_URLS"] = "mqtt://localhost"
    with pytest.raises(CannotStartError, match="unset TDS_MQTT_URLS, or start --without broker"):
        make_plan(environment(production), demo=None, without=[], variables=production, now=NOW)
    plan = make_plan(environment(production), demo=None, without=["broker"], variables=production, now=NOW)
    assert "broker" not in plan.parts
