"""Whether the demo's gateways are the devices' own programs, and what `./tds up` says of it."""

from pathlib import Path

import pytest

from tds.environment import read
from tds.local import demo
from tds.local.prepared import DEMO_FAMILIES


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in (*DEMO_FAMILIES.values(), demo.LAUNCHER):
        program(tmp_path / name, "echo 1.0")
    return tmp_path


def program(path: Path, does: str) -> None:
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


def test_there_are_programs_only_if_all_are_there_and_start(programs: Path) -> None:
    assert demo.has_programs(programs)
    program(programs / "dcu-all", "echo 'error while loading shared libraries' >&2; exit 127")
    assert not demo.has_programs(programs)
    (programs / "dcu-all").unlink()
    assert not demo.has_programs(programs)


def test_without_what_starts_them_from_slots_there_are_none(programs: Path) -> None:
    (programs / demo.LAUNCHER).unlink()
    assert not demo.has_programs(programs)


def test_a_file_that_is_no_program_is_none(programs: Path) -> None:
    (programs / "dcu-all").write_bytes(b"\x7fELF of another machine")
    assert not demo.has_programs(programs)


def test_without_programs_the_start_says_how_to_get_them() -> None:
    assert "`make firmware`" in demo.told(programs=False)
    assert "`make firmware`" not in demo.told(programs=True)


def test_the_fleet_gets_the_demos_units_their_families_and_what_the_simulator_measures(tmp_path: Path) -> None:
    (tmp_path / "demo-history-sent").touch()
    environment = read({"TDS_HOME": str(tmp_path)})
    words = " ".join(demo.child(environment, [], programs=True).command)
    assert f"--box {tmp_path}/demo-box" in words
    assert "--unit GW-DEMO-001=dcu-0080 --unit GW-DEMO-002=dcu-8000-sim --unit GW-DEMO-003=dcu-all" in words
    assert "--sensors demo" in words
    # As commands name it: a device takes firmware from no other.
    assert "--ota-url https://localhost:8070" in words
    assert "simulate" not in words


def test_the_history_is_the_simulators_either_way(tmp_path: Path) -> None:
    environment = read({"TDS_HOME": str(tmp_path)})
    assert (
        demo.child(environment, [], programs=True).command[1:]
        == demo.child(environment, [], programs=False).command[1:]
    )
    assert "--history-only" in demo.child(environment, [], programs=True).command
