"""The ceremony of keys in production, and the answers to a theft: the commands of docs/operations.md as they stand."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tds.environment import ROOT
from tds.updates.signed.keys import PublicKey
from tests import imaging
from tests.started import Started, new_home

SECTION: Final = "## Keys of updates\n"
LIMIT_S: Final = 120.0
PRODUCTION: Final = {
    "TDS_MODE": "production",
    "TDS_SECRET_KEY": "only for tests, and longer than thirty-two characters",
    "TDS_ALLOWED_HOSTS": "localhost",
}


@pytest.fixture(scope="module")
def production() -> Iterator[Started]:
    with new_home() as started:
        started.environment |= PRODUCTION
        started.tds("ca", "init")
        started.start("--no-demo")
        yield started


def blocks() -> list[str]:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = text.partition(SECTION)[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def updates_part(platform: Started) -> dict[str, Any]:
    document = json.loads(platform.tds("status", "--json", check=False).stdout)
    found: dict[str, Any] = document["parts"]["updates"]
    return found


def test_the_ceremony_and_the_answers_to_thefts_are_what_the_runbook_says(production: Started, tmp_path: Path) -> None:
    (tmp_path / "tds").symlink_to(ROOT / "tds")
    (tmp_path / "firmware.bin").write_bytes(imaging.packed(b"#!/bin/sh\n", version="1.1.0"))

    def run(block: str, **variables: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=production.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout

    def kid(name: str) -> str:
        return PublicKey.load(tmp_path / name).kid

    generate, assignment, make, upload, release, renew, rotate, stolen = blocks()
    assert updates_part(production)["state"] == "warning"  # there is no trust set
    for block in (generate, assignment, make, upload):
        run(block)
    assert updates_part(production)["state"] == "healthy"
    assert not (production.home / "release-keys").exists()  # nothing is made in production
    assert "dcu 1.1.0, is published" in run(release)
    run(renew)
    run(rotate, OLD=kid("builder/release.pub"))
    said = run(stolen, STOLEN=kid("assignment.pub"))
    assert "Trust set 5 is given out from now on" in said
    found = json.loads(production.tds("trust", "show", "--json").stdout)
    assert sorted(found["revoked"]) == sorted([kid("builder/release.pub"), kid("assignment.pub")])
    assert {each["kid"] for each in found["keys"]} == {kid("builder-2/release.pub"), kid("assignment-2.pub")}
    assert sorted(found["roots"]) == sorted([kid("root-1/root.pub"), kid("root-2/root.pub")])
    assert updates_part(production)["state"] == "healthy"
    # What the revoked key signed is published no more.
    again = production.tds(
        "release", "upload", str(tmp_path / "firmware.bin"), str(tmp_path / "1.1.0.jws"), check=False
    )
    assert again.returncode == 1
    assert "revoked" in again.stderr
    assert os.stat(tmp_path / "root-1/root.key").st_mode & 0o777 == 0o600  # noqa: PTH116
