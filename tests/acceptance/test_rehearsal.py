"""A release is rehearsed before it is rolled out: a good one with faults on the way, and bad builds."""

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.rehearsing import (
    BAD_BUILDS,
    Document,
    Rehearsal,
    assert_stopped_in_the_first_wave,
    bad_image,
    good_image,
    rehearse,
    rehearse_bad,
)
from tests.started import Started

REHEARSALS = 100
# What does not look like the fault that the build has.
OTHER_FAULTS: Mapping[str, str] = {
    "crashes": "power,network,slow,clock",
    "cut-off": "power,network,slow,clock",
    "stops": "slow,network",
}


def test_a_good_release_is_rolled_out_through_all_faults_and_the_server_believes_what_really_runs(
    tmp_path: Path,
) -> None:
    words = ("--devices", "12", "--waves", "1, 25 %, 100 %", "--soak-seconds", "1", "--no-gate", "--seed", "2")
    code, report = rehearse(good_image(tmp_path), tmp_path / "home", *words).wait()
    assert code == 0, report
    assert (report["verdict"], report["outcome"]) == ("good", "completed")
    assert set(report["faults"]) == {"power", "network", "bad-image", "slow", "clock"}
    assert len(report["devices"]) == 12
    assert {(device["status"], device["runs"], device["slot"]) for device in report["devices"]} == {
        ("SUCCEEDED", "dcu 1.1.0", 1)
    }
    spoilt = [device for device in report["devices"] if any("a bit" in fault for fault in device["faults"])]
    assert [device["attempt"] for device in spoilt] == [2]  # a person had it try again


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("bad")
    return {build: bad_image(build, folder) for build in BAD_BUILDS}


@pytest.fixture(scope="module")
def stopped(images: Mapping[str, Path]) -> Mapping[str, tuple[int, Document]]:
    return rehearsed_at_once(images, 1, dict.fromkeys(images, "none"))


def rehearsed_at_once(
    images: Mapping[str, Path], seed: int, faults: Mapping[str, str]
) -> dict[str, tuple[int, Document]]:
    """Of each build, with these faults: their exit codes and reports."""
    running: dict[str, Rehearsal] = {}
    try:
        for build, image in images.items():
            running[build] = rehearse_bad(image, image.parent / "home", seed, faults[build])
        return {build: rehearsal.wait() for build, rehearsal in running.items()}
    finally:
        for rehearsal in running.values():
            rehearsal.end()


@pytest.mark.parametrize("build", BAD_BUILDS)
def test_a_bad_build_never_gets_past_the_first_wave(
    stopped: Mapping[str, tuple[int, Document]], build: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = stopped[build]
    assert_stopped_in_the_first_wave(build, code, report)
    with capsys.disabled():
        print(f"\n{build}: halted after {report['halted_after_s']:.1f} s")


@pytest.mark.soak
def test_in_a_hundred_of_a_hundred_rehearsals_a_bad_build_never_gets_past_the_first_wave(
    images: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """All three builds at once; every second time with faults of other kinds on the way."""
    took: dict[str, list[float]] = {build: [] for build in BAD_BUILDS}
    for seed in range(math.ceil(REHEARSALS / len(BAD_BUILDS))):
        faults = OTHER_FAULTS if seed % 2 else dict.fromkeys(images, "none")
        for build, (code, report) in rehearsed_at_once(images, seed, faults).items():
            assert_stopped_in_the_first_wave(build, code, report)
            took[build].append(report["halted_after_s"])
            with capsys.disabled():
                print(f"\n{seed}: {build} with {faults[build]}, halted after {took[build][-1]:.1f} s", end="")
    with capsys.disabled():
        for build, seconds in took.items():
            print(
                f"\n{build}: {len(seconds)} times; median {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s"
            )


@pytest.mark.soak
def test_a_release_of_this_platform_is_rehearsed_with_its_own_manifest_and_key(home: Started, tmp_path: Path) -> None:
    home.start("--no-demo")
    image, claims, manifest = good_image(tmp_path), tmp_path / "claims.json", tmp_path / "claims.jws"
    key = home.home / "release-keys" / "release.key"
    home.tds("release", "build-manifest", str(image), str(claims), "--product", "dcu")
    home.tds("release", "sign", str(claims), "--key", str(key))
    home.tds("release", "upload", str(image), str(manifest))
    words = ("--devices", "2", "--waves", "1, 100 %", "--soak-seconds", "1", "--no-gate", "--faults", "none")
    code, report = rehearse("dcu@1.1.0", home.home, *words, environment=home.environment).wait()
    assert code == 0, report
    assert {device["runs"] for device in report["devices"]} == {"dcu 1.1.0"}
    assert json.loads(home.tds("rollout", "list", "--json").stdout) == {"rollouts": []}
    assert json.loads(home.tds("gateway", "list", "--json").stdout) == []


@pytest.mark.soak
def test_two_hundred_devices_go_through_all_faults_and_the_server_believes_what_really_runs(tmp_path: Path) -> None:
    code, report = rehearse(good_image(tmp_path), tmp_path / "home", "--devices", "200").wait()
    assert code == 0, report
    assert not report["differences"]
