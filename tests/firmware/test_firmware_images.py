"""`scripts/firmware image`: what a person makes to try an update with."""

import shutil
import subprocess
from pathlib import Path

import pytest

import pack_image
from tds.environment import ROOT
from tds.updates.releases import image
from tds.updates.releases.signing_commands import counter_of

IMAGES = ROOT / "firmware" / "build" / "images"


def make_image(*words: str) -> "subprocess.CompletedProcess[str]":
    command: list[str | Path] = [ROOT / "scripts" / "firmware", "image", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(("family", "product"), [("dcu-0080", "dcu"), ("relay-mfr", "relay")])
def test_an_image_is_of_its_family_with_the_counter_of_its_version_and_what_comes_next_is_said(
    family: str, product: str
) -> None:
    done = make_image("9.8.7", "--family", family)
    assert done.returncode == 0, done.stderr
    path = IMAGES / f"{family}-9.8.7.bin"
    try:
        with path.open("rb") as file:
            facts = image.read(file)
    finally:
        path.unlink()
    assert (facts.chip, facts.project, facts.version, facts.secure_version) == ("host", family, "9.8.7", 9_008_007)
    assert f"./tds release build-manifest firmware/build/images/{family}-9.8.7.bin" in done.stdout
    assert f"--product {product}\n" in done.stdout
    assert "./tds release sign" in done.stdout
    assert "./tds release upload" in done.stdout


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("fault", ["crashes", "hangs", "cut-off", "stops", "fails-itself"])
def test_an_image_can_be_had_that_is_bad_in_one_way(fault: str) -> None:
    done = make_image("9.8.6", "--fault", fault, "--counter", "5")
    assert done.returncode == 0, done.stderr
    assert ", which " in done.stdout
    assert "--counter 5" in done.stdout
    path = IMAGES / "dcu-0080-9.8.6.bin"
    with path.open("rb") as file:
        assert image.read(file).secure_version == 5
    path.unlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "The version is ''"),
        (("../../etc/passwd",), "The version is '../../etc/passwd'"),
        (("1.0",), "The version is '1.0'"),
        (("1.0.0", "2.0.0"), "more than one version"),
        (("1.0.0", "--family", "dcu"), "choose from dcu-0080"),
        (("1.0.0", "--family"), "--family needs a value"),
        (("1.0.0", "--fault", "burns"), "choose from crashes"),
        (("1.0.0", "--fault", "crashes", "--family", "relay-mfr"), "Only a dcu-0080"),
        (("1.0.0", "--counter", "-1"), "The counter is '-1'"),
        (("1.0.0", "--sign"), "There is no option --sign"),
    ],
)
def test_what_makes_no_sense_is_a_sentence_and_no_image(words: tuple[str, ...], sentence: str) -> None:
    done = make_image(*words)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stdout == ""


def test_help_says_what_there_is() -> None:
    done = make_image("--help")
    assert done.returncode == 0
    assert "make firmware-image VERSION=1.1.0" in done.stdout


@pytest.mark.parametrize("version", ["0.0.1", "1.2.3", "2.0.0", "9999.999.999"])
def test_the_packer_and_the_signer_make_the_same_counter_of_a_version(version: str) -> None:
    assert pack_image.counter_of(version) == counter_of(version)


@pytest.mark.parametrize("version", ["1.2", "1.2.3-rc.1", "1.2.1000", "nightly", "१.२.३"])
def test_of_what_is_no_such_version_there_is_no_counter(version: str) -> None:
    assert pack_image.counter_of(version) == 0


@pytest.mark.skipif(shutil.which("strip") is None, reason="binutils is not here")
def test_what_can_not_be_stripped_is_a_sentence(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    pack = ROOT / "firmware" / "tools" / "pack_image.py"
    command: list[str | Path] = [pack, program, tmp_path / "image.bin", "--project", "dcu-0080", "--version", "1.0.0"]
    done = subprocess.run([*command, "--strip"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "can't be stripped" in done.stderr
