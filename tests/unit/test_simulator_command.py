"""The options of `tds simulate`, and what a person sees of a run."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from tds.simulator import Broker, FleetConfig, gateway_codes
from tds.simulator.command import in_words, simulate
from tds.simulator.fleet import Progress, Summary
from tds.simulator.message import Message
from tds.simulator.watching import Display

SIMULATOR = Path(__file__).parents[2] / "src/tds/simulator"

app = typer.Typer()
app.command()(simulate)


def output(*words: str) -> str:
    """Of a command that fails, on one line and without the box that typer draws around it."""
    result = CliRunner().invoke(app, words, env={"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"})
    assert result.exit_code == 2
    return " ".join(result.output.split())


def config(**changes: object) -> FleetConfig:
    values = {"gateways": ("GW-1",), "devices": ("D01",), "broker": Broker("127.0.0.1", 1883)}
    return FleetConfig(**(values | changes))  # type: ignore[arg-type]  # wrong ones are what the tests are about


def test_the_simulator_knows_the_platform_only_by_its_broker() -> None:
    for path in SIMULATOR.glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (tds[.\w]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert all(name.startswith("tds.simulator") for name in imported), path.name


def test_help_explains_every_option() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    for option in (
        "--gateways",
        "--gateway ",
        "--history-step",
        "--fault-rate",
        "--report",
        "--json",
        "--broker",
        "--box",
    ):
        assert option in result.output


def test_a_name_that_no_host_can_have_is_said() -> None:
    assert "is no name of a host" in output("--broker", f"mqtt://{'x' * 64}.example")


def test_a_broker_that_is_not_there_is_said_with_what_to_do() -> None:
    said = output("--broker", "mqtt://127.0.0.1:1")
    assert said == (
        "No MQTT broker answers at 127.0.0.1:1 (Connection refused). "
        "Start the platform with `make up`, or name another broker with --broker mqtt://host:port."
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--history", "soon"], "such as 90m, 36h or 30d"),
        (["--faults", "bad,worse"], "worse: choose from bad, duplicates, late, reconnects, moves"),
        (["--broker", "http://localhost"], "must be given as mqtt://"),
        (["--gateway", "a/b"], "'a/b' is no code"),
        (["--gateway", "A", "--gateway", "A"], "named twice"),
        (["--history", "30d", "--history-step", "0"], "longer --history-step"),
        (["--gateways", "501"], "less than or equal to 500"),
        (["--broker", "mqtts://localhost"], "name the box that has them, with --box DIR"),
        (["--box", "{box}", "--broker", "mqtt://localhost"], "--box is of no use there; write mqtts://"),
        (["--box", "{box}", "--est", "http://localhost"], "must be given as https://host[:port]"),
        (["--box", "{box}", "--renew", "GW-7"], "GW-7 is to renew its certificate, and is none of the gateways"),
        (["--renew", "SIM-0001"], "name the box with --box DIR"),
        (["--claim", "GW-1:secret"], "A claim needs the box"),
        (["--box", "{box}", "--claim", "GW-1"], "A claim is given as CODE:CLAIM"),
        (["--box", "{box}/missing"], "can't be read: No such file or directory"),
        (["--box", "{box}", "--gateway", "GW-7"], "has no gateway.key and gateway.crt that belong together"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "GW-1").mkdir()
    (tmp_path / "GW-1" / "gateway.crt").touch()
    assert sentence in output(*(word.replace("{box}", str(tmp_path)) for word in words))


def test_a_box_with_more_gateways_than_one_process_simulates_asks_which(tmp_path: Path) -> None:
    for number in range(501):
        (tmp_path / f"GW-{number}").mkdir()
        (tmp_path / f"GW-{number}" / "gateway.crt").touch()
    assert "The box has 501 gateways, and one process simulates 500" in output("--box", str(tmp_path))


def test_a_password_is_not_repeated_in_an_error() -> None:
    assert "hunter2" not in output("--broker", "mqtts://me:hunter2@localhost")
    assert "hunter2" not in repr(Broker.parse("mqtt://me:hunter2@localhost"))


@pytest.mark.parametrize(
    ("text", "broker", "address"),
    [
        ("mqtt://localhost", Broker("localhost", 1883), "localhost:1883"),
        ("mqtt://[::1]:1884/", Broker("::1", 1884), "[::1]:1884"),
        ("mqtt://a%40b:p%3Aq@10.0.0.1:1", Broker("10.0.0.1", 1, "a@b", "p:q"), "10.0.0.1:1"),
        ("mqtts://localhost", Broker("localhost", 8883, tls=True), "localhost:8883"),
        ("mqtts://localhost:1", Broker("localhost", 1, tls=True), "localhost:1"),
    ],
)
def test_brokers_are_read_from_urls(text: str, broker: Broker, address: str) -> None:
    assert Broker.parse(text) == broker
    assert broker.address == address


@pytest.mark.parametrize(
    "text",
    ["", "localhost:1883", "mqtt://", "mqtt://h:99999", "mqtt://h:0", "mqtt://h:0x", "mqtt://h/topic", "mqtts://[::1"],
)
def test_what_is_no_broker_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="mqtt://"):
        Broker.parse(text)


def test_a_user_name_can_hold_the_gateways_code() -> None:
    assert Broker.parse("mqtt://{gateway}:x@localhost").user_of("GW-1") == "GW-1"
    assert Broker("localhost", 1883).user_of("GW-1") is None


@pytest.mark.parametrize(
    "changes", [{"gateways": ()}, {"devices": ()}, {"devices": ("D",) * 257}, {"interval_ms": 1}, {"fault_rate": 1.5}]
)
def test_a_fleet_out_of_bounds_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"gateways|devices|interval|rate"):
        config(**changes)


def test_gateways_are_numbered_from_one() -> None:
    assert gateway_codes("SIM", 2) == ("SIM-0001", "SIM-0002")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_history_that_is_there_within_a_second_shows_nothing() -> None:
    clock, out = Clock(), io.StringIO()
    with Display(Console(file=out), now_s=clock) as display:
        clock.now_s = 0.9
        display.progress(Progress(10, 10))
    assert out.getvalue() == ""


def test_without_a_terminal_progress_is_a_plain_line_every_few_seconds() -> None:
    clock, out = Clock(), io.StringIO()
    with Display(Console(file=out), now_s=clock) as display:
        for tenth in range(120):
            clock.now_s = tenth / 10
            display.progress(Progress(tenth, 1_000))
    assert out.getvalue() == "History: 50 of 1,000 messages\nHistory: 100 of 1,000 messages\n"


def test_on_a_terminal_progress_is_a_bar() -> None:
    clock, out = Clock(), io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=80), now_s=clock) as display:
        clock.now_s = 2
        display.progress(Progress(500, 1_000))
        display.progress(Progress(1_000, 1_000))
    assert "1000/1000" in out.getvalue()


def test_one_notice_speaks_for_a_fleet() -> None:
    out = io.StringIO()
    with Display(Console(file=out), now_s=Clock()) as display:
        for n in range(500):
            display.notice(f"GW-{n}", "connection lost: [reset]")
    assert out.getvalue() == "GW-0: connection lost: [reset]\n"


def test_the_report_has_a_line_for_each_acknowledged_message() -> None:
    report = io.StringIO()
    with Display(Console(file=io.StringIO()), report) as display:
        display.acknowledged("GW-1", Message("D02", 1_771_439_400_000))
    assert json.loads(report.getvalue()) == {
        "gateway_code": "GW-1",
        "device_code": "D02",
        "timestamp": "2026-02-18T15:30:00-03:00",
    }


def test_the_summary_says_what_was_given_up() -> None:
    summary = Summary(
        gateways=1, devices=3, sent=12_345, acknowledged=12_344, refused=2, resent=3, dropped=4, unacknowledged=1,
        connections=1, seconds=1.5,
    )  # fmt: skip
    assert "12,345 messages" in in_words(summary)
    assert "1 that nobody acknowledged" in in_words(summary)
    assert "renewed" not in in_words(summary)
    told = in_words(replace(summary, renewed=2, never_connected=3))
    assert "2 certificates" in told
    assert "3 gateways that the broker never took in" in told


def test_where_certificates_are_renewed_follows_from_the_broker() -> None:
    assert Broker.parse("mqtts://tds.example:1").est_url == "https://tds.example:8070"
    assert Broker.parse("mqtts://[::1]").est_url == "https://[::1]:8070"
