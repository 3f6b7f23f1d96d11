"""When ingest stops for want of room, and when it goes on."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tds.ingest.room import Room

DISK, OTHER = Path("/data"), Path("/spool")


@pytest.fixture
def machine() -> SimpleNamespace:
    return SimpleNamespace(free={DISK: 5_000, OTHER: 5_000}, now_s=0.0, looks=0)


def room(machine: SimpleNamespace) -> Room:
    def free_bytes(folder: Path) -> int:
        machine.looks += 1
        if folder not in machine.free:
            raise FileNotFoundError(folder)
        return int(machine.free[folder])

    return Room([DISK, OTHER], 1_000, free_bytes=free_bytes, now_s=lambda: machine.now_s)


def later(machine: SimpleNamespace, of: Room) -> str:
    machine.now_s += 2
    return of.shortage()


def test_a_full_disk_of_any_folder_is_a_shortage_that_names_it(machine: SimpleNamespace) -> None:
    watched = room(machine)
    assert watched.shortage() == ""
    machine.free[OTHER] = 999
    assert "/spool" in later(machine, watched)


def test_it_ends_only_when_there_is_room_beyond_the_reserve(machine: SimpleNamespace) -> None:
    watched = room(machine)
    machine.free[DISK] = 999
    assert later(machine, watched)
    machine.free[DISK] = 1_100
    assert later(machine, watched)
    machine.free[DISK] = 1_200
    assert later(machine, watched) == ""
    machine.free[DISK] = 1_100
    assert later(machine, watched) == ""


def test_it_looks_once_a_second_at_most(machine: SimpleNamespace) -> None:
    watched = room(machine)
    for _ in range(1_000):
        watched.shortage()
    assert machine.looks == 2


def test_upkeep_may_write_what_leaves_the_reserve_and_not_a_byte_more(machine: SimpleNamespace) -> None:
    watched = room(machine)
    assert watched.lacks(4_000) == ""
    assert watched.lacks(4_001) == (
        "Only 0 MB are free where /data is; with 0 MB more, less than TDS_DISK_RESERVE_BYTES (0 MB) would be left."
    )
    machine.free[OTHER] = 999  # it looks each time
    assert "/spool" in watched.lacks(0)
    del machine.free[OTHER]
    assert watched.lacks(0) == ""


def test_a_folder_that_is_not_there_is_no_shortage(machine: SimpleNamespace) -> None:
    machine.free.clear()
    assert room(machine).shortage() == ""


def test_a_real_disk_has_some_room(tmp_path: Path) -> None:
    assert Room([tmp_path], 1).shortage() == ""
    assert Room([tmp_path], 2**60).shortage() != ""
