"""What a device as a program says to words that it can't run by: one sentence, and exit code 1."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.boxes import Maker


@pytest.fixture
def unit(maker: Maker) -> Path:
    return maker.provision("GW-1")


def said(program: Path, *words: str | Path) -> str:
    ended = subprocess.run([program, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10)
    assert ended.returncode == 1, ended
    assert ended.stdout == b""
    return ended.stderr.decode()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--set", "color=red"), "There is no setting 'color'"),
        (("--interval", "4"), "The setting interval_s is not taken as it was given; it takes a whole number from 5 to"),
        (("--broker", "http://localhost"), "The setting broker_uri is not taken as it was given"),
        (("--set", "wifi_password=short"), "The setting wifi_password is not taken as it was given"),
    ],
)
def test_a_setting_that_the_device_does_not_take_is_refused_without_its_value(
    guarded: Path, unit: Path, tmp_path: Path, words: Sequence[str], sentence: str
) -> None:
    text = said(guarded / "dcu-0080", "--box", unit, "--state", tmp_path / "state", *words)
    assert sentence in text
    assert "short" not in text


def test_an_interval_that_is_said_twice_is_the_last_one(guarded: Path, unit: Path, tmp_path: Path) -> None:
    words = ("--interval", "60", "--interval", "4")
    assert "interval_s" in said(guarded / "dcu-0080", "--box", unit, "--state", tmp_path / "state", *words)


def test_a_unit_that_is_not_there_or_none_is_refused(guarded: Path, maker: Maker, tmp_path: Path) -> None:
    program, state = guarded / "dcu-0080", ("--state", tmp_path / "state")
    (tmp_path / "no code!").mkdir()
    (tmp_path / "nvs.bin").write_bytes(bytes(0x6000))
    assert "is not there" in said(program, "--box", tmp_path / "nowhere", *state)
    assert "is no gateway's code" in said(program, "--box", tmp_path / "no code!", *state)
    assert "can't be read, or is none" in said(program, "--factory", tmp_path / "nvs.bin", *state)
    assert "can't be read, or is none" in said(program, "--factory", tmp_path / "nowhere", *state)


def test_a_state_folder_that_can_not_be_used_is_refused(guarded: Path, unit: Path, tmp_path: Path) -> None:
    program = guarded / "dcu-0080"
    (tmp_path / "a file").write_bytes(b"")
    assert "can't be made" in said(program, "--box", unit, "--state", tmp_path / "a file" / "state")
    (tmp_path / "state" / "outbox").mkdir(parents=True)
    assert "can't be used" in said(program, "--box", unit, "--state", tmp_path / "state")
    assert "can't be made" in said(program, "--box", unit, "--state", "x/" * 3_000)


def test_two_ways_to_say_who_it_is_are_one_too_many(guarded: Path, unit: Path, tmp_path: Path) -> None:
    words = ("--box", unit, "--factory", unit / "nvs.bin", "--state", tmp_path / "state")
    assert "Say who it is, by --factory or by --box" in said(guarded / "dcu-0080", *words)
