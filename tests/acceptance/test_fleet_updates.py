"""A fleet's devices are updated by the platform that they report to, and the fleet shows what they run."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from device_fleet import boot, slots
from device_fleet.slots import State
from tds.environment import ROOT
from tds.local.prepared import RELEASE_KEYS
from tests.devices import built
from tests.fielded import TENANT, Document, Fleet, fleet
from tests.running import wait_until
from tests.started import Started

PREFIX: Final = "V"
FAMILY: Final = "dcu-0080"
CODES: Final = tuple(f"{PREFIX}-{FAMILY}-{number:04d}" for number in (1, 2))
WORDS: Final = ("--tenant", TENANT, "--prefix", PREFIX, "--count", "2", "--interval", "5", "--trial", "20")
FACTORY: Final = (ROOT / "firmware" / "version.txt").read_text(encoding="ascii").strip()
UPDATE_LIMIT_S: Final = 90.0


@pytest.fixture
def on(home: Started) -> Started:
    """Of its own: what is published and rolled out here is nobody else's."""
    built("host")
    home.start("--no-demo")
    home.tds("tenant", "add", TENANT)
    return home


def release(on: Started, folder: Path, version: str, *words: str) -> int:
    """Made as a person does; its number."""
    made = subprocess.run(
        [ROOT / "scripts" / "firmware", "image", version, *words], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    image = folder / f"{version}.bin"
    (ROOT / "firmware" / "build" / "images" / f"{FAMILY}-{version}.bin").rename(image)
    manifest, signed = folder / f"{version}.json", folder / f"{version}.jws"
    on.tds("release", "build-manifest", str(image), str(manifest), "--product", "dcu")
    on.tds("release", "sign", str(manifest), "--key", str(on.home / RELEASE_KEYS / "release.key"))
    told = on.tds("release", "upload", str(image), str(signed), "--publish", "--json").stdout
    return int(json.loads(told)["id"])


def roll_out(on: Started, number: int) -> None:
    # Soon: a tour, and not a fleet in the field.
    words = ("--all", "--waves", "1,100%", "--soak-min", "0.05", "--no-gate", "--site-at-once", "--json")
    on.tds("rollout", "start", str(number), *words)


def devices(running: Fleet) -> list[Document]:
    return list(running.said.get("devices", []))


def versions(running: Fleet) -> set[tuple[str, bool]]:
    return {(device["version"], device["on_trial"]) for device in devices(running)}


def slots_of(on: Started, code: str) -> Path:
    return on.home / "fleet" / code / "slots"


@pytest.mark.soak  # `make test` walks the tour, which has the same but for the restarts
def test_a_fleet_is_updated_goes_back_from_a_bad_image_and_keeps_what_it_has_until_it_is_flashed_anew(
    on: Started, tmp_path: Path
) -> None:
    with fleet(on, *WORDS) as running:
        wait_until(running.is_online, "both")
        wait_until(lambda: versions(running) == {(FACTORY, False)}, "what they have from the factory")
        programs = list((on.home / "fleet" / boot.PROGRAMS).iterdir())
        assert [path.name for path in programs] == [slots.sha256_of(slots_of(on, CODES[0]), 0)]

        roll_out(on, release(on, tmp_path, "8.1.0"))
        wait_until(lambda: versions(running) == {("8.1.0", False)}, "the update of both", UPDATE_LIMIT_S)
        assert {device["last_update"] for device in devices(running)} == {"SUCCEEDED"}
        assert {device["slot"] for device in devices(running)} == {1}

        # By the first it is known: the second device never sees it.
        roll_out(on, release(on, tmp_path, "8.2.0", "--fault", "crashes"))
        wait_until(lambda: running.totals["rollbacks"] == 1, "the way back of one", UPDATE_LIMIT_S)
        wait_until(lambda: running.is_online() and versions(running) == {("8.1.0", False)}, "what they had before")
        assert sorted(device["last_update"] for device in devices(running)) == ["FAILED rolled_back", "SUCCEEDED"]
        assert running.stop() == 0, running.errors
    states = sorted(slots.states(slots_of(on, code)) for code in CODES)
    assert states == [(State.ABORTED, State.VALID), (State.UNDEFINED, State.VALID)]

    with fleet(on, *WORDS) as running:
        wait_until(lambda: running.is_online() and versions(running) == {("8.1.0", False)}, "the same again")
        assert running.stop() == 0, running.errors
    with fleet(on, *WORDS, "--reflash") as running:
        wait_until(lambda: running.is_online() and versions(running) == {(FACTORY, False)}, "the factory's")
        assert running.stop() == 0, running.errors
    with fleet(on, *WORDS, "--no-slots") as running:
        wait_until(
            lambda: running.is_online() and {device["slot"] for device in devices(running)} == {None}, "no slots"
        )
        assert running.stop() == 0, running.errors
