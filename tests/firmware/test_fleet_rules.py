"""The rules of the fleet: what strikes whom and when, what a person is shown, which units there are."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from device_fleet import addresses, command, locks, platform_home, spans, units
from device_fleet.faults import CLOCK_RANGE_S, OF_NETWORK, Fault, Schedule, Strike, parse
from device_fleet.refusal import FleetRefusedError
from device_fleet.table import Faults, Row, line, table, totals_of, update_of

ROW = Row(
    code="FLEET-dcu-0080-0001",
    family="dcu-0080",
    state="online",
    last_failure="none",
    sent=1_200,
    acknowledged=1_198,
    unacknowledged=2,
    outbox=9,
    dropped=0,
    reconnects=1,
    published_ago_s=4.2,
    first_publish_ms=1_100,
    pss_kib=2_048,
    kills=0,
    ends=0,
)
NO_FAULTS = Faults(asked_for=False, go_on=False, struck={})


def strikes_of(seed: int, code: str, rounds: int = 50, **shares: float) -> list[Strike]:
    schedule = Schedule(seed, code, {Fault(name): share for name, share in shares.items()})
    return [strike for number in range(rounds) for strike in schedule.strikes(number, 1_790_000_000 + 10 * number)]


def test_a_seed_gives_the_same_faults_again_and_another_gives_others() -> None:
    assert strikes_of(1, "GW-1", network=0.2, kill=0.1) == strikes_of(1, "GW-1", network=0.2, kill=0.1)
    assert strikes_of(1, "GW-1", network=0.2) != strikes_of(2, "GW-1", network=0.2)
    assert strikes_of(1, "GW-1", network=0.2) != strikes_of(1, "GW-2", network=0.2)


def test_as_many_are_struck_as_was_asked_for_and_by_each_kind() -> None:
    struck = [strike for number in range(100) for strike in strikes_of(1, f"GW-{number}", network=0.1)]
    assert 400 < len(struck) < 600  # of 5,000
    assert {strike.fault for strike in struck} == set(OF_NETWORK)


def test_no_clock_goes_to_where_it_was_before() -> None:
    jumps = [strike for strike in strikes_of(1, "GW-1", rounds=400, clock=0.2) if strike.clock_s]
    assert all(CLOCK_RANGE_S[0] <= jump.clock_s <= CLOCK_RANGE_S[1] for jump in jumps)
    assert len(jumps) > 40
    assert len({jump.clock_s for jump in jumps}) == len(jumps)


def test_a_share_is_said_in_percent_or_as_a_number() -> None:
    assert parse("kill=5%") == (Fault.KILL, 0.05)
    assert parse("half-open=0.5") == (Fault.HALF_OPEN, 0.5)


@pytest.mark.parametrize("text", ["fire=5%", "kill", "kill=", "kill=x", "kill=101%", "kill=-1%", "kill=nan"])
def test_a_fault_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"choose from|write kill=10%"):
        parse(text)


def test_spans_are_what_people_type() -> None:
    assert [spans.seconds(text) for text in ("90", "60s", "1.5m", "2h")] == [90, 60, 90, 7200]
    assert [spans.shown(value) for value in (0.4, 90, 120, 7_300, 200_000)] == ["0 s", "90 s", "2 min", "2 h", "2 d"]
    with pytest.raises(ValueError, match="no span of time"):
        spans.seconds("soon")


def test_the_table_fits_its_terminal_and_shows_first_who_is_in_trouble() -> None:
    rows = [replace(ROW, code=f"GW-{number:03d}") for number in range(100)]
    rows[70] = replace(ROW, code="GW-070", state="waiting", last_failure="tls_authority")
    shown = table(rows, ["faults: none struck yet"], width=100, height=24)
    assert len(shown) < 24
    assert all(len(each) <= 100 for each in shown)
    assert "tls_authority" in shown[1]
    assert "81 more" in shown[-3]
    assert shown[-2].startswith("100 devices")
    assert "99 online" in shown[-2]


def test_the_sums_are_those_of_the_rows() -> None:
    sums = totals_of([ROW, replace(ROW, state="killed", pss_kib=None, kills=1)])
    assert (sums.devices, sums.online, sums.sent, sums.kills) == (2, 1, 2_400, 1)
    assert (sums.pss_kib, sums.pss_max_kib) == (2_048, 2_048)


def test_without_a_terminal_all_is_in_a_line() -> None:
    rows = [ROW, replace(ROW, state="waiting", last_failure="tcp")]
    assert line(rows, NO_FAULTS) == (
        "2 devices: 1 online, 1 waiting (1 tcp); sent 2,400, acknowledged 2,396, unacknowledged 4; "
        "outbox 18, dropped 0; reconnects 2; PSS 4 MiB, the largest 2.0"
    )
    struck = Faults(asked_for=True, go_on=False, struck={"kill": 3})
    assert line(rows, struck).endswith("; faults: 3 kill; they are over")


def test_a_row_says_what_runs_and_how_its_update_goes() -> None:
    fetching = replace(ROW, version="1.0.0", slot=0, update_to="1.1.0", update_phase="downloading", update_percent=43)
    assert update_of(ROW) == ""
    assert update_of(fetching) == "1.1.0 downloading 43 %"
    assert update_of(replace(fetching, update_phase="rebooting")) == "1.1.0 rebooting"
    assert update_of(replace(fetching, on_trial=True)) == "on trial"
    assert update_of(replace(ROW, last_update="FAILED rolled_back", rollbacks=1)) == "failed rolled_back, went back"
    assert update_of(replace(ROW, last_update="FAILED rolled_back", rollbacks=2)).endswith("went back 2 times")
    shown = table([fetching], [], width=200, height=24)
    assert "1.0.0" in shown[1]
    assert "1.1.0 downloading 43 %" in shown[1]
    assert "1 under way" in shown[2]


def test_in_a_line_versions_are_counted_and_what_is_under_way() -> None:
    rows = [replace(ROW, version=version) for version in ("1.0.0", "1.0.0", "1.1.0")]
    rows[2] = replace(rows[2], update_to="1.1.0", on_trial=True, rollbacks=1)
    assert "firmware 2 × 1.0.0, 1 × 1.1.0 (1 on trial, 1 back); " in line(rows, NO_FAULTS)


def test_first_are_those_in_trouble_and_then_those_that_are_being_updated() -> None:
    rows = [replace(ROW, code=f"GW-{number:03d}", unacknowledged=0) for number in range(100)]
    rows[60] = replace(rows[60], update_to="1.1.0", update_phase="verified")
    rows[70] = replace(rows[70], state="waiting")
    shown = table(rows, [], width=100, height=24)
    assert "GW-070" in shown[1]
    assert "GW-060" in shown[2]


def test_the_firmware_server_is_where_commands_say_it_is(tmp_path: Path) -> None:
    ready = {"mqtts_url": "mqtts://127.0.0.1:8883", "ota_url": "https://127.0.0.1:8070"}
    (tmp_path / platform_home.READY).write_text(json.dumps(ready))
    assert platform_home.servers(tmp_path).ota_url == "https://127.0.0.1:8070"
    ready["firmware_url"] = "https://fw.example:8070"
    (tmp_path / platform_home.READY).write_text(json.dumps(ready))
    assert platform_home.servers(tmp_path).ota_url == "https://fw.example:8070"


def make_box(folder: Path, **families: str) -> Path:
    for code in families:
        (folder / code).mkdir(parents=True)
        (folder / code / "nvs.bin").write_bytes(b"?")
    listed = [{"code": code, "family": family} for code, family in families.items()]
    (folder / "units.json").write_text(json.dumps({"units": listed}))
    return folder


def codes(found: list[units.Unit]) -> list[tuple[str, str]]:
    return [(unit.code, unit.family) for unit in found]


def test_of_a_box_those_are_taken_that_have_an_identity_each_as_its_family(tmp_path: Path) -> None:
    box = make_box(tmp_path / "box", GW1="dcu-0080", GW2="relay-mfr", GW3="")
    (box / "GW4").mkdir()
    every = units.in_box(box, named={}, families=units.FAMILIES, default_family="dcu-all", count=None)
    assert codes(every) == [("GW1", "dcu-0080"), ("GW2", "relay-mfr"), ("GW3", "dcu-all")]
    relays = units.in_box(box, named={}, families=["relay-mfr"], default_family="dcu-all", count=None)
    assert codes(relays) == [("GW2", "relay-mfr")]
    named = {"GW3": "dcu-8000-sim", "GW4": None}
    assert codes(units.in_box(box, named=named, families=units.FAMILIES, default_family="dcu-all", count=None)) == [
        ("GW3", "dcu-8000-sim")
    ]
    with pytest.raises(FleetRefusedError, match="no unit with key and certificate"):
        units.in_box(box, named={"GW4": None}, families=units.FAMILIES, default_family="dcu-all", count=None)
    with pytest.raises(FleetRefusedError, match="is a 'toaster'"):
        units.in_box(box, named={"GW1": "toaster"}, families=units.FAMILIES, default_family="dcu-all", count=None)
    with pytest.raises(FleetRefusedError, match="is no box"):
        units.in_box(tmp_path / "none", named={}, families=units.FAMILIES, default_family="dcu-all", count=None)


def test_what_is_missing_is_a_sentence_that_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TDS_HOME", str(tmp_path))
    assert command.main([]) == command.REFUSED
    assert "start it with `make up`" in capsys.readouterr().err
    box = make_box(tmp_path / "box", GW1="dcu-0080")
    words = ["--broker", "mqtts://localhost", "--box", str(box), "--programs", str(tmp_path)]
    assert command.main(words) == command.REFUSED
    assert capsys.readouterr().err == (
        f"There is no dcu-0080 and no launcher in {tmp_path}; `make firmware` builds it.\n"
    )


def test_a_unit_of_another_tenant_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / platform_home.TABLE).write_text("gateway_code,tenant,family\nFLEET-1,demo,dcu-0080\n")
    with pytest.raises(FleetRefusedError, match="FLEET-1 is of tenant demo"):
        platform_home.own_units(tmp_path, {"FLEET-1": "dcu-0080"}, tenant="acme", broker="mqtts://localhost")


def platform_that_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform's home, and the file that is there once anything was provisioned."""
    home.mkdir(exist_ok=True)
    provisioned = home / "provisioned"
    (home / "tds").write_text(f"#!/bin/sh\ntouch {provisioned}\n")
    (home / "tds").chmod(0o755)
    ready = {"mqtts_url": "mqtts://localhost:8883", "ota_url": "https://localhost:8443"}
    (home / platform_home.READY).write_text(json.dumps(ready))
    monkeypatch.setenv("TDS_HOME", str(home))
    monkeypatch.setattr(platform_home, "TDS", home / "tds")
    return provisioned


def make_programs(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in (*units.FAMILIES, "launcher"):
        (folder / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_fleet_that_cannot_begin_registers_no_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provisioned = platform_that_counts(tmp_path / "home", monkeypatch)
    programs = make_programs(tmp_path / "programs")
    assert command.main(["--programs", str(programs), "--family", "all", "--count", "200"]) == command.REFUSED
    assert "800 devices are more than 500" in capsys.readouterr().err
    assert command.main(["--programs", str(tmp_path / "none")]) == command.REFUSED
    assert "`make firmware` builds it" in capsys.readouterr().err
    assert command.main(["--programs", str(programs), "--unit", "GW1"]) == command.REFUSED
    assert "say which with --box" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert command.main(["--programs", str(programs), "--state", str(tmp_path / "file")]) == command.REFUSED
    assert "choose another --state" in capsys.readouterr().err
    assert not provisioned.exists()
    assert not (tmp_path / "home" / platform_home.TABLE).exists()


def test_units_that_believe_nobody_are_made_anew_once_there_is_somebody_to_believe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioned = platform_that_counts(tmp_path, monkeypatch)
    make_box(tmp_path / platform_home.BOX, GW1="dcu-0080")

    def units_now() -> None:
        platform_home.own_units(tmp_path, {"GW1": "dcu-0080"}, tenant="demo", broker="mqtts://localhost:8883")

    units_now()
    assert not provisioned.exists()
    (tmp_path / platform_home.ROOTS).mkdir(parents=True)
    (tmp_path / platform_home.ROOTS / "root.pub").touch()
    units_now()
    assert provisioned.exists()
    provisioned.unlink()
    (tmp_path / platform_home.BOX / "GW1" / "nvs.bin").write_bytes(b"..trust_roots..")
    units_now()
    assert not provisioned.exists()


BAD_BROKERS = (
    "mqtts://h:999999",
    "mqtts://h:0",
    "mqtts://h:",
    "mqtts://",
    "mqtts://h/topic",
    "mqtts://user@h",
    "mqtts://[::1",
    "mqtts://-h",
    "mqtts://a b",
    "https://h",
    "nonsense",
    "",
)


@pytest.mark.parametrize("text", BAD_BROKERS)
@pytest.mark.parametrize("fault", [[], ["--fault", "network=10%"]])
def test_a_broker_that_is_no_address_is_a_sentence_and_2(
    text: str, fault: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--broker", text, *fault])
    assert ended.value.code == command.REFUSED
    assert "write mqtts://host:port" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["nonsense", "http://h", "https://h/path", "https://h:70000"])
def test_a_firmware_server_that_is_no_address_is_a_sentence_and_2(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--ota-url", text])
    assert ended.value.code == command.REFUSED
    assert "write https://host:port" in capsys.readouterr().err


def test_what_devices_take_as_an_address_the_fleet_takes_too() -> None:
    assert addresses.split("mqtts://localhost") == ("mqtts", "localhost", 8_883)
    assert addresses.split("mqtt://10.0.0.1") == ("mqtt", "10.0.0.1", 1_883)
    assert addresses.split("mqtts://[::1]:65535") == ("mqtts", "::1", 65_535)
    assert addresses.split("https://fw.example.com.br:8443") == ("https", "fw.example.com.br", 8_443)


def test_a_device_of_another_fleet_is_not_run_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    programs = make_programs(tmp_path / "programs")
    box = make_box(tmp_path / "box", GW1="dcu-0080", GW2="dcu-0080")
    words = ["--broker", "mqtts://localhost", "--box", str(box), "--programs", str(programs), "--state", str(tmp_path)]
    with contextlib.ExitStack() as other:
        locks.hold(tmp_path, ["GW2"], other)
        assert command.main(words) == command.REFUSED
        assert "GW2 in" in (said := capsys.readouterr().err)
        assert "is run by another fleet" in said
        with contextlib.ExitStack() as own:
            locks.hold(tmp_path, ["GW1"], own)  # the refused one holds nothing any more
    with contextlib.ExitStack() as own:
        locks.hold(tmp_path, ["GW1", "GW2"], own)


def test_a_journal_is_written_only_where_it_was_asked_for(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "dcu-0080").write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec sleep 60\n')
    (programs / "dcu-0080").chmod(0o755)
    box = make_box(tmp_path / "box", GW1="dcu-0080")
    words = ["--broker", "mqtts://localhost", "--box", str(box), "--programs", str(programs), "--for", "2s"]
    words += ["--no-slots"]
    command.main([*words, "--state", str(tmp_path / "state")])
    assert "--journal" not in seen.read_text()
    command.main([*words, "--state", str(tmp_path / "state"), "--journal"])
    assert "--journal" in seen.read_text()
